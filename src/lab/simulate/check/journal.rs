//! The authority's accounts, as they follow from the records it has on disk.

use std::collections::BTreeMap;

use super::Map;

/// A record of the authority, in plain numbers: micros, days since 1970, Unix ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A campaign's budgets.
    Funded {
        /// The campaign.
        campaign: u32,
        /// Whose it is.
        advertiser: u32,
        /// The budget day.
        day: u32,
        /// Of that day.
        daily: i64,
        /// In all.
        total: i64,
    },
    /// All that was granted under a lease.
    Granted {
        /// The lease.
        lease: u64,
        /// The campaign.
        campaign: u32,
        /// The process.
        incarnation: u32,
        /// The budget day.
        day: u32,
        /// In all.
        total: i64,
    },
    /// What a lease holds after the authority lost its last writes, as its node says.
    Adopted {
        /// The lease.
        lease: u64,
        /// The campaign.
        campaign: u32,
        /// The process.
        incarnation: u32,
        /// The budget day.
        day: u32,
        /// In all.
        total: i64,
    },
    /// Until when an incarnation may bid.
    Until {
        /// The process.
        incarnation: u32,
        /// Until when.
        until: u64,
    },
    /// A bill.
    Booked {
        /// The reservation.
        reservation: u64,
        /// The lease.
        lease: u64,
        /// The campaign.
        campaign: u32,
        /// What it costs.
        amount: i64,
        /// It stands in the account.
        counted: bool,
        /// Silent bids held less than it costs (quantile).
        overdrawn: bool,
    },
    /// All that was given back of a lease.
    Released {
        /// The lease.
        lease: u64,
        /// In all.
        total: i64,
    },
    /// Nothing can be claimed under a lease any more.
    Closed {
        /// The lease.
        lease: u64,
    },
}

/// One budget and what stands against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    budget: i64,
    ceiling: i64,
    settled: i64,
    charged: i64,
}

impl Account {
    /// Spent, or could be.
    pub fn committed(&self) -> i64 {
        self.settled + self.charged
    }

    /// Booked.
    pub fn settled(&self) -> i64 {
        self.settled
    }

    fn fund(&mut self, budget: i64) {
        self.budget = budget;
        self.ceiling = budget.max(self.committed());
    }

    fn add(&mut self, settled: i64, charged: i64) {
        self.settled += settled;
        self.charged += charged;
        self.ceiling = self.ceiling.min(self.committed()).max(self.budget);
    }

    /// Moves money in; more than the ceiling is wrong.
    fn charge(&mut self, settled: i64, charged: i64) -> bool {
        let over = self.committed() + settled + charged > self.ceiling && settled + charged > 0;
        self.add(settled, charged);
        !over && self.settled >= 0 && self.charged >= 0
    }
}

/// One lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Who pays.
    pub campaign: u32,
    /// Whose it is.
    pub incarnation: u32,
    /// Which day pays.
    pub day: u32,
    /// It has ended.
    pub closed: bool,
    granted: i64,
    settled: i64,
    released: i64,
    /// The most that was ever on disk as granted.
    peak: i64,
}

impl Lease {
    /// What could still be billed under it, as the authority has it.
    pub fn charge(&self) -> i64 {
        self.granted - self.settled - self.released
    }

    /// Grants under it were lost with the authority's last writes, and are not charged again yet.
    pub fn is_in_doubt(&self) -> bool {
        self.granted < self.peak
    }

    /// All that was granted under it.
    pub fn granted(&self) -> i64 {
        self.granted
    }
}

/// Sums that follow from the records.
#[derive(Clone, Debug, Default, PartialEq)]
struct Books {
    days: BTreeMap<(u32, u32), Account>,
    lives: BTreeMap<u32, (u32, Account)>,
    advertisers: BTreeMap<u32, i64>,
    leases: Map<u64, Lease>,
    booked: Map<u64, i64>,
}

/// All records, and what follows from them.
#[derive(Debug, Default)]
pub struct Journal {
    facts: Vec<Fact>,
    books: Books,
    /// The latest of each incarnation, also of what was lost.
    until: Map<u32, u64>,
    /// Bills that were on disk once.
    ever: Map<u64, ()>,
    /// The most that was ever granted.
    peaks: Map<u64, i64>,
    /// Whose each lease is, also of those that were lost: campaign, incarnation, day.
    owners: Map<u64, (u32, u32, u32)>,
}

impl Journal {
    /// Adds a record. What is wrong with it, if anything; it counts all the same.
    pub fn apply(&mut self, fact: Fact) -> Result<(), String> {
        match fact {
            // Grows only, and there is one for each report: not kept.
            Fact::Until { incarnation, until } => {
                let known = self.until.entry(incarnation).or_default();
                *known = until.max(*known);
                return Ok(());
            }
            Fact::Booked { reservation, .. } => {
                self.ever.insert(reservation, ());
            }
            Fact::Granted { lease, campaign, incarnation, day, total }
            | Fact::Adopted { lease, campaign, incarnation, day, total } => {
                self.owners.insert(lease, (campaign, incarnation, day));
                let peak = self.peaks.entry(lease).or_default();
                *peak = total.max(*peak);
            }
            _ => {}
        }
        self.facts.push(fact);
        self.books.apply(fact, &self.peaks)
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.facts.len()
    }

    /// No records yet.
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// Goes on from the first `kept` records.
    pub fn cut(&mut self, kept: usize) -> Result<(), String> {
        self.facts.truncate(kept);
        self.books = Books::default();
        self.facts.iter().try_for_each(|fact| self.books.apply(*fact, &self.peaks))
    }

    /// Adds everything up again and compares.
    pub fn recount(&self) -> Result<(), String> {
        let mut books = Books::default();
        for fact in &self.facts {
            // What is wrong with a record was said when it came.
            let _ = books.apply(*fact, &self.peaks);
        }
        if books == self.books { Ok(()) } else { Err("the sums differ from those of a recount".into()) }
    }

    /// Until when an incarnation may bid at most.
    pub fn until(&self, incarnation: u32) -> u64 {
        self.until.get(&incarnation).copied().unwrap_or_default()
    }

    /// Whose a lease is: campaign, incarnation, day.
    pub fn owner(&self, lease: u64) -> Option<(u32, u32, u32)> {
        self.owners.get(&lease).copied()
    }

    /// A lease, open or closed.
    pub fn lease(&self, lease: u64) -> Option<Lease> {
        self.books.leases.get(&lease).copied()
    }

    /// A campaign's account of a day.
    pub fn day(&self, campaign: u32, day: u32) -> Account {
        self.books.days.get(&(campaign, day)).copied().unwrap_or_default()
    }

    /// All accounts of days: campaign, day, settled.
    pub fn days(&self) -> impl Iterator<Item = (u32, u32, &Account)> {
        self.books.days.iter().map(|((campaign, day), account)| (*campaign, *day, account))
    }

    /// What is booked for a reservation.
    pub fn booked(&self, reservation: u64) -> Option<i64> {
        self.books.booked.get(&reservation).copied()
    }

    /// Whether it was booked, maybe in what was lost since.
    pub fn was_booked(&self, reservation: u64) -> bool {
        self.ever.contains_key(&reservation)
    }

    /// Bills booked.
    pub fn bookings(&self) -> usize {
        self.books.booked.len()
    }
}

impl Books {
    fn apply(&mut self, fact: Fact, peaks: &Map<u64, i64>) -> Result<(), String> {
        match fact {
            Fact::Until { .. } => Ok(()),
            Fact::Funded { campaign, advertiser, day, daily, total } => {
                self.days.entry((campaign, day)).or_default().fund(daily);
                let (before, life) = self.lives.entry(campaign).or_insert((advertiser, Account::default()));
                life.fund(total);
                let (committed, before) = (life.committed(), std::mem::replace(before, advertiser));
                *self.advertisers.entry(before).or_default() -= committed;
                *self.advertisers.entry(advertiser).or_default() += committed;
                Ok(())
            }
            Fact::Granted { lease, campaign, incarnation, day, total }
            | Fact::Adopted { lease, campaign, incarnation, day, total } => {
                let [granted, settled, released] = [0; 3];
                let new = Lease { campaign, incarnation, day, closed: false, granted, settled, released, peak: total };
                let account = self.leases.entry(lease).or_insert(new);
                if (account.campaign, account.incarnation, account.day) != (campaign, incarnation, day) {
                    return Err(format!("lease {lease} changed hands"));
                }
                let more = total - account.granted;
                (account.granted, account.peak) = (total, peaks.get(&lease).copied().unwrap_or(total));
                if more < 0 || account.closed {
                    return Err(format!("lease {lease} was granted {more} more, closed or not"));
                }
                if let Fact::Adopted { .. } = fact {
                    self.commit(campaign, day, more);
                }
                self.add(campaign, day, 0, more)
            }
            Fact::Booked { reservation, lease, campaign, amount, counted, overdrawn } => {
                if self.booked.insert(reservation, amount).is_some() {
                    return Err(format!("{reservation} was booked twice"));
                }
                if !counted {
                    return Ok(());
                }
                let Some(account) = self.leases.get_mut(&lease) else {
                    return Err(format!("{reservation} was booked under lease {lease}, which is unknown"));
                };
                if overdrawn {
                    let lacks = (amount - account.charge()).max(0);
                    let day = account.day;
                    account.granted += lacks;
                    account.peak = account.granted.max(account.peak);
                    self.commit(campaign, day, lacks);
                    self.add(campaign, day, 0, lacks)?;
                }
                let Some(account) = self.leases.get_mut(&lease) else { return Ok(()) };
                account.settled += amount;
                let (whose, day, left) = (account.campaign, account.day, account.charge());
                if whose != campaign || amount < 0 || left < 0 || account.closed {
                    return Err(format!("lease {lease} does not cover the bill of {reservation}: {left} are left"));
                }
                self.add(campaign, day, amount, -amount)
            }
            Fact::Released { lease, total } => {
                let Some(account) = self.leases.get_mut(&lease) else {
                    return Err(format!("a release under lease {lease}, which is unknown"));
                };
                let more = total - account.released;
                account.released = total;
                let (campaign, day, left) = (account.campaign, account.day, account.charge());
                if more < 0 || left < 0 || account.closed {
                    return Err(format!("lease {lease} does not cover a release of {more}: {left} are left"));
                }
                self.add(campaign, day, 0, -more)
            }
            Fact::Closed { lease } => match self.leases.get_mut(&lease) {
                Some(account) if account.charge() == 0 && !account.closed => {
                    account.closed = true;
                    Ok(())
                }
                Some(account) => Err(format!("lease {lease} was closed with {} on it", account.charge())),
                None => Err(format!("lease {lease} was closed and is unknown")),
            },
        }
    }

    /// Money that is committed whether the budget allows it or not.
    fn commit(&mut self, campaign: u32, day: u32, more: i64) {
        let life = self.lives.get_mut(&campaign).map(|(_, life)| life);
        for account in self.days.get_mut(&(campaign, day)).into_iter().chain(life) {
            account.ceiling = account.ceiling.max(account.committed() + more);
        }
    }

    fn add(&mut self, campaign: u32, day: u32, settled: i64, charged: i64) -> Result<(), String> {
        let fits = self.days.entry((campaign, day)).or_default().charge(settled, charged);
        let Some((advertiser, life)) = self.lives.get_mut(&campaign) else {
            return Err(format!("campaign {campaign} has no budget"));
        };
        let lives = life.charge(settled, charged);
        let sum = self.advertisers.entry(*advertiser).or_default();
        *sum += settled + charged;
        if !fits || !lives || *sum < 0 {
            let of = self.days[&(campaign, day)];
            return Err(format!("campaign {campaign}, day {day}: {of:?}, in its life {:?}", self.lives[&campaign].1));
        }
        Ok(())
    }
}
