//! Known bots by their user agents: substrings in any case, with exceptions, as in the IAB/ABC list of spiders and bots.

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};

use crate::snapshot::document::{Fault, fault};

/// Shortest substring: a shorter one is in nearly every user agent.
const SHORTEST: usize = 3;

/// Substrings of the user agents of bots.
#[derive(Clone, Debug, Default)]
pub struct Bots {
    /// All substrings, and the exceptions of each.
    list: Option<(AhoCorasick, Box<[Exceptions]>)>,
}

type Exceptions = Box<[Box<[u8]>]>;

impl Bots {
    /// A list: one substring a line, after it `|` and, separated by `|`, the substrings that make it no bot after all.
    pub(crate) fn parse(text: &str) -> Result<Bots, Fault> {
        let (mut patterns, mut exceptions) = (Vec::new(), Vec::new());
        for (line, number) in super::lines(text) {
            let mut parts = line.split('|').map(str::trim);
            let pattern = parts.next().unwrap_or_default();
            if pattern.len() < SHORTEST {
                return fault(number, format!("{pattern:?} is too short: at least {SHORTEST} bytes of a user agent"));
            }
            patterns.push(pattern.to_owned());
            exceptions.push(
                parts
                    .filter(|part| !part.is_empty())
                    .map(|part| part.to_ascii_lowercase().into_bytes().into())
                    .collect(),
            );
        }
        if patterns.is_empty() {
            return Ok(Bots::default());
        }
        // A DFA takes one look-up per byte; where it would take too much memory, the library makes a smaller automaton.
        let build = |kind| {
            AhoCorasick::builder()
                .ascii_case_insensitive(true)
                .match_kind(MatchKind::Standard)
                .kind(kind)
                .build(&patterns)
        };
        let automaton = if patterns.len() <= DFA_PATTERNS { build(Some(AhoCorasickKind::DFA)) } else { build(None) };
        let automaton = automaton
            .map_err(|error| Fault { line: 1, what: format!("too many substrings for one automaton: {error}") })?;
        Ok(Bots { list: Some((automaton, exceptions.into())) })
    }

    /// Whether there is no substring.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_none()
    }

    /// Whether a user agent holds a substring of the list and none of its exceptions. Allocates nothing.
    #[inline]
    pub fn is_bot(&self, agent: &[u8]) -> bool {
        let Some((automaton, exceptions)) = &self.list else { return false };
        // Overlapping: an excepted substring must not hide another that begins inside it.
        let Ok(found) = automaton.try_find_overlapping_iter(Input::new(agent)) else { return false };
        let mut found = found.map(|found| &exceptions[found.pattern().as_usize()]);
        found.any(|exceptions| !exceptions.iter().any(|exception| holds(agent, exception)))
    }
}

/// Substrings up to which the automaton is a DFA: a few megabytes.
const DFA_PATTERNS: usize = 5_000;

/// Whether the agent holds this part, which is in small letters, in any case.
#[cold]
fn holds(agent: &[u8], part: &[u8]) -> bool {
    agent.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substrings_in_any_case_and_their_exceptions() {
        let bots = Bots::parse("# bots\nGoogleBot\nbot | cubot | Abbott\nspider|\nheadless\n").unwrap();
        for bot in ["Mozilla/5.0 (compatible; Googlebot/2.1)", "BOT", "x headlessCHROME", "cubot googlebot", "spider"] {
            assert!(bots.is_bot(bot.as_bytes()), "{bot}");
        }
        for person in ["Mozilla/5.0 (Linux; CUBOT X19) Chrome", "abbott bot", "", "bo", "Mozilla/5.0"] {
            assert!(!bots.is_bot(person.as_bytes()), "{person}");
        }
        assert!(!Bots::default().is_bot(b"googlebot"));
        assert_eq!(Bots::parse("curl/\n\n a \n").unwrap_err().line, 3);
    }
}
