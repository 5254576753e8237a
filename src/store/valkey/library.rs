//! A function library: Lua that a server keeps, and replicates like data.

use redis::Value;

use super::failure::Failure;
use super::topology::text;

/// A function library that the client loads where it is missing or older. Its first line is `#!lua name=NAME`; a line
/// `-- version N` says which of two is the newer, 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Library(pub &'static str);

/// What a server had of a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Had {
    /// The same, or a newer one, which stays: the functions say themselves what they do not understand.
    Enough,
    /// An older one, or another of the same version.
    Older,
    /// None.
    Nothing,
}

impl Library {
    pub(super) fn name(self) -> &'static str {
        let first = self.0.lines().next().unwrap_or("");
        first.strip_prefix("#!lua name=").map_or("", str::trim)
    }

    /// Compares it with the answer to `FUNCTION LIST LIBRARYNAME name WITHCODE`.
    pub(super) fn compare(self, answer: &Value) -> Result<Had, Failure> {
        let odd = || Failure::Protocol("FUNCTION LIST".into());
        let Some(library) = answer.as_sequence().ok_or_else(odd)?.first() else { return Ok(Had::Nothing) };
        let fields = library.as_sequence().ok_or_else(odd)?;
        let mut pairs = fields.chunks_exact(2);
        let code = pairs.find(|pair| text(&pair[0]).as_deref() == Some("library_code"));
        let code = code.and_then(|pair| text(&pair[1])).ok_or_else(odd)?;
        let newer = version(&code) > version(self.0);
        Ok(if newer || code == self.0 { Had::Enough } else { Had::Older })
    }
}

fn version(code: &str) -> u32 {
    code.lines().find_map(|line| line.strip_prefix("-- version ")?.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_library_stays() {
        let ours = Library("#!lua name=x\n-- version 2\nours");
        assert_eq!(ours.name(), "x");
        let bulk = |text: &str| Value::BulkString(text.into());
        let list = |code: &str| {
            let fields = ["library_name", "x", "engine", "LUA", "library_code", code];
            Value::Array(vec![Value::Array(fields.map(bulk).to_vec())])
        };
        assert_eq!(ours.compare(&Value::Array(vec![])), Ok(Had::Nothing));
        for (code, had) in [
            (ours.0, Had::Enough),
            ("#!lua name=x\n-- version 3\ntheirs", Had::Enough),
            ("#!lua name=x\n-- version 2\ntheirs", Had::Older),
            ("#!lua name=x\n-- version 1\ntheirs", Had::Older),
            ("#!lua name=x\ntheirs", Had::Older),
        ] {
            assert_eq!(ours.compare(&list(code)), Ok(had), "{code}");
        }
        assert!(ours.compare(&Value::Array(vec![Value::Okay])).is_err());
    }
}
