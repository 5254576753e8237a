//! Files of places: an odd first byte begins a list of changes to a good file, an even one a file. What can be read at all answers,
//! and as the reader of the file's makers does if the tree is a good one.

use std::net::IpAddr;

use corebid::snapshot::country;
use corebid::snapshot::geo::Geo;
use maxminddb::{Reader, geoip2};

#[path = "support/place.rs"]
mod place;
#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

const GOOD: &[u8] = include_bytes!("../../tests/data/GeoIP2-City-Test.mmdb");
/// Begins what a file says of itself, at its end.
const METADATA: &[u8] = b"\xab\xcd\xefMaxMind.com";
const ASKED: [&str; 8] = [
    "2.125.160.216",
    "81.2.69.142",
    "89.160.20.112",
    "216.160.83.56",
    "::",
    "2001:218::1",
    "2a02:d000::",
    "255.255.255.255",
];

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&first, rest)) = input.split_first() else { return };
    let made;
    let file = if first & 1 == 1 {
        let (mut changes, mut file) = (Recipe(rest), GOOD.to_vec());
        while !changes.is_over() {
            let at = usize::from(changes.u16()) % file.len();
            file[at] = changes.u8();
        }
        made = file;
        &made[..]
    } else {
        rest
    };
    let geo = match place::with_file("places.mmdb", file, Geo::load) {
        Ok(geo) => geo,
        Err(error) => return assert!(!error.to_string().contains('\n') && file != GOOD, "{error}"),
    };
    let reader = Reader::from_source(file).expect("it was read");
    // A tree that leads elsewhere is another tree, with networks that are two: what is said of those is anybody's guess.
    let good = Reader::from_source(GOOD).expect("a good file");
    let tree = good.metadata().node_count as usize * usize::from(good.metadata().record_size) / 4;
    let about = GOOD.windows(METADATA.len()).rposition(|some| some == METADATA).expect("a good file");
    let sound = file.len() == GOOD.len() && file[..tree] == GOOD[..tree] && file[about..] == GOOD[about..];
    for ip in ASKED.map(|ip| ip.parse::<IpAddr>().expect("an address")) {
        let found = geo.at(ip);
        if let Some(place) = found {
            let on_globe = |point: corebid::wire::openrtb::request::Point| format!("{point:?}").len() > 4;
            assert!(place.point.is_none_or(on_globe) && place.city.len() <= file.len());
        }
        if !sound {
            continue;
        }
        let Ok(told) = reader.lookup(ip).and_then(|found| found.decode::<geoip2::City<'_>>()) else { continue };
        let code =
            told.and_then(|city| city.country.iso_code).and_then(|code| <[u8; 2]>::try_from(code.as_bytes()).ok());
        // The file has capitals; what has not is no country.
        let capitals = |code: &[u8; 2]| code.iter().all(u8::is_ascii_uppercase);
        let expected = code.filter(capitals).and_then(country::alpha3_of);
        assert_eq!(found.and_then(|place| place.country), expected, "{ip}");
    }
}
