//! `corebid erase`: destroys a user's key, and prints the receipt. docs/ERASURE.md says what it reaches.

use clap::Args as ClapArgs;

use crate::admin::users::Erased;
use crate::commands::Failure;
use crate::commands::admin::{self, Admin};

/// What `corebid erase` is told.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The user: EXCHANGE:ID as that exchange's `user.id`, ID or :ID as our own (`buyeruid`), /ifa:ID or /eids/SOURCE:ID
    #[arg(required_unless_present = "key", conflicts_with = "key")]
    user: Option<String>,
    /// The user's pseudonym instead, 16 hexadecimal digits
    #[arg(long, value_name = "HEX")]
    key: Option<String>,
    /// The admin port of a bidder
    #[arg(long, value_name = "URL", default_value = admin::DEFAULT)]
    admin: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let path = match (&args.key, &args.user) {
        (Some(key), _) => format!("/api/pseudonyms/{}/erase", escaped(key)),
        (None, user) => format!("/api/users/{}/erase", escaped(user.as_deref().unwrap_or_default())),
    };
    let erased: Erased = Admin(&args.admin).post(&path)?;
    if args.json {
        println!("{}", serde_json::to_string(&erased)?);
    } else {
        println!("{}", told(&erased));
    }
    Ok(())
}

/// A segment of a path (RFC 3986, 2.1).
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn told(erased: &Erased) -> String {
    let Erased { record, user, wiped, wall } = erased;
    let when = jiff::Timestamp::from_millisecond(*wall as i64).unwrap_or_default();
    let key = match wiped.iter().any(|place| place == "key") {
        true => "the key is destroyed",
        false => "there was no key",
    };
    format!("user {user} is erased: {key}; wiped: {}; record {record} of the ledger, {when:.3}", wiped.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_escaped_for_the_path() {
        assert_eq!(escaped("/eids/a.example:x y%ü"), "%2Feids%2Fa%2Eexample%3Ax%20y%25%C3%BC");
    }
}
