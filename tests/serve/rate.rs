//! How a bidder stands with its exchanges: what they call invalid, and what it says of its health.

use crate::notices::Bid;
use crate::support::process::Bidder;
use crate::support::{Folder, campaign, request};

#[test]
fn answers_are_counted_by_exchange_and_so_are_those_it_calls_invalid() {
    let folder = Folder::new("rate");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let text = std::fs::read_to_string(&config).unwrap() + "[[exchange]]\nname = \"other\"\n";
    std::fs::write(&config, text).unwrap();
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    for (reason, invalid) in [("3", 1), ("102", 1), ("", 1), ("${AUCTION_LOSS}", 1), ("3", 2)] {
        let bid = Bid::get(&mut client);
        let lost = bid.target("lurl", "");
        assert_eq!(lost.matches("${AUCTION_LOSS}").count(), 1, "{lost}");
        assert_eq!(client.get(&lost.replace("${AUCTION_LOSS}", reason)).status, 200);
        assert_eq!(bidder.metric("corebid_invalid_total", "generic"), invalid, "{reason:?}");
        // A win has no reason, whatever stands there.
        assert_eq!(client.get(&(bid.target("nurl", "0.1") + "&l=3")).status, 200);
        assert_eq!(bidder.metric("corebid_invalid_total", "generic"), invalid);
    }
    for nobody in ["broken", "{}"] {
        client.ask("POST", "/openrtb/other", "", nobody.as_bytes());
    }
    client.ask("POST", "/openrtb/nobody", "", &request("r", ""));
    let asked = bidder.metric("corebid_requests_total", "");
    assert_eq!(bidder.metric("corebid_answers_total", "other"), 2);
    assert_eq!(bidder.metric("corebid_answers_total", "generic"), asked - 3);
    assert_eq!(bidder.metric("corebid_response_rate_alarm", "generic"), 0);
    bidder.stop();
}

#[test]
fn health_has_a_path_and_a_status_of_ones_choice() {
    let folder = Folder::new("health");
    let server = "health_path = \"/svc/well\"\nhealth_ok = 204";
    let bidder = Bidder::start(&["--config", &folder.configure(server, "", &campaign(1, ""))]);
    let mut client = bidder.client();
    for (path, status) in [("/svc/well", 204), ("/svc/well?from=lb", 204), ("/svc", 404), ("/health", 404)] {
        assert_eq!(client.get(path).status, status, "{path}");
    }
    bidder.stop();

    let bidder = Bidder::demo(&folder.text("data"), "epoll");
    let answer = bidder.client().get("/health");
    assert!(answer.status == 200 && answer.body.is_empty() && !answer.closes(), "{answer:?}");
    bidder.stop();
}
