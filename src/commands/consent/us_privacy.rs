//! The US privacy string of IAB Tech Lab, version 1 ("CCPA string"): four characters.

use serde::Serialize;

use super::Refused;

/// A US privacy string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UsPrivacy {
    valid: bool,
    opt_out_of_sale: bool,
    /// Explicit notice and opportunity to opt out were given: `Y`, `N`, or `-` where the law does not apply.
    #[serde(skip)]
    pub notice: char,
    /// The user has opted out of sale.
    #[serde(skip)]
    pub opt_out: char,
    /// The publisher is under the Limited Service Provider Agreement.
    #[serde(skip)]
    pub agreement: char,
}

impl UsPrivacy {
    /// Reads a string.
    pub fn decode(text: &str) -> Result<UsPrivacy, Refused> {
        let refused = |why| Err(Refused::new(format!("US privacy string: {why}")));
        let mut characters = text.chars();
        let mut next = || characters.next();
        let (Some(version), Some(notice), Some(opt_out), Some(agreement), None) =
            (next(), next(), next(), next(), next())
        else {
            return refused("not four characters");
        };
        if version != '1' {
            return refused("not of version 1");
        }
        for (character, what) in [
            (notice, "notice (2nd character) is not Y, N or -"),
            (opt_out, "opt-out of sale (3rd character) is not Y, N or -"),
            (agreement, "limited service provider agreement (4th character) is not Y, N or -"),
        ] {
            if !matches!(character, 'Y' | 'N' | '-') {
                return refused(what);
            }
        }
        Ok(UsPrivacy { valid: true, opt_out_of_sale: opt_out == 'Y', notice, opt_out, agreement })
    }
}
