//! What the slots of the tables say.
//!
//! ```text
//!   file     0 hash ── 1    2 expires ── 3 + status and role    4 owner    5 manager    6 its country    7 more
//!   system   0 hash ── 1    2 expires ── 3 + flags
//!   seller   0 fingerprint  1 domain + passthrough + type
//!   app      0 fingerprint  1 number of the file's slot
//!   pair     0 fingerprint
//!   more     0 how many of each     managers with their countries     numbers of the partners' slots
//! ```
//!
//! Times are milliseconds in 48 bits.

use super::hash;
use crate::supply::sellers_json::{Seller, SellerType};
use crate::units::UnixMillis;

const TIME_BITS: u32 = 48;

/// A time above, 16 bits of something else beside it.
fn timed(time: UnixMillis, beside: u16) -> [u32; 2] {
    let both = time.0.min((1 << TIME_BITS) - 1) | u64::from(beside) << TIME_BITS;
    [both as u32, (both >> 32) as u32]
}

#[inline]
fn time([low, high]: [u32; 2]) -> UnixMillis {
    UnixMillis(u64::from(low) | u64::from(high & 0xFFFF) << 32)
}

/// What is known of a publisher's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Status {
    /// It was asked for, or somebody says that there is one, and nobody has it.
    Unknown,
    /// 404: nothing is declared.
    Absent,
    /// It is in the table.
    Good,
}

/// A publisher's file, as the bid path reads it.
#[derive(Clone, Copy, Debug)]
pub(super) struct File<'t>(pub(super) &'t [u32; 8]);

impl File<'_> {
    /// Beside the status: it is the file of its host, and of what is below. Without, it counts as a partner's alone.
    const APPLIES: u16 = 4;

    #[inline]
    pub(super) fn applies(self) -> bool {
        self.0[3] >> 16 & u32::from(File::APPLIES) != 0
    }

    #[inline]
    pub(super) fn expires(self) -> UnixMillis {
        time([self.0[2], self.0[3]])
    }

    #[inline]
    pub(super) fn status(self) -> Status {
        match self.0[3] >> 16 & 3 {
            2 => Status::Good,
            1 => Status::Absent,
            _ => Status::Unknown,
        }
    }

    /// OWNERDOMAIN, [`hash::short`]; 0 if nobody knows whose the file is.
    #[inline]
    pub(super) fn owner(self) -> u32 {
        self.0[4]
    }

    /// The first MANAGERDOMAIN, and where; no domain without one.
    #[inline]
    pub(super) fn manager(self) -> Manager {
        Manager { domain: self.0[5], country: self.0[6] }
    }

    /// Where in the list of the rest its own begins, see [`More`]. 0 without.
    #[inline]
    pub(super) fn more(self) -> u32 {
        self.0[7]
    }

    /// The hash of the file; [`super::table`] keeps all of it.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        u64::from(self.0[0]) | u64::from(self.0[1]) << 32
    }

    /// Writes all but the hash.
    pub(super) fn write(
        slot: &mut [u32; 8],
        expires: UnixMillis,
        status: Status,
        applies: bool,
        owner: u32,
        first: Manager,
        more: u32,
    ) {
        let role = if applies { File::APPLIES } else { 0 };
        slot[2..4].copy_from_slice(&timed(expires, status as u16 | role));
        slot[4..].copy_from_slice(&[owner, first.domain, first.country, more]);
    }
}

/// What few files have: managers after the first, and partners. It begins with a word that says how many.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct More<'t> {
    /// Domain and country of each, as in a [`Manager`].
    pub(super) managers: &'t [[u32; 2]],
    /// The numbers of their files' slots.
    pub(super) partners: &'t [u32],
    /// The file names more partners than are kept.
    pub(super) is_cut: bool,
}

impl<'t> More<'t> {
    const CUT: u32 = 1 << 31;

    /// What begins here; nothing if that is not all there.
    pub(super) fn read(words: &'t [u32]) -> Option<More<'t>> {
        let (counts, list) = words.split_first()?;
        let (managers, list) = list.split_at_checked(2 * (counts & 0xFFFF) as usize)?;
        let partners = list.get(..((counts & !More::CUT) >> 16) as usize)?;
        Some(More { managers: managers.as_chunks().0, partners, is_cut: counts & More::CUT != 0 })
    }

    /// Appends it; where it begins. Few enough of each are for the caller to see to: [`crate::limits::MANAGERS`],
    /// [`crate::limits::REFERENCES`].
    pub(super) fn write(
        words: &mut Vec<u32>,
        managers: &[Manager],
        partners: impl ExactSizeIterator<Item = u32>,
        is_cut: bool,
    ) -> usize {
        let start = words.len();
        words.push(managers.len() as u32 | (partners.len() as u32) << 16 | if is_cut { More::CUT } else { 0 });
        words.extend(managers.iter().flat_map(|manager| [manager.domain, manager.country]));
        words.extend(partners);
        start
    }
}

/// Who sells for a publisher, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Manager {
    /// [`hash::short`]; 0 is nobody.
    pub(super) domain: u32,
    /// [`country`]; 0 is everywhere.
    pub(super) country: u32,
}

impl Manager {
    /// Whether this seller manages in this country.
    #[inline]
    pub(super) fn is(self, seller: u32, country: u32) -> bool {
        self.domain == seller && seller != 0 && (self.country == 0 || self.country == country)
    }
}

/// A country as a number that is not 0; 0 for none.
#[inline]
pub(super) fn country(code: Option<[u8; 2]>) -> u32 {
    code.map_or(0, |code| u32::from(u16::from_le_bytes(code.map(|letter| letter.to_ascii_uppercase()))))
}

/// An advertising system.
#[derive(Clone, Copy, Debug)]
pub(super) struct System<'t>(pub(super) &'t [u32; 4]);

impl System<'_> {
    /// Its sellers are in the table.
    pub(super) const LISTS: u16 = 1;
    /// The operator blocks it.
    pub(super) const BLOCKED: u16 = 2;
    /// The operator blocks some of its sellers.
    pub(super) const BLOCKED_SELLERS: u16 = 4;

    #[inline]
    pub(super) fn is(self, flag: u16) -> bool {
        self.0[3] >> 16 & u32::from(flag) != 0
    }

    #[inline]
    pub(super) fn expires(self) -> UnixMillis {
        time([self.0[2], self.0[3]])
    }

    pub(super) fn write(slot: &mut [u32; 4], expires: UnixMillis, flags: u16) {
        slot[2..].copy_from_slice(&timed(expires, flags));
    }
}

/// An entry of a sellers.json, in one word: 29 bits of its domain, if it tells one, then passthrough, then the type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(pub(super) u32);

impl Account {
    /// `domain` is the hash of the seller's.
    pub(super) fn new(seller: &Seller<'_>, domain: Option<u64>) -> Account {
        let kind = match seller.seller_type {
            None => 0,
            Some(SellerType::Publisher) => 1,
            Some(SellerType::Intermediary) => 2,
            Some(SellerType::Both) => 3,
        };
        let domain = domain.filter(|_| !seller.is_confidential).map_or(0, hash::short);
        Account(domain << 3 | u32::from(seller.is_passthrough) << 2 | kind)
    }

    /// Of whom; 0 if that is not told.
    #[inline]
    pub(super) fn domain(self) -> u32 {
        self.0 >> 3
    }

    #[inline]
    pub(super) fn is_passthrough(self) -> bool {
        self.0 & 4 != 0
    }

    #[inline]
    pub(super) fn seller_type(self) -> Option<SellerType> {
        match self.0 & 3 {
            1 => Some(SellerType::Publisher),
            2 => Some(SellerType::Intermediary),
            3 => Some(SellerType::Both),
            _ => None,
        }
    }
}
