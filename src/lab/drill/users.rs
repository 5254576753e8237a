//! Load by users whom nobody knows yet, so that each request asks the store of profiles: for the drills of that store.

use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::lab::drill::stores::{Store, dynamodb_section, make_tables};
use crate::lab::drill::{Background, Bidder, Halt, Serve, Stage, campaign, request};
use crate::lab::load;

/// Requests a second: few, so that a machine that runs the stores too keeps up.
const RATE: u64 = 200;
/// The longest drill.
const SECONDS: u64 = 240;
/// How many users have been found before a fault, and after it.
const FOUND: f64 = 200.0;
/// The breaker needs a second's worth of failures, and a failure 50 ms.
const OPENS: Duration = Duration::from_secs(10);
/// What a machine without a fault answers late when it is busy with the drill itself: one in so many.
const LATE_ONE_IN: u64 = 50;

/// A bidder with a store of profiles, and load on it.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) bidder: Bidder,
    pub(super) load: Background,
    pub(super) config: PathBuf,
}

/// What the load has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) answered: u64,
    pub(super) bids: u64,
}

impl Users {
    /// Starts both. Each request is a user's first.
    pub(super) fn ask(stage: &Stage, dynamodb: &Store) -> Result<Users, Halt> {
        stage.files().write_secret("fleet.keys", format!("7 {}\n", "5a".repeat(32)))?;
        let sections = format!(
            "{}[profiles]\nkey_file = \"fleet.keys\"\nfetch_budget_us = 5000\n",
            dynamodb_section(stage, dynamodb)?
        );
        // The second pays more, and is for a segment: it is not bid for who is not known.
        let wanting = campaign(2, 1000, "4.00", "[campaigns.targeting]\nsegments = { any = [9] }\n");
        let campaigns = campaign(1, 100_000, "2.00", "") + &wanting;
        let config = stage.files().configure("bidder", "", &sections, &campaigns)?;
        make_tables(stage, &config)?;
        let bidder = Serve::new("bidder", &config).start(stage)?;
        let bodies: Vec<String> = (0..RATE * SECONDS)
            .map(|number| request(&format!("r{number}"), &format!(",\"user\":{{\"id\":\"u{number}\"}}")))
            .collect();
        let corpus = stage.files().write("requests.ndjson", bodies.join("\n") + "\n")?;
        let load = stage.load(load::Options {
            url: bidder.url(),
            rate: RATE,
            seconds: SECONDS as f64,
            connections: 16,
            corpus: Some(corpus),
            debug: true,
            ..load::Options::default()
        })?;
        stage.saw(format_args!("{RATE} requests a second, each of another user"));
        Ok(Users { bidder, load, config })
    }
}

/// What the load has seen so far.
pub(super) fn now(load: &Background) -> Seen {
    let live = load.live();
    Seen { answered: live.answered.load(Relaxed), bids: live.bids.load(Relaxed) }
}

/// The store is asked for users, and says what it knows of them: nothing.
pub(super) fn are_found(stage: &mut Stage, bidder: &Bidder, most: Duration) -> Result<(), Halt> {
    let asked = |bidder: &Bidder| bidder.metrics().map_or(0.0, |metrics| metrics.sum("corebid_fetch_unknown_total"));
    let before = asked(bidder);
    stage.reaches("the store answers for users", most, || {
        let more = asked(bidder) - before;
        (more >= FOUND, format!("{more} users"))
    })?;
    Ok(())
}

fn breaker(bidder: &Bidder) -> f64 {
    bidder.metrics().map_or(-1.0, |metrics| metrics.sum("corebid_fetch_breaker"))
}

/// It is left alone.
pub(super) fn breaker_opens(stage: &mut Stage, bidder: &Bidder) -> Result<(), Halt> {
    stage.reaches("the breaker opens", OPENS, || {
        let state = breaker(bidder);
        (state > 1.5, format!("corebid_fetch_breaker {state}"))
    })?;
    Ok(())
}

/// It is asked again.
pub(super) fn breaker_closes(stage: &mut Stage, bidder: &Bidder, most: Duration) -> Result<(), Halt> {
    stage.reaches("the breaker closes by itself", most, || {
        let state = breaker(bidder);
        (state.abs() < 0.5, format!("corebid_fetch_breaker {state}"))
    })?;
    Ok(())
}

/// Ends the load: whatever the store did, every request was answered, and in time.
pub(super) fn settle(stage: &mut Stage, bidder: Bidder, load: Background) -> Result<(), Halt> {
    let report = load.end()?;
    stage.check(
        "every request was answered",
        report.unanswered == 0 && report.sent > 0,
        format_args!("{} of {}", report.answered, report.sent),
    );
    stage.check(
        &format!("in time: 8 ms, but for one in {LATE_ONE_IN} that this machine is late with anyway"),
        (report.answered - report.in_time) * LATE_ONE_IN <= report.answered,
        format_args!("{} of {} in time, p99 {:.0} us", report.in_time, report.answered, report.p99),
    );
    let code = bidder.stop(stage)?;
    stage.check("the bidder ends in good order", code == Some(0), format_args!("exit code {code:?}"));
    Ok(())
}
