//! `corebid tail`: the requests that took too long of late, by what took them (docs/TAIL.md).

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use clap::Args as ClapArgs;

use crate::admin::tail::{InStage, Request, View};
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};
use crate::metrics::flight::cause::Cause;

/// What `corebid tail` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The admin port of the bidder: IP:PORT, or its URL
    #[arg(long, value_name = "ADDRESS", default_value = admin::DEFAULT)]
    admin: String,
    /// Only requests of this cause
    #[arg(long, value_name = "CAUSE", value_parser = cause)]
    by: Option<Cause>,
    /// So many requests of each cause, the longest
    #[arg(long, value_name = "N", default_value_t = 3)]
    limit: usize,
    /// Tell of each request as it comes, until interrupted
    #[arg(long, conflicts_with = "json")]
    follow: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Between two looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Characters of a bar.
const BAR: usize = 24;

fn cause(text: &str) -> Result<Cause, String> {
    let causes = || Cause::ALL.iter().map(|cause| cause.label()).collect::<Vec<_>>().join(", ");
    Cause::ALL.iter().copied().find(|cause| cause.label() == text).ok_or_else(|| format!("one of {}", causes()))
}

/// Asks the bidder, and prints what it says.
pub fn run(args: &Args) -> Result<(), Failure> {
    let url = match args.admin.parse::<SocketAddr>() {
        Ok(address) => format!("http://{address}"),
        Err(_) => args.admin.clone(),
    };
    let admin = Admin(&url);
    if args.follow {
        return follow(admin, args.by);
    }
    let view = ask(admin, args.by)?;
    if args.json {
        println!("{}", serde_json::to_string(&view)?);
    } else {
        print!("{}", Page { view: &view, limit: args.limit, by: args.by });
    }
    Ok(())
}

fn ask(admin: Admin<'_>, by: Option<Cause>) -> Result<View, Failure> {
    let mut view: View = admin.read("/api/tail")?;
    let is_wanted = |cause: &str| by.is_none_or(|by| by.label() == cause);
    view.requests.retain(|request| is_wanted(&request.cause));
    view.counts.retain(|cause, _| is_wanted(cause));
    Ok(view)
}

#[allow(clippy::disallowed_methods, reason = "a command may wait")]
fn follow(admin: Admin<'_>, by: Option<Cause>) -> Result<(), Failure> {
    let mut told = HashSet::new();
    loop {
        let view = ask(admin, by)?;
        for request in view.requests.iter().rev() {
            if !told.contains(&(request.core, request.id)) {
                println!("{:<13}{}", request.cause, Line(request));
            }
        }
        // What is no longer kept does not come again.
        told = view.requests.iter().map(|request| (request.core, request.id)).collect();
        thread::sleep(PERIOD);
    }
}

/// All causes, those of the most requests first, each with its longest requests.
struct Page<'v> {
    view: &'v View,
    limit: usize,
    by: Option<Cause>,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { threshold_us, counts, requests } = self.view;
        let all: u64 = counts.values().sum();
        let of = self.by.map_or(String::new(), |cause| format!(" for {}", cause.label()));
        writeln!(
            f,
            "{all} requests took {threshold_us} us or longer{of} since the start; {} are kept",
            requests.len()
        )?;
        let mut causes: Vec<(Cause, u64)> =
            Cause::ALL.iter().filter_map(|&cause| Some((cause, *counts.get(cause.label())?))).collect();
        causes.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        for (cause, count) in causes {
            let mut of: Vec<&Request> = requests.iter().filter(|request| request.cause == cause.label()).collect();
            of.sort_by(|one, other| other.latency_us.total_cmp(&one.latency_us));
            let share = count as f64 * 100.0 / all as f64;
            let worst =
                of.first().map_or(String::new(), |worst| format!(", the longest kept {}", Span(worst.latency_us)));
            writeln!(f, "\n{:<13}{count} ({share:.1} %){worst}", cause.label())?;
            writeln!(f, "{:13}{}", "", cause.advice())?;
            for request in of.into_iter().take(self.limit) {
                writeln!(f, "  {}", Line(request))?;
            }
        }
        Ok(())
    }
}

/// One request: when, whose, how long; what took it; and where it was meanwhile.
struct Line<'r>(&'r Request);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let request = self.0;
        let exchange = request.exchange.as_deref().unwrap_or("-");
        write!(f, "{} bid-{} {exchange} {}", Clock(request.answered_ms), request.core, request.outcome)?;
        write!(f, "  {} |{}|", Span(request.latency_us), bar(request))?;
        let mut causes: Vec<(&String, &f64)> = request.causes.iter().collect();
        causes.sort_by(|one, other| other.1.total_cmp(one.1));
        for (cause, us) in causes.into_iter().take(3) {
            write!(f, " {cause} {}", Span(*us))?;
        }
        let turn = &request.turn;
        write!(f, "; {} of {} in a turn of {}", turn.place + 1, turn.requests.max(1), Span(turn.took_us))?;
        let longest = request.stages.iter().max_by(|one, other| one.us.total_cmp(&other.us));
        if let Some(InStage { stage, us }) = longest {
            write!(f, ", longest in {stage} {}", Span(*us))?;
        }
        if let Some(slowest) = request.slowest.as_ref().filter(|slowest| slowest.place != turn.place) {
            write!(f, ", behind {} in {}", Span(slowest.us), slowest.stage)?;
        }
        if request.others > 0 {
            write!(f, ", and {} more", request.others)?;
        }
        Ok(())
    }
}

/// Where the time went, from arrival to answer: `q` before it was framed, `p` parked, then a letter for each stage; `.` after it, until
/// the turn was over.
fn bar(request: &Request) -> String {
    let named = |stage: &InStage| {
        let letter = if stage.stage == "account" { '.' } else { stage.stage.chars().next().unwrap_or('?') };
        (letter, stage.us)
    };
    let worked: f64 = request.stages.iter().map(|stage| stage.us).sum();
    let waited = (request.latency_us - worked - request.parked_us).max(0.0);
    let parts = [('q', waited), ('p', request.parked_us)].into_iter().chain(request.stages.iter().map(named));
    let mut bar = String::new();
    let (mut done, whole) = (0.0, request.latency_us.max(0.001));
    for (letter, us) in parts {
        done += us;
        let upto = (done / whole * BAR as f64).round() as usize;
        while bar.len() < upto.min(BAR) {
            bar.push(letter);
        }
    }
    let _ = write!(bar, "{:width$}", "", width = BAR - bar.len());
    bar
}

/// A length of time, us, for people.
struct Span(f64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1000.0 { write!(f, "{:.0} us", self.0) } else { write!(f, "{:.1} ms", self.0 / 1e3) }
    }
}

/// The time of day, UTC.
struct Clock(u64);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ms) = (self.0 / 1000 % 86_400, self.0 % 1000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn request() -> Request {
        let stages = [("frame", 100.0), ("scan", 600.0), ("account", 300.0)];
        let stages = stages.map(|(stage, us)| InStage { stage: stage.to_owned(), us });
        Request {
            answered_ms: 3_723_004,
            latency_us: 2_000.0,
            cause: "own".into(),
            causes: BTreeMap::from([("own".into(), 1_500.0), ("queue".into(), 500.0)]),
            stages: stages.into(),
            outcome: "bid".into(),
            others: 2,
            ..Request::default()
        }
    }

    #[test]
    fn a_bar_is_as_long_as_it_is_and_shows_what_took_longest() {
        let bar = bar(&request());
        assert_eq!((bar.len(), bar.matches('q').count(), bar.matches('s').count()), (BAR, 12, 7), "{bar}");
    }

    #[test]
    fn causes_come_with_their_counts_what_to_do_and_the_longest() {
        let counts = BTreeMap::from([("own".into(), 3), ("run_delay".into(), 9)]);
        let view = View { threshold_us: 1000, counts, requests: vec![request()] };
        let page = Page { view: &view, limit: 3, by: None }.to_string();
        assert!(page.find("run_delay").unwrap() < page.find("own").unwrap(), "{page}");
        for part in ["12 requests took 1000 us", "3 (25.0 %), the longest kept 2.0 ms", "own 1.5 ms", "01:02:03.004"] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(page.contains(Cause::Own.advice()) && page.contains("and 2 more"), "{page}");
    }

    #[test]
    fn a_cause_that_is_none_is_refused_with_those_there_are() {
        assert_eq!(cause("swap"), Ok(Cause::Swap));
        assert!(cause("bad luck").unwrap_err().contains("run_delay"));
    }
}
