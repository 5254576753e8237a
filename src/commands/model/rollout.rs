//! `corebid model arms` and `corebid model rollback`: which models a running bidder serves (docs/ROLLOUT.md).

use clap::Args as ClapArgs;

use crate::admin::rollout::{ArmView, View};
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};

/// What both are told.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The admin port of the bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Shows them.
pub(super) fn arms(args: &Args) -> Result<(), Failure> {
    tell(args, &Admin(&args.admin).read("/api/rollout")?)
}

/// Goes back to the rollout before, at once.
pub(super) fn roll_back(args: &Args) -> Result<(), Failure> {
    tell(args, &Admin(&args.admin).post("/api/rollout/rollback")?)
}

fn tell(args: &Args, view: &View) -> Result<(), Failure> {
    match args.json {
        true => println!("{}", serde_json::to_string(view)?),
        false => print!("{}", told(view)),
    }
    Ok(())
}

fn told(view: &View) -> String {
    let mut lines = format!("split by {}\n", view.split);
    for ArmView { name, share, shadow, click, conversion } in &view.arms {
        let share = match (shadow, share) {
            (true, _) => "shadow".to_owned(),
            (false, 0) => "none".to_owned(),
            (false, share) => format!("{} %", f64::from(*share) / 100.0),
        };
        let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "-".to_owned());
        lines += &format!("{name:<32} {share:>8}  click {}  conversion {}\n", version(click), version(conversion));
    }
    if view.rolled_back {
        lines += "rolled back: the rollout file is passed over until it says something else\n";
    }
    lines
}
