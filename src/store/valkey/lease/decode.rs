//! What a shard says, from bytes. Strict: a reply is read to its last byte, or it is an error.

use std::fmt;

use super::state::State;
use super::{Lost, Position, Refused, Reply};
use crate::authority::Retired;
use crate::authority::books::Scope;
use crate::authority::message::{Answer, Booked, Foreign, LeaseAnswer, Part, Report, Standing, Why};
use crate::units::{AdvertiserId, CampaignId, Day, Epoch, ExchangeKey, LeaseId, Micros, ReservationId, UnixMillis};

/// A reply that the library does not make: the server runs another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease authority's reply is malformed: the server runs another function library")
    }
}

impl std::error::Error for Malformed {}

/// What a shard said, and where it is.
pub type Said<T> = Result<(Position, Reply<T>), Malformed>;

/// The answer to a report.
///
/// # Errors
/// [`Malformed`].
pub fn report(report: &Report, bytes: &[u8]) -> Said<Answer> {
    frame(bytes, |of, from| answer(report, of, from))
}

/// Of a function that says nothing more.
///
/// # Errors
/// [`Malformed`].
pub fn done(bytes: &[u8]) -> Said<()> {
    frame(bytes, |_, _| Ok(()))
}

/// Whether it was stopped.
///
/// # Errors
/// [`Malformed`].
pub fn resumed(bytes: &[u8]) -> Said<bool> {
    frame(bytes, |_, from| from.flag())
}

/// What the node held of this advertiser.
///
/// # Errors
/// [`Malformed`].
pub fn retired(bytes: &[u8]) -> Said<Retired> {
    frame(bytes, |_, from| Ok(Retired { leases: from.u64()?, charged: from.money()? }))
}

/// All that is stopped.
///
/// # Errors
/// [`Malformed`].
pub fn stops(bytes: &[u8]) -> Said<Vec<(Scope, Why)>> {
    frame(bytes, |_, from| {
        let mut stops = Vec::new();
        while !from.0.is_empty() {
            stops.push(from.stop()?);
        }
        Ok(stops)
    })
}

/// All that a shard holds: as bytes to open another with, and as accounts.
///
/// # Errors
/// [`Malformed`].
pub fn checkpoint(bytes: &[u8]) -> Said<(Vec<u8>, State)> {
    frame(bytes, |_, from| {
        let bytes = from.take(from.0.len())?.to_vec();
        let state = State::of(&bytes)?;
        Ok((bytes, state))
    })
}

fn frame<T>(bytes: &[u8], read: impl FnOnce(&Position, &mut In<'_>) -> Result<T, Malformed>) -> Said<T> {
    let mut from = In(bytes);
    let status = from.u8()?;
    let position = Position { epoch: Epoch(from.u32()?), version: from.u64()?, at: UnixMillis(from.u64()?) };
    let reply = match status {
        0 => Reply::Done(read(&position, &mut from)?),
        1 => Reply::Lost(Lost::of(from.u8()?).ok_or(Malformed)?),
        2 => Reply::Mismatch,
        3 => Reply::Refused(Refused::of(from.u8()?).ok_or(Malformed)?),
        _ => return Err(Malformed),
    };
    if from.0.is_empty() { Ok((position, reply)) } else { Err(Malformed) }
}

fn answer(report: &Report, position: &Position, from: &mut In<'_>) -> Result<Answer, Malformed> {
    let (standing, until) = (from.u8()?, UnixMillis(from.u64()?));
    let standing = match standing {
        0 => Standing::Current,
        1 => Standing::Learning(until),
        2 => Standing::Replaced,
        3 => Standing::Unknown,
        _ => return Err(Malformed),
    };
    let (booked, renews) = (from.u64()?, from.flag()?);
    let [asked, foreign, leases, stops] = [from.u32()?, from.u32()?, from.u32()?, from.u32()?];
    // What is said of a report is said of all of it, or of none.
    if asked as usize > report.asks.len() || ![0, report.leases.len()].contains(&(leases as usize)) {
        return Err(Malformed);
    }
    let advertiser = match report.part {
        Part::Advertiser(advertiser) => advertiser,
        Part::All => AdvertiserId::default(),
    };
    Ok(Answer {
        part: report.part,
        incarnation: report.incarnation,
        number: report.number,
        sent: report.sent,
        renews,
        epoch: position.epoch,
        standing,
        booked,
        asked: from.many(asked, In::asked)?,
        foreign: from.many(foreign, In::foreign)?,
        leases: from.many(leases, |from| from.lease(advertiser))?,
        stops: from.many(stops, In::stop)?,
    })
}

/// What is left to read.
pub(super) struct In<'a>(pub(super) &'a [u8]);

impl<'a> In<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.take(N)?.try_into().map_err(|_| Malformed)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn money(&mut self) -> Result<Micros, Malformed> {
        self.array().map(|bytes| Micros(i64::from_le_bytes(bytes)))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn many<T>(
        &mut self,
        count: u32,
        mut one: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        // A wrong count ends with the bytes, not with the memory.
        let mut all = Vec::with_capacity((count as usize).min(self.0.len()));
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    pub(super) fn stop(&mut self) -> Result<(Scope, Why), Malformed> {
        let (scope, id) = (self.u8()?, self.u32()?);
        let scope = match scope {
            0 => Scope::Campaign(CampaignId(id)),
            1 => Scope::Advertiser(AdvertiserId(id)),
            _ => return Err(Malformed),
        };
        Ok((scope, Why::of(self.u8()?).ok_or(Malformed)?))
    }

    fn asked(&mut self) -> Result<(u64, Booked), Malformed> {
        let (ticket, what, amount) = (self.u64()?, self.u8()?, self.money()?);
        let booked = match what {
            0 => Booked::Safe,
            1 => Booked::Before(amount),
            2 => Booked::Expired,
            3 => Booked::Unknown,
            _ => return Err(Malformed),
        };
        Ok((ticket, booked))
    }

    pub(super) fn foreign(&mut self) -> Result<Foreign, Malformed> {
        Ok(Foreign {
            number: self.u64()?,
            lease: LeaseId(self.u64()?),
            reservation: ReservationId(self.u64()?),
            exchange: ExchangeKey(self.u32()?),
            reserved: self.money()?,
            amount: self.money()?,
            expires: UnixMillis(self.u64()?),
        })
    }

    fn lease(&mut self, advertiser: AdvertiserId) -> Result<LeaseAnswer, Malformed> {
        Ok(LeaseAnswer {
            campaign: CampaignId(self.u32()?),
            advertiser,
            day: Day(self.u32()?),
            lease: Some(LeaseId(self.u64()?)).filter(|lease| lease.0 > 0),
            granted: self.money()?,
            available: self.money()?,
            budget: self.money()?,
            settled: self.money()?,
            expected: self.money()?,
            share: self.u32()?,
            exposure: Some(self.money()?).filter(|exposure| *exposure >= Micros::ZERO),
        })
    }
}
