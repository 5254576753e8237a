//! Which requests are turned away, by which filter; and that the lists are read again when their files change.

use corebid::bid::{Ask, Outcome};
use corebid::config::Config;
use corebid::lab::bench::Bench;
use corebid::secrets::Key;
use corebid::snapshot::data::{Data, Source};
use corebid::wire::openrtb::nobid::NoBidReason::{self, *};

use crate::support::process::Bidder;
use crate::support::{Folder, campaign, eventually, request};

const BIDS: Option<NoBidReason> = None;

/// A folder with every list, and a configuration with every filter but `more`, which ends `[edge]`; `exchange` ends that of
/// the exchange.
fn configure(folder: &Folder, more: &str, exchange: &str) -> String {
    folder.write("domains.txt", "# ours\nbad.example\nworse.example.com # with all below\n");
    folder.write("bundles.txt", "com.bad.app\n1234567890\n");
    folder.write("bots.txt", "Googlebot\nbot|cubot\n");
    folder.write("centers.txt", "192.0.2.0/24\n2001:db8::/32\n");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let text = std::fs::read_to_string(&config).unwrap() + exchange;
    let edge = format!(
        "[edge]\nblocked_domains = \"domains.txt\"\nblocked_bundles = \"bundles.txt\"\nbots = \"bots.txt\"\n\
         data_centers = \"centers.txt\"\n{more}\n"
    );
    std::fs::write(&config, edge + &text).unwrap();
    config
}

/// Decides a request as the configuration says.
fn outcomes(config: &str) -> impl FnMut(&str) -> Option<NoBidReason> + use<> {
    let config = Config::load(config.as_ref()).unwrap();
    let data = Data::load(Source::files(&config), &Key([0; 32])).unwrap();
    let mut bench = Bench::new(&config, &data).unwrap();
    move |body| {
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        let ask = Ask { exchange: b"generic", body: body.as_bytes(), arrived: bench.now().boot };
        match bench.handle(ask) {
            Outcome::Bid { .. } => None,
            Outcome::NoBid(reason) => Some(reason),
            Outcome::Broken | Outcome::Parked(_) => panic!("broken: {body}"),
        }
    }
}

/// A request with these members of `site`, `app` or the like, and of `device`.
fn body(channel: &str, device: &str) -> String {
    format!(
        "{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}}}}],{channel},\"device\":{{{device}}}}}"
    )
}

#[test]
fn each_request_ends_as_it_should() {
    let folder = Folder::new("filters");
    let edge = "countries = { exclude = [\"PRK\"] }\nformats = [\"banner\"]";
    let mut outcome = outcomes(&configure(&folder, edge, "countries = { exclude = [\"CUB\"] }\n"));
    let site = |domain: &str| body(&format!("\"site\":{{\"domain\":\"{domain}\"}}"), "");
    let page = |page: &str| body(&format!("\"site\":{{\"page\":\"{page}\"}}"), "");
    let app = |bundle: &str| body(&format!("\"app\":{{\"bundle\":\"{bundle}\"}}"), "");
    let device = |device: &str| body("\"site\":{\"domain\":\"good.example\"}", device);
    let ip = |ip: &str| device(&format!("\"ip\":\"{ip}\""));
    let ua = |ua: &str| device(&format!("\"ua\":\"{ua}\""));
    let country = |country: &str| device(&format!("\"geo\":{{\"country\":\"{country}\"}}"));
    for (request, wanted) in [
        (site("good.example"), BIDS),
        (site("bad.example"), Some(Blocklisted)),
        (site("www.BAD.example"), Some(Blocklisted)),
        (site("notbad.example"), BIDS),
        (site("example.com"), BIDS),
        (site("a.worse.example.com"), Some(Blocklisted)),
        (page("https://user@www.bad.example:8443/x?y"), Some(Blocklisted)),
        (page("https:\\/\\/bad.example\\/"), Some(Blocklisted)),
        (page("https://good.example/bad.example"), BIDS),
        (app("com.bad.app"), Some(Blocklisted)),
        (app("1234567890"), Some(Blocklisted)),
        (app("com.bad.app2"), BIDS),
        // A bundle is not a domain, nor the other way round.
        (app("bad.example"), BIDS),
        (site("com.bad.app"), BIDS),
        (body("\"site\":{}", ""), BIDS),
        (ip("192.0.2.77"), Some(DataCenter)),
        (ip("192.0.3.77"), BIDS),
        (ip("192.0.2"), BIDS),
        (ip("2001:db8::5"), Some(DataCenter)),
        (device("\"ip\":\"192.0.3.1\",\"ipv6\":\"2001:db8:1::\""), Some(DataCenter)),
        (device("\"ip\":null"), BIDS),
        (ua("Mozilla/5.0 (compatible; googleBOT/2.1)"), Some(KnownBot)),
        (ua("Mozilla\\/5.0 (compatible; \\u0047ooglebot)"), Some(KnownBot)),
        (ua("Mozilla/5.0 (Linux; CUBOT NOTE)"), BIDS),
        (ua(&("x".repeat(5000) + "bot")), Some(KnownBot)),
        (country("PRK"), Some(GeoFilter)),
        (country("cub"), Some(GeoFilter)),
        (country("USA"), BIDS),
        (body("\"site\":{},\"user\":{\"geo\":{\"country\":\"PRK\"}}", ""), Some(GeoFilter)),
        // The terms come first, then where it is, then what it wants.
        (site("bad.example").replace("\"id\":\"r\"", "\"id\":\"r\",\"cur\":[\"EUR\"]"), Some(Currency)),
        (site("bad.example").replace("300", "301"), Some(Blocklisted)),
        (site("good.example").replace("300", "301"), Some(NoMatch)),
        (site("good.example").replace("banner", "video"), Some(Format)),
    ] {
        assert_eq!(outcome(&request), wanted, "{request}");
    }
}

#[test]
fn what_is_included_excludes_the_rest() {
    let folder = Folder::new("include");
    let exchange = "countries = { include = [\"USA\"] }\nformats = [\"video\", \"native\"]\n";
    let mut outcome = outcomes(&configure(&folder, "", exchange));
    let country = |country: &str| body("\"site\":{}", &format!("\"geo\":{{\"country\":\"{country}\"}}"));
    assert_eq!(outcome(&country("FRA")), Some(GeoFilter));
    assert_eq!(outcome(&country("")), Some(GeoFilter));
    // Past the filter, and a banner is as good as none.
    assert_eq!(outcome(&country("USA")), Some(Format));
}

#[test]
fn lists_are_read_again_and_a_mistake_keeps_the_old_ones() {
    let folder = Folder::new("lists");
    let bidder = Bidder::start(&["--config", &configure(&folder, "", "")]);
    let mut client = bidder.client();
    let mut reason = || {
        let answer = client.debug(&request("r", ""));
        answer.reason().map(str::to_owned)
    };
    assert_eq!(reason(), None);
    folder.write("domains.txt", "news.example\n");
    eventually("the new list", || (reason().as_deref() == Some("blocklisted")).then_some(()));
    folder.write("domains.txt", "good.example\n\nhttp://wrong/\n");
    let said = format!("{}:3:", folder.text("domains.txt"));
    eventually("the mistake in the log", || bidder.log().contains(&said).then_some(()));
    assert_eq!(reason().as_deref(), Some("blocklisted"));
    folder.write("domains.txt", "other.example\n");
    eventually("the corrected list", || reason().is_none().then_some(()));
    bidder.stop();
    for (file, text) in [("domains.txt", "a b\n"), ("bots.txt", "# x\n\nab\n"), ("centers.txt", "10.0.0.0/8\nten\n")] {
        let config = configure(&folder, "", "");
        folder.write(file, text);
        let refused = Bidder::try_start(&["--config", &config]).unwrap_err();
        let line = text.lines().count();
        assert_eq!(refused.code, Some(1));
        assert!(refused.stderr.contains(&format!("{file}:{line}:")), "{}", refused.stderr);
    }
}
