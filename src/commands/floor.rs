//! `corebid floor`.

use std::net::SocketAddr;

use clap::Args as ClapArgs;

use crate::bid::net::Waiting;
use crate::bid::server::Backend;
use crate::commands::Failure;
use crate::lab::floor::{self, Options};

/// What `corebid floor` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The CPU of the bid thread
    #[arg(long)]
    core: Option<usize>,
    /// How the bid thread waits: block, hybrid or spin
    #[arg(long, default_value = "hybrid")]
    wait: Waiting,
    /// What serves the sockets: io_uring or epoll
    #[arg(long, default_value = "io_uring")]
    backend: Backend,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let options = Options { listen: args.listen, core: args.core, waiting: args.wait, backend: args.backend };
    floor::run(&options).map_err(|error| Failure::new(format!("floor on {}: {error}", args.listen)))?;
    Ok(())
}
