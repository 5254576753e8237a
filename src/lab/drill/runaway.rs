//! A campaign spends more than three times its target for a minute. What keeps it from that is the pacer, which believes what it hears:
//! so here an exchange buys, and is silent. Nothing is billed, the pacer takes the bids for lost and bids more, and after a minute and a
//! half all bills come at once. To the authority that is a burst, which is no runaway; the node's own count knows when the bids were
//! made. The authority's count is for what the node does not see (docs/GUARDS.md), and is held by tests/guards.rs.

use std::time::Duration;

use crate::clock;
use crate::lab::drill::exchange::Exchange;
use crate::lab::drill::stores::corebid;
use crate::lab::drill::told::Told;
use crate::lab::drill::{Drill, Halt, Prometheus, Serve, Stage, campaign, request};
use crate::limits;
use crate::units::Nanos;

pub(super) const DRILL: Drill = Drill {
    name: "runaway",
    about: "a campaign spends more than three times its target for a minute: it stops by itself, until it is resumed",
    run,
};

/// The campaign's, of a day, in whole units of the account: its target is 0.1 to 0.2 a minute, its bids cost 0.01.
const BUDGET: i64 = 144;
const CPM: &str = "10.00";
const PAUSE: Duration = Duration::from_millis(25);
/// For so long the exchange is silent: four quarters of 15 s, what the pacer needs to believe it, and the ends of quarters.
const SILENT: Duration = Duration::from_nanos(limits::RUNAWAY_NS + 25 * Nanos::SECOND);
/// Another quarter.
const PATIENCE: Duration = Duration::from_secs(45);
const ALERT: &str = "CorebidRunaway";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let config = stage.files().configure("bidder", "", "", &campaigns(BUDGET))?;
    let bidder = Serve::new("bidder", &config).start(stage)?;
    let mut told = Told::from_here(&bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let mut exchange = Exchange::open(bidder.address, "generic", PAUSE, |number| request(&format!("r{number}"), ""))?;
    stage.saw("an exchange asks, and says nothing of what it buys");
    stage.pause(SILENT)?;
    let bids = exchange.bids();
    exchange.bill(8, Duration::ZERO)?;
    stage.saw(format_args!("the bills of {bids} bids come at once"));

    stage.reaches("the campaign is stopped, by this node's own count", PATIENCE, || {
        let log = bidder.process.log();
        let line = log.lines().find(|line| line.contains("campaign 1 spent"));
        (line.is_some_and(|line| line.contains("own count")), line.unwrap_or("no word of it").to_owned())
    })?;
    told.tell(stage, &bidder);
    prometheus.fires(stage, ALERT)?;
    let stopped = bidder.get("/api/stopped")?.body;
    stage.saw(format_args!("GET /api/stopped: {stopped}"));
    let before = exchange.account();
    stage.pause(Duration::from_secs(5))?;
    let after = exchange.account();
    let (more, asked) = (after.bids - before.bids, after.asked - before.asked);
    stage.check(
        "a campaign that is stopped does not bid",
        more == 0 && asked > 0,
        format_args!("{asked} requests, {more} bids; {:?}", after.declined),
    );

    // Far ahead of its curve it would not bid for hours: whoever resumes it says what it is to spend from here on.
    stage.files().write("campaigns.toml", campaigns(10 * BUDGET))?;
    let admin = format!("http://{}", bidder.admin);
    stage.saw(corebid(&["resume", "--campaign", "1", "--admin", &admin])?);
    let before = exchange.bids();
    stage.reaches("resumed, it bids again", PATIENCE, || {
        let more = exchange.bids() - before;
        (more > 0, format!("{more} bids"))
    })?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, &bidder);

    let account = exchange.settle(stage, PATIENCE)?;
    let trade = account.of(1);
    stage.check(
        "what it could spend was within its budget",
        trade.spent.0 <= BUDGET * 1_000_000,
        format_args!("{} micros of {BUDGET} million, {} bids", trade.spent.0, trade.bids),
    );
    account.is_answered(stage);
    bidder.stop(stage)
}

/// The campaign file.
fn campaigns(budget: i64) -> String {
    // Half of the budget's day at least is to come: what is left of it is spread over that.
    let zone = if clock::wall().hour() < 12 { "UTC" } else { "Etc/GMT-12" };
    let more = format!("time_zone = \"{zone}\"\n");
    campaign(1, budget, CPM, &more).replace("pacing = \"asap\"", "pacing = \"even\"")
}
