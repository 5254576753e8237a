//! The books of an exchange: what it was bid, what it called, what was acknowledged, one question after the other. Held against the
//! ledger, they show whether anything was lost.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::path::Path;

use serde_json::Value;

use crate::lab::drill::{Answer, Client, Halt, request};
use crate::lab::target;
use crate::reconcile::record::Record;
use crate::store::verify;

/// A bid that it got.
#[derive(Clone, Debug)]
pub struct Sale {
    /// `Bid.id`.
    pub id: String,
    /// The path of its billing notice, with the price in it.
    pub bill: String,
    /// How often it was called.
    pub calls: u64,
    /// It was answered 200.
    pub acknowledged: bool,
}

/// The books.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// Every bid, in the order of the auctions.
    pub sales: Vec<Sale>,
    asked: u64,
}

impl Books {
    /// Asks for one bid, as `generic`, and keeps it if there is one.
    pub fn ask(&mut self, client: &mut Client<impl Read + Write>) -> io::Result<Answer> {
        self.asked += 1;
        let body = request(&format!("drill-{}", self.asked), "");
        let answer = client.ask("POST", "/openrtb/generic", "x-debug: 1\r\n", &body)?;
        if answer.status == 200 {
            let sale = sale(&answer.json()["seatbid"][0]["bid"][0]);
            self.sales
                .push(sale.ok_or_else(|| io::Error::other(format!("a bid that cannot be billed: {}", answer.body)))?);
        }
        Ok(answer)
    }

    /// Asks until there are so many more bids. A machine that is busy with something else makes the bidder shed some; not most.
    pub fn win(&mut self, client: &mut Client<impl Read + Write>, bids: usize) -> Result<(), Halt> {
        let (wanted, most) = (self.sales.len() + bids, self.asked + 10 * bids as u64);
        while self.sales.len() < wanted {
            let answer = self.ask(client)?;
            if self.asked > most {
                return Err(Halt::Failed(format!("there are hardly any bids: {} {}", answer.status, answer.reason())));
            }
        }
        Ok(())
    }

    /// Calls the bill of a sale: the status it is answered.
    pub fn bill(&mut self, client: &mut Client<impl Read + Write>, sale: usize) -> io::Result<u16> {
        let sale = &mut self.sales[sale];
        sale.calls += 1;
        let status = client.ask("POST", &sale.bill, "", "")?.status;
        sale.acknowledged |= status == 200;
        Ok(status)
    }

    /// Bills that were acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.sales.iter().filter(|sale| sale.acknowledged).count()
    }

    /// Where the ledger in this data directory and these books differ: acknowledged and not booked, booked twice, or booked and
    /// never called.
    pub fn differences(&self, data: &Path) -> Result<Vec<String>, Halt> {
        let booked = booked(data)?;
        let missing = self.sales.iter().filter(|sale| sale.acknowledged && !booked.contains_key(&sale.id));
        let mut differences: Vec<String> = missing.map(|sale| format!("{} is not booked", sale.id)).collect();
        differences.extend(
            booked.iter().filter(|(_, times)| **times > 1).map(|(id, times)| format!("{id} is booked {times} times")),
        );
        let called = |id: &str| self.sales.iter().any(|sale| sale.id == id && sale.calls > 0);
        differences.extend(booked.keys().filter(|id| !called(id)).map(|id| format!("{id} was never called")));
        Ok(differences)
    }
}

fn sale(bid: &Value) -> Option<Sale> {
    let (_, path) = target::split(bid["burl"].as_str()?)?;
    let bill = path.replace("${AUCTION_PRICE}", &bid["price"].to_string());
    Some(Sale { id: bid["id"].as_str()?.to_owned(), bill, calls: 0, acknowledged: false })
}

/// How often each bid is billed in a ledger, which is checked from its beginning to its end.
pub fn booked(data: &Path) -> Result<BTreeMap<String, u64>, Halt> {
    let mut booked = BTreeMap::new();
    let read = verify::walk(data, None, &[], |_, _, record| {
        if let Record::Bill { bid, .. } = record {
            *booked.entry(format!("{:032x}", u128::from_be_bytes(bid.0))).or_default() += 1;
        }
        Ok(())
    });
    read.map(|_| booked).map_err(|fault| Halt::failed("the ledger", fault))
}
