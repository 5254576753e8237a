//! What a consent string costs a bid core, by how its lists of vendors are written: `cargo bench --bench consent` (decision 0015).

use std::collections::BTreeSet;
use std::hint::black_box;

use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::gpp::{Gpp, Sections};
use corebid::wire::consent::tcf::Tcf;
use criterion::{Criterion, criterion_group, criterion_main};

#[path = "../tests/consent/encoder.rs"]
#[allow(dead_code, reason = "no string here has a segment that is out of use")]
mod encoder;
use encoder::{Said, Segment, Vendors};

/// In the middle of what the strings name.
const VENDOR: VendorId = VendorId(501);

/// A string of TCF 2.3: the same vendors consented to, not objecting to, and disclosed.
fn string(ids: BTreeSet<u16>, ranges: bool, restrictions: Vec<(u8, u8, Vendors)>) -> String {
    let vendors = Vendors { ids, ranges };
    let said = Said {
        created: 17_800_000_000,
        cmp: 10,
        policy: 5,
        precise_place: true,
        consents: 0b11_1111_1111 << 14,
        interests: 0b01_0000_1011 << 14,
        purpose_one_treatment: false,
        country: [3, 4],
        vendor_consents: vendors.clone(),
        vendor_interests: vendors.clone(),
        restrictions,
        segments: vec![Segment::Disclosed(vendors), Segment::Publisher(0)],
    };
    let string = said.string();
    assert_eq!(Tcf::read(string.as_bytes(), VENDOR), Some(said.to(VENDOR)));
    string
}

/// As many entries, every third of them a range, up to about 1,000.
fn entries(count: u16) -> BTreeSet<u16> {
    let step = 1_000 / count;
    (0..count).flat_map(|n| (n * step + 1..).take(if n % 3 == 0 { 3 } else { 1 })).chain([VENDOR.0]).collect()
}

fn consent(criterion: &mut Criterion) {
    let three = || Vendors { ids: [20, 21, 22, 501].into(), ranges: true };
    let most = (1..=1_000).filter(|id| id % 7 != 0).collect();
    let cases = [
        ("bits_1000", string(most, false, Vec::new())),
        (
            "bits_1000_restricted",
            string((1..=1_000).collect(), false, vec![(2, 1, three()), (7, 0, three()), (9, 2, three())]),
        ),
        ("ranges_5", string(entries(5), true, Vec::new())),
        ("ranges_20", string(entries(20), true, Vec::new())),
        ("ranges_55", string(entries(55), true, Vec::new())),
        ("ranges_400", string((1..=400).map(|n| n * 2 - 1).collect(), true, Vec::new())),
    ];
    for (name, string) in &cases {
        let name = format!("consent/tcf/{name} ({} bytes)", string.len());
        criterion.bench_function(&name, |bench| bench.iter(|| Tcf::read(black_box(string.as_bytes()), VENDOR)));
    }

    let tcf = Tcf::read(cases[0].1.as_bytes(), VENDOR).expect("a whole string");
    criterion.bench_function("consent/permitted", |bench| {
        bench.iter(|| black_box(&Vendor::DEMO).permitted(black_box(&tcf)))
    });

    let national = "DBABLA~CFQWAAAAAACA.QA";
    let several = format!("DBACNYA~{}~1YNN", cases[0].1);
    for (name, string, applicable) in [
        ("usnat", national, Sections(1 << 7)),
        ("tcf_and_us_privacy", &several, Sections(1 << 2 | 1 << 6)),
        ("not_ours", &several, Sections(1 << 6)),
    ] {
        let name = format!("consent/gpp/{name}");
        criterion.bench_function(&name, |bench| {
            bench.iter(|| Gpp::read(black_box(string.as_bytes()), Some(applicable), VENDOR))
        });
    }
}

criterion_group!(benches, consent);
criterion_main!(benches);
