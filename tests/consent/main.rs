//! Consent strings: what they say to one vendor, what that permits it, beside a slow reference and IAB's own libraries.

mod both;
mod encoder;
mod gpp;
mod gvl;
mod reference;
mod sections;
mod tcf;

use std::path::Path;

use corebid::units::VendorId;

/// Who we are in the demo.
const US: VendorId = VendorId(1);

/// Strings of 2026-06-01, as `@iabtcf/core` 1.5.6 writes them, in which vendor 1 is disclosed and consented to: for all
/// purposes,
pub(crate) const ALL_PURPOSES: &str =
    "CQlH_MAQlH_MAAKABBENCWFgAP_gAAAAAAYgF5wBIAAgAEAAUABQC8wAAAAA.IF5wBIAAgAEAAUABQC8w.YAAAAAAAAAAA";
/// for basic advertising, measurement, statistics and improvement (2, 7, 9, 10), but no storage and no profile,
pub(crate) const NO_PROFILE: &str =
    "CQlH_MAQlH_MAAKABBENCWFgAELAAAAAAAYgF5wBIAAgAEAAUABQC8wAAAAA.IF5wBIAAgAEAAUABQC8w.YAAAAAAAAAAA";
/// for storage and profiles (1, 3, 4), but not for basic advertising.
pub(crate) const NO_ADVERTISING: &str =
    "CQlH_MAQlH_MAAKABBENCWFgALAAAAAAAAYgF5wBIAAgAEAAUABQC8wAAAAA.IF5wBIAAgAEAAUABQC8w.YAAAAAAAAAAA";

/// The lines of a file of strings and what IAB's libraries make of them; nothing, said on stderr, where the files are not.
fn samples(file: &str) -> Vec<serde_json::Value> {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|folder| folder.join("shared/data/consent"));
    let Some(path) = folders.map(|folder| folder.join(file)).find(|path| path.exists()) else {
        eprintln!("skipped: no shared/data/consent/{file} above this repository");
        return Vec::new();
    };
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
