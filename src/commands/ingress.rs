//! `corebid ingress`: the second way into a running bidder (docs/INGRESS.md).

use clap::{Args as ClapArgs, ValueEnum};

use crate::commands::Failure;
use crate::commands::admin::{self, Admin};
use crate::ingress::Status;

/// What `corebid ingress` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// What to do
    what: What,
    /// The admin port of the bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    /// Listen, until it is closed or the bidder ends
    Open,
    /// Listen no more, and end its connections
    Close,
    /// Say how it stands
    Status,
}

/// Asks it of the bidder. A way in that stays open is told, and ends with exit code 1.
pub fn run(args: &Args) -> Result<(), Failure> {
    let admin = Admin(&args.admin);
    let status: Status = match args.what {
        What::Open => admin.post("/api/ingress/open")?,
        What::Close => admin.post("/api/ingress/close")?,
        What::Status => admin.read("/api/ingress")?,
    };
    if args.json {
        println!("{}", serde_json::to_string(&status)?);
    } else {
        println!("{}", told(&status));
    }
    if args.what == What::Close && status.open {
        return Err(Failure::new("the ingress stays open while its flag file is there: remove it"));
    }
    Ok(())
}

fn told(status: &Status) -> String {
    let Status { open, listen, operator, flag_file, connections, .. } = status;
    if !open {
        return format!("closed; it would listen on {listen}");
    }
    let why = match (operator, flag_file) {
        (true, true) => "an operator opened it, and its flag file is there",
        (false, _) => "its flag file is there",
        (true, false) => "an operator opened it",
    };
    format!("open on https://{listen}, {connections} connections: {why}")
}
