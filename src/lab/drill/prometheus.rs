//! A real Prometheus beside a drill, with the alert rules that are shipped: does the drill's alert fire, and clear?
//!
//! It scrapes and evaluates each second where production does every 15 s, and a drill has no half hour: windows and delays of the
//! rules are a sixth of what is shipped ([`quickened`]), and the drill says so. Thresholds are as they are.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The rules as they are shipped.
pub const RULES: &str = include_str!("../../../deploy/prometheus/corebid.rules.yml");
/// What windows and delays are divided by.
pub const QUICKER: u64 = 6;

/// It replays nothing, so it is up in a second; a machine under a drill's load takes longer.
const START: Duration = Duration::from_secs(30);
/// An answer on loopback.
const ANSWER: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// A running server, and what it may not outlive. Killed when it goes out of scope.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    url: String,
    targets: PathBuf,
}

impl Prometheus {
    /// Whether there is one on PATH.
    pub fn is_installed() -> bool {
        let found = Command::new("prometheus").arg("--version").stdin(Stdio::null()).output();
        found.is_ok_and(|found| found.status.success())
    }

    /// Starts one in `folder`, which scrapes these admin ports, and waits until each was scraped.
    ///
    /// # Errors
    /// Why it does not run, in one line.
    pub fn start(folder: &Path, admins: &[SocketAddr]) -> Result<Prometheus, String> {
        let folder = folder.join("prometheus");
        let targets = folder.join("targets.json");
        let prepare = || -> io::Result<()> {
            fs::create_dir_all(&folder)?;
            fs::write(folder.join("corebid.rules.yml"), quickened(RULES))?;
            // Prometheus reads JSON as the YAML it is.
            let config = json!({
                "global": { "scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s" },
                "rule_files": ["corebid.rules.yml"],
                "scrape_configs": [{ "job_name": "corebid", "file_sd_configs": [{ "files": ["targets.json"] }] }],
            });
            fs::write(folder.join("prometheus.yml"), config.to_string())?;
            tell(&targets, admins)
        };
        prepare().map_err(|error| format!("{}: {error}", folder.display()))?;
        // A port may be taken between looking and listening, and then the server ends.
        let mut attempts = 0;
        let prometheus = loop {
            attempts += 1;
            let (child, url) = spawn(&folder).map_err(|error| format!("prometheus: {error}"))?;
            let mut prometheus = Prometheus { child, url, targets: targets.clone() };
            match prometheus.ready() {
                Ok(()) => break prometheus,
                Err(_) if attempts < 5 => {}
                Err(why) => return Err(why),
            }
        };
        let scraped = || prometheus.up() >= admins.len();
        if !until(START, scraped) {
            return Err(format!("prometheus scrapes {} of {} bidders", prometheus.up(), admins.len()));
        }
        Ok(prometheus)
    }

    /// Scrapes these from now on: a bidder that was started again has another port.
    ///
    /// # Errors
    /// Its file of targets cannot be written.
    pub fn watch(&self, admins: &[SocketAddr]) -> io::Result<()> {
        tell(&self.targets, admins)
    }

    /// Whether an alert fires now.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn fires(&self, alert: &str) -> Result<bool, String> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"].as_array().ok_or_else(|| format!("prometheus says {answer}"))?;
        Ok(alerts.iter().any(|known| known["labels"]["alertname"] == alert && known["state"] == "firing"))
    }

    /// Waits until it fires, and says how long that took; nothing if it does not in this time.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn fired(&self, alert: &str, patience: Duration) -> Result<Option<Duration>, String> {
        self.turns(alert, true, patience)
    }

    /// The same until it does not fire.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn cleared(&self, alert: &str, patience: Duration) -> Result<Option<Duration>, String> {
        self.turns(alert, false, patience)
    }

    fn turns(&self, alert: &str, firing: bool, patience: Duration) -> Result<Option<Duration>, String> {
        let start = Instant::now();
        let mut failed = None;
        let turned = until(patience, || match self.fires(alert) {
            Ok(fires) => fires == firing,
            Err(why) => {
                failed = Some(why);
                true
            }
        });
        failed.map_or(Ok(turned.then(|| start.elapsed())), Err)
    }

    /// Bidders that answered the last scrape.
    fn up(&self) -> usize {
        let answer = self.ask("/api/v1/query?query=up==1").unwrap_or(Value::Null);
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    }

    fn ready(&mut self) -> Result<(), String> {
        let mut ended = None;
        let ready = until(START, || {
            ended = self.child.try_wait().ok().flatten();
            ended.is_some() || self.text("/-/ready").is_ok()
        });
        match ended {
            None if ready => Ok(()),
            None => Err(format!("prometheus is not ready after {} s", START.as_secs())),
            Some(status) => Err(format!("prometheus ended: {status}")),
        }
    }

    fn ask(&self, path: &str) -> Result<Value, String> {
        serde_json::from_str(&self.text(path)?).map_err(|error| format!("prometheus: {error}"))
    }

    fn text(&self, path: &str) -> Result<String, String> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(ANSWER)).build().new_agent();
        let answer = agent.get(format!("{}{path}", self.url)).call();
        answer.and_then(|mut answer| answer.body_mut().read_to_string()).map_err(|error| format!("prometheus: {error}"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn tell(targets: &Path, admins: &[SocketAddr]) -> io::Result<()> {
    let admins: Vec<String> = admins.iter().map(SocketAddr::to_string).collect();
    // Renamed, so that it is never read half.
    let new = targets.with_extension("new");
    fs::write(&new, json!([{ "targets": admins }]).to_string())?;
    fs::rename(new, targets)
}

fn spawn(folder: &Path) -> io::Result<(Child, String)> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let log = fs::File::create(folder.join("log"))?;
    let child = Command::new("prometheus")
        .current_dir(folder)
        .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn"])
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()?;
    Ok((child, format!("http://127.0.0.1:{port}")))
}

fn until(patience: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if holds() {
            return true;
        }
        if start.elapsed() >= patience {
            return false;
        }
        #[allow(clippy::disallowed_methods, reason = "a drill waits here, not a request")]
        thread::sleep(POLL);
    }
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
