//! One auction comes through several exchanges: who bids on each copy bids against himself.

use std::fmt;
use std::time::Duration;

use crate::lab::drill::{Bidder, Drill, Halt, Prometheus, Serve, Stage, campaign, http, request};
use crate::topology::Topology;

pub(super) const DRILL: Drill = Drill {
    name: "duplicate-auctions",
    about: "the same auctions come through three exchanges: each is bid on once, copies are counted",
    run,
};

const EXCHANGES: [&str; 3] = ["generic", "second", "third"];
const AUCTIONS: usize = 200;
/// How long a copy is remembered, ms.
const WINDOW_MS: u64 = 2000;
/// Windows waited for at most.
const TRIES: u32 = 5;

fn run(stage: &mut Stage) -> Result<(), Halt> {
    // Without the guard first: the fault must be seen to be one.
    let open = bidder(stage, "open", "")?;
    let seen = offer(&open, "open", 20)?;
    stage.check("without `edge.duplicates_ms` copies are bid on", seen.twice > 10, &seen);
    drop(open);

    let guarded = bidder(stage, "guarded", &format!("[edge]\nduplicates_ms = {WINDOW_MS}\n"))?;
    let prometheus = Prometheus::watch(stage, &[guarded.admin])?;
    let seen = offer(&guarded, "a", AUCTIONS)?;
    let copies = seen.copies;
    stage.check("no auction is bid on twice", seen.twice == 0 && seen.bids * 10 >= AUCTIONS * 9, &seen);
    // What a busy machine sheds is no copy: then another path is the first.
    let expected = (seen.bids * (EXCHANGES.len() - 1)).saturating_sub(seen.others);
    stage.check("copies are answered 204 `duplicate`", copies >= expected, format_args!("{copies} of {expected}"));
    let metrics = guarded.metrics()?;
    let counted = metrics.with("corebid_nobid_total", "reason=\"duplicate\"");
    stage.check("copies are counted", counted as usize == copies, format_args!("corebid_nobid_total {counted}"));

    prometheus.fires(stage, "CorebidDuplicateAuctions")?;

    let mut tries = 0;
    let again = loop {
        stage.pause(Duration::from_millis(WINDOW_MS + 100))?;
        let again = guarded.ask(&auction("a", 0))?;
        tries += 1;
        // What a busy machine comes to too late was not looked at, or was withdrawn, and waits for another window.
        if again.status == 200 || again.reason() == "duplicate" || tries == TRIES {
            break again;
        }
    };
    let seen = format!("{} {}, after {tries} windows", again.status, again.reason());
    stage.check("after the window the same user is no copy", again.status == 200, seen);
    prometheus.clears(stage, "CorebidDuplicateAuctions")?;
    guarded.stop(stage)
}

/// One bid core, so that every copy reaches the core that bid on the first.
fn bidder(stage: &Stage, name: &str, more: &str) -> Result<Bidder, Halt> {
    let core = Topology::allowed().first().copied().unwrap_or(0);
    let others: String =
        EXCHANGES[1..].iter().map(|name| format!("[[exchange]]\nname = \"{name}\"\nseat = \"seat-1\"\n")).collect();
    let config = stage.files().configure(name, &format!("cores = [{core}]"), more, &campaign(1, 1000, "2.00", ""))?;
    let text = std::fs::read_to_string(&config)? + &others;
    std::fs::write(&config, text)?;
    Serve::new(name, &config).start(stage)
}

/// What came of auctions.
#[derive(Default)]
struct Seen {
    auctions: usize,
    bids: usize,
    /// Auctions with more than one bid.
    twice: usize,
    /// Answers `duplicate`.
    copies: usize,
    /// Answers without a bid for another reason.
    others: usize,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Seen { auctions, bids, twice, .. } = self;
        write!(f, "{bids} bids on {auctions} auctions, {twice} of them bid on more than once")
    }
}

/// Offers auctions through every exchange, each beginning with another.
fn offer(bidder: &Bidder, name: &str, auctions: usize) -> Result<Seen, Halt> {
    let mut seen = Seen { auctions, ..Seen::default() };
    for number in 0..auctions {
        let mut bids = 0;
        for path in 0..EXCHANGES.len() {
            let exchange = EXCHANGES[(number + path) % EXCHANGES.len()];
            let answer = http::post(bidder.address, &format!("/openrtb/{exchange}"), &auction(name, number))?;
            match (answer.status, answer.reason()) {
                (200, _) => bids += 1,
                (_, "duplicate") => seen.copies += 1,
                _ => seen.others += 1,
            }
        }
        seen.bids += bids;
        seen.twice += usize::from(bids > 1);
    }
    Ok(seen)
}

/// Each auction is about another user.
fn auction(name: &str, number: usize) -> String {
    let device = format!("\"device\":{{\"ifa\":\"{name}-{number}\",");
    request(&format!("{name}-{number}"), "").replace("\"device\":{", &device)
}
