//! The trace: what the checkers were told, one JSON object a line, so that another program can come to its own verdict
//! (`scripts/recount`). Times are true ones in ns, money is in micros.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::check::{Bid, Fact};
use super::time::Time;
use crate::authority::message::Report;

/// Where it goes; nowhere if nobody asked for it.
#[derive(Debug, Default)]
pub struct Trace(Option<BufWriter<File>>);

macro_rules! line {
    ($trace:expr, $($format:tt)*) => {
        if let Some(out) = &mut $trace.0 {
            // What cannot be written is noticed at the end.
            let _ = writeln!(out, $($format)*);
        }
    };
}

impl Trace {
    /// Into a file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn to(path: &Path) -> std::io::Result<Trace> {
        File::create(path).map(|file| Trace(Some(BufWriter::new(file))))
    }

    /// What the run is.
    pub fn begin(&mut self, seed: u64, strict: bool, begin: u64) {
        line!(self, r#"{{"k":"begin","seed":{seed},"strict":{strict},"wall":{begin}}}"#);
    }

    pub(super) fn bid(&mut self, at: Time, bid: &Bid) {
        let &Bid { id, campaign, lease, incarnation, most, expires, bill } = bid;
        let bill = bill.unwrap_or(-1);
        line!(
            self,
            r#"{{"k":"bid","t":{at},"id":{id},"campaign":{campaign},"lease":{lease},"incarnation":{incarnation},"most":{most},"expires":{expires},"bill":{bill}}}"#
        );
    }

    pub(super) fn recorded(&mut self, at: Time, node: u16, id: u64, amount: i64) {
        line!(self, r#"{{"k":"recorded","t":{at},"node":{node},"id":{id},"amount":{amount}}}"#);
    }

    pub(super) fn lost(&mut self, at: Time, id: u64) {
        line!(self, r#"{{"k":"lost","t":{at},"id":{id}}}"#);
    }

    pub(super) fn acknowledged(&mut self, at: Time, node: u16, id: u64) {
        line!(self, r#"{{"k":"acknowledged","t":{at},"node":{node},"id":{id}}}"#);
    }

    pub(super) fn refused(&mut self, at: Time, id: u64) {
        line!(self, r#"{{"k":"refused","t":{at},"id":{id}}}"#);
    }

    pub(super) fn fact(&mut self, at: Time, fact: &Fact) {
        match *fact {
            Fact::Funded { campaign, advertiser, day, daily, total } => line!(
                self,
                r#"{{"k":"funded","t":{at},"campaign":{campaign},"advertiser":{advertiser},"day":{day},"daily":{daily},"total":{total}}}"#
            ),
            Fact::Granted { lease, campaign, incarnation, day, total } => line!(
                self,
                r#"{{"k":"granted","t":{at},"lease":{lease},"campaign":{campaign},"incarnation":{incarnation},"day":{day},"total":{total}}}"#
            ),
            Fact::Adopted { lease, campaign, incarnation, day, total } => line!(
                self,
                r#"{{"k":"adopted","t":{at},"lease":{lease},"campaign":{campaign},"incarnation":{incarnation},"day":{day},"total":{total}}}"#
            ),
            Fact::Until { incarnation, until } => {
                line!(self, r#"{{"k":"until","t":{at},"incarnation":{incarnation},"until":{until}}}"#);
            }
            Fact::Booked { reservation, lease, campaign, amount, counted, overdrawn } => line!(
                self,
                r#"{{"k":"booked","t":{at},"id":{reservation},"lease":{lease},"campaign":{campaign},"amount":{amount},"counted":{counted},"overdrawn":{overdrawn}}}"#
            ),
            Fact::Released { lease, total } => {
                line!(self, r#"{{"k":"released","t":{at},"lease":{lease},"total":{total}}}"#);
            }
            Fact::Closed { lease } => line!(self, r#"{{"k":"closed","t":{at},"lease":{lease}}}"#),
        }
    }

    /// What a node says of a lease.
    pub fn said(&mut self, at: Time, report: &Report) {
        let Report { node, number, foreign_seen, next_booking, .. } = report;
        for lease in &report.leases {
            let (id, granted, released) = (lease.lease.map_or(0, |id| id.0), lease.granted.0, lease.released.0);
            let (wanted, least) = (lease.wanted.0, lease.least.0);
            line!(
                self,
                r#"{{"k":"said","t":{at},"node":{},"number":{number},"lease":{id},"granted":{granted},"released":{released},"wanted":{wanted},"least":{least},"foreign_seen":{foreign_seen},"next_booking":{next_booking}}}"#,
                node.0
            );
        }
    }

    pub(super) fn cut(&mut self, at: Time, kept: usize) {
        line!(self, r#"{{"k":"cut","t":{at},"kept":{kept}}}"#);
    }

    pub(super) fn given_up(&mut self, at: Time, node: u16) {
        line!(self, r#"{{"k":"given_up","t":{at},"node":{node}}}"#);
    }

    /// A fault begins.
    pub fn fault(&mut self, at: Time, name: &str, number: u32, lasts: Time) {
        line!(self, r#"{{"k":"fault","t":{at},"name":"{name}","number":{number},"lasts":{lasts}}}"#);
    }

    pub(super) fn violated(&mut self, at: Time, rule: &str, what: &str) {
        line!(self, r#"{{"k":"violated","t":{at},"rule":"{rule}","what":"{what}"}}"#);
    }

    pub(super) fn end(&mut self, at: Time) {
        line!(self, r#"{{"k":"end","t":{at}}}"#);
    }

    /// Everything is in the file.
    ///
    /// # Errors
    /// It is not.
    pub fn close(self) -> std::io::Result<()> {
        self.0.map_or(Ok(()), |mut out| out.flush())
    }
}
