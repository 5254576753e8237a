//! The store of profiles stands still: its connections are open, and no answer comes.

use std::time::Duration;

use crate::lab::drill::stores::{Store, are_built};
use crate::lab::drill::told::Told;
use crate::lab::drill::users::{Users, are_answered, are_found, breaker_closes, breaker_opens};
use crate::lab::drill::{Drill, Halt, Prometheus, Stage};

pub(super) const DRILL: Drill = Drill {
    name: "profile-stall",
    about: "the store of profiles stands still: requests are answered in time without it, until it goes on",
    run,
};

/// Longer than the breaker needs to open, and than its alert waits.
const STALL: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const ALERT: &str = "CorebidProfilesUnreachable";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    are_built()?;
    let dynamodb = Store::dynamodb(stage, None)?;
    let users = Users::begin(stage, &dynamodb)?;
    let bidder = &users.bidder;
    let before = users.healthy(stage, STALL)?;
    let mut told = Told::from_here(bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;

    dynamodb.process.signal(libc::SIGSTOP)?;
    let began = stage.elapsed();
    stage.saw("DynamoDB stands still");
    let load = users.load(stage, "during")?;
    breaker_opens(stage, bidder)?;
    stage.pause(STALL.saturating_sub(stage.elapsed() - began))?;
    let during = load.end()?;
    are_answered(stage, &before, &during);
    prometheus.fires(stage, ALERT)?;
    let metrics = bidder.metrics()?;
    for name in ["corebid_waited_in_vain_total", "corebid_unfetched_total", "corebid_fetch_failed_total"] {
        stage.saw(format_args!("{name} {}", metrics.sum(name)));
    }
    told.tell(stage, bidder);

    dynamodb.process.signal(libc::SIGCONT)?;
    stage.saw("DynamoDB goes on");
    let load = users.load(stage, "after")?;
    breaker_closes(stage, bidder, PATIENCE)?;
    are_found(stage, bidder, PATIENCE)?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, bidder);
    load.end()?;
    users.bidder.stop(stage)
}
