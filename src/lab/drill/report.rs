//! What a drill saw and checked: line by line for people, as one object for scripts.

use std::fmt::{self, Display};
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::clock;
use crate::lab::drill::background::Background;
use crate::lab::drill::{Files, Halt, interrupt};
use crate::lab::load;
use crate::units::Nanos;

/// How often something that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// One thing that must hold.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What must hold, as a sentence without a full stop.
    pub what: String,
    /// Whether it does.
    pub ok: bool,
    /// What was seen, with numbers.
    pub saw: String,
    /// It is about how fast things go, so that a machine that is busy with something else may miss it.
    pub figure: bool,
}

/// How a drill went.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The drill.
    pub name: String,
    /// It was gone through, something was checked, and every check holds.
    pub ok: bool,
    /// How long it took.
    pub seconds: f64,
    /// In the order of the drill.
    pub checks: Vec<Check>,
    /// Why it ended early, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub halted: Option<String>,
}

impl Report {
    /// Of a drill that did not begin.
    pub fn halted(name: &str, halt: &Halt) -> Report {
        let halted = Some(halt.to_string());
        Report { name: name.to_owned(), ok: false, seconds: 0.0, checks: Vec::new(), halted }
    }

    /// The checks that do not hold.
    pub fn failures(&self) -> usize {
        self.checks.iter().filter(|check| !check.ok).count()
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { name, checks, seconds, halted, .. } = self;
        match (halted, self.failures()) {
            (Some(why), _) => write!(f, "{name}: {why}"),
            (None, 0) => write!(f, "{name}: {} checks hold, {seconds:.1} s", checks.len()),
            (None, failures) => write!(f, "{name}: {failures} of {} checks do not hold, {seconds:.1} s", checks.len()),
        }
    }
}

/// Where a drill takes place: its clock, its folder and its findings.
#[derive(Debug)]
pub struct Stage {
    name: &'static str,
    quiet: bool,
    began: Nanos,
    files: Files,
    checks: Vec<Check>,
    /// How many times longer than usual it waits for what must come.
    patience: u32,
}

impl Stage {
    pub(super) fn new(name: &'static str, quiet: bool, patience: u32) -> std::io::Result<Stage> {
        Ok(Stage { name, quiet, began: clock::boot(), files: Files::new(name)?, checks: Vec::new(), patience })
    }

    /// The drill's folder: removed when it is over.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Its path.
    pub fn folder(&self) -> &Path {
        self.files.folder()
    }

    /// Time since the drill began.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(clock::boot().since(self.began))
    }

    /// Tells what was done or seen.
    pub fn saw(&self, what: impl Display) {
        self.line("saw", what);
    }

    /// Something that must hold, and what was seen of it.
    pub fn check(&mut self, what: &str, ok: bool, saw: impl Display) -> bool {
        self.checked(Check { what: what.to_owned(), ok, saw: saw.to_string(), figure: false })
    }

    /// The same of a figure.
    pub fn figure(&mut self, what: &str, ok: bool, saw: impl Display) -> bool {
        self.checked(Check { what: what.to_owned(), ok, saw: saw.to_string(), figure: true })
    }

    fn checked(&mut self, check: Check) -> bool {
        let Check { what, ok, saw, .. } = &check;
        self.line(if *ok { "ok" } else { "FAILED" }, format_args!("{what}: {saw}"));
        self.checks.push(check);
        self.checks.last().is_some_and(|check| check.ok)
    }

    /// Something that must hold before this time, as often as `corebid drill --patience` says, is over: checked as soon as it does. `look` says
    /// whether, and what it saw.
    pub fn reaches(
        &mut self,
        what: &str,
        most: Duration,
        mut look: impl FnMut() -> (bool, String),
    ) -> Result<bool, Halt> {
        let (start, most) = (self.elapsed(), most * self.patience);
        loop {
            let (ok, saw) = look();
            let took = self.elapsed() - start;
            if ok || took > most {
                return Ok(self.check(what, ok, format_args!("{saw}, after {:.2} s", took.as_secs_f64())));
            }
            self.pause(LOOK)?;
        }
    }

    /// What `look` finds, as soon as it finds something; a halt if it does not in time.
    pub fn until<T>(&self, what: &str, most: Duration, mut look: impl FnMut() -> Option<T>) -> Result<T, Halt> {
        let (start, most) = (self.elapsed(), most * self.patience);
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if self.elapsed() - start > most {
                return Err(Halt::Failed(format!("never saw {what} in {} s", most.as_secs_f64())));
            }
            self.pause(LOOK)?;
        }
    }

    /// Waits; a halt if somebody pressed Ctrl-C meanwhile.
    pub fn pause(&self, time: Duration) -> Result<(), Halt> {
        interrupt::sleep(time)
    }

    /// Puts load on a bidder, from a thread of its own.
    pub fn load(&self, options: load::Options) -> Result<Background, Halt> {
        Background::start(options)
    }

    fn line(&self, kind: &str, what: impl Display) {
        if !self.quiet {
            println!("{:8.3} s  {kind:<6}  {what}", self.elapsed().as_secs_f64());
        }
    }

    pub(super) fn finish(self, ended: Result<(), Halt>) -> Report {
        let halted = ended.err().map(|halt| halt.to_string());
        let ok = halted.is_none() && !self.checks.is_empty() && self.checks.iter().all(|check| check.ok);
        let seconds = (self.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        Report { name: self.name.to_owned(), ok, seconds, checks: self.checks, halted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(checks: &[bool], ended: Result<(), Halt>) -> Report {
        let mut stage = Stage::new("a-drill", true, 1).expect("a folder");
        for ok in checks {
            stage.check("it holds", *ok, 1);
        }
        stage.finish(ended)
    }

    #[test]
    fn a_drill_is_good_if_it_was_gone_through_and_every_check_holds() {
        assert!(report(&[true, true], Ok(())).ok);
        let failed = report(&[true, false], Ok(()));
        assert!(!failed.ok && failed.to_string().starts_with("a-drill: 1 of 2 checks do not hold"), "{failed}");
        assert!(!report(&[], Ok(())).ok, "nothing was checked");
        let halted = report(&[true], Err(Halt::Missing("valkey-server".into())));
        assert!(!halted.ok && halted.to_string() == "a-drill: it needs valkey-server", "{halted}");
    }

    #[test]
    fn what_is_waited_for_is_seen_or_fails() {
        let mut stage = Stage::new("waiting", true, 1).expect("a folder");
        let folder = stage.folder().to_owned();
        let mut looks = 0;
        let mut third = || {
            looks += 1;
            (looks == 3, looks.to_string())
        };
        assert!(stage.reaches("the third look", Duration::from_secs(60), &mut third).expect("no interruption"));
        assert!(!stage.reaches("nothing", Duration::ZERO, || (false, String::new())).expect("no interruption"));
        assert!(stage.until("nothing", Duration::ZERO, || None::<()>).is_err());
        assert!(folder.is_dir());
        let report = stage.finish(Ok(()));
        assert_eq!((report.ok, report.failures()), (false, 1));
        assert!(!folder.exists(), "the folder goes with the stage");
    }
}
