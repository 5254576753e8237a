//! Consent strings with known content, made with IAB's own encoder (@iabtcf/core 1.5.6): TCF 2.3, created 2026-06-01, of CMP 300, in which
//! vendor 1 is disclosed; and a Global Vendor List with vendor 1 in it.

/// Consent to purposes 1 to 11, of vendors 1 and a few more.
pub const ALL: &str = "CQlH_MAQlH_MAEsABBENBkFgAP_gAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA";
/// The same, and an opt-in to special feature 1, the exact place.
pub const ALL_AND_PLACE: &str = "CQlH_MAQlH_MAEsABBENBkFoAP_gAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA";
/// The same as [`ALL`] to purposes 2, 7, 9 and 10.
pub const CONTEXTUAL: &str = "CQlH_MAQlH_MAEsABBENBkFgAELAAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA";
/// The same to purposes 1, 3 and 4.
pub const WITHOUT_ADS: &str = "CQlH_MAQlH_MAEsABBENBkFgALAAAAAAAAYgF5wCIAAgAEAAQABQAHAAaABMAC2AvMAAAAAA.IJYQAYAAglgA";
/// Consent to purposes 1, 2, 3, 4, 7, 9 and 10, of vendors 2, 4 and 10.
pub const OF_OTHERS: &str = "CQlH_MAQlH_MAEsABBENBkFgAPLAAAAAAAYgAFFBAAAAAAAA.IJYQAYAAglgA";
/// No consent to anything.
pub const NOTHING: &str = "CQlH_MAQlH_MAEsABBENBkFgAAAAAAAAAAYgAAAAAAAA.IJYQAYAAglgA";

/// A list in which vendor 1 declares purposes 1 to 4, 7, 9 and 10, all by consent.
pub const VENDOR_LIST: &str = r#"{"gvlSpecificationVersion":3,"vendorListVersion":100,"tcfPolicyVersion":5,"lastUpdated":"2026-05-01T00:00:00Z",
"purposes":{},"vendors":{"1":{"id":1,"name":"Us","purposes":[1,2,3,4,7,9,10],"legIntPurposes":[],"flexiblePurposes":[2,7,9,10],
"specialPurposes":[1,2],"features":[],"specialFeatures":[1]}}}"#;
