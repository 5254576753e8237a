//! The command line. Exit codes: 0, 1 when what was checked does not hold or could not be done, 2 on bad usage; 3 of a gate that does
//! not know.

mod admin;
#[cfg(feature = "stores")]
pub mod campaigns;
pub mod consent;
pub mod demo;
pub mod doctor;
pub mod drill;
pub mod erase;
pub mod explain;
pub mod floor;
pub mod gate;
pub mod ingress;
pub mod instructions;
pub mod ledger;
pub mod load;
pub mod model;
pub mod plan;
pub mod price;
pub mod profiles;
pub mod record;
pub mod replay;
pub mod resume;
pub mod retire;
pub mod serve;
pub mod simulate;
#[cfg(feature = "stores")]
pub mod stores;
pub mod supply;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An OpenRTB bidder for bare metal next to the exchanges.
#[derive(Debug, Parser)]
#[command(name = "corebid", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bidder. Prints `ready` once it answers; SIGTERM drains, SIGHUP reloads the campaigns
    Serve(serve::Args),
    /// Run the bidder on its embedded default against a market on loopback, and show what happens
    Demo(demo::Args),
    /// Run the network loop with the decision replaced by a constant 204
    Floor(floor::Args),
    /// Open-loop load: latency from the intended send time
    Load(load::Args),
    /// Capture what comes to a running bidder, without what identifies people; or say what is in a capture
    Record(record::Args),
    /// Send a capture again, each request when it came
    Replay(replay::Args),
    /// What a rate of requests takes of machines, network, stores and money, with the arithmetic
    Plan(plan::Args),
    /// Is a candidate slower than a baseline? Interleaved runs of two binaries; ends with 0 (pass), 1 (fail) or 3 (inconclusive)
    Gate(gate::Args),
    /// Decide so many requests on one thread, for callgrind to count
    Instructions(Box<instructions::Args>),
    /// Make something fail on purpose, in processes of its own, and check what comes of it
    Drill(drill::Args),
    /// What of this host keeps bid cores from their work: each knob, what is wanted, why, and how it is set and set back
    Doctor(doctor::Args),
    /// The decision for one request, without a network: what each campaign was worth, and why not
    Explain(explain::Args),
    /// The money under virtual time: nodes, bid cores and the authority, with everything going wrong
    Simulate(simulate::Args),
    /// The ledger of a data directory: check it, print it, copy its closed segments out
    Ledger(ledger::Args),
    /// Exchange-encrypted prices
    Price(price::Args),
    /// What a consent string says: TCF, GPP or US privacy. One that cannot be read ends with exit code 1
    Consent(consent::Args),
    /// Supply chains, and the files that say who may sell what
    Supply(supply::Args),
    /// Models of LightGBM and XGBoost: take them in, ask them, look at them
    Model(model::Args),
    /// The base of profiles in files: build it, say what is in it
    Profiles(profiles::Args),
    /// The stores of a fleet: make their tables, see whether we may use them
    #[cfg(feature = "stores")]
    Stores(stores::Args),
    /// Campaigns that a fleet has from DynamoDB
    #[cfg(feature = "stores")]
    Campaigns(campaigns::Args),
    /// Stop a campaign, or all of an advertiser, in a running bidder, until somebody resumes it
    Stop(resume::Args),
    /// Let a campaign or an advertiser bid again that an operator or a guard stopped
    Resume(resume::Args),
    /// The second way in, for when the first is lost: open it, close it, see how it stands
    Ingress(ingress::Args),
    /// Give up the leases of a node that will not come back; recorded
    Retire(retire::Args),
    /// Forget a user: the key is destroyed, so that no copy can be read; recorded
    Erase(erase::Args),
}

/// What went wrong, in one line for stderr, and how the process ends.
#[derive(Debug)]
pub struct Failure {
    /// Where, what, what to do.
    pub message: String,
    /// 1, 2 for bad usage, 3 of a gate that does not know.
    pub code: u8,
}

impl Failure {
    /// Something could not be done, or does not hold.
    pub fn new(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: 1 }
    }

    /// The command was used wrongly.
    pub fn usage(message: impl std::fmt::Display) -> Failure {
        Failure { message: message.to_string(), code: 2 }
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::new(error)
    }
}

/// Runs the command line.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        // It reports every device without I/O polling as an error; what matters to us comes back as one.
        .filter_module("glommio", log::LevelFilter::Off)
        .parse_env("COREBID_LOG")
        .format(|out, record| writeln!(out, "{} {}", record.level().as_str().to_ascii_lowercase(), record.args()))
        .init();
    let ended = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Floor(args) => floor::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Gate(args) => gate::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Drill(args) => drill::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Ledger(args) => ledger::run(&args),
        Command::Price(args) => price::run(&args),
        Command::Consent(args) => consent::run(&args),
        Command::Supply(args) => supply::run(&args),
        Command::Model(args) => model::run(&args),
        Command::Profiles(args) => profiles::run(&args),
        #[cfg(feature = "stores")]
        Command::Stores(args) => stores::run(&args),
        #[cfg(feature = "stores")]
        Command::Campaigns(args) => campaigns::run(&args),
        Command::Stop(args) => resume::stop(&args),
        Command::Resume(args) => resume::resume(&args),
        Command::Ingress(args) => ingress::run(&args),
        Command::Retire(args) => retire::run(&args),
        Command::Erase(args) => erase::run(&args),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { message, code }) => {
            eprintln!("corebid: {message}");
            ExitCode::from(code)
        }
    }
}
