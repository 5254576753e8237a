//! A campaign spends more than three times its target for a minute. What keeps it from that is the pacer, which believes what it hears:
//! so here exchanges buy, and are silent. Nothing is billed, the pacer takes the bids for lost and bids more, and then the bills come.
//!
//! Twice, because there are two counts. The bills of the first exchange are all held back for a minute and a half: the authority sees
//! a burst, which is no runaway, and the node sees when the bids were made. The second's begin sooner and come evenly, for bids of
//! less than a minute: the authority sees a minute of spending, the node none of bidding.

use std::fs;
use std::time::Duration;

use crate::clock;
use crate::lab::drill::exchange::Exchange;
use crate::lab::drill::stores::corebid;
use crate::lab::drill::told::Told;
use crate::lab::drill::{Bidder, Drill, Halt, Prometheus, Serve, Stage, campaign, request};
use crate::limits;

pub(super) const DRILL: Drill = Drill {
    name: "runaway",
    about: "campaigns spend more than three times their target for a minute: they stop by themselves, until they are resumed",
    run,
};

/// Each campaign's, of a day, in whole units of the account: its target is 0.1 to 0.2 a minute, its bids cost 0.01.
const BUDGET: i64 = 144;
const CPM: &str = "10.00";
const PAUSE: Duration = Duration::from_millis(25);
/// For so long the first exchange is silent, and for so long the second asks.
const SILENT: Duration = Duration::from_secs(85);
const ASKS: Duration = Duration::from_secs(40);
/// The second's bills come over a minute, and what is left of the quarter before.
const SPREAD: Duration = Duration::from_secs(80);
/// Another quarter.
const PATIENCE: Duration = Duration::from_secs(45);
const ALERT: &str = "CorebidRunaway";

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let config = stage.files().configure("bidder", "", "", &campaigns(BUDGET))?;
    let two = fs::read_to_string(&config)? + "[[exchange]]\nname = \"second\"\nseat = \"seat-1\"\n";
    fs::write(&config, two)?;
    let bidder = Serve::new("bidder", &config).start(stage)?;
    let mut told = Told::from_here(&bidder);
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let (name, narrow) = ("generic", |number| request(&format!("a{number}"), ""));
    let mut first = Exchange::open(bidder.address, name, PAUSE, narrow)?;
    let (name, broad) = ("second", |number| wide(&request(&format!("b{number}"), "")));
    let mut second = Exchange::open(bidder.address, name, PAUSE, broad)?;
    stage.saw("two exchanges ask, each for one campaign, and say nothing of what they buy");
    let began = stage.elapsed();
    stage.pause(ASKS)?;
    second.ask_no_more();
    let bids = second.account().of(2).bids;
    second.bill(1, SPREAD / u32::try_from(bids.max(1)).unwrap_or(u32::MAX))?;
    stage.saw(format_args!("the bills of campaign 2, for {bids} bids, begin to come evenly"));
    stage.pause(SILENT.saturating_sub(stage.elapsed() - began))?;
    let bids = first.account().of(1).bids;
    first.bill(8, Duration::ZERO)?;
    stage.saw(format_args!("the bills of campaign 1, for {bids} bids, come at once"));

    for (id, count) in [(1, "this node's own count"), (2, "the authority's count")] {
        stops(stage, &bidder, id, count)?;
    }
    told.tell(stage, &bidder);
    prometheus.fires(stage, ALERT)?;
    let stopped = bidder.get("/api/stopped")?.body;
    stage.saw(format_args!("GET /api/stopped: {stopped}"));
    let before = first.account();
    stage.pause(Duration::from_secs(5))?;
    let after = first.account();
    let (more, asked) = (after.bids - before.bids, after.asked - before.asked);
    stage.check(
        "a campaign that is stopped does not bid",
        more == 0 && asked > 0,
        format_args!("{asked} requests, {more} bids; {:?}", after.declined),
    );

    // Far ahead of its curve it would not bid for hours: whoever resumes it says what it is to spend from here on.
    stage.files().write("campaigns.toml", campaigns(10 * BUDGET))?;
    for id in [1, 2] {
        let admin = format!("http://{}", bidder.admin);
        stage.saw(corebid(&["resume", "--campaign", &id.to_string(), "--admin", &admin])?);
    }
    let before = first.bids();
    stage.reaches("resumed, it bids again", PATIENCE, || {
        let more = first.bids() - before;
        (more > 0, format!("{more} bids"))
    })?;
    prometheus.clears(stage, ALERT)?;
    told.tell(stage, &bidder);

    let (first, second) = (first.settle(stage, PATIENCE)?, second.settle(stage, SPREAD)?);
    for (id, account) in [(1, first), (2, second)] {
        let trade = account.of(id);
        stage.check(
            &format!("what campaign {id} could spend was within its budget"),
            trade.spent.0 <= BUDGET * 1_000_000,
            format_args!("{} micros of {BUDGET} million, {} bids", trade.spent.0, trade.bids),
        );
        account.is_answered(stage);
    }
    let code = bidder.stop(stage)?;
    stage.check("the bidder ends in good order", code == Some(0), format_args!("exit code {code:?}"));
    Ok(())
}

fn stops(stage: &mut Stage, bidder: &Bidder, id: u32, count: &str) -> Result<(), Halt> {
    let what = format!("campaign {id} is stopped, by {count}");
    stage.reaches(&what, PATIENCE, || {
        let log = bidder.process.log();
        let line = log.lines().find(|line| line.contains(&format!("campaign {id} spent")));
        (line.is_some_and(|line| line.contains(count)), line.unwrap_or("no word of it").to_owned())
    })?;
    Ok(())
}

fn campaigns(budget: i64) -> String {
    // Half of the budget's day at least is to come: what is left of it is spread over that.
    let zone = if clock::wall().0 / 3_600_000 % 24 < 12 { "UTC" } else { "Etc/GMT-12" };
    let more = format!("time_zone = \"{zone}\"\n");
    let both = campaign(1, budget, CPM, &more) + &wide(&campaign(2, budget, CPM, &more));
    both.replace("pacing = \"asap\"", "pacing = \"even\"")
}

/// For another place, so that the two do not meet.
fn wide(text: &str) -> String {
    text.replace("\"w\":300,\"h\":250", "\"w\":728,\"h\":90").replace("w = 300, h = 250", "w = 728, h = 90")
}

const _: () = assert!(limits::RUNAWAY_NS == 60 * 1_000_000_000 && limits::RUNAWAY_TIMES == 3);
