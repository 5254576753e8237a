//! Notices on their way: whom an exchange calls, how often, and what it makes of the answer.

use super::check::Checker;
use super::time::Time;
use crate::ring::message::{Agreed, Claim, Notice, NoticeKind, NoticePrice};
use crate::units::{ArmId, Incarnation, Multiplier, PathKey};

/// A notice that an exchange sends until it is answered 200 or 410.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Whose bid.
    pub claim: Claim,
    /// Its kind.
    pub kind: NoticeKind,
    /// The price in it.
    pub price: NoticePrice,
    /// How often it was sent.
    pub sent: u32,
}

impl Call {
    /// As a bid core sees it.
    pub fn notice(&self, ticket: u64) -> Notice {
        let &Call { claim, kind, price, .. } = self;
        Notice { ticket, kind, price, multiplier: Multiplier::ONE, path: PathKey::NONE, arm: ArmId(0), claim }
    }

    /// Money is owed when it is acknowledged.
    pub fn is_bill(&self) -> bool {
        self.kind == NoticeKind::Bill && matches!(self.price, NoticePrice::Cpm(_))
    }
}

/// All calls that are under way, by ticket. Places are used again, tickets are not.
#[derive(Debug, Default)]
pub struct Calls {
    places: Vec<(u32, Option<Call>)>,
    free: Vec<u32>,
}

impl Calls {
    /// Adds one.
    pub fn add(&mut self, call: Call) -> u64 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push((0, None));
            self.places.len() as u32 - 1
        });
        let (generation, at) = &mut self.places[place as usize];
        *at = Some(call);
        u64::from(*generation) << 32 | u64::from(place)
    }

    /// The call of a ticket, unless it is over.
    pub fn get(&mut self, ticket: u64) -> Option<&mut Call> {
        let (generation, call) = self.places.get_mut(ticket as u32 as usize)?;
        call.as_mut().filter(|_| u64::from(*generation) == ticket >> 32)
    }

    /// The call is over.
    pub fn end(&mut self, ticket: u64) {
        if self.get(ticket).is_some() {
            let (generation, call) = &mut self.places[ticket as u32 as usize];
            (*generation, *call) = (*generation + 1, None);
            self.free.push(ticket as u32);
        }
    }
}

/// A state machine hears of a notice. From here on it may take a loss that is final as the end of a claim.
pub fn heard(now: Time, incarnation: Incarnation, notice: &Notice, checker: &mut Checker) {
    let claim = &notice.claim;
    let frees = notice.kind == NoticeKind::Loss && claim.agreed.any(Agreed::LOSS_IS_FINAL);
    if frees && claim.incarnation == incarnation {
        checker.lost(now, claim.reservation.0);
    }
}
