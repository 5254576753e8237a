//! `corebid ledger verify`.

use std::fs;
use std::path::{Path, PathBuf};

use blake3::Hash;
use serde_json::json;

use crate::commands::Failure;
use crate::store::anchor::Anchor;
use crate::store::export::check_manifests;
use crate::store::verify::{Verified, verify};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data directory of `serve`, or an export
    dir: PathBuf,
    /// A head of the chain, as it was printed; it must be in the chain
    #[arg(long, value_name = "HASH")]
    head: Option<Hash>,
    /// Heads of the chain, one a line, as they were logged or written to the head file; each must be in the chain, where it
    /// says. Other lines are left out; heads that were cut off are counted
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let (anchors, unreadable) = args.anchors.as_deref().map(anchors).transpose()?.unwrap_or_default();
    let verified = verify(&args.dir, args.head, &anchors)?;
    let manifests = check_manifests(&args.dir)?;
    let Verified { segments, first_segment, last_segment, records, total, commits, head, torn, .. } = verified;
    let Verified { anchors, unchecked, ahead, .. } = verified;
    if args.json {
        let mut shown = json!({
            "ok": true,
            "segments": segments,
            "first_segment": first_segment,
            "last_segment": last_segment,
            "records": records,
            "total": total,
            "commits": commits,
            "head": head.to_string(),
            "torn": torn,
            "manifests": manifests,
            "anchors": anchors,
            "unchecked_anchors": unchecked,
        });
        if args.anchors.is_some() {
            shown["ahead_anchors"] = ahead.into();
            shown["unreadable_anchors"] = unreadable.into();
        }
        println!("{shown}");
        return Ok(());
    }
    println!("segments {segments} ({first_segment} to {last_segment}), {records} records in {commits} commits");
    println!("ledger head segment={last_segment} records={total} head={head}");
    if manifests > 0 {
        println!("manifests {manifests} fit");
    }
    if args.anchors.is_some() {
        println!(
            "anchors {anchors} in the chain, {unchecked} of segments that are not here any more, {ahead} not here yet"
        );
    }
    if unreadable > 0 {
        println!("heads that cannot be read: {unreadable}; their lines were cut off or changed");
    }
    if torn {
        println!("after the last commit: one that was being written; it was not acknowledged");
    }
    Ok(())
}

/// The heads in a file: a head file, or a log with other lines between them; and how many cannot be read, as where the writer was
/// killed in the middle of one.
fn anchors(path: &Path) -> Result<(Vec<Anchor>, usize), Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::new(format!("{}: {why}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(&error))?;
    let text = String::from_utf8_lossy(&bytes);
    let heads: Vec<&str> = text.lines().filter(|line| line.contains("ledger head ")).collect();
    let anchors: Vec<Anchor> = heads.iter().filter_map(|line| line.parse().ok()).collect();
    if anchors.is_empty() {
        return Err(failed(&"no head in it: lines with `ledger head segment=.. records=.. head=..` are looked for"));
    }
    let unreadable = heads.len() - anchors.len();
    Ok((anchors, unreadable))
}
