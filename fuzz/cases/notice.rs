//! Notice URLs: one claim was ever signed, so no other may be believed, and that one in one spelling only. And an input is a claim, which
//! comes back as it was signed.

use std::sync::LazyLock;

use corebid::ring::message::{Agreed, Claim, NoticeKind, NoticePrice};
use corebid::units::{
    ArmId, BidId, CampaignId, CpmMicros, ExchangeKey, Incarnation, LeaseId, Multiplier, NodeId, PathKey, Rate,
    ReservationId, Terms, UnixMillis, UserKey,
};
use corebid::wire::notice::{Signer, Verified, url_bytes};
use corebid::wire::price::{Reading, Scheme, multiplier};
use corebid::wire::price_cipher::PriceCipher;

#[path = "support/recipe.rs"]
mod recipe;

const SIGNED: Claim = Claim {
    reservation: ReservationId(0x0102_0304_0506_0708),
    lease: LeaseId(9),
    price: CpmMicros(2_500_000),
    expires: UnixMillis(1_800_000_000_000),
    user: UserKey(10),
    bid: BidId([11; 16]),
    campaign: CampaignId(12),
    incarnation: Incarnation(13),
    node: NodeId(14),
    exchange: ExchangeKey(15),
    agreed: Agreed::ENCRYPTED,
    creative: 3,
    terms: Terms { rate: Rate(1_100_000_000), multiplier: Multiplier(30_300_000) },
};

const PATH: PathKey = PathKey([16; 6]);
const ARM: ArmId = ArmId(5);

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(1, &[7; 32]));

static READINGS: LazyLock<[Reading; 3]> = LazyLock::new(|| {
    [Reading::Plain, Reading::Encrypted(Scheme::Google, PriceCipher::new(&[1; 32], &[2; 32])), Reading::Blind]
});

/// Writes the URL of any kind; its length.
fn write(
    signer: &Signer,
    kind: NoticeKind,
    claim: &Claim,
    path: PathKey,
    arm: ArmId,
    price: Scheme,
    out: &mut [u8],
) -> usize {
    let written = match NoticeKind::OUTCOMES.contains(&kind) {
        true => signer.sign_outcomes(claim, path, arm).write(kind, b"", out),
        false => signer.sign(claim, path, arm).write(kind, b"", price, out),
    };
    written.expect("room for a URL")
}

/// The path that was signed for a kind, without the query.
fn genuine(kind: NoticeKind) -> Vec<u8> {
    let mut out = [0; url_bytes(0)];
    let length = write(&SIGNER, kind, &SIGNED, PATH, ARM, Scheme::Google, &mut out);
    out[..length].split(|byte| *byte == b'?').next().unwrap_or_default().to_vec()
}

static GENUINE: LazyLock<[Vec<u8>; NoticeKind::ALL.len()]> = LazyLock::new(|| NoticeKind::ALL.map(genuine));

fn verify(target: &[u8]) {
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    match SIGNER.verify(target) {
        Verified::Claim { kind, claim, path: supply, arm, query } => {
            assert_eq!((claim, supply, arm), (SIGNED, PATH, ARM));
            assert!(multiplier(query, claim.terms.multiplier) <= claim.terms.multiplier);
            for reading in &*READINGS {
                if let NoticePrice::Cpm(price) = reading.price(query) {
                    assert!(price >= CpmMicros(0) && !matches!(reading, Reading::Blind));
                }
            }
            assert_eq!(path, genuine(kind));
        }
        Verified::Forged | Verified::Malformed => assert!(!GENUINE.iter().any(|genuine| genuine == path)),
    }
}

/// Checks one input: as a target, as a token, and as changes to what was signed, two bytes each.
pub(crate) fn check(input: &[u8]) {
    signed(input);
    verify(input);
    for (kind, genuine) in NoticeKind::ALL.into_iter().zip(&*GENUINE) {
        verify(&[format!("/notice/{}/", kind.label()).as_bytes(), input].concat());
        let mut changed = genuine.clone();
        for change in input.chunks_exact(2) {
            let at = usize::from(change[0]) % changed.len();
            changed[at] = change[1];
        }
        verify(&changed);
        verify(&[genuine, b"?".as_slice(), input].concat());
    }
}

/// Any claim that a bid can make comes back.
fn signed(input: &[u8]) {
    let mut recipe = recipe::Recipe(input);
    let plain = recipe.u8() & 1 == 1;
    let terms = Terms { rate: Rate(recipe.u64()), multiplier: Multiplier(recipe.u64() >> 8) };
    let claim = Claim {
        reservation: ReservationId(recipe.u64()),
        lease: LeaseId(recipe.u64()),
        price: CpmMicros(recipe.u64().cast_signed()),
        expires: UnixMillis(recipe.u64() >> 16),
        user: UserKey(recipe.u64()),
        bid: BidId(std::array::from_fn(|_| recipe.u8())),
        campaign: CampaignId(recipe.u32()),
        incarnation: Incarnation(recipe.u32()),
        node: NodeId(recipe.u16()),
        exchange: ExchangeKey(recipe.u32()),
        agreed: Agreed(recipe.u8() & Agreed::ALL.0),
        creative: recipe.u8(),
        terms: if plain { Terms::PLAIN } else { terms },
    };
    if claim.terms.checked_money(claim.price).is_none() {
        return;
    }
    let path = PathKey::from_number(recipe.u64());
    let arm = ArmId(recipe.u8() % 8);
    let other = Signer::new(1, &[8; 32]);
    for kind in NoticeKind::ALL {
        let mut out = [0; url_bytes(0)];
        let length = write(&SIGNER, kind, &claim, path, arm, Scheme::Plain, &mut out);
        let expected = (kind, claim, path, arm);
        match SIGNER.verify(&out[..length]) {
            Verified::Claim { kind, claim, path, arm, .. } => assert_eq!((kind, claim, path, arm), expected),
            Verified::Forged | Verified::Malformed => panic!("{expected:?} does not come back"),
        }
        assert!(matches!(other.verify(&out[..length]), Verified::Forged), "another node's key");
    }
}
