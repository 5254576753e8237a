//! The wall clock is set, back and forth, by minutes and by hours: ids stay unique and in order, and whatever is bid can be billed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::lab::drill::{Books, Client, Drill, Halt, Prometheus, Serve, Stage, campaign};
use crate::limits;
use crate::reconcile::record::{Record, RecordId};
use crate::store::verify;

pub(super) const DRILL: Drill = Drill {
    name: "clock-step",
    about: "the wall clock is set back and forth: ids stay unique and in order, and every bid can be billed",
    run,
};

/// Seconds that the clock is off, one after the other: little enough that notices live through it.
const STEPS: [i64; 5] = [0, 120, -120, 900, 0];
/// Seconds that it is set back at last: more than a notice lives.
const FAR: i64 = -3600;
/// Bids asked for at each step.
const BIDS: usize = 50;
/// How long the library goes by what it read, and what the bidder takes to see it.
const SEEN: Duration = Duration::from_millis(1200);

fn run(stage: &mut Stage) -> Result<(), Halt> {
    let library = library()?;
    let clock = stage.files().write("clock", "+0\n")?;
    // The library reads its file all the while, which the bidder's own limits would not let it.
    let limits = "[process]\nseccomp = \"off\"\nlandlock = \"off\"\n";
    let config = stage.files().configure("bidder", "", limits, &campaign(1, 1000, "2.00", ""))?;
    // Only what the wall clock says: the boot clock is nobody's to set.
    let serve = Serve::new("bidder", &config)
        .environment("LD_PRELOAD", &library)
        .environment("FAKETIME_TIMESTAMP_FILE", &clock)
        .environment("FAKETIME_CACHE_DURATION", "1")
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let mut books = Books::default();
    let bidder = serve.start(stage)?;
    let prometheus = Prometheus::watch(stage, &[bidder.admin])?;
    let mut client = Client::connect(bidder.address)?;
    for step in STEPS {
        set(&clock, step)?;
        stage.pause(SEEN)?;
        let (bids, no) = trade(&mut books, &mut client)?;
        let what = format!("with the clock {step:+} s off bids are made, and billed");
        stage.check(
            &what,
            bids > 0 && books.acknowledged() == books.sales.len(),
            format_args!("{bids} bids in {BIDS} auctions{no}"),
        );
    }
    far_back(stage, &clock, &prometheus, &mut books, &mut client)?;
    prometheus.clears(stage, "CorebidClockStepped")?;
    drop(client);
    bidder.stop(stage)?;

    // A start takes the clock as it stands, and the ids of before as they are.
    set(&clock, -120)?;
    let bidder = serve.start(stage)?;
    let mut client = Client::connect(bidder.address)?;
    let (bids, no) = trade(&mut books, &mut client)?;
    stage.check("started with a clock that is behind it bids", bids > 0, format_args!("{bids} of {BIDS}{no}"));
    drop(client);
    bidder.stop(stage)?;

    let (acknowledged, made) = (books.acknowledged(), books.sales.len());
    stage.check(
        "every bid could be billed when it was made",
        acknowledged == made,
        format_args!("{acknowledged} of {made}"),
    );
    let ids: BTreeSet<&str> = books.sales.iter().map(|sale| sale.id.as_str()).collect();
    stage.check("no Bid.id came twice", ids.len() == made, format_args!("{} ids, {made} bids", ids.len()));
    let data = stage.files().path("bidder");
    ledger(stage, &data)?;
    let differences = books.differences(&data)?;
    let seen = differences.first().cloned().unwrap_or_else(|| format!("{made} bills, each once"));
    stage.check("the ledger holds every acknowledged bill, and each once", differences.is_empty(), seen);
    Ok(())
}

/// The clock is set back by more than a notice lives. Notices of minutes that were gone through are over, and a bid that is made
/// in one again could not be billed: so none is made, once the lease from before has run out.
fn far_back(
    stage: &mut Stage,
    clock: &Path,
    prometheus: &Prometheus,
    books: &mut Books,
    client: &mut Client,
) -> Result<(), Halt> {
    set(clock, FAR)?;
    stage.pause(SEEN)?;
    let mut unwanted = Books::default();
    let mut made = 0;
    let what = format!("with the clock {FAR:+} s off bidding ends with the lease");
    stage.reaches(&what, Duration::from_nanos(limits::LEASE_NS), || match unwanted.ask(client) {
        Ok(answer) => {
            made += usize::from(answer.status == 200);
            (answer.reason() == "no_lease", format!("{} {}, {made} bids meanwhile", answer.status, answer.reason()))
        }
        Err(error) => (false, error.to_string()),
    })?;
    prometheus.fires(stage, "CorebidClockStepped")?;
    set(clock, 0)?;
    stage.reaches(
        "when it is set right, bids are made again",
        Duration::from_nanos(limits::LEASE_NS),
        || match books.ask(client) {
            Ok(answer) => (answer.status == 200, format!("{} {}", answer.status, answer.reason())),
            Err(error) => (false, error.to_string()),
        },
    )?;
    for sale in books.sales.iter().position(|sale| sale.calls == 0).map_or(0..0, |first| first..books.sales.len()) {
        books.bill(client, sale)?;
    }
    Ok(())
}

/// Asks for bids and bills each at once: how many there were, and why not the others.
fn trade(books: &mut Books, client: &mut Client) -> Result<(usize, String), Halt> {
    let (mut bids, mut reasons) = (0, BTreeSet::new());
    for _ in 0..BIDS {
        let answer = books.ask(client)?;
        if answer.status == 200 {
            bids += 1;
            let last = books.sales.len() - 1;
            books.bill(client, last)?;
        } else {
            reasons.insert(answer.reason().to_owned());
        }
    }
    let reasons: Vec<_> = reasons.into_iter().collect();
    Ok((bids, if reasons.is_empty() { String::new() } else { format!(", else {}", reasons.join(", ")) }))
}

/// Record ids grow over the whole ledger, reservations come once.
fn ledger(stage: &mut Stage, data: &Path) -> Result<(), Halt> {
    let (mut last, mut disorder, mut records) = (None::<RecordId>, 0, 0);
    let (mut reservations, mut twice) = (BTreeSet::new(), 0);
    verify::walk(data, None, &[], |id, _, record| {
        if let Some(id) = id {
            disorder += usize::from(last.is_some_and(|last| last.0 >= id.0));
            (last, records) = (Some(id), records + 1);
        }
        if let Record::Bill { reservation, .. } = record {
            twice += usize::from(!reservations.insert(reservation.0));
        }
        Ok(())
    })
    .map_err(|fault| Halt::failed("the ledger", fault))?;
    stage.check(
        "record ids are in order",
        disorder == 0 && records > 0,
        format_args!("{records} records, {disorder} out of order"),
    );
    let seen = format!("{} reservations billed, {twice} twice", reservations.len());
    stage.check("no reservation id came twice", twice == 0 && !reservations.is_empty(), seen);
    Ok(())
}

fn set(clock: &Path, seconds: i64) -> Result<(), Halt> {
    // Renamed, so that nobody reads half of it.
    let new = clock.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n"))?;
    Ok(std::fs::rename(new, clock)?)
}

/// The library that tells a process another time than the machine's, which is left alone.
fn library() -> Result<PathBuf, Halt> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu/faketime",
        "/usr/lib/aarch64-linux-gnu/faketime",
        "/usr/lib64/faketime",
        "/usr/lib/faketime",
    ];
    let found = folders.iter().map(|folder| Path::new(folder).join("libfaketimeMT.so.1")).find(|path| path.is_file());
    found.ok_or_else(|| {
        Halt::Missing("libfaketime, which no folder of libraries has: install the package libfaketime".into())
    })
}
