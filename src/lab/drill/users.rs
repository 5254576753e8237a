//! Load by users whom nobody knows yet, so that each request asks the store of profiles: for the drills of that store.

use std::path::PathBuf;
use std::time::Duration;

use crate::lab::drill::stores::{Store, dynamodb_section, make_tables};
use crate::lab::drill::{Background, Bidder, Halt, Serve, Stage, campaign, request};
use crate::lab::load;
use crate::lab::report::Report;

/// Requests a second: few, so that a machine that runs the stores too keeps up.
const RATE: u64 = 200;
/// Longer than any part of a drill.
const SECONDS: u64 = 120;
/// How many users have been found before a fault, and after it.
const FOUND: f64 = 100.0;
/// The breaker needs a second's worth of failures, and a failure 50 ms.
const OPENS: Duration = Duration::from_secs(10);
const WARM: Duration = Duration::from_secs(120);
/// By how much fewer answers may be in time under the fault, in parts of a hundred, on a machine that is busy with the drill itself.
const TOLERANCE: u64 = 5;

/// A bidder with a store of profiles.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) bidder: Bidder,
    pub(super) config: PathBuf,
}

impl Users {
    /// Starts it.
    pub(super) fn begin(stage: &Stage, dynamodb: &Store) -> Result<Users, Halt> {
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
        Ok(Users { bidder, config })
    }

    /// Load of which each request is a user's first. Each part of a drill has other users.
    pub(super) fn load(&self, stage: &Stage, part: &str) -> Result<Background, Halt> {
        let user = |number| format!(",\"user\":{{\"id\":\"{part}-{number}\"}}");
        let bodies = (0..RATE * SECONDS).map(|number| request(&format!("{part}-{number}"), &user(number)) + "\n");
        let corpus = stage.files().write(&format!("{part}.ndjson"), bodies.collect::<String>())?;
        stage.load(load::Options {
            url: self.bidder.url(),
            rate: RATE,
            seconds: SECONDS as f64,
            connections: 16,
            source: load::Source::file(corpus),
            debug: true,
            ..load::Options::default()
        })
    }

    /// What it answers while the store does: load for as long as the fault will last.
    pub(super) fn healthy(&self, stage: &mut Stage, time: Duration) -> Result<Report, Halt> {
        stage.saw(format_args!("{RATE} requests a second, each of another user"));
        let load = self.load(stage, "warm")?;
        // The first fetches of a JVM take longer than the breaker is patient.
        are_found(stage, &self.bidder, WARM)?;
        breaker_closes(stage, &self.bidder, WARM)?;
        load.end()?;
        let load = self.load(stage, "before")?;
        stage.pause(time)?;
        load.end()
    }
}

/// Whatever the store does, every request is answered, and as much in time as while it answers.
pub(super) fn are_answered(stage: &mut Stage, before: &Report, during: &Report) {
    stage.check(
        "every request was answered",
        during.unanswered == 0 && during.sent > 0,
        format_args!("{} of {}", during.answered, during.sent),
    );
    let share = |report: &Report| report.in_time as f64 * 100.0 / report.answered.max(1) as f64;
    let (healthy, now) = (share(before), share(during));
    stage.figure(
        "as much in time (8 ms) as without the fault",
        now >= healthy - TOLERANCE as f64,
        format_args!("{now:.2} %, {healthy:.2} % before; p99 {:.0} us, {:.0} us before", during.p99, before.p99),
    );
    let bids = during.status.get(&200).copied().unwrap_or(0);
    // What a busy machine had no time for was not decided at all.
    let decided = during.answered - during.shed - during.stalled;
    stage.figure(
        "bids go on without profiles: the campaign that asks for nothing of users",
        decided > 0 && bids * 10 > decided * 9,
        format_args!("{bids} bids in {decided} decisions"),
    );
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
