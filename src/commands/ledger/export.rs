//! `corebid ledger export`.

use std::path::PathBuf;

use crate::commands::Failure;
use crate::store::export::{Exported, export};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data directory of `serve`
    dir: PathBuf,
    /// Where to; made if it is not there
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let Exported { written, present } = export(&args.dir, &args.out)?;
    if args.json {
        println!("{}", serde_json::json!({ "written": written, "present": present }));
    } else {
        println!("{}: {written} segments written, {present} were there", args.out.display());
    }
    Ok(())
}
