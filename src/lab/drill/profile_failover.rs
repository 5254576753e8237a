//! The store of profiles dies, and after a while another one is there under the same address, as after a failover or a restart.

use std::time::Duration;

use crate::lab::drill::stores::{Store, are_built, make_tables};
use crate::lab::drill::told::Told;
use crate::lab::drill::users::{self, Users};
use crate::lab::drill::{Drill, Halt, Prometheus, Stage};

pub(super) const DRILL: Drill = Drill {
    name: "profile-failover",
    about: "the store of profiles dies and another takes its place: it is found again without a restart",
    run,
};

/// For so long there is none.
const GONE: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
const ALERT: &str = "CorebidProfilesInterrupted";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    are_built()?;
    let dynamodb = Store::dynamodb(stage, None)?;
    let Users { bidder, load, config } = Users::ask(stage, &dynamodb)?;
    let mut told = Told::from_here(&bidder);
    users::are_found(stage, &bidder, PATIENCE)?;
    // What a JVM that has just started was too slow for is not what this drill is about.
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;

    let before = users::now(&load);
    let at = dynamodb.kill();
    stage.saw("DynamoDB is killed");
    users::breaker_opens(stage, &bidder)?;
    stage.pause(GONE)?;
    let during = users::now(&load);
    let (bids, answered) = (during.bids - before.bids, during.answered - before.answered);
    stage.check(
        "bids go on without profiles",
        bids * 10 > answered * 9,
        format_args!("{bids} bids in {answered} answers"),
    );
    told.tell(stage, &bidder);
    let _other = Store::dynamodb(stage, Some(at))?;
    make_tables(stage, &config)?;
    users::breaker_closes(stage, &bidder, PATIENCE)?;
    users::are_found(stage, &bidder, PATIENCE)?;
    prometheus.fires(stage, ALERT)?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, &bidder);
    users::settle(stage, bidder, load)
}
