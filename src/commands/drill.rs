//! `corebid drill`.

use clap::{Args as ClapArgs, value_parser};

use crate::commands::Failure;
use crate::lab::drill::{self, DRILLS};

/// What `corebid drill` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Which (docs/DRILLS.md)
    #[arg(required_unless_present = "list", conflicts_with = "list")]
    name: Option<String>,
    /// Say which drills there are
    #[arg(long)]
    list: bool,
    /// Print one JSON object at the end and nothing before
    #[arg(long)]
    json: bool,
    /// Wait this many times longer for what must come: for a machine that is busy with something else
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=100))]
    patience: u32,
}

/// Goes through one, or lists them.
pub fn run(args: &Args) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        for drill in DRILLS {
            println!("{:<20}  {}", drill.name, drill.about);
        }
        return Ok(());
    };
    let Some(drill) = drill::find(name) else {
        let names: Vec<_> = DRILLS.iter().map(|drill| drill.name).collect();
        return Err(Failure::usage(format!("there is no drill `{name}`; there are {}", names.join(", "))));
    };
    let report = drill::run(drill, args.json, args.patience);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else if report.ok {
        println!("{report}");
    }
    if report.ok { Ok(()) } else { Err(Failure::new(report)) }
}
