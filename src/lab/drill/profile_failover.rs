//! The store of profiles dies, and after a while another one is there under the same address, as after a failover or a restart.

use std::time::Duration;

use crate::lab::drill::stores::{Store, are_built, make_tables};
use crate::lab::drill::told::Told;
use crate::lab::drill::users::{Users, are_answered, are_found, breaker_closes, breaker_opens};
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
    let users = Users::begin(stage, &dynamodb)?;
    let bidder = &users.bidder;
    let before = users.healthy(stage, GONE)?;
    let mut told = Told::from_here(bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let trips = bidder.metrics()?.sum("corebid_fetch_trips_total");

    let at = dynamodb.kill();
    let began = stage.elapsed();
    stage.saw("DynamoDB is killed");
    let load = users.load(stage, "during")?;
    breaker_opens(stage, bidder)?;
    stage.pause(GONE.saturating_sub(stage.elapsed() - began))?;
    let during = load.end()?;
    are_answered(stage, &before, &during);
    let tripped = bidder.metrics()?.sum("corebid_fetch_trips_total") - trips;
    stage.saw(format_args!("corebid_fetch_trips_total rose by {tripped}"));
    told.tell(stage, bidder);

    let _other = Store::dynamodb(stage, Some(at))?;
    make_tables(stage, &users.config)?;
    let load = users.load(stage, "after")?;
    breaker_closes(stage, bidder, PATIENCE)?;
    are_found(stage, bidder, PATIENCE)?;
    prometheus.fires(stage, ALERT)?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, bidder);
    load.end()?;
    users.bidder.stop(stage)
}
