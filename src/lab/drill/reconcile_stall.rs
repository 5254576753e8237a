//! The reconciliation thread stands still: nothing renews leases, nothing is written to the ledger.

use std::time::Duration;

use crate::lab::drill::exchange::Exchange;
use crate::lab::drill::held::Held;
use crate::lab::drill::told::Told;
use crate::lab::drill::{Drill, Halt, Prometheus, Serve, Stage, campaign, request};
use crate::limits;

pub(super) const DRILL: Drill = Drill {
    name: "reconcile-stall",
    about: "the reconciliation thread stands still: leases run out, bids end, notices get 503; it goes on by itself",
    run,
};

/// What the campaign may spend in a day, in micros.
const BUDGET: i64 = 1_000_000_000;
const PAUSE: Duration = Duration::from_millis(10);
/// Leases, and a second for the last bids to be answered and the machine to be slow.
const LEASES_END: Duration = Duration::from_nanos(limits::LEASE_NS + 1_000_000_000);
/// Some requests in a row.
const RUN: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(30);

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let config = stage.files().configure("bidder", "", "", &campaign(1, BUDGET / 1_000_000, "2.00", ""))?;
    let bidder = Serve::new("bidder", &config).start(stage)?;
    let mut told = Told::from_here(&bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let mut exchange = Exchange::open(bidder.address, "generic", PAUSE, |number| request(&format!("r{number}"), ""))?;
    exchange.bill(8, Duration::ZERO)?;
    exchange.sees_bids(stage, RUN, PATIENCE)?;

    let threads = bidder.threads()?;
    let thread = threads.iter().find(|thread| thread.name == "reconcile");
    let thread = thread.ok_or_else(|| Halt::Failed("the bidder has no thread `reconcile`".into()))?.id;
    let before = exchange.account();
    let held = Held::hold(thread)?;
    let began = stage.elapsed();
    stage.saw(format_args!("thread {thread}, `reconcile`, stands still"));

    let last = |stage: &Stage| (stage.elapsed() - began).as_secs_f64();
    let mut bids = exchange.bids();
    let mut last_bid = last(stage);
    while stage.elapsed() - began < LEASES_END {
        stage.pause(PAUSE)?;
        if exchange.bids() > bids {
            (bids, last_bid) = (exchange.bids(), last(stage));
        }
    }
    let ended = exchange.account();
    stage.pause(Duration::from_secs(2))?;
    let quiet = exchange.account();
    let (more, asked) = (quiet.bids - ended.bids, quiet.asked - ended.asked);
    stage.check(
        "bids end with the leases, two ticks after the last renewal",
        more == 0 && asked > 0,
        format_args!("the last bid {last_bid:.1} s after the fault; then {asked} requests, {more} bids"),
    );
    let reasons = quiet.declined_as("no_lease") - before.declined_as("no_lease");
    stage.check("what is asked then is answered 204 `no_lease`", reasons > 0, format_args!("{reasons} of them"));
    let deferred = quiet.deferred;
    stage.check("bills that cannot be made safe are answered 503", deferred > 0, format_args!("{deferred} times"));
    prometheus.fires(stage, "CorebidReconcileStalled")?;
    let age = bidder.metrics()?.sum("corebid_reconcile_turn_age_seconds");
    stage.saw(format_args!("corebid_reconcile_turn_age_seconds {age:.1}"));
    told.tell(stage, &bidder);

    drop(held);
    let released = stage.elapsed();
    stage.saw("it goes on");
    let before = exchange.bids();
    stage.reaches("bids come back by themselves", PATIENCE, || {
        let more = exchange.bids() - before;
        (more >= RUN, format!("{more} bids"))
    })?;
    stage.saw(format_args!("{:.1} s after it went on", (stage.elapsed() - released).as_secs_f64()));
    prometheus.clears(stage, "CorebidReconcileStalled")?;
    told.tell(stage, &bidder);

    let account = exchange.settle(stage, PATIENCE)?;
    let trade = account.of(1);
    account.is_answered(stage);
    stage.check(
        "every bill is acknowledged once, in the end",
        trade.billed == trade.bids && account.refused == 0,
        format_args!("{} of {} bids, {} calls were answered 503", trade.billed, trade.bids, account.deferred),
    );
    let spent = bidder.metrics()?.sum("corebid_reconcile_spend_micros_total") as i64;
    stage.check(
        "what was booked is what was acknowledged, and within the budget",
        spent == trade.spent.0 && spent <= BUDGET,
        format_args!("{spent} micros booked, {} acknowledged, of {BUDGET}", trade.spent.0),
    );
    bidder.stop(stage)
}
