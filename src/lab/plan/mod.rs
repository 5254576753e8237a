//! `corebid plan`: what a rate of requests takes of machines, networks, stores and money (docs/CAPACITY.md).
//!
//! Three things go in: what is asked ([`Question`]), what a request costs ([`Costs`], measured on a host), and what machines and
//! services cost ([`Prices`], from the operator's own contract). Out comes arithmetic, line by line, so that whoever doubts a result
//! finds the line to doubt.

pub mod costs;
pub mod measure;
pub mod prices;
mod sheet;

use std::fmt;

use serde::Serialize;

pub use costs::Costs;
pub use prices::Prices;
use sheet::Sheet;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Question {
    /// Bid requests per second at the peak, over all machines.
    pub qps: f64,
    /// Of these, on average over a month.
    pub average: f64,
    /// Bids per request; `None` for that of the costs.
    pub bid_share: Option<f64>,
    /// Bids that win, and are billed.
    pub win_share: f64,
    /// Bytes of a request's body; `None` for that of the costs.
    pub body_bytes: Option<f64>,
    /// Users whose profiles are asked for; 0 for none.
    pub profiles: f64,
    /// Campaigns.
    pub campaigns: f64,
    /// Advertisers: each is a shard of leases.
    pub advertisers: f64,
    /// How busy a bid core may be at the peak.
    pub headroom: f64,
}

impl Default for Question {
    fn default() -> Question {
        Question {
            qps: 0.0,
            average: 1.0,
            bid_share: None,
            win_share: 0.2,
            body_bytes: None,
            profiles: 0.0,
            campaigns: 1000.0,
            advertisers: 100.0,
            headroom: 0.6,
        }
    }
}

impl Question {
    /// Which option makes no sense, and why.
    ///
    /// # Errors
    /// The first that does not.
    pub fn check(&self) -> Result<(), String> {
        let share = |name: &str, value: f64| match (0.0..=1.0).contains(&value) {
            true => Ok(()),
            false => Err(format!("--{name} {value}: a share from 0 to 1")),
        };
        if !(self.qps >= 1.0 && self.qps <= 1e12) {
            return Err(format!("--qps {}: from 1 to 1e12 requests a second", self.qps));
        }
        share("bid-share", self.bid_share.unwrap_or(0.0))?;
        share("win-share", self.win_share)?;
        share("average", self.average)?;
        if !(self.headroom > 0.0 && self.headroom < 1.0) {
            return Err(format!(
                "--headroom {}: above 0 and below 1; a core that is always busy makes all wait",
                self.headroom
            ));
        }
        let counts = [
            ("body-bytes", self.body_bytes.unwrap_or(0.0), 1024.0 * 1024.0),
            ("profiles", self.profiles, 1e12),
            ("campaigns", self.campaigns, crate::limits::SLOTS as f64),
            ("advertisers", self.advertisers, crate::limits::SLOTS as f64),
        ];
        match counts.into_iter().find(|(_, value, most)| !(0.0..=*most).contains(value)) {
            Some((name, value, most)) => Err(format!("--{name} {value}: from 0 to {most}")),
            None => Ok(()),
        }
    }
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// Somebody asked for it.
    Asked,
    /// The costs: measured, as their file says.
    Measured,
    /// The price file.
    Prices,
    /// Nobody measured it: docs/CAPACITY.md says why it is what it is.
    Assumed,
    /// The program's own bound.
    Bound,
}

/// A number that goes in.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Input {
    /// What formulas call it.
    pub name: &'static str,
    /// It.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// Whence.
    pub from: From,
}

/// A number that comes out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// What formulas call it.
    pub name: &'static str,
    /// What is computed, by names.
    pub formula: &'static str,
    /// The same with numbers.
    pub numbers: String,
    /// What comes of it.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// What it takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Bid cores, over all machines.
    pub cores: f64,
    /// Machines.
    pub machines: f64,
    /// Memory of one machine's process, bytes.
    pub memory_bytes: f64,
    /// Whether a machine has so much.
    pub fits: bool,
    /// From exchanges, bits per second at the peak.
    pub in_bits: f64,
    /// To exchanges, bits per second at the peak.
    pub out_bits: f64,
    /// A month, at the prices given.
    pub dollars: f64,
    /// What went in.
    pub inputs: Vec<Input>,
    /// How it was computed, in order.
    pub lines: Vec<Line>,
    /// Where and how the costs were measured.
    pub measured_on: String,
}

/// Answers a question.
pub fn plan(question: &Question, costs: &Costs, prices: &Prices) -> Plan {
    let mut sheet = Sheet::default();
    sheet.inputs(question, costs, prices);
    sheet.traffic();
    sheet.cores();
    sheet.network();
    sheet.stores();
    sheet.money();
    Plan {
        cores: sheet.of("bid_cores"),
        machines: sheet.of("machines"),
        memory_bytes: sheet.of("memory"),
        fits: sheet.of("memory_short") <= 0.0,
        in_bits: sheet.of("in_bits"),
        out_bits: sheet.of("out_bits"),
        dollars: sheet.of("dollars"),
        inputs: sheet.inputs,
        lines: sheet.lines,
        measured_on: costs.measured_on.clone(),
    }
}

/// A number as people read it: at most three decimals, thousands apart.
pub(crate) fn shown(value: f64) -> String {
    if value != 0.0 && value.abs() < 0.001 {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.3}");
    let (whole, decimals) = text.split_once('.').expect("three decimals");
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let decimals = decimals.trim_end_matches('0');
    format!("{sign}{grouped}{}{decimals}", if decimals.is_empty() { "" } else { "." })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "costs: {}\n", self.measured_on)?;
        for Input { name, value, unit, from } in &self.inputs {
            let from = format!("{from:?}").to_lowercase();
            writeln!(f, "  {name:<28}{:>18} {unit:<26} {from}", shown(*value))?;
        }
        writeln!(f)?;
        for Line { name, formula, numbers, value, unit } in &self.lines {
            writeln!(f, "  {name} = {formula}\n    = {numbers} = {} {unit}", shown(*value))?;
        }
        write!(
            f,
            "\n{} bid cores on {} machines, {} MiB each; {} Mbit/s in, {} Mbit/s out; {} dollars a month",
            shown(self.cores),
            shown(self.machines),
            shown((self.memory_bytes / 1_048_576.0).ceil()),
            shown((self.in_bits / 1e6).ceil()),
            shown((self.out_bits / 1e6).ceil()),
            shown(self.dollars.round())
        )?;
        if !self.fits {
            let why = "a process may hold more than its machine has (memory_short above)";
            write!(f, "\nDOES NOT FIT: {why}: take larger machines, or more with fewer machine_cores in use")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
