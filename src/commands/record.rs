//! `corebid record`: captures what comes to a running bidder, and says what is in a capture (docs/RECORD.md).

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use serde::Serialize;

use crate::capture::Ask;
use crate::capture::format::{Fault, Foot, Item, Reader};
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};
use crate::units::Nanos;

/// What `corebid record` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The file to be written; it is there when it is whole. What there is of a capture that was cut is in OUT.cut instead
    out: PathBuf,
    /// Say what is in the file, which is there, instead of writing it
    #[arg(long, conflicts_with_all = ["seconds", "bytes", "share"])]
    show: bool,
    /// For how long
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// How long the file may become
    #[arg(long, default_value_t = 256 * 1024 * 1024)]
    bytes: u64,
    /// One request in so many
    #[arg(long, value_name = "N", default_value_t = 1)]
    share: u32,
    /// The admin port of the bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// For so long beyond its time a capture of a bidder that nobody asks anything may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is in a capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contents {
    /// When it began, Unix time, ms.
    pub began_ms: u64,
    /// The node of the bidder.
    pub node: u16,
    /// Its bid cores.
    pub cores: u16,
    /// One request in so many is in it.
    pub share: u32,
    /// How long it was, seconds; of a cut file, until the last request.
    pub seconds: f64,
    /// Requests in it.
    pub captured: u64,
    /// Requests that are missing; unknown of a cut file.
    pub lost: Option<u64>,
    /// Requests without their bodies.
    pub withheld: u64,
    /// Requests that came in gzip.
    pub gzip: u64,
    /// Bytes of the bodies, unpacked.
    pub body_bytes: u64,
    /// Connections.
    pub connections: u64,
    /// Requests by exchange; the empty name is for those of nobody.
    pub exchanges: BTreeMap<String, u64>,
    /// Why it ends where it does, if that is not its end.
    pub cut: Option<String>,
}

/// Captures, or shows.
pub fn run(args: &Args) -> Result<(), Failure> {
    let (at, contents) = match args.show {
        true => (args.out.clone(), contents(&args.out)?),
        false => record(args)?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&contents)?);
    } else {
        println!("{}", told(&at, &contents));
    }
    match contents.cut {
        Some(why) => Err(Failure::new(format!("{}: {why}; what is before that can be replayed", at.display()))),
        None => Ok(()),
    }
}

/// Where the capture is now, and what is in it.
fn record(args: &Args) -> Result<(PathBuf, Contents), Failure> {
    let ask = Ask { seconds: args.seconds, bytes: args.bytes, every: args.share };
    ask.check().map_err(|why| Failure::usage(why.replace("every", "share")))?;
    let named = |error: io::Error| Failure::new(format!("{}: {error}", args.out.display()));
    let with = |end: &str| {
        let mut path = args.out.clone().into_os_string();
        path.push(end);
        PathBuf::from(path)
    };
    let beside = with(".new");
    // A file that is there would keep its mode.
    let _ = fs::remove_file(&beside);
    // Consent strings and user agents are in it: it is nobody else's to read.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside).map_err(named)?;
    let mut file = BufWriter::new(file);
    let poured = Admin(&args.admin)
        .pour("/api/record", &serde_json::to_string(&ask)?, PATIENCE + Duration::from_secs_f64(ask.seconds), &mut file)
        .and_then(|()| file.flush().and_then(|()| file.get_ref().sync_all()).map_err(named));
    // What came before something went wrong.
    let _ = file.flush();
    let mut contents = match contents(&beside) {
        Ok(contents) => contents,
        Err(unread) => {
            // There is nothing in it. What went wrong is said by the error.
            let _ = fs::remove_file(&beside);
            return Err(poured.err().unwrap_or(unread));
        }
    };
    if let Err(failure) = poured {
        contents.cut = Some(failure.message);
    }
    let at = if contents.cut.is_none() { args.out.clone() } else { with(".cut") };
    fs::rename(&beside, &at).map_err(named)?;
    Ok((at, contents))
}

fn contents(path: &Path) -> Result<Contents, Failure> {
    let named = |what: &dyn std::fmt::Display| Failure::new(format!("{}: {what}", path.display()));
    let bytes = fs::read(path).map_err(|error| named(&error))?;
    let mut reader = Reader::open(&bytes).map_err(|fault| named(&fault))?;
    let head = reader.head.clone();
    let mut contents = Contents {
        began_ms: head.began_ms,
        node: head.node,
        cores: head.cores,
        share: head.every,
        seconds: 0.0,
        captured: 0,
        lost: None,
        withheld: 0,
        gzip: 0,
        body_bytes: 0,
        connections: 0,
        exchanges: BTreeMap::new(),
        cut: None,
    };
    let mut connections = std::collections::HashSet::new();
    let mut last = 0;
    let foot: Result<Foot, Fault> = loop {
        match reader.item() {
            Ok(Item::Request(request)) => {
                contents.captured += 1;
                contents.withheld += u64::from(request.withheld);
                contents.gzip += u64::from(request.gzip);
                contents.body_bytes += request.body.len() as u64;
                connections.insert(request.connection);
                let name = request.exchange.map_or("", |index| head.exchanges[usize::from(index)].as_str());
                *contents.exchanges.entry(name.to_owned()).or_default() += 1;
                last = last.max(request.offset_ns);
            }
            Ok(Item::Foot(foot)) => break Ok(foot),
            Err(fault) => break Err(fault),
        }
    };
    contents.connections = connections.len() as u64;
    let length_ns = match foot {
        Ok(foot) => {
            contents.lost = Some(foot.lost);
            foot.length_ns
        }
        Err(fault) => {
            contents.cut = Some(fault.to_string());
            last
        }
    };
    contents.seconds = length_ns as f64 / Nanos::SECOND as f64;
    Ok(contents)
}

fn told(path: &Path, contents: &Contents) -> String {
    let Contents { captured, seconds, connections, body_bytes, withheld, gzip, share, .. } = contents;
    let lost = contents.lost.map_or("an unknown number".into(), |lost| lost.to_string());
    let exchanges: Vec<String> = contents
        .exchanges
        .iter()
        .map(|(name, count)| format!("{} {count}", if name.is_empty() { "(of nobody)" } else { name }))
        .collect();
    format!(
        "{}: {captured} requests in {seconds:.3} s on {connections} connections, one in {share}; {lost} more lost\n\
         bodies: {body_bytes} bytes, {gzip} came in gzip, {withheld} withheld\nexchanges: {}",
        path.display(),
        exchanges.join(", ")
    )
}
