//! How a declared knob stands on a host.

use super::declared::Declared;
use super::host::Host;
use super::places::{self, Places};
use super::roles::Roles;
use super::rule::Rule;
use super::surroundings::Surroundings;
use super::{Knob, Scope, Seen, State, UNSEEN};

pub(super) fn judged(knob: &Declared, host: &Host, roles: &Roles, surroundings: &Surroundings, tune: &str) -> Knob {
    let look = |place: &places::Place| {
        let value = places::read(host, &place.path);
        let holds = value.as_ref().and_then(|value| knob.rule.holds(value, &place.wanted, knob.accept, &roles.bid));
        let state = match holds {
            Some(true) => State::Good,
            Some(false) => State::Differs,
            None => State::Unseen,
        };
        let current = if state == State::Unseen { String::new() } else { value.unwrap_or_default() };
        Seen { path: place.path.clone(), state, current, wanted: place.wanted.clone() }
    };
    let best = best_offered(knob, host, surroundings);
    let mut at = places::of(knob, host, roles);
    if let (Places::At(places), false) = (&mut at, knob.offered.is_empty()) {
        places.iter_mut().for_each(|place| place.wanted = best.unwrap_or("none offered").to_owned());
    }
    let (state, current, seen) = match at {
        Places::Not(why) => (State::NotApplicable, why.to_owned(), Vec::new()),
        Places::Nothing(why) => (State::Good, why, Vec::new()),
        Places::At(places) => {
            let seen: Vec<Seen> = places.iter().map(look).collect();
            let has = |state| seen.iter().any(|seen: &Seen| seen.state == state);
            let state = match seen.is_empty() || has(State::Unseen) {
                _ if has(State::Differs) => State::Differs,
                true => State::Unseen,
                false => State::Good,
            };
            (state, told(state, &seen, host, surroundings, knob), seen)
        }
    };
    // What looks as wanted from here may be otherwise where it is decided.
    let hidden = match state {
        State::Good if knob.scope == Scope::Hardware && surroundings.is_guest() => "the guest is shown what is wanted",
        State::Good if knob.file.starts_with("process:") && surroundings.container.is_some() => {
            "only processes of the container are seen from here"
        }
        _ => "",
    };
    let (state, current) = match hidden {
        "" => (state, current),
        hidden => (State::Unseen, format!("{UNSEEN}: {hidden} ({current})")),
    };
    let filled = |text| places::filled(text, roles);
    let wanted = distinct(seen.iter().map(|seen| seen.wanted.as_str()));
    let wanted = if wanted.is_empty() { filled(knob.want) } else { wanted };
    let (change, undo) = match (knob.boot, knob.hand) {
        _ if best.is_none() && !knob.offered.is_empty() => (knob.unoffered.to_owned(), "nothing was set".to_owned()),
        ("", "") => (format!("{tune} apply {}", knob.name), format!("{tune} undo {}", knob.name)),
        ("", hand) => (hand.to_owned(), knob.unhand.to_owned()),
        (boot, _) => {
            let boot = filled(boot);
            (
                format!("{boot} on the kernel command line, then reboot"),
                format!("{boot} off the kernel command line, then reboot"),
            )
        }
    };
    Knob {
        name: knob.name,
        group: knob.group,
        severity: knob.severity,
        state,
        scope: knob.scope,
        current,
        wanted: match knob.rule {
            Rule::AtLeast => format!("at least {wanted}"),
            Rule::AtMost => format!("at most {wanted}"),
            _ => wanted,
        },
        why: knob.why,
        cost: knob.cost,
        change,
        undo,
        source: knob.source,
        note: surroundings.note(knob.scope, state),
        places: seen,
    }
}

/// The first value accepted that this host offers, but for one of hardware in a guest.
fn best_offered(knob: &Declared, host: &Host, surroundings: &Surroundings) -> Option<&'static str> {
    let offered = host.line(knob.offered)?;
    let fits = |value: &&str| *value != knob.metal || !surroundings.is_guest();
    knob.accept.split(' ').filter(fits).find(|value| offered.split(' ').any(|offered| offered == *value))
}

/// What a knob is, in one line: its different values, or why it is not seen.
fn told(state: State, seen: &[Seen], host: &Host, surroundings: &Surroundings, knob: &Declared) -> String {
    if state != State::Unseen {
        let known = seen.iter().filter(|seen| seen.state != State::Unseen);
        return distinct(known.map(|seen| if seen.current.is_empty() { "none" } else { &seen.current }));
    }
    let Some(first) = seen.iter().find(|seen| seen.state == State::Unseen) else {
        return format!("{UNSEEN}: nothing of the kind is there");
    };
    let path = &first.path;
    let because = if path.starts_with("ethtool:") && !host.is_this() {
        "a tree does not tell what the card is set to".to_owned()
    } else if path.starts_with("ethtool:") {
        "ethtool is not installed, or the driver does not tell it".to_owned()
    } else if let Some(parameter) = path.strip_prefix("cmdline:") {
        format!("/proc/cmdline does not say what {parameter} is")
    } else if !path.starts_with('/') {
        "it cannot be read".to_owned()
    } else if places::read(host, path).is_some() {
        format!("{path} has nothing that can be understood")
    } else if host.paths(path).is_empty() && knob.scope == Scope::Hardware && surroundings.is_guest() {
        format!("{path} is not there, as in most virtual machines")
    } else if host.paths(path).is_empty() {
        format!("{path} is not there: this kernel or this hardware has none of it")
    } else {
        format!("{path} cannot be read")
    };
    format!("{UNSEEN}: {because}")
}

/// Values, each once, in their order; at most four.
fn distinct<'a>(values: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 4;
    let mut different: Vec<&str> = Vec::new();
    for value in values {
        if !different.contains(&value) {
            different.push(value);
        }
    }
    let more = if different.len() > SHOWN { ", …" } else { "" };
    different.truncate(SHOWN);
    different.join(", ") + more
}
