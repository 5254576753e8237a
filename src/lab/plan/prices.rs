//! What machines and services cost: the operator's own figures (deploy/prices.toml is an example of the form, not of prices).

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::costs::{absurd, figures, read};

figures! {
    /// A price file.
    Prices {
        /// CPUs of a machine that threads are pinned to: cores, where bid cores do not share one with a sibling.
        machine_cores: "cores/machine",
        /// Of these, for reconciliation, housekeeping and the kernel.
        reserved_cores: "cores/machine",
        /// Memory of a machine.
        machine_gib: "GiB/machine",
        /// Machines beyond those that the rate asks for: how many may be lost.
        spare_machines: "machines",
        /// A machine for a month.
        machine_dollars_per_month: "dollars",
        /// What goes out to exchanges.
        egress_dollars_per_tb: "dollars/TB",
        /// DynamoDB, read request units.
        dollars_per_million_read_units: "dollars/million units",
        /// What one Valkey server serves of lease calls and frequency writes.
        valkey_calls_per_server: "calls/s",
        /// A Valkey server for a month, its replicas in it.
        valkey_dollars_per_server: "dollars",
        /// Days the ledger is kept.
        ledger_days: "days",
        /// Where it is kept.
        storage_dollars_per_gb_month: "dollars/GB and month",
    }
}

/// The example that comes with the program.
const EXAMPLE: &str = include_str!("../../../deploy/prices.toml");

impl Prices {
    /// Reads a price file.
    ///
    /// # Errors
    /// In one line, with the file.
    pub fn read(path: &Path) -> Result<Prices, String> {
        let prices: Prices = read(path)?;
        let why = absurd(prices.each()).or_else(|| {
            (prices.machine_cores < 1.0 || prices.valkey_calls_per_server <= 0.0 || prices.machine_gib <= 0.0)
                .then(|| "machine_cores, machine_gib and valkey_calls_per_server are above 0".to_owned())
        });
        match why {
            Some(why) => Err(format!("{}: {why}", path.display())),
            None => Ok(prices),
        }
    }

    /// The example file.
    pub fn example() -> Prices {
        toml::from_str(EXAMPLE).expect("the example is read by a test")
    }
}
