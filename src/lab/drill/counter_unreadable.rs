//! The counters of money, on Valkey, cannot be read: the server stands still for longer than leases live; then it dies, and another
//! one takes its place with nothing in it.

use std::time::Duration;

use crate::lab::drill::exchange::Exchange;
use crate::lab::drill::stores::{Store, are_built, dynamodb_section, make_tables};
use crate::lab::drill::told::Told;
use crate::lab::drill::{Bidder, Drill, Halt, Prometheus, Serve, Stage, campaign, request};
use crate::limits;
use crate::units::Nanos;

pub(super) const DRILL: Drill = Drill {
    name: "counter-unreadable",
    about: "Valkey stands still, then loses all it had: campaigns stop with their leases, spend nothing twice, and come back",
    run,
};

/// What the campaign that is wanted first may spend in a day, in micros: it runs out while the drill goes on.
const BUDGET: i64 = 2_000_000;
const PAUSE: Duration = Duration::from_millis(20);
/// A lease lives so long from the last report that was answered, and the machine may be slow.
const LEASES_END: Duration = Duration::from_secs(limits::LEASE_NS / Nanos::SECOND + 2);
/// Two more ticks.
const STAYS: Duration = Duration::from_secs(2 * limits::TICK_NS / Nanos::SECOND);
/// A shard that is opened anew listens for 12 s before it grants.
const PATIENCE: Duration = Duration::from_secs(60);
/// Some bids: a fifth of that budget.
const RUN: u64 = 20;
const ALERT: &str = "CorebidCounterUnreadable";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    are_built()?;
    let valkey = Store::valkey(stage, None)?;
    let dynamodb = Store::dynamodb(stage, None)?;
    let stores =
        format!("[stores.valkey]\naddresses = [\"{}\"]\n{}", valkey.address, dynamodb_section(stage, &dynamodb)?);
    // The first pays more, so every request is its until its money is gone.
    let campaigns = campaign(1, BUDGET / 1_000_000, "20.00", "") + &campaign(2, 1000, "2.00", "");
    let config = stage.files().configure("bidder", "node = 1", &stores, &campaigns)?;
    make_tables(stage, &config)?;
    let bidder = Serve::new("bidder", &config).start(stage)?;
    let mut told = Told::from_here(&bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let mut exchange = Exchange::open(bidder.address, "generic", PAUSE, |number| request(&format!("r{number}"), ""))?;
    exchange.bill(4, Duration::ZERO)?;
    exchange.sees_bids(stage, RUN, PATIENCE)?;

    valkey.process.signal(libc::SIGSTOP)?;
    stage.saw("valkey stands still");
    bids_end(stage, &exchange)?;
    prometheus.fires(stage, ALERT)?;
    told.tell(stage, &bidder);
    let lapsed = bidder.metrics()?.sum("corebid_reconcile_lapsed");
    stage.check("both advertisers have lapsed", lapsed as u64 == 2, format_args!("corebid_reconcile_lapsed {lapsed}"));
    valkey.process.signal(libc::SIGCONT)?;
    stage.saw("valkey goes on");
    bids_return(stage, &exchange, &bidder, &mut told)?;
    prometheus.clears(stage, ALERT)?;

    let spent = exchange.account().of(1).spent.0;
    let at = valkey.kill();
    stage.saw(format_args!("valkey is killed, and all it knew is lost; {spent} of {BUDGET} micros are spent"));
    bids_end(stage, &exchange)?;
    let _valkey = Store::valkey(stage, Some(at))?;
    stage.saw("another one is there, empty");
    bids_return(stage, &exchange, &bidder, &mut told)?;
    let epochs = bidder.metrics()?.sum("corebid_lease_epochs_total");
    stage.check("its shards begin a new epoch", epochs >= 2.0, format_args!("corebid_lease_epochs_total {epochs}"));

    stage.reaches("the first campaign's budget is spent, so that the next check could fail", PATIENCE, || {
        let spent = exchange.account().of(1).spent.0;
        (spent > BUDGET * 9 / 10, format!("{:.1} %", spent as f64 * 100.0 / BUDGET as f64))
    })?;
    // It is still wanted first, at every tick that could grant it more.
    stage.pause(STAYS)?;
    let account = exchange.settle(stage, PATIENCE)?;
    let trade = account.of(1);
    account.is_answered(stage);
    stage.check(
        "nothing is spent twice: every bid was billed, and all bills together fit the budget",
        trade.billed == trade.bids && trade.spent.0 <= BUDGET,
        format_args!("{} of {} bids billed, {} of {BUDGET} micros", trade.billed, trade.bids, trade.spent.0),
    );
    bidder.stop(stage)
}

/// Bids go on while leases live, and end with them.
fn bids_end(stage: &mut Stage, exchange: &Exchange) -> Result<(), Halt> {
    stage.pause(LEASES_END)?;
    let ended = exchange.account();
    stage.pause(STAYS)?;
    let quiet = exchange.account();
    let (bids, asked) = (quiet.bids - ended.bids, quiet.asked - ended.asked);
    let declined = quiet.declined() - ended.declined();
    stage.check(
        "once the leases have ended every request is answered 204",
        bids == 0 && asked > 0 && declined == asked,
        format_args!("{bids} bids, {declined} of {asked} requests declined: {:?}", quiet.declined),
    );
    Ok(())
}

fn bids_return(stage: &mut Stage, exchange: &Exchange, bidder: &Bidder, told: &mut Told) -> Result<(), Halt> {
    let before = exchange.bids();
    stage.reaches("bids come back by themselves", PATIENCE, || {
        let more = exchange.bids() - before;
        (more >= RUN, format!("{more} bids"))
    })?;
    told.tell(stage, bidder);
    Ok(())
}
