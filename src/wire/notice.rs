//! Signed notice URLs: what a bid tells the exchange to call, and what is proved when it is called.
//!
//! ```text
//! http://host:port/notice/bill/<token>?p=${AUCTION_PRICE}
//! token = base64url( key id · claim      · tag )     the tag depends on the kind; the query is not signed
//!                    1        71 to 92     16 (bill) or 8 (all others)
//! ```
//!
//! The place of the creative takes the first byte of the expiry's eight and the arm the second, which no time in milliseconds needs for
//! eight thousand years.
//! Terms are written only where they are not [`Terms::PLAIN`]: 15 bytes, and `&m=${AUCTION_MULTIPLIER}` for a bid that pays
//! for more or less than one impression. So is the supply path, where its wins are counted: 6 bytes. A loss asks for its reason
//! too, `&l=${AUCTION_LOSS}`, which is no more signed than the price; an exchange whose prices are learnt is asked for
//! `&w=${AUCTION_MIN_TO_WIN}`.
//!
//! A bid needs three URLs, and three HMACs would be the dearest thing in its answer. One is enough: the 32 bytes of
//! HMAC-SHA256 over the claim are cut into three parts that share no bit, one per kind. HMAC is a pseudo-random function,
//! so a tag says nothing about the other two, and the kind is as good as signed. The bill, which moves money, has the 128
//! bits that RFC 2104 (section 5) asks of a truncated tag. A win or a loss has 64, which can only be guessed online.
//!
//! A click and a conversion are told by those who show the creative and by its advertiser, at `/notice/click/` and `/notice/conversion/`,
//! without a price. Their tags are cut from a second HMAC, over the claim and one byte more, which no claim has ([`LENGTHS`]): a bid
//! whose markup has no place for them does not pay for it.
//!
//! The price is whatever the exchange puts there, so it is not signed: a bill is never booked above the claim's price.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::base64::{decode, encode, encoded};
use super::price::Scheme;
use crate::limits;
use crate::ring::message::{Agreed, Claim, NoticeKind};
use crate::units::{
    ArmId, BidId, CampaignId, CpmMicros, ExchangeKey, Incarnation, LeaseId, Multiplier, NodeId, PathKey, Rate,
    ReservationId, Terms, UnixMillis, UserKey,
};

/// A notice key: 256 random bits.
pub type Key = [u8; 32];

/// Key id and claim under plain terms.
const SIGNED: usize = 72;
/// Terms.
const TERMS_BYTES: usize = 15;
/// The key of a supply path.
const PATH_BYTES: usize = 6;
/// All there can be.
const SIGNED_MOST: usize = SIGNED + TERMS_BYTES + PATH_BYTES;
/// Every length there is.
const LENGTHS: [usize; 4] = [SIGNED, SIGNED + PATH_BYTES, SIGNED + TERMS_BYTES, SIGNED_MOST];
// Whole groups of three bytes, so that the three tokens of a bid have the same digits up to the tag.
const _: () = assert!(SIGNED.is_multiple_of(3) && TERMS_BYTES.is_multiple_of(3) && PATH_BYTES.is_multiple_of(3));
/// The longest tag.
const TAG: usize = 16;
/// The longest token, in base64url without padding.
const TOKEN: usize = encoded(SIGNED_MOST + TAG);
/// What every notice path starts with.
const PATH: &[u8] = b"/notice/";
/// What stands before the price macro.
const PRICE: &[u8] = b"?p=";
/// What asks for the number of impressions (OpenRTB 2.6 section 4.4).
const MULTIPLIER: &[u8] = b"&m=${AUCTION_MULTIPLIER}";
/// What asks for the reason of a loss (OpenRTB 2.6 section 4.4).
const LOSS: &[u8] = b"&l=${AUCTION_LOSS}";
/// What the second HMAC covers beyond the claim.
const OUTCOMES: &[u8] = b"\x01";
// It is never over what the first is over.
const _: () = {
    let mut at = 0;
    while at < LENGTHS.len() {
        assert!(LENGTHS[at].is_multiple_of(3) && !(LENGTHS[at] + OUTCOMES.len()).is_multiple_of(3));
        at += 1;
    }
};
/// What asks for the price that the bid had to reach (OpenRTB 2.6 section 4.4).
const TO_WIN: &[u8] = b"&w=${AUCTION_MIN_TO_WIN}";
/// In the byte of what is agreed: terms follow.
const TERMS: u8 = 0x80;
/// In the same byte: a supply path follows.
const PATHED: u8 = 0x40;
const _: () = assert!(Agreed::ALL.0 & (TERMS | PATHED) == 0);
// Bounds of the multiplier make room for its seven bytes.
const _: () = assert!(Multiplier::MAX.0 < 1 << 56);

impl NoticeKind {
    /// All kinds, by number.
    pub const ALL: [NoticeKind; 5] =
        [NoticeKind::Win, NoticeKind::Bill, NoticeKind::Loss, NoticeKind::Click, NoticeKind::Conversion];
    /// Those whose URLs an exchange is given.
    pub const OF_EXCHANGE: [NoticeKind; 3] = [NoticeKind::Win, NoticeKind::Bill, NoticeKind::Loss];
    /// Those that tell what came of an impression.
    pub const OUTCOMES: [NoticeKind; 2] = [NoticeKind::Click, NoticeKind::Conversion];

    /// Its name in the path.
    pub const fn label(self) -> &'static str {
        match self {
            NoticeKind::Win => "win",
            NoticeKind::Bill => "bill",
            NoticeKind::Loss => "loss",
            NoticeKind::Click => "click",
            NoticeKind::Conversion => "conversion",
        }
    }

    /// What stands before its token.
    const fn path(self) -> &'static [u8] {
        match self {
            NoticeKind::Win => b"/notice/win/",
            NoticeKind::Bill => b"/notice/bill/",
            NoticeKind::Loss => b"/notice/loss/",
            NoticeKind::Click => b"/notice/click/",
            NoticeKind::Conversion => b"/notice/conversion/",
        }
    }

    /// What its HMAC covers beyond the claim.
    const fn beyond(self) -> &'static [u8] {
        match self {
            NoticeKind::Win | NoticeKind::Bill | NoticeKind::Loss => b"",
            NoticeKind::Click | NoticeKind::Conversion => OUTCOMES,
        }
    }

    /// Which bytes of that HMAC are its tag. No two kinds share one.
    const fn tag(self) -> std::ops::Range<usize> {
        match self {
            NoticeKind::Bill => 0..16,
            NoticeKind::Win => 16..24,
            NoticeKind::Loss => 24..32,
            NoticeKind::Click => 0..8,
            NoticeKind::Conversion => 8..16,
        }
    }
}

/// Signs and verifies. One per core; the key's HMAC state is computed once.
#[derive(Clone)]
pub struct Signer {
    active: u8,
    keys: Vec<(u8, Hmac<Sha256>)>,
}

/// A claim and its HMAC, from which the URL of each kind that the exchange calls is written.
#[derive(Debug)]
pub struct Signed {
    /// The digits that every token begins with.
    digits: [u8; encoded(SIGNED_MOST)],
    /// How many.
    length: usize,
    mac: [u8; 32],
    /// Whether the exchange is asked for the multiplier.
    multiplied: bool,
    /// Whether it is asked for the price to reach.
    asks_to_win: bool,
}

/// A claim and its second HMAC, from which the URLs of [`NoticeKind::OUTCOMES`] are written.
#[derive(Debug)]
pub struct SignedOutcomes(Signed);

/// What a request to a notice path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified<'t> {
    /// Ours. Nothing is said about its expiry, nor whether it was heard before.
    Claim {
        /// What it tells.
        kind: NoticeKind,
        /// What was signed.
        claim: Claim,
        /// The supply path that was signed with it.
        path: PathKey,
        /// The arm, too.
        arm: ArmId,
        /// What was not: the price that the exchange filled in, and whatever it added.
        query: &'t [u8],
    },
    /// The form of a notice without a valid signature, or under a key we do not have: 403.
    Forged,
    /// Not the form of a notice: 403 as well, but counted apart.
    Malformed,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("active", &self.active).finish_non_exhaustive()
    }
}

impl Signer {
    /// Signs under `key`, named `id` in the URLs so that it can be replaced.
    pub fn new(id: u8, key: &Key) -> Self {
        Self { active: id, keys: vec![(id, keyed(key))] }
    }

    /// Accepts another key too: one that was replaced less than H2 ago, or that another node signs with.
    ///
    /// # Panics
    /// If the id is taken.
    pub fn accept(&mut self, id: u8, key: &Key) {
        assert!(self.keys.iter().all(|(taken, _)| *taken != id), "two notice keys with the id {id}");
        self.keys.push((id, keyed(key)));
    }

    /// One HMAC for all three URLs of a bid.
    pub fn sign(&self, claim: &Claim, path: PathKey, arm: ArmId) -> Signed {
        self.sign_beyond(claim, path, arm, b"")
    }

    /// Another for the URLs of its click and its conversion.
    pub fn sign_outcomes(&self, claim: &Claim, path: PathKey, arm: ArmId) -> SignedOutcomes {
        SignedOutcomes(self.sign_beyond(claim, path, arm, OUTCOMES))
    }

    fn sign_beyond(&self, claim: &Claim, path: PathKey, arm: ArmId, beyond: &[u8]) -> Signed {
        let (signed, length) = pack(self.active, claim, path, arm);
        let (_, key) = &self.keys[0];
        let mut digits = [0; encoded(SIGNED_MOST)];
        encode(&signed[..length], &mut digits[..encoded(length)]);
        Signed {
            digits,
            length: encoded(length),
            mac: mac(key, &signed[..length], beyond),
            multiplied: claim.terms.multiplier != Multiplier::ONE,
            asks_to_win: false,
        }
    }

    /// Reads a request target in origin form, `/notice/{kind}/{token}?{query}`.
    pub fn verify<'t>(&self, target: &'t [u8]) -> Verified<'t> {
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &[][..]),
        };
        let Some((kind, token)) = path.strip_prefix(PATH).and_then(split_kind) else {
            return Verified::Malformed;
        };
        let tag = kind.tag();
        let Some(length) = LENGTHS.into_iter().find(|length| token.len() == encoded(length + tag.len())) else {
            return Verified::Malformed;
        };
        let mut bytes = [0; SIGNED_MOST + TAG];
        let bytes = &mut bytes[..length + tag.len()];
        if !decode(token, bytes) {
            return Verified::Malformed;
        }
        let (signed, given) = bytes.split_at(length);
        let Some((_, key)) = self.keys.iter().find(|(id, _)| *id == signed[0]) else {
            return Verified::Forged;
        };
        if !same(&mac(key, signed, kind.beyond())[tag], given) {
            return Verified::Forged;
        }
        match unpack(signed) {
            Some((claim, path, arm)) => Verified::Claim { kind, claim, path, arm, query },
            None => Verified::Malformed,
        }
    }
}

impl Signed {
    /// The same, asking for the price that the bid had to reach, if that is learnt from.
    #[must_use]
    pub fn asking_to_win(self, asks: bool) -> Signed {
        Signed { asks_to_win: asks, ..self }
    }

    /// Writes the URL of a kind: `base` (scheme and authority, no slash at the end), path, and the macros that the exchange
    /// replaces. `None` if `out` is too short; [`url_bytes`] says what it needs.
    ///
    /// # Panics
    /// If the kind is of [`NoticeKind::OUTCOMES`], which this does not sign.
    pub fn write(&self, kind: NoticeKind, base: &[u8], price: Scheme, out: &mut [u8]) -> Option<usize> {
        assert!(kind.beyond().is_empty(), "another HMAC signs a {}", kind.label());
        let tag = &self.mac[kind.tag()];
        let multiplier = if self.multiplied { MULTIPLIER } else { b"" };
        let loss = if kind == NoticeKind::Loss { LOSS } else { b"" };
        let before = [base, kind.path(), &self.digits[..self.length]];
        let to_win = if self.asks_to_win { TO_WIN } else { b"" };
        let after = [PRICE, price.price_macro().as_bytes(), multiplier, loss, to_win];
        let sum = |parts: &[&[u8]]| parts.iter().map(|part| part.len()).sum::<usize>();
        let length = sum(&before) + encoded(tag.len()) + sum(&after);
        let url = out.get_mut(..length)?;
        let (last, rest) = before.into_iter().fold(url, append).split_at_mut(encoded(tag.len()));
        encode(tag, last);
        after.into_iter().fold(rest, append);
        Some(length)
    }
}

impl SignedOutcomes {
    /// Writes the URL of a kind. `None` if `out` is too short; [`outcome_url_bytes`] says what it needs.
    ///
    /// # Panics
    /// If the kind is not of [`NoticeKind::OUTCOMES`].
    pub fn write(&self, kind: NoticeKind, base: &[u8], out: &mut [u8]) -> Option<usize> {
        assert!(!kind.beyond().is_empty(), "another HMAC signs a {}", kind.label());
        let SignedOutcomes(signed) = self;
        let tag = &signed.mac[kind.tag()];
        let before = [base, kind.path(), &signed.digits[..signed.length]];
        let length = before.iter().map(|part| part.len()).sum::<usize>() + encoded(tag.len());
        let url = out.get_mut(..length)?;
        encode(tag, before.into_iter().fold(url, append));
        Some(length)
    }
}

/// Copies a part to the front of `out`, and gives what is behind it.
#[inline]
fn append<'out>(out: &'out mut [u8], part: &[u8]) -> &'out mut [u8] {
    let (front, behind) = out.split_at_mut(part.len());
    front.copy_from_slice(part);
    behind
}

/// Bytes of the longest notice URL on a base of `base` bytes.
pub const fn url_bytes(base: usize) -> usize {
    let (mut longest, mut at) = (0, 0);
    while at < Scheme::ALL.len() {
        let length = Scheme::ALL[at].price_macro().len();
        longest = if length > longest { length } else { longest };
        at += 1;
    }
    // A loss has the shorter tag, and asks for more.
    let token = encoded(SIGNED_MOST + NoticeKind::Loss.tag().end - NoticeKind::Loss.tag().start) + LOSS.len();
    let token = if token > TOKEN { token } else { TOKEN };
    base + PATH.len() + 4 + 1 + token + PRICE.len() + longest + MULTIPLIER.len() + TO_WIN.len()
}

/// Bytes of the longest URL of a click or a conversion on a base of `base` bytes.
pub const fn outcome_url_bytes(base: usize) -> usize {
    let (click, conversion) = (NoticeKind::Click, NoticeKind::Conversion);
    let token = encoded(SIGNED_MOST + click.tag().end - click.tag().start);
    let path = if click.path().len() > conversion.path().len() { click.path() } else { conversion.path() };
    base + path.len() + token
}

fn keyed(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn mac(key: &Hmac<Sha256>, signed: &[u8], beyond: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(signed);
    if !beyond.is_empty() {
        mac.update(beyond);
    }
    mac.finalize().into_bytes().into()
}

/// Equality in a time that does not depend on where the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn split_kind(path: &[u8]) -> Option<(NoticeKind, &[u8])> {
    let (kind, token) = path.split_at(memchr::memchr(b'/', path)?);
    let kind = NoticeKind::ALL.into_iter().find(|known| known.label().as_bytes() == kind)?;
    Some((kind, &token[1..]))
}

/// Big-endian; how many bytes it takes.
fn pack(key: u8, claim: &Claim, path: PathKey, arm: ArmId) -> ([u8; SIGNED_MOST], usize) {
    let mut out = [0; SIGNED_MOST];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    let Terms { rate, multiplier } = claim.terms;
    let plain = claim.terms == Terms::PLAIN;
    let pathless = path == PathKey::NONE;
    put(&[key, claim.agreed.0 | if plain { 0 } else { TERMS } | if pathless { 0 } else { PATHED }]);
    put(&claim.reservation.0.to_be_bytes());
    put(&claim.lease.0.to_be_bytes());
    put(&claim.price.0.to_be_bytes());
    put(&[claim.creative, arm.0]);
    put(&claim.expires.0.to_be_bytes()[2..]);
    put(&claim.user.0.to_be_bytes());
    put(&claim.bid.0);
    put(&claim.campaign.0.to_be_bytes());
    put(&claim.incarnation.0.to_be_bytes());
    put(&claim.node.0.to_be_bytes());
    put(&claim.exchange.0.to_be_bytes());
    if !plain {
        put(&rate.0.to_be_bytes());
        put(&multiplier.0.to_be_bytes()[1..]);
    }
    if !pathless {
        put(&path.0);
    }
    debug_assert!(LENGTHS.contains(&at));
    (out, at)
}

/// `None` for what no [`pack`] of a bid makes: the other length, terms that are no terms, an arm there is not, money that cannot be
/// counted.
fn unpack(signed: &[u8]) -> Option<(Claim, PathKey, ArmId)> {
    let (_, mut rest) = signed.split_first()?;
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (bytes, after) = rest.split_first_chunk::<N>()?;
        *rest = after;
        Some(*bytes)
    }
    let [agreed] = take(&mut rest)?;
    let reservation = ReservationId(u64::from_be_bytes(take(&mut rest)?));
    let lease = LeaseId(u64::from_be_bytes(take(&mut rest)?));
    let price = CpmMicros(i64::from_be_bytes(take(&mut rest)?));
    let [creative, arm, a, b, c, d, e, f] = take(&mut rest)?;
    let mut claim = Claim {
        reservation,
        lease,
        price,
        creative,
        expires: UnixMillis(u64::from_be_bytes([0, 0, a, b, c, d, e, f])),
        user: UserKey(u64::from_be_bytes(take(&mut rest)?)),
        bid: BidId(take(&mut rest)?),
        campaign: CampaignId(u32::from_be_bytes(take(&mut rest)?)),
        incarnation: Incarnation(u32::from_be_bytes(take(&mut rest)?)),
        node: NodeId(u16::from_be_bytes(take(&mut rest)?)),
        exchange: ExchangeKey(u32::from_be_bytes(take(&mut rest)?)),
        agreed: Agreed(agreed & !(TERMS | PATHED)),
        terms: Terms::PLAIN,
    };
    if agreed & TERMS != 0 {
        let rate = Rate(u64::from_be_bytes(take(&mut rest)?));
        let [a, b, c, d, e, f, g] = take(&mut rest)?;
        claim.terms = Terms { rate, multiplier: Multiplier(u64::from_be_bytes([0, a, b, c, d, e, f, g])) };
    }
    let mut path = PathKey::NONE;
    if agreed & PATHED != 0 {
        path = PathKey(take(&mut rest)?);
    }
    let known = claim.agreed.0 & !Agreed::ALL.0 == 0
        && (agreed & PATHED == 0 || path != PathKey::NONE)
        && usize::from(arm) < limits::ARMS;
    (known && rest.is_empty() && claim.terms.checked_money(claim.price).is_some()).then_some((claim, path, ArmId(arm)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> impl Strategy<Value = Claim> {
        let one = (any::<u64>(), any::<u64>(), any::<i64>(), 0..1u64 << 48, any::<u64>());
        let other = (any::<[u8; 16]>(), any::<u32>(), any::<u32>(), any::<u16>(), any::<u8>());
        let agreed = (any::<u32>(), 0..=Agreed::ALL.0, terms());
        let all = (one, other, agreed).prop_map(|(one, other, (exchange, agreed, terms))| {
            let (reservation, lease, price, expires, user) = one;
            let (bid, campaign, incarnation, node, creative) = other;
            Claim {
                reservation: ReservationId(reservation),
                lease: LeaseId(lease),
                price: CpmMicros(price),
                expires: UnixMillis(expires),
                user: UserKey(user),
                bid: BidId(bid),
                campaign: CampaignId(campaign),
                incarnation: Incarnation(incarnation),
                node: NodeId(node),
                exchange: ExchangeKey(exchange),
                agreed: Agreed(agreed),
                creative,
                terms,
            }
        });
        all.prop_map(|claim| match claim.terms.checked_money(claim.price) {
            Some(_) => claim,
            // A price that these terms can still make money of.
            None => Claim { price: CpmMicros(claim.price.0.rem_euclid(1_000_000)), ..claim },
        })
    }

    fn terms() -> impl Strategy<Value = Terms> {
        let rate = prop_oneof![Just(Rate::ONE), (1..=Rate::MAX.0).prop_map(Rate)];
        let multiplier = prop_oneof![Just(Multiplier::ONE), (1..=Multiplier::MAX.0).prop_map(Multiplier)];
        (rate, multiplier).prop_map(|(rate, multiplier)| Terms { rate, multiplier })
    }

    fn paths() -> impl Strategy<Value = PathKey> {
        prop_oneof![Just(PathKey::NONE), any::<[u8; 6]>().prop_map(PathKey)]
    }

    fn arms() -> impl Strategy<Value = ArmId> {
        (0..limits::ARMS as u8).prop_map(ArmId)
    }

    fn kinds() -> impl Strategy<Value = NoticeKind> {
        prop::sample::select(NoticeKind::ALL.to_vec())
    }

    fn signer() -> Signer {
        Signer::new(1, &[7; 32])
    }

    fn target(signer: &Signer, kind: NoticeKind, claim: &Claim, path: PathKey, arm: ArmId) -> Vec<u8> {
        const BASE: &[u8; 12] = b"http://a.b:1";
        let mut out = [0; url_bytes(12)];
        let length = match NoticeKind::OUTCOMES.contains(&kind) {
            true => signer.sign_outcomes(claim, path, arm).write(kind, BASE, &mut out),
            false => signer.sign(claim, path, arm).write(kind, BASE, Scheme::Plain, &mut out),
        };
        out[12..length.unwrap()].to_vec()
    }

    fn filled(target: &[u8], price: &str) -> Vec<u8> {
        String::from_utf8(target.to_vec()).unwrap().replace("${AUCTION_PRICE}", price).into_bytes()
    }

    proptest! {
        #[test]
        fn what_was_signed_comes_back(claim in claims(), path in paths(), arm in arms(), kind in kinds(), more in "[a-z]{0,3}=[^#]{0,9}") {
            let signer = signer();
            let mut target = filled(&target(&signer, kind, &claim, path, arm), "1.25");
            if NoticeKind::OUTCOMES.contains(&kind) {
                prop_assert!(token_end(&target) == target.len(), "nothing is asked of who tells it");
                target.extend_from_slice(format!("?{more}").as_bytes());
                prop_assert_eq!(signer.verify(&target), Verified::Claim { kind, claim, path, arm, query: more.as_bytes() });
                return Ok(());
            }
            target.extend_from_slice(format!("&{more}").as_bytes());
            let asked = if claim.terms.multiplier == Multiplier::ONE { "" } else { "&m=${AUCTION_MULTIPLIER}" };
            let loss = if kind == NoticeKind::Loss { "&l=${AUCTION_LOSS}" } else { "" };
            let query = format!("p=1.25{asked}{loss}&{more}");
            prop_assert_eq!(signer.verify(&target), Verified::Claim { kind, claim, path, arm, query: query.as_bytes() });
        }

        #[test]
        fn any_other_byte_in_the_signed_part_is_refused(claim in claims(), path in paths(), arm in arms(), kind in kinds(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let signer = signer();
            let mut target = target(&signer, kind, &claim, path, arm);
            let at = at.index(token_end(&target));
            prop_assume!(target[at] != byte);
            target[at] = byte;
            let refused = matches!(signer.verify(&target), Verified::Forged | Verified::Malformed);
            prop_assert!(refused);
        }

        #[test]
        fn no_kind_passes_for_another(claim in claims(), path in paths(), kind in kinds(), other in kinds()) {
            prop_assume!(kind != other);
            let signer = signer();
            let target = String::from_utf8(target(&signer, kind, &claim, path, ArmId(0))).unwrap();
            let moved = target.replace(kind.label(), other.label());
            // Also with the tag cut or filled to the length of the other kind's.
            let (path, query) = moved.split_once('?').unwrap_or((&moved, ""));
            let mut path = path.to_owned();
            for signed in LENGTHS {
                let wanted = PATH.len() + other.label().len() + 1 + encoded(signed + other.tag().len());
                while path.len() < wanted { path.push('A'); }
                path.truncate(wanted);
                for target in [moved.clone(), format!("{path}?{query}")] {
                    let refused = matches!(signer.verify(target.as_bytes()), Verified::Forged | Verified::Malformed);
                    prop_assert!(refused);
                }
            }
        }

        #[test]
        fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in kinds()) {
            let signer = signer();
            signer.verify(&bytes);
            let mut target = format!("/notice/{}/", kind.label()).into_bytes();
            target.extend_from_slice(&bytes);
            signer.verify(&target);
        }
    }

    #[test]
    fn every_bit_of_a_token_matters() {
        let signer = signer();
        let terms = Terms { rate: Rate(1_100_000_000), multiplier: Multiplier(30_300_000) };
        let all = [
            (Terms::PLAIN, PathKey::NONE, SIGNED),
            (Terms::PLAIN, PathKey([3; 6]), SIGNED + PATH_BYTES),
            (terms, PathKey::NONE, SIGNED + TERMS_BYTES),
            (terms, PathKey([3; 6]), SIGNED_MOST),
        ];
        for (kind, (terms, path, signed)) in NoticeKind::ALL.into_iter().flat_map(|kind| all.map(|one| (kind, one))) {
            let claim = Claim { terms, ..sample() };
            let mut bytes = [0; SIGNED_MOST + TAG];
            let target = target(&signer, kind, &claim, path, ArmId(5));
            let token = &target[PATH.len() + kind.label().len() + 1..token_end(&target)];
            let length = signed + kind.tag().len();
            assert!(decode(token, &mut bytes[..length]));
            for bit in 0..length * 8 {
                let mut changed = bytes;
                changed[bit / 8] ^= 1 << (bit % 8);
                let mut token = vec![0; encoded(length)];
                encode(&changed[..length], &mut token);
                let target = [PATH, kind.label().as_bytes(), b"/", &token].concat();
                assert_eq!(signer.verify(&target), Verified::Forged, "{kind:?} bit {bit}");
            }
        }
    }

    fn sample() -> Claim {
        let bytes: [u8; SIGNED] = std::array::from_fn(|at| match at {
            1 => 5,
            ARM => 3,
            at => at as u8,
        });
        unpack(&bytes).unwrap().0
    }

    /// Where the arm stands.
    const ARM: usize = 27;

    fn token_end(target: &[u8]) -> usize {
        target.iter().position(|byte| *byte == b'?').unwrap_or(target.len())
    }

    /// Signed with our key or not: what no bid claims is not believed.
    #[test]
    fn a_claim_that_no_bid_makes_is_malformed() {
        const TERMS_END: usize = SIGNED + TERMS_BYTES;
        let terms = Terms { rate: Rate(1), multiplier: Multiplier(1) };
        let (good, length) = pack(1, &Claim { terms, ..sample() }, PathKey::NONE, ArmId(7));
        assert!(unpack(&good[..length]).is_some());
        for (at, byte, why) in [
            (1, 5, "terms beyond what is agreed"),
            (1, 0x90, "a bit of the future"),
            (ARM, 8, "an arm there is not"),
            (1, 0xC5, "a path beyond what there is"),
            (SIGNED + 7, 0, "no rate"),
            (SIGNED, 255, "a rate beyond its bound"),
            (TERMS_END - 1, 0, "no multiplier"),
            (TERMS_END - 7, 255, "a multiplier beyond its bound"),
        ] {
            let mut bad = good;
            bad[at] = byte;
            assert_eq!(unpack(&bad[..length]), None, "{why}");
        }
        assert_eq!(unpack(&good[..SIGNED]), None, "terms cut off");
        let (mut pathed, length) = pack(1, &sample(), PathKey::OTHER, ArmId(1));
        assert_eq!(unpack(&pathed[..length]), Some((sample(), PathKey::OTHER, ArmId(1))));
        pathed[length - 1] = 0;
        assert_eq!(unpack(&pathed[..length]), None, "a path that is none");
        let overflow = Terms { rate: Rate::MAX, multiplier: Multiplier::MAX };
        let (dear, length) =
            pack(1, &Claim { price: CpmMicros(i64::MAX), terms: overflow, ..sample() }, PathKey::NONE, ArmId(0));
        assert_eq!(unpack(&dear[..length]), None, "money that cannot be counted");
    }

    #[test]
    fn plain_terms_cost_no_bytes_and_others_ask_for_the_multiplier() {
        let url = |terms, scheme| {
            let mut out = [0; url_bytes(0)];
            let signed = signer().sign(&Claim { terms, ..sample() }, PathKey::NONE, ArmId(0));
            let length = signed.write(NoticeKind::Bill, b"", scheme, &mut out);
            String::from_utf8(out[..length.unwrap()].to_vec()).unwrap()
        };
        let plain = url(Terms::PLAIN, Scheme::Plain);
        assert_eq!(plain.len(), "/notice/bill/".len() + 118 + "?p=${AUCTION_PRICE}".len());
        let screen = url(Terms { multiplier: Multiplier(30_300_000), ..Terms::PLAIN }, Scheme::Google);
        assert!(screen.ends_with("?p=%%WINNING_PRICE%%&m=${AUCTION_MULTIPLIER}"), "{screen}");
        let mut out = [0; url_bytes(0)];
        let learnt = signer().sign(&sample(), PathKey::NONE, ArmId(0)).asking_to_win(true);
        for (kind, end) in [
            (NoticeKind::Win, "?p=${AUCTION_PRICE}&w=${AUCTION_MIN_TO_WIN}"),
            (NoticeKind::Bill, "?p=${AUCTION_PRICE}&w=${AUCTION_MIN_TO_WIN}"),
            (NoticeKind::Loss, "?p=${AUCTION_PRICE}&l=${AUCTION_LOSS}&w=${AUCTION_MIN_TO_WIN}"),
        ] {
            let length = learnt.write(kind, b"", Scheme::Plain, &mut out).unwrap();
            assert!(out[..length].ends_with(end.as_bytes()), "{kind:?}");
        }
        let foreign = url(Terms { rate: Rate(1_100_000_000), ..Terms::PLAIN }, Scheme::Openx);
        assert!(foreign.ends_with("?p=${AUCTION_PRICE:OXCRYPT}") && foreign.len() > plain.len(), "{foreign}");
    }

    #[test]
    fn a_replaced_key_is_accepted_until_it_is_dropped() {
        let old = signer();
        let mut new = Signer::new(2, &[9; 32]);
        let target = target(&old, NoticeKind::Bill, &sample(), PathKey::NONE, ArmId(0));
        assert_eq!(new.verify(&target), Verified::Forged);
        new.accept(1, &[7; 32]);
        assert!(matches!(new.verify(&target), Verified::Claim { .. }));
    }

    #[test]
    fn a_buffer_too_short_is_refused_and_the_exact_one_taken() {
        let longest = Claim { terms: Terms { rate: Rate(1), multiplier: Multiplier(2) }, ..sample() };
        let signed = signer().sign(&longest, PathKey::OTHER, ArmId(0)).asking_to_win(true);
        let mut out = [0; url_bytes(12)];
        let length = signed.write(NoticeKind::Loss, b"http://a.b:1", Scheme::Openx, &mut out).unwrap();
        assert_eq!(length, url_bytes(12));
        for short in 0..length {
            assert_eq!(signed.write(NoticeKind::Loss, b"http://a.b:1", Scheme::Openx, &mut out[..short]), None);
        }
        let signed = signer().sign_outcomes(&longest, PathKey::OTHER, ArmId(0));
        let length = signed.write(NoticeKind::Conversion, b"http://a.b:1", &mut out).unwrap();
        assert_eq!(length, outcome_url_bytes(12));
        for short in 0..length {
            assert_eq!(signed.write(NoticeKind::Conversion, b"http://a.b:1", &mut out[..short]), None);
        }
    }

    /// The second HMAC by another road: one over all of it, and its tags where they are said to be.
    #[test]
    fn outcomes_are_signed_by_an_hmac_of_their_own() {
        let (signed, length) = pack(1, &sample(), PathKey::NONE, ArmId(2));
        let whole = [&signed[..length], b"\x01"].concat();
        let mac = mac(&keyed(&[7; 32]), &whole, b"");
        for (kind, tag) in [(NoticeKind::Click, &mac[..8]), (NoticeKind::Conversion, &mac[8..16])] {
            let mut token = vec![0; encoded(length + 8)];
            encode(&[&signed[..length], tag].concat(), &mut token);
            let told = [PATH, kind.label().as_bytes(), b"/", &token].concat();
            assert_eq!(told, target(&signer(), kind, &sample(), PathKey::NONE, ArmId(2)));
        }
    }

    /// RFC 4231 section 4.3 (test case 2) and 4.2 (test case 1).
    #[test]
    fn hmac_is_the_published_one() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&mac(&key, b"what do ya want ", b"for nothing?")), expected);
        let key = Hmac::<Sha256>::new_from_slice(&[0x0b; 20]).unwrap();
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex(&mac(&key, b"Hi There", b"")), expected);
    }
}
