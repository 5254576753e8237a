//! One auction comes through several exchanges: who bids on each copy bids against himself.

use std::time::Duration;

use crate::lab::drill::{Bidder, Drill, Halt, Serve, Stage, campaign, http, request};
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

fn run(stage: &mut Stage) -> Result<(), Halt> {
    // Without the guard first: the fault must be seen to be one.
    let open = bidder(stage, "open", "")?;
    let (bids, _) = offer(&open, "open", 20)?;
    stage.check(
        "without `edge.duplicates_ms` every copy is bid on",
        bids == 60,
        format_args!("{bids} bids on 20 auctions"),
    );
    drop(open);

    let guarded = bidder(stage, "guarded", &format!("[edge]\nduplicates_ms = {WINDOW_MS}\n"))?;
    let (bids, copies) = offer(&guarded, "a", AUCTIONS)?;
    stage.check("each auction is bid on once", bids == AUCTIONS, format_args!("{bids} bids on {AUCTIONS} auctions"));
    let expected = AUCTIONS * (EXCHANGES.len() - 1);
    stage.check("each copy is answered 204 `duplicate`", copies == expected, format_args!("{copies} of {expected}"));
    let metrics = guarded.metrics()?;
    let counted = metrics.with("corebid_nobid_total", "reason=\"duplicate\"");
    stage.check("copies are counted", counted as usize == copies, format_args!("corebid_nobid_total {counted}"));

    stage.pause(Duration::from_millis(WINDOW_MS + 100))?;
    let again = guarded.ask(&auction("a", 0))?;
    let seen = format_args!("{} {}", again.status, again.reason()).to_string();
    stage.check("after the window the same user is no copy", again.status == 200, seen);
    let code = guarded.stop(stage)?;
    stage.check("the bidder ends in good order", code == Some(0), format_args!("exit code {code:?}"));
    Ok(())
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

/// Offers auctions through every exchange, each beginning with another: how many bids, and how many answers `duplicate`.
fn offer(bidder: &Bidder, name: &str, auctions: usize) -> Result<(usize, usize), Halt> {
    let (mut bids, mut copies) = (0, 0);
    for number in 0..auctions {
        for path in 0..EXCHANGES.len() {
            let exchange = EXCHANGES[(number + path) % EXCHANGES.len()];
            let answer = http::post(bidder.address, &format!("/openrtb/{exchange}"), &auction(name, number))?;
            bids += usize::from(answer.status == 200);
            copies += usize::from(answer.reason() == "duplicate");
        }
    }
    Ok((bids, copies))
}

/// Each auction is about another user.
fn auction(name: &str, number: usize) -> String {
    let device = format!("\"device\":{{\"ifa\":\"{name}-{number}\",");
    request(&format!("{name}-{number}"), "").replace("\"device\":{", &device)
}
