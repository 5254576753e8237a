//! A real Prometheus beside a drill, with the alert rules that are shipped: does the drill's alert fire, and clear? Where there is
//! none in `PATH`, a line says so, and nothing of it is checked.
//!
//! It scrapes and evaluates each second where production does every 15 s, and a drill has no half hour: windows and delays of the
//! rules are a sixth of what is shipped ([`quickened`]). Thresholds are as they are.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::lab::drill::{Halt, Process, Stage, http, program};

/// The rules as they are shipped.
pub const RULES: &str = include_str!("../../../deploy/prometheus/corebid.rules.yml");
/// What windows and delays are divided by.
pub(super) const QUICKER: u64 = 6;

/// It replays nothing, so it is up in a second; a machine under a drill's load takes longer.
const START: Duration = Duration::from_secs(30);
/// An alert's delay and window, and a few scrapes of a loaded machine.
const FIRES: Duration = Duration::from_secs(30);
/// The longest window, too, has to pass.
const CLEARS: Duration = Duration::from_secs(60);
/// A port may be taken between looking and listening, and then the server ends.
const ATTEMPTS: u32 = 5;

/// A server that watches bidders, or none.
#[derive(Debug)]
pub struct Prometheus(Option<Running>);

#[derive(Debug)]
struct Running {
    process: Process,
    address: SocketAddr,
    targets: PathBuf,
}

impl Prometheus {
    /// Starts one that scrapes these admin ports, and waits until each was scraped.
    ///
    /// # Errors
    /// It is installed, and does not run.
    pub fn watch(stage: &Stage, admins: &[SocketAddr]) -> Result<Prometheus, Halt> {
        let Ok(program) = program("prometheus", "scripts/drill installs it") else {
            stage.saw("no prometheus in PATH: alerts are not checked");
            return Ok(Prometheus(None));
        };
        let folder = stage.files().within("prometheus")?;
        let targets = folder.join("targets.json");
        fs::write(folder.join("corebid.rules.yml"), quickened(RULES))?;
        // Prometheus reads JSON as the YAML it is.
        let config = json!({
            "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
            "rule_files": ["corebid.rules.yml"],
            "scrape_configs": [{ "job_name": "corebid", "file_sd_configs": [{ "files": ["targets.json"] }] }],
        });
        fs::write(folder.join("prometheus.yml"), config.to_string())?;
        tell(&targets, admins)?;
        let mut attempt = 1;
        let running = loop {
            match Running::start(stage, &program, &folder, &targets) {
                Ok(running) => break running,
                Err(_) if attempt < ATTEMPTS => attempt += 1,
                Err(halt) => return Err(halt),
            }
        };
        stage.until("a scrape of each bidder", START, || (running.up() >= admins.len()).then_some(()))?;
        stage.saw(format_args!(
            "prometheus scrapes {} bidders each second; windows and delays of its rules are a sixth of those shipped",
            admins.len()
        ));
        Ok(Prometheus(Some(running)))
    }

    /// Whether there is one.
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Scrapes these from now on: a bidder that was started again has another port.
    ///
    /// # Errors
    /// Its file of targets cannot be written.
    pub fn follow(&self, admins: &[SocketAddr]) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |running| tell(&running.targets, admins))
    }

    /// Checks that an alert fires soon, or has fired since it was watched for.
    ///
    /// # Errors
    /// Somebody pressed Ctrl-C.
    pub fn fires(&self, stage: &mut Stage, alert: &str) -> Result<(), Halt> {
        let Some(running) = &self.0 else { return Ok(()) };
        let fired = format!("last_over_time(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}[1h])");
        stage.reaches(&format!("the alert {alert} fires"), FIRES, || match running.series(&fired) {
            0 => (false, "it has not fired".into()),
            _ => (true, running.summary(alert).unwrap_or_else(|| "it fired, and has cleared".into())),
        })?;
        Ok(())
    }

    /// Checks that it does not fire any more soon.
    ///
    /// # Errors
    /// Somebody pressed Ctrl-C.
    pub fn clears(&self, stage: &mut Stage, alert: &str) -> Result<(), Halt> {
        let Some(running) = &self.0 else { return Ok(()) };
        let firing = format!("ALERTS{{alertname=\"{alert}\",alertstate=\"firing\"}}");
        stage.reaches(&format!("the alert {alert} clears"), CLEARS, || match running.ask(&firing) {
            Some(series) if series.is_empty() => (true, "it does not fire".into()),
            Some(series) => (false, format!("{} of them fire", series.len())),
            None => (false, "prometheus does not answer".into()),
        })?;
        Ok(())
    }
}

impl Running {
    fn start(stage: &Stage, program: &Path, folder: &Path, targets: &Path) -> Result<Running, Halt> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut command = Command::new(program);
        command.current_dir(folder).arg(format!("--web.listen-address={address}"));
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"]);
        let process = Process::start(stage, "prometheus", &mut command)?;
        let mut running = Running { process, address, targets: targets.to_owned() };
        let up = stage.until("that prometheus is ready", START, || {
            let is_ready = http::get(address, "/-/ready").is_ok_and(|answer| answer.status == 200);
            is_ready.then_some(true).or(running.process.ended().map(|_| false))
        })?;
        let why = || running.process.log().lines().last().unwrap_or("it said nothing").to_owned();
        if up { Ok(running) } else { Err(Halt::failed("prometheus", why())) }
    }

    /// Bidders that answered the last scrape.
    fn up(&self) -> usize {
        self.series("up == 1")
    }

    fn series(&self, query: &str) -> usize {
        self.ask(query).map_or(0, |series| series.len())
    }

    /// What a query finds now.
    fn ask(&self, query: &str) -> Option<Vec<Value>> {
        let answer = self.get(&format!("/api/v1/query?query={}", percent_encoded(query)))?;
        answer["data"]["result"].as_array().cloned()
    }

    /// What an alert that fires tells.
    fn summary(&self, alert: &str) -> Option<String> {
        let alerts = self.get("/api/v1/alerts")?["data"]["alerts"].as_array()?.clone();
        let firing = alerts.iter().find(|known| known["labels"]["alertname"] == alert && known["state"] == "firing")?;
        Some(format!("\"{}\"", firing["annotations"]["summary"].as_str()?))
    }

    fn get(&self, target: &str) -> Option<Value> {
        http::get(self.address, target).ok().map(|answer| answer.json())
    }
}

fn tell(targets: &Path, admins: &[SocketAddr]) -> io::Result<()> {
    let admins: Vec<String> = admins.iter().map(SocketAddr::to_string).collect();
    // Renamed, so that it is never read half.
    let new = targets.with_extension("new");
    fs::write(&new, json!([{ "targets": admins }]).to_string())?;
    fs::rename(new, targets)
}

/// For a URL's query (RFC 3986, 2.1).
fn percent_encoded(text: &str) -> String {
    let encoded = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    encoded.collect()
}

/// The rules with each window, offset and delay divided by [`QUICKER`].
pub fn quickened(rules: &str) -> String {
    let mut quick = String::with_capacity(rules.len());
    let mut rest = rules;
    while let Some((start, word)) =
        ["[", "offset ", "for: "].iter().filter_map(|word| Some((rest.find(word)?, word))).min()
    {
        let (before, after) = rest.split_at(start + word.len());
        quick.push_str(before);
        rest = after;
        let digits = after.len() - after.trim_start_matches(|byte: char| byte.is_ascii_digit()).len();
        let unit_ms = match after.as_bytes().get(digits) {
            Some(b's') => 1_000,
            Some(b'm') => 60_000,
            _ => continue,
        };
        if let Ok(length) = after[..digits].parse::<u64>() {
            quick.push_str(&format!("{}ms", length * unit_ms / QUICKER));
            rest = &after[digits + 1..];
        }
    }
    quick + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_and_delays_are_shorter_and_nothing_else_is() {
        let rules = "expr: rate(a[1m]) < 0.1 * rate(b[30m] offset 1m)\nfor: 15s\nsummary: \"for [x] 15s offset\"\n";
        assert_eq!(
            quickened(rules),
            "expr: rate(a[10000ms]) < 0.1 * rate(b[300000ms] offset 10000ms)\nfor: 2500ms\nsummary: \"for [x] 15s offset\"\n"
        );
        let lines =
            |text: &str| text.lines().filter(|line| line.contains("alert:")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lines(&quickened(RULES)), lines(RULES));
    }
}
