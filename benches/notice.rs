//! What three signed notice URLs cost a bid, and one notice costs the core it arrives at.
//!
//! `cargo bench --profile quick --bench notice`

use std::hint::black_box;

use corebid::ring::message::{Agreed, Claim, NoticeKind};
use corebid::units::*;
use corebid::wire::notice::{Signer, Verified};
use corebid::wire::price::Scheme;
use corebid::wire::price_cipher::PriceCipher;
use criterion::{Criterion, criterion_group, criterion_main};

const BASE: &[u8] = b"http://127.0.0.1:8080";

fn notices(criterion: &mut Criterion) {
    let signer = Signer::new(1, &[7; 32]);
    let claim = Claim {
        reservation: ReservationId(1),
        lease: LeaseId(2),
        price: CpmMicros(2_500_000),
        expires: UnixMillis(1_800_000_000_000),
        user: UserKey(3),
        bid: BidId([4; 16]),
        campaign: CampaignId(5),
        incarnation: Incarnation(6),
        node: NodeId(7),
        exchange: ExchangeKey(8),
        agreed: Agreed::NOTHING,
        creative: 0,
        terms: Terms::PLAIN,
    };
    let mut out = [0; 1024];
    criterion
        .bench_function("notice/sign", |bench| bench.iter(|| signer.sign(black_box(&claim), PathKey::NONE, ArmId(0))));
    criterion.bench_function("notice/three_urls", |bench| {
        bench.iter(|| {
            let signed = signer.sign(black_box(&claim), PathKey::NONE, ArmId(0));
            let mut at = 0;
            for kind in NoticeKind::OF_EXCHANGE {
                at += signed.write(kind, BASE, Scheme::Plain, &mut out[at..]).unwrap_or(0);
            }
            black_box(at)
        });
    });
    let length = signer
        .sign(&claim, PathKey::NONE, ArmId(0))
        .write(NoticeKind::Bill, BASE, Scheme::Plain, &mut out)
        .unwrap_or(0);
    let target = String::from_utf8_lossy(&out[BASE.len()..length]).replace("${AUCTION_PRICE}", "1.25");
    assert!(matches!(signer.verify(target.as_bytes()), Verified::Claim { .. }));
    criterion.bench_function("notice/verify", |bench| bench.iter(|| signer.verify(black_box(target.as_bytes()))));

    let cipher = PriceCipher::new(&[1; 32], &[2; 32]);
    let price = cipher.encrypt(&[3; 16], 1_250_000);
    assert_eq!(cipher.decrypt(&price), Ok(1_250_000));
    criterion.bench_function("notice/decrypt_price", |bench| bench.iter(|| cipher.decrypt(black_box(&price))));
}

criterion_group!(benches, notices);
criterion_main!(benches);
