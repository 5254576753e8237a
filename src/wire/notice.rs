//! Signed notice URLs: what a bid tells the exchange to call, and what is proved when it is called.
//!
//! ```text
//! http://host:port/notice/bill/<token>?p=${AUCTION_PRICE}
//! token = base64url( key id · claim · tag )          the tag depends on the kind; the query is not signed
//!                    1        66      16 (bill) or 8 (win, loss)
//! ```
//!
//! A bid needs three URLs, and three HMACs would be the dearest thing in its answer. One is enough: the 32 bytes of
//! HMAC-SHA256 over the claim are cut into three parts that share no bit, one per kind. HMAC is a pseudo-random function,
//! so a tag says nothing about the other two, and the kind is as good as signed. The bill, which moves money, has the 128
//! bits that RFC 2104 (section 5) asks of a truncated tag. A win or a loss has 64, which can only be guessed online.
//!
//! The price is whatever the exchange puts there, so it is not signed: a bill is never booked above the claim's price.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::price;
use crate::ring::message::{Claim, NoticeKind, NoticePrice};
use crate::units::{BidId, CampaignId, CpmMicros, Incarnation, LeaseId, NodeId, ReservationId, UnixMillis, UserKey};

/// A notice key: 256 random bits.
pub type Key = [u8; 32];

/// Key id and claim.
const SIGNED: usize = 67;
/// How many of those bytes, in whole groups of three, have the same digits in all three tokens.
const SHARED: usize = SIGNED / 3 * 3;
/// The longest tag.
const TAG: usize = 16;
/// The longest token, in base64url without padding.
const TOKEN: usize = encoded(SIGNED + TAG);
/// What every notice path starts with.
const PATH: &[u8] = b"/notice/";
/// The query of a built URL; the exchange replaces the macro (OpenRTB 2.6 section 4.4).
const QUERY: &[u8] = b"?p=${AUCTION_PRICE}";

impl NoticeKind {
    /// All kinds.
    pub const ALL: [NoticeKind; 3] = [NoticeKind::Win, NoticeKind::Bill, NoticeKind::Loss];

    /// Its name in the path.
    pub const fn label(self) -> &'static str {
        match self {
            NoticeKind::Win => "win",
            NoticeKind::Bill => "bill",
            NoticeKind::Loss => "loss",
        }
    }

    /// What stands before its token.
    const fn path(self) -> &'static [u8] {
        match self {
            NoticeKind::Win => b"/notice/win/",
            NoticeKind::Bill => b"/notice/bill/",
            NoticeKind::Loss => b"/notice/loss/",
        }
    }

    /// Which bytes of the HMAC are its tag. No two kinds share one.
    const fn tag(self) -> std::ops::Range<usize> {
        match self {
            NoticeKind::Bill => 0..16,
            NoticeKind::Win => 16..24,
            NoticeKind::Loss => 24..32,
        }
    }
}

/// Signs and verifies. One per core; the key's HMAC state is computed once.
#[derive(Clone)]
pub struct Signer {
    active: u8,
    keys: Vec<(u8, Hmac<Sha256>)>,
}

/// A claim and its HMAC, from which the URL of each kind is written.
#[derive(Debug)]
pub struct Signed {
    /// The first digits of every token.
    shared: [u8; encoded(SHARED)],
    /// The signed bytes that share a group of digits with the tag.
    rest: [u8; SIGNED - SHARED],
    mac: [u8; 32],
}

/// What a request to a notice path turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Ours. Nothing is said about its expiry, nor whether it was heard before.
    Claim {
        /// Win, bill or loss.
        kind: NoticeKind,
        /// What the exchange filled in.
        price: NoticePrice,
        /// What was signed.
        claim: Claim,
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
    pub fn sign(&self, claim: &Claim) -> Signed {
        let signed = pack(self.active, claim);
        let (_, key) = &self.keys[0];
        let mut shared = [0; encoded(SHARED)];
        encode(&signed[..SHARED], &mut shared);
        Signed { shared, rest: std::array::from_fn(|at| signed[SHARED + at]), mac: mac(key, &signed) }
    }

    /// Reads a request target in origin form, `/notice/{kind}/{token}?{query}`. Query parameters other than `p` are let
    /// through: exchanges add their own.
    pub fn verify(&self, target: &[u8]) -> Verified {
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], &target[at + 1..]),
            None => (target, &[][..]),
        };
        let Some((kind, token)) = path.strip_prefix(PATH).and_then(split_kind) else {
            return Verified::Malformed;
        };
        let mut bytes = [0; SIGNED + TAG];
        let tag = kind.tag();
        let bytes = &mut bytes[..SIGNED + tag.len()];
        if !decode(token, bytes) {
            return Verified::Malformed;
        }
        let (signed, given) = bytes.split_at(SIGNED);
        let Some((_, key)) = self.keys.iter().find(|(id, _)| *id == signed[0]) else {
            return Verified::Forged;
        };
        let Ok(signed) = <&[u8; SIGNED]>::try_from(signed) else { return Verified::Malformed };
        if !same(&mac(key, signed)[tag], given) {
            return Verified::Forged;
        }
        match unpack(signed) {
            Some(claim) => Verified::Claim { kind, price: price::from_query(query), claim },
            None => Verified::Malformed,
        }
    }
}

impl Signed {
    /// Writes the URL of a kind: `base` (scheme and authority, no slash at the end), path, and the price macro.
    /// `None` if `out` is too short; [`url_bytes`] says what it needs.
    pub fn write(&self, kind: NoticeKind, base: &[u8], out: &mut [u8]) -> Option<usize> {
        let tag = &self.mac[kind.tag()];
        let mut last = [0; SIGNED - SHARED + TAG];
        let last = &mut last[..self.rest.len() + tag.len()];
        last[..self.rest.len()].copy_from_slice(&self.rest);
        last[self.rest.len()..].copy_from_slice(tag);

        let digits = encoded(last.len());
        let length = base.len() + kind.path().len() + self.shared.len() + digits + QUERY.len();
        let url = out.get_mut(..length)?;
        let (token, query) = [base, kind.path(), &self.shared].into_iter().fold(url, append).split_at_mut(digits);
        encode(last, token);
        query.copy_from_slice(QUERY);
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
    base + PATH.len() + 4 + 1 + TOKEN + QUERY.len()
}

fn keyed(key: &Key) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

fn mac(key: &Hmac<Sha256>, signed: &[u8]) -> [u8; 32] {
    let mut mac = key.clone();
    mac.update(signed);
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

/// Big-endian, in the order of the struct.
fn pack(key: u8, claim: &Claim) -> [u8; SIGNED] {
    let mut out = [0; SIGNED];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        out[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&[key]);
    put(&claim.reservation.0.to_be_bytes());
    put(&claim.lease.0.to_be_bytes());
    put(&claim.price.0.to_be_bytes());
    put(&claim.expires.0.to_be_bytes());
    put(&claim.user.0.to_be_bytes());
    put(&claim.bid.0);
    put(&claim.campaign.0.to_be_bytes());
    put(&claim.incarnation.0.to_be_bytes());
    put(&claim.node.0.to_be_bytes());
    debug_assert_eq!(at, SIGNED);
    out
}

fn unpack(signed: &[u8; SIGNED]) -> Option<Claim> {
    let mut rest = &signed[1..];
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (bytes, after) = rest.split_first_chunk::<N>()?;
        *rest = after;
        Some(*bytes)
    }
    Some(Claim {
        reservation: ReservationId(u64::from_be_bytes(take(&mut rest)?)),
        lease: LeaseId(u64::from_be_bytes(take(&mut rest)?)),
        price: CpmMicros(i64::from_be_bytes(take(&mut rest)?)),
        expires: UnixMillis(u64::from_be_bytes(take(&mut rest)?)),
        user: UserKey(u64::from_be_bytes(take(&mut rest)?)),
        bid: BidId(take(&mut rest)?),
        campaign: CampaignId(u32::from_be_bytes(take(&mut rest)?)),
        incarnation: Incarnation(u32::from_be_bytes(take(&mut rest)?)),
        node: NodeId(u16::from_be_bytes(take(&mut rest)?)),
    })
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const INVALID: u8 = 0xff;
const VALUES: [u8; 256] = {
    let mut values = [INVALID; 256];
    let mut at = 0;
    while at < 64 {
        values[ALPHABET[at] as usize] = at as u8;
        at += 1;
    }
    values
};

/// Length of `bytes` bytes in base64url without padding (RFC 4648 section 5).
const fn encoded(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

/// Fills `out`, which is [`encoded`] long: first with the values of the digits, then all at once with the digits.
fn encode(bytes: &[u8], out: &mut [u8]) {
    debug_assert_eq!(out.len(), encoded(bytes.len()));
    let (threes, rest) = bytes.as_chunks::<3>();
    let (fours, last) = out.as_chunks_mut::<4>();
    for (three, four) in threes.iter().zip(fours) {
        *four = sixes(*three);
    }
    if !rest.is_empty() {
        let mut three = [0; 3];
        three[..rest.len()].copy_from_slice(rest);
        last.copy_from_slice(&sixes(three)[..last.len()]);
    }
    for value in out {
        *value = digit(*value);
    }
}

/// The 24 bits of three bytes, six by six.
#[inline]
fn sixes([high, middle, low]: [u8; 3]) -> [u8; 4] {
    let bits = u32::from_be_bytes([0, high, middle, low]);
    let spread = (bits & 0x00fc_0000) << 6 | (bits & 0x0003_f000) << 4 | (bits & 0x0fc0) << 2 | bits & 0x3f;
    spread.to_be_bytes()
}

/// `ALPHABET[value]` for a value below 64, by sums instead of a look-up so that many are made at once.
#[inline]
const fn digit(value: u8) -> u8 {
    let lower = (value > 25) as u8 * (b'a' - b'Z' - 1);
    let number = (value > 51) as u8 * (b'z' - b'0' + 1);
    let dash = (value > 61) as u8 * (b'9' - b'-' + 1);
    let underscore = (value > 62) as u8 * (b'_' - b'-' - 1);
    (b'A' + value + lower).wrapping_sub(number).wrapping_sub(dash).wrapping_add(underscore)
}

/// Fills `out` exactly. Bits beyond the last byte must be zero, so that a token has one spelling.
fn decode(token: &[u8], out: &mut [u8]) -> bool {
    if token.len() != encoded(out.len()) {
        return false;
    }
    let (fours, last) = token.as_chunks::<4>();
    let (threes, rest) = out.as_chunks_mut::<3>();
    let mut seen = 0;
    for (four, three) in fours.iter().zip(threes) {
        let [_, bytes @ ..] = value(*four, &mut seen).to_be_bytes();
        *three = bytes;
    }
    let mut beyond = 0;
    if !rest.is_empty() {
        let mut four = [ALPHABET[0]; 4];
        four[..last.len()].copy_from_slice(last);
        let value = value(four, &mut seen);
        rest.copy_from_slice(&value.to_be_bytes()[1..=rest.len()]);
        beyond = value & (0x00ff_ffff >> (8 * rest.len()));
    }
    seen < 64 && beyond == 0
}

/// The 24 bits of four digits; `seen` collects the bits of their values, above 63 if one of them is no digit.
#[inline]
fn value(four: [u8; 4], seen: &mut u8) -> u32 {
    four.iter().fold(0, |value, digit| {
        let bits = VALUES[*digit as usize];
        *seen |= bits;
        value << 6 | u32::from(bits & 63)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn claims() -> impl Strategy<Value = Claim> {
        let one = (any::<u64>(), any::<u64>(), any::<i64>(), any::<u64>(), any::<u64>());
        let other = (any::<[u8; 16]>(), any::<u32>(), any::<u32>(), any::<u16>());
        (one, other).prop_map(|((reservation, lease, price, expires, user), (bid, campaign, incarnation, node))| {
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
            }
        })
    }

    fn kinds() -> impl Strategy<Value = NoticeKind> {
        prop::sample::select(NoticeKind::ALL.to_vec())
    }

    fn signer() -> Signer {
        Signer::new(1, &[7; 32])
    }

    fn target(signer: &Signer, kind: NoticeKind, claim: &Claim) -> Vec<u8> {
        let mut out = [0; 256];
        let length = signer.sign(claim).write(kind, b"http://a.b:1", &mut out).unwrap();
        assert!(length <= url_bytes(12));
        out[12..length].to_vec()
    }

    fn filled(target: &[u8], price: &str) -> Vec<u8> {
        String::from_utf8(target.to_vec()).unwrap().replace("${AUCTION_PRICE}", price).into_bytes()
    }

    proptest! {
        #[test]
        fn what_was_signed_comes_back(claim in claims(), kind in kinds(), more in "[a-z]{0,3}=[^#]{0,9}") {
            let signer = signer();
            let mut target = filled(&target(&signer, kind, &claim), "1.25");
            target.extend_from_slice(format!("&{more}").as_bytes());
            let price = NoticePrice::Cpm(CpmMicros(1_250_000));
            prop_assert_eq!(signer.verify(&target), Verified::Claim { kind, price, claim });
        }

        #[test]
        fn any_other_byte_in_the_signed_part_is_refused(claim in claims(), kind in kinds(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let signer = signer();
            let mut target = target(&signer, kind, &claim);
            let at = at.index(target.len() - QUERY.len());
            prop_assume!(target[at] != byte);
            target[at] = byte;
            let refused = matches!(signer.verify(&target), Verified::Forged | Verified::Malformed);
            prop_assert!(refused);
        }

        #[test]
        fn no_kind_passes_for_another(claim in claims(), kind in kinds(), other in kinds()) {
            prop_assume!(kind != other);
            let signer = signer();
            let target = String::from_utf8(target(&signer, kind, &claim)).unwrap();
            let moved = target.replace(kind.label(), other.label());
            // Also with the tag cut or filled to the length of the other kind's.
            let (path, query) = moved.split_once('?').unwrap();
            let mut path = path.to_owned();
            let wanted = PATH.len() + other.label().len() + 1 + encoded(SIGNED + other.tag().len());
            while path.len() < wanted { path.push('A'); }
            path.truncate(wanted);
            for target in [moved.clone(), format!("{path}?{query}")] {
                let refused = matches!(signer.verify(target.as_bytes()), Verified::Forged | Verified::Malformed);
                prop_assert!(refused);
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
        for kind in NoticeKind::ALL {
            let claim = pack_sample();
            let mut bytes = [0; SIGNED + TAG];
            let target = target(&signer, kind, &claim);
            let token = &target[PATH.len() + kind.label().len() + 1..target.len() - QUERY.len()];
            let length = SIGNED + kind.tag().len();
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

    fn pack_sample() -> Claim {
        unpack(&std::array::from_fn(|at| at as u8)).unwrap()
    }

    #[test]
    fn a_replaced_key_is_accepted_until_it_is_dropped() {
        let old = signer();
        let mut new = Signer::new(2, &[9; 32]);
        let target = target(&old, NoticeKind::Bill, &pack_sample());
        assert_eq!(new.verify(&target), Verified::Forged);
        new.accept(1, &[7; 32]);
        assert!(matches!(new.verify(&target), Verified::Claim { .. }));
    }

    #[test]
    fn a_buffer_too_short_is_refused_and_the_exact_one_taken() {
        let signed = signer().sign(&pack_sample());
        let mut out = [0; url_bytes(12)];
        let length = signed.write(NoticeKind::Bill, b"http://a.b:1", &mut out).unwrap();
        assert_eq!(length, url_bytes(12));
        for short in 0..length {
            assert_eq!(signed.write(NoticeKind::Bill, b"http://a.b:1", &mut out[..short]), None);
        }
    }

    /// RFC 4231 section 4.3 (test case 2) and 4.2 (test case 1).
    #[test]
    fn hmac_is_the_published_one() {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = Hmac::<Sha256>::new_from_slice(b"Jefe").unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex(&mac(&key, b"what do ya want for nothing?")), expected);
        let key = Hmac::<Sha256>::new_from_slice(&[0x0b; 20]).unwrap();
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex(&mac(&key, b"Hi There")), expected);
    }

    /// RFC 4648 section 10, in the URL-safe alphabet without padding.
    #[test]
    fn base64url_is_the_published_one() {
        for (bytes, text) in [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("fooba", "Zm9vYmE")] {
            let mut out = vec![0; encoded(bytes.len())];
            encode(bytes.as_bytes(), &mut out);
            assert_eq!(out, text.as_bytes());
            let mut back = vec![0; bytes.len()];
            assert!(decode(text.as_bytes(), &mut back));
            assert_eq!(back, bytes.as_bytes());
        }
        assert!(!decode(b"Zh", &mut [0]), "bits beyond the last byte");
    }
}
