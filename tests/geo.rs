//! Places by IP address: against the reader of the file's own makers, and without allocation.

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::snapshot::geo::{Geo, Place};
use maxminddb::{Reader, WithinOptions, geoip2};
use support::{Folder, campaign};

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

thread_local! {
    /// Allocations of this thread.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator as it is; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/GeoIP2-City-Test.mmdb")
}

/// Two letters of a country in the file, and its three.
const COUNTRIES: &str = "AR ARG AU AUS BT BTN BR BRA CA CAN CH CHE CN CHN DE DEU ES ESP FR FRA GB GBR IT ITA JP JPN KR KOR \
    MX MEX NG NGA PH PHL RU RUS SE SWE US USA";

#[track_caller]
fn agrees(reader: &Reader<Vec<u8>>, geo: &Geo, ip: IpAddr) -> bool {
    let city: Option<geoip2::City<'_>> = reader.lookup(ip).unwrap().decode().unwrap();
    let found = geo.find(ip.to_string().as_bytes());
    let (Some(city), Some(found)) = (&city, found) else {
        assert_eq!(city.is_some(), found.is_some(), "{ip}");
        return false;
    };
    if let Some(alpha2) = city.country.iso_code {
        let alpha3 = found.country.expect(alpha2);
        if let Some(known) = COUNTRIES.split_ascii_whitespace().collect::<Vec<_>>().chunks(2).find(|c| c[0] == alpha2) {
            assert_eq!(alpha3, known[1].as_bytes(), "{ip}");
        }
    } else {
        assert_eq!(found.country, None, "{ip}");
    }
    assert_eq!(found.region, city.subdivisions.first().and_then(|first| first.iso_code).unwrap_or(""), "{ip}");
    assert_eq!(found.city, city.city.names.english.unwrap_or(""), "{ip}");
    assert_eq!(found.zip, city.postal.code.unwrap_or(""), "{ip}");
    match (city.location.latitude, city.location.longitude, found.point) {
        (Some(lat), Some(lon), Some(point)) => {
            assert!((f64::from(point.lat) / 1e6 - lat).abs() < 1e-6, "{ip}");
            assert!((f64::from(point.lon) / 1e6 - lon).abs() < 1e-6, "{ip}");
        }
        (lat, lon, point) => assert!(point.is_none() && (lat.is_none() || lon.is_none()), "{ip}"),
    }
    true
}

/// The address `by` steps on, if there is one.
fn step(ip: IpAddr, by: i32) -> Option<IpAddr> {
    Some(match ip {
        IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().checked_add_signed(by)?.into()),
        IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().checked_add_signed(by.into())?.into()),
    })
}

/// Whether the maker's reader answers an IPv6 address from the IPv4 part of the tree: 6to4, Teredo, compatible addresses.
/// They are not of this age, and are nowhere for us.
fn is_alias(ip: IpAddr) -> bool {
    let IpAddr::V6(ip) = ip else { return false };
    let bits = ip.to_bits();
    bits >> 96 == 0 || bits >> 112 == 0x2002 || bits >> 96 == 0x2001_0000
}

#[test]
fn every_network_of_a_file_is_where_its_makers_say() {
    let (reader, geo) = (Reader::open_readfile(fixture()).unwrap(), Geo::load(&fixture()).unwrap());
    let (mut asked, mut placed, mut cities) = (0, 0, 0);
    for network in reader.networks(WithinOptions::default().include_networks_without_data()).unwrap() {
        let network = network.unwrap().network().unwrap();
        let (first, last) = (network.network(), network.broadcast());
        for ip in [Some(first), Some(last), step(first, -1), step(first, 1), step(last, 1)].into_iter().flatten() {
            if !is_alias(ip) {
                asked += 1;
                placed += u32::from(agrees(&reader, &geo, ip));
                cities += u32::from(geo.at(ip).is_some_and(|place| !place.city.is_empty()));
            }
        }
    }
    assert!(asked > 3000 && placed > 500 && cities > 50, "{asked} asked, {placed} placed, {cities} in a city");
}

#[test]
fn an_address_is_read_as_exchanges_write_it() {
    let geo = Geo::load(&fixture()).unwrap();
    let london = geo.find(b"81.2.69.142").unwrap();
    let expected = (Some(*b"GBR"), "ENG", "London");
    assert_eq!((london.country, london.region, london.city), expected);
    assert_eq!(geo.find(b"::ffff:81.2.69.142"), Some(london));
    assert_eq!(geo.find(b"::ffff:5102:458e"), Some(london));
    // The last byte taken off.
    let boxford = geo.find(b"2.2.3.77").unwrap();
    assert_eq!((boxford.city, geo.find(b"2.2.3.0")), ("Boxford", Some(boxford)));
    let whole = geo.find(b"2001:218:1:2:3:4:5:6").unwrap();
    assert_eq!((whole.country, geo.find(b"2001:218:1:2::")), (Some(*b"JPN"), Some(whole)));
    for nowhere in
        ["127.0.0.1", "10.0.0.1", "::1", "", "81.2.69", "81.2.69.142:80", "81.2.69.xxx", " 81.2.69.142", "fe80::1%eth0"]
    {
        assert_eq!(geo.find(nowhere.as_bytes()), None, "{nowhere}");
    }
    assert_eq!(geo.find(b"\xff\xfe"), None);
}

#[test]
fn a_lookup_allocates_nothing() {
    let geo = Geo::load(&fixture()).unwrap();
    let allocations = |run: &dyn Fn()| {
        let before = ALLOCATIONS.with(Cell::get);
        run();
        ALLOCATIONS.with(Cell::get) - before
    };
    assert_eq!(allocations(&|| drop(std::hint::black_box(Box::new(1)))), 1);
    let texts: Vec<String> = (0..=u16::MAX)
        .map(|high| Ipv4Addr::from_bits(u32::from(high) << 16 | 0x458e).to_string())
        .chain(["81.2.69.142", "2001:218:1::", "::ffff:81.2.69.142", "not an address", ""].map(String::from))
        .collect();
    let lookups = allocations(&|| {
        for text in &texts {
            std::hint::black_box(geo.find(text.as_bytes()));
        }
    });
    assert_eq!(lookups, 0);
}

#[test]
fn a_damaged_file_is_refused_or_read_and_never_a_panic() {
    let folder = Folder::new("geo-damaged");
    let whole = fs::read(fixture()).unwrap();
    let load = |bytes: &[u8]| Geo::load(&folder.write("geo.mmdb", bytes));
    assert!(load(&whole).is_ok());
    let wrong = load(b"").unwrap_err().to_string();
    assert!(wrong.contains("geo.mmdb: not a whole MaxMind DB"), "{wrong}");
    for length in (0..whole.len()).step_by(509) {
        assert!(load(&whole[..length]).is_err(), "{length} bytes");
    }
    let mut refused = 0;
    for at in (0..whole.len()).step_by(61) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        match load(&bytes) {
            Err(_) => refused += 1,
            Ok(geo) => drop(geo.find(b"81.2.69.142")),
        }
    }
    assert!(refused > 10, "{refused}");
    let kind = b"GeoIP2-City";
    let at = whole.windows(kind.len()).rposition(|word| word == kind).unwrap();
    let mut other = whole.clone();
    other[at..at + kind.len()].copy_from_slice(b"GeoIP2-Isps");
    let wrong = load(&other).unwrap_err().to_string();
    assert!(wrong.contains("City, Country or Enterprise is needed"), "{wrong}");
    assert!(Geo::load(&folder.path("none.mmdb")).unwrap_err().to_string().contains("cannot be read"));
}

#[test]
fn a_mistake_in_a_new_file_leaves_the_old_places_and_rates() {
    let folder = Folder::new("geo-reload");
    let rates = |eur: &str| format!("base = \"USD\"\nas_of = 2026-01-02T16:00:00Z\n[rates]\nEUR = {eur}\n");
    let source = |folder: &Folder| {
        let mut source = Source::Files {
            campaigns: folder.write("campaigns.toml", campaign(1, "")),
            profiles: None,
            model: None,
            scoring: Default::default(),
            rates: Default::default(),
            geo: Some(folder.write("geo.mmdb", fs::read(fixture()).unwrap())),
            edge: Default::default(),
            privacy: Default::default(),
            supply: Default::default(),
        };
        let Source::Files { rates: origin, .. } = &mut source else { unreachable!() };
        origin.file = Some(folder.write("rates.toml", rates("1.1")));
        origin.max_age_hours = u32::MAX;
        source
    };
    let mut data = Data::load(source(&folder), &Key([0; 32])).unwrap();
    let now = corebid::clock::wall();
    let state = |data: &Data| {
        let snapshot = data.snapshot();
        let place = snapshot.place(b"81.2.69.142").map(|Place { country, .. }| country);
        (snapshot.version, place.flatten(), snapshot.rates.to_account(b"EUR", now).map(|rate| rate.0))
    };
    let gbr = Some(*b"GBR");
    assert_eq!(state(&data), (1, gbr, Ok(1_100_000_000)));
    let watched: Vec<_> = data.source.watched().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(watched, ["campaigns.toml", "rates.toml", "geo.mmdb"]);

    folder.write("rates.toml", rates("1.2"));
    let reload = |data: &mut Data| data.reload().kept.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(reload(&mut data), [""; 0]);
    assert_eq!(state(&data), (2, gbr, Ok(1_200_000_000)));
    folder.write("geo.mmdb", "no database");
    folder.write("rates.toml", rates("1.3"));
    let kept = reload(&mut data);
    assert!(kept.len() == 1 && kept[0].contains("geo.mmdb") && kept[0].ends_with("the old places keep serving"));
    assert_eq!(state(&data), (3, gbr, Ok(1_300_000_000)), "the rates are not held up");
    fs::remove_file(folder.path("geo.mmdb")).unwrap();
    assert!(reload(&mut data)[0].contains("geo.mmdb"));
    folder.write("geo.mmdb", fs::read(fixture()).unwrap());
    folder.write("rates.toml", rates("minus one"));
    let kept = reload(&mut data);
    assert!(kept.len() == 1 && kept[0].contains("rates.toml:4") && kept[0].ends_with("the old rates keep serving"));
    assert_eq!(state(&data), (5, gbr, Ok(1_300_000_000)));
    folder.write("rates.toml", rates("1.4"));
    assert_eq!(reload(&mut data), [""; 0]);
    assert_eq!(state(&data), (6, gbr, Ok(1_400_000_000)));

    folder.write("geo.mmdb", "no database");
    let damaged = Source::Files {
        campaigns: folder.path("campaigns.toml"),
        profiles: None,
        model: None,
        scoring: Default::default(),
        rates: Default::default(),
        geo: Some(folder.path("geo.mmdb")),
        edge: Default::default(),
        privacy: Default::default(),
        supply: Default::default(),
    };
    assert!(Data::load(damaged, &Key([0; 32])).is_err());
}
