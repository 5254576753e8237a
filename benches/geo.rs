//! What a bid core pays for the world around a request: a place by IP address, a rate, the hour in a campaign's time zone.
//!
//! `cargo bench --bench geo`

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use corebid::snapshot::calendar::{Calendar, Hours};
use corebid::snapshot::geo::{Builder, Geo, Place};
use corebid::snapshot::rates::{Origin, Rates};
use corebid::units::UnixMillis;
use corebid::wire::openrtb::request::Point;
use criterion::{Criterion, criterion_group, criterion_main};
use maxminddb::{Reader, geoip2};

/// Ranges of each kind of address, as many as a City database sold today has, and places.
const RANGES: u32 = 3_000_000;
const PLACES: u32 = 300_000;
const NOW: UnixMillis = UnixMillis(1_767_355_200_000);

/// Numbers that no cache and no predictor can follow.
fn scattered(count: u32) -> impl Iterator<Item = u32> {
    let mut state = 0x9e37_79b9u32;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

/// A table of full size: IPv4 in ranges of some fourteen hundred addresses, IPv6 in /48s of 2600::/12 and 2a00::/12.
fn full() -> Geo {
    let mut builder = Builder::default();
    for at in 0..PLACES {
        let (city, zip) = (format!("City {}", at / 8), format!("{at:05}"));
        let point = Some(Point { lat: at as i32, lon: at as i32 });
        builder.place(Place { country: Some(*b"DEU"), region: "BE", city: &city, zip: &zip, point });
    }
    let width = u32::MAX / RANGES;
    for (range, place) in (0..RANGES).zip(scattered(RANGES)) {
        let first = range * width;
        let added = builder.range(
            Ipv4Addr::from_bits(first).into(),
            Ipv4Addr::from_bits(first + width - 1).into(),
            place % PLACES,
        );
        assert!(added);
    }
    for (range, place) in (0..RANGES).zip(scattered(RANGES)) {
        let first = v6(range);
        let added =
            builder.range(first.into(), Ipv6Addr::from_bits(first.to_bits() | ((1 << 80) - 1)).into(), place % PLACES);
        assert!(added);
    }
    builder.finish().unwrap()
}

fn v6(range: u32) -> Ipv6Addr {
    let half = RANGES / 2;
    let (base, at) = if range < half { (0x2600u128, range) } else { (0x2a00, range - half) };
    Ipv6Addr::from_bits(base << 112 | u128::from(at) << 85)
}

fn place(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/GeoIP2-City-Test.mmdb");
    let (small, reader) = (Geo::load(&fixture).unwrap(), Reader::open_readfile(&fixture).unwrap());
    let ip: IpAddr = "81.2.69.142".parse().unwrap();
    group.bench_function("one_address/ours", |bench| bench.iter(|| small.at(black_box(ip))));
    group.bench_function("one_address/maxminddb_tree", |bench| {
        bench.iter(|| reader.lookup(black_box(ip)).unwrap().offset())
    });
    group.bench_function("one_address/maxminddb_record", |bench| {
        bench.iter(|| reader.lookup(black_box(ip)).unwrap().decode::<geoip2::City<'_>>().unwrap());
    });
    group.bench_function("one_address/ours_from_text", |bench| bench.iter(|| small.find(black_box(b"81.2.69.142"))));
    drop((small, reader));

    let geo = full();
    let v4: Vec<IpAddr> = scattered(1 << 20).map(|at| Ipv4Addr::from_bits(at).into()).collect();
    let v6: Vec<IpAddr> = scattered(1 << 20).map(|at| v6(at % RANGES).into()).collect();
    for (name, addresses) in [("full/v4", v4), ("full/v6", v6)] {
        let mut next = addresses.iter().cycle();
        group.bench_function(name, |bench| bench.iter(|| geo.at(*next.next().unwrap())));
    }
    group.finish();
}

fn rate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rate");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rates.toml");
    let rates =
        Rates::load(&Origin { file: Some(file), max_age_hours: u32::MAX, ..Origin::default() }, corebid::clock::wall())
            .unwrap();
    for currency in [b"USD", b"EUR", b"jpy", b"XXX"] {
        let name = str::from_utf8(currency).unwrap();
        group.bench_function(name, |bench| bench.iter(|| rates.to_account(black_box(currency), NOW)));
    }
    group.finish();
}

fn hour(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hour");
    let zones = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"];
    let calendar = Calendar::of(NOW, &zones.map(str::to_owned)).unwrap();
    let mut hours = Hours::default();
    group.bench_function("kept", |bench| {
        bench.iter(|| {
            hours.refresh(&calendar, 1, black_box(NOW));
            hours.each()[black_box(3)]
        });
    });
    group
        .bench_function("worked_out_for_five_zones", |bench| bench.iter(|| calendar.hours(black_box(NOW), &mut hours)));
    group.finish();
}

criterion_group!(benches, place, rate, hour);
criterion_main!(benches);
