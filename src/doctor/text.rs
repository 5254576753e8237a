//! The report as people read it.

use std::fmt::{self, Write};

use super::surroundings::Virtual;
use super::{Knob, Report, Severity, State};

/// Columns of a line.
const WIDTH: usize = 110;
/// Where the texts below a knob begin.
const INDENT: usize = 4;

impl Report {
    /// What differs, with why and what to do; what is a choice; what cannot be seen; what is good by name. With `all`, everything of
    /// each.
    pub fn text(&self, all: bool) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, all);
        out
    }

    fn write(&self, out: &mut String, all: bool) -> fmt::Result {
        self.write_head(out)?;
        let counts = |wanted| self.knobs.iter().filter(|knob| knob.state == wanted).count();
        for (severity, title) in [
            (Severity::High, "HIGH: requests are late for it"),
            (Severity::Medium, "MEDIUM: it shows in the tail"),
            (Severity::Low, "LOW: it shows where the rest is in order"),
            (Severity::Info, "GOOD TO KNOW"),
            (Severity::Choice, "CHOICES: nothing is wrong with either"),
        ] {
            let shown = |knob: &&Knob| knob.severity == severity && (all || knob.state == State::Differs);
            let knobs: Vec<&Knob> = self.knobs.iter().filter(shown).collect();
            if knobs.is_empty() {
                continue;
            }
            writeln!(out, "\n{title}")?;
            for knob in knobs {
                write_knob(out, knob, all)?;
            }
        }
        if !all {
            self.write_unseen(out)?;
            self.write_names(out, "GOOD", State::Good)?;
            self.write_names(out, "DOES NOT APPLY HERE", State::NotApplicable)?;
        }
        let chosen = |knob: &&Knob| knob.state == State::Differs && knob.severity == Severity::Choice;
        let choices = self.knobs.iter().filter(chosen).count();
        writeln!(
            out,
            "\n{} knobs: {} differ, {choices} are a choice, {} good, {} cannot be seen here, {} do not apply.",
            self.knobs.len(),
            counts(State::Differs) - choices,
            counts(State::Good),
            counts(State::Unseen),
            counts(State::NotApplicable)
        )?;
        writeln!(
            out,
            "`tuning/tune print` writes a script of what can be set, to read first; docs/TUNING.md says more of each."
        )
    }

    fn write_head(&self, out: &mut String) -> fmt::Result {
        let place = match &self.surroundings.virtualization {
            Virtual::BareMetal => "bare metal".to_owned(),
            Virtual::Guest(kind) => format!("a virtual machine (kind: {kind})"),
            Virtual::Unseen => "whether virtual or not cannot be seen".to_owned(),
        };
        let container =
            self.surroundings.container.as_ref().map_or(String::new(), |kind| format!(", in a container ({kind})"));
        writeln!(out, "Linux {}, {place}{container}", self.kernel)?;
        let list = |cpus: &super::cpus::CpuSet| if cpus.is_empty() { "none".to_owned() } else { cpus.to_string() };
        let nic = self.roles.nic.as_deref().unwrap_or("none known");
        writeln!(
            out,
            "bid cores {}, housekeeping {}, network card {nic}",
            list(&self.roles.bid),
            list(&self.roles.housekeeping)
        )?;
        if self.surroundings.is_guest() {
            wrapped(out, 0, "", GUEST)?;
        }
        if self.surroundings.container.is_some() {
            wrapped(out, 0, "", CONTAINER)?;
        }
        Ok(())
    }

    fn write_unseen(&self, out: &mut String) -> fmt::Result {
        let unseen: Vec<&Knob> = self.knobs.iter().filter(|knob| knob.state == State::Unseen).collect();
        if !unseen.is_empty() {
            writeln!(out, "\nCANNOT BE SEEN HERE: nothing is said of these, neither good nor bad")?;
        }
        for knob in unseen {
            let why = knob.current.strip_prefix("unseen: ").unwrap_or(&knob.current);
            wrapped(out, INDENT + 22, &format!("  {:<24}", knob.name), why)?;
        }
        Ok(())
    }

    fn write_names(&self, out: &mut String, title: &str, state: State) -> fmt::Result {
        let names: Vec<&str> = self.knobs.iter().filter(|knob| knob.state == state).map(|knob| knob.name).collect();
        if names.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{title}")?;
        wrapped(out, 2, "  ", &names.join(", "))
    }
}

const GUEST: &str = "In a virtual machine the clock, idle states and neighbours of a CPU belong to the hypervisor's host: what \
                     is seen of them here is what it shows.";
const CONTAINER: &str = "In a container most of this belongs to its host, and has to be set there.";

fn write_knob(out: &mut String, knob: &Knob, all: bool) -> fmt::Result {
    let value = match knob.state {
        State::Good => format!("{} (good)", knob.current),
        State::Differs if knob.severity == Severity::Choice => format!("{}, or else {}", knob.current, knob.wanted),
        State::Differs => format!("{} -> {}", knob.current, knob.wanted),
        State::Unseen | State::NotApplicable => knob.current.clone(),
    };
    wrapped(out, INDENT + 22, &format!("  {:<24}", knob.name), &value)?;
    wrapped(out, INDENT, "    ", knob.why)?;
    for (label, text) in [("cost", knob.cost), ("do", &knob.change), ("undo", &knob.undo)] {
        wrapped(out, INDENT + 6, &format!("    {label:<6}"), text)?;
    }
    if all {
        wrapped(out, INDENT + 6, "    from  ", knob.source)?;
        if let Some(note) = &knob.note {
            wrapped(out, INDENT + 6, "    note  ", note)?;
        }
    }
    Ok(())
}

/// Words of `text` after `head`, in lines of at most [`WIDTH`]; those after the first are indented.
fn wrapped(out: &mut String, indent: usize, head: &str, text: &str) -> fmt::Result {
    let mut line = head.to_owned();
    let mut room = true;
    for word in text.split_whitespace() {
        if !room && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(out, "{}", line.trim_end())?;
            line = " ".repeat(indent);
            room = true;
        }
        if !room {
            line.push(' ');
        }
        line.push_str(word);
        room = false;
    }
    writeln!(out, "{}", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_wrapped_between_words() {
        let mut out = String::new();
        wrapped(&mut out, 2, "* ", &"word ".repeat(50)).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| line.len() <= WIDTH && line.ends_with("word")));
        assert!(lines[0].starts_with("* word") && lines[1].starts_with("  word"));
        assert_eq!(out.matches("word").count(), 50);
    }
}
