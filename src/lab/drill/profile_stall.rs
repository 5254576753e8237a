//! The store of profiles stands still: its connections are open, and no answer comes.

use std::time::Duration;

use crate::lab::drill::stores::{Store, are_built};
use crate::lab::drill::told::Told;
use crate::lab::drill::users::{self, Users};
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
    let Users { bidder, load, .. } = Users::ask(stage, &dynamodb)?;
    let mut told = Told::from_here(&bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    users::are_found(stage, &bidder, PATIENCE)?;

    let before = users::now(&load);
    dynamodb.process.signal(libc::SIGSTOP)?;
    let began = stage.elapsed();
    stage.saw("DynamoDB stands still");
    users::breaker_opens(stage, &bidder)?;
    stage.pause(STALL.saturating_sub(stage.elapsed() - began))?;
    prometheus.fires(stage, ALERT)?;
    let during = users::now(&load);
    let (bids, answered) = (during.bids - before.bids, during.answered - before.answered);
    stage.check(
        "bids go on without profiles: the campaign that asks for nothing of users",
        bids * 10 > answered * 9,
        format_args!("{bids} bids in {answered} answers"),
    );
    let metrics = bidder.metrics()?;
    for name in ["corebid_waited_in_vain_total", "corebid_unfetched_total", "corebid_fetch_failed_total"] {
        stage.saw(format_args!("{name} {}", metrics.sum(name)));
    }
    told.tell(stage, &bidder);
    dynamodb.process.signal(libc::SIGCONT)?;
    stage.saw("DynamoDB goes on");
    users::breaker_closes(stage, &bidder, PATIENCE)?;
    users::are_found(stage, &bidder, PATIENCE)?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, &bidder);
    users::settle(stage, bidder, load)
}
