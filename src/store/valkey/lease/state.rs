//! What a shard holds, from the bytes of its checkpoint: for tools, and for tests that compare it with the books of
//! [`Authority`](crate::authority::Authority).

use std::collections::BTreeMap;

use super::decode::{In, Malformed};
use crate::authority::books::{Account, Lease, Scope};
use crate::authority::message::Why;
use crate::units::{CampaignId, Day, Epoch, Incarnation, LeaseId, Micros, NodeId, UnixMillis};

/// The accounts of an advertiser.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its version.
    pub version: u64,
    /// The list of campaigns that counts.
    pub revision: u64,
    /// All campaigns together: what is settled or could be.
    pub committed: Micros,
    /// Campaigns that ever had a budget: all days together, and bills that no lease covered.
    pub lives: BTreeMap<CampaignId, (Account, Micros)>,
    /// Their days.
    pub days: BTreeMap<(CampaignId, Day), Account>,
    /// Leases that are not closed.
    pub leases: BTreeMap<LeaseId, Lease>,
    /// When the last grant of each process ends at the latest.
    pub processes: BTreeMap<Incarnation, (NodeId, UnixMillis)>,
    /// The first booking of each node that is not booked.
    pub booked: BTreeMap<NodeId, u64>,
    /// What is stopped.
    pub stops: Vec<(Scope, Why)>,
    /// Reservations that are booked.
    pub distinct: u64,
}

impl State {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut state = Self::default();
        let mut from = In(bytes);
        while !from.0.is_empty() {
            let suffix = from.text()?;
            let pairs = from.u32()?;
            let process = suffix.strip_prefix(b":p").map(number).transpose()?;
            for _ in 0..pairs {
                let (field, value) = (from.text()?, from.text()?);
                match process {
                    Some(process) => state.of_process(Incarnation(process), field, value)?,
                    None if suffix.is_empty() => state.of_shard(field, value)?,
                    None => state.distinct += 1,
                }
            }
        }
        Ok(state)
    }

    fn of_shard(&mut self, field: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if let Ok(campaign) = field.try_into().map(u32::from_le_bytes) {
            return self.campaign(CampaignId(campaign), &mut In(value));
        }
        let (letter, id) = field.split_first().ok_or(Malformed)?;
        let (mut id, mut from) = (In(id), In(value));
        match letter {
            b'm' => {
                (self.epoch, self.version) = (Epoch(from.u32()?), from.u64()?);
                from.take(3 * 8)?;
                self.revision = from.u64()?;
                from.take(8)?;
                self.committed = from.money()?;
            }
            b's' => {
                while !from.0.is_empty() {
                    self.stops.push(from.stop()?);
                }
            }
            b'p' => {
                let (node, until) = (NodeId(from.u16()?), UnixMillis(from.u64()?));
                self.processes.insert(Incarnation(id.u32()?), (node, until));
            }
            b'n' => _ = self.booked.insert(NodeId(id.u16()?), from.u64()?),
            _ => {}
        }
        Ok(())
    }

    fn campaign(&mut self, campaign: CampaignId, from: &mut In<'_>) -> Result<(), Malformed> {
        from.take(8 + 1 + 4 + 3 * 8)?;
        let alive = from.flag()?;
        let account = from.account()?;
        let excess = from.money()?;
        if alive {
            self.lives.insert(campaign, (account, excess));
        }
        from.take(4 + 2 + 3 * 8)?;
        for _ in 0..from.u8()? {
            let day = Day(from.u32()?);
            let account = from.account()?;
            from.u16()?;
            self.days.insert((campaign, day), account);
        }
        Ok(())
    }

    fn of_process(&mut self, incarnation: Incarnation, field: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let mut from = In(value);
        if let Ok(lease) = field.try_into().map(u64::from_le_bytes) {
            let (campaign, day) = (CampaignId(from.u32()?), Day(from.u32()?));
            let (granted, settled, released) = (from.money()?, from.money()?, from.money()?);
            let account = Lease { campaign, incarnation, day, granted, settled, released };
            self.leases.insert(LeaseId(lease), account);
        }
        Ok(())
    }
}

impl<'a> In<'a> {
    /// With its length before it; never empty but for a shard's own suffix.
    fn text(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()?;
        self.take(length as usize)
    }

    fn account(&mut self) -> Result<Account, Malformed> {
        let (budget, ceiling) = (self.money()?, self.money()?);
        Ok(Account { budget, ceiling, settled: self.money()?, charged: self.money()? })
    }
}

fn number(digits: &[u8]) -> Result<u32, Malformed> {
    str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).ok_or(Malformed)
}
