//! Our entry in the Global Vendor List.

use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use serde_json::{Value, json};

fn list(specification: u8) -> Value {
    let mut list = json!({
        "gvlSpecificationVersion": specification,
        "vendorListVersion": 150,
        "tcfPolicyVersion": 5,
        "lastUpdated": "2026-05-01T16:00:00Z",
        "purposes": {"1": {"id": 1, "name": "Store and/or access information on a device"}},
        "vendors": {
            "7": {
                "id": 7, "name": "Ours", "purposes": [1, 3, 4], "legIntPurposes": [2, 7, 9, 10], "flexiblePurposes": [2, 7],
                "specialPurposes": [1, 2], "features": [], "specialFeatures": [2, 1], "usesCookies": true,
                "dataRetention": {"stdRetention": 90}, "urls": [{"langId": "en", "privacy": "https://a.example"}],
            },
            "8": {
                "id": 8, "name": "Gone", "purposes": [1], "legIntPurposes": [], "flexiblePurposes": [],
                "deletedDate": "2024-01-04T00:00:00Z",
            },
        },
    });
    if specification == 2 {
        list["vendors"]["7"]["policyUrl"] = json!("https://a.example");
    }
    list
}

fn set(purposes: &[u32]) -> Purposes {
    purposes.iter().copied().map(Purposes::of).fold(Purposes::NONE, Purposes::and)
}

#[test]
fn both_specifications_are_read() {
    for specification in [2, 3] {
        let vendor = Vendor::from_gvl(&list(specification).to_string(), VendorId(7)).unwrap();
        let expected = Vendor {
            id: VendorId(7),
            by_consent: set(&[1, 3, 4]),
            by_interest: set(&[2, 7, 9, 10]),
            flexible: set(&[2, 7]),
            precise_place: true,
            specification,
            policy: 5,
        };
        assert_eq!(vendor, expected);
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let with = |path: &str, value: Value| {
        let mut list = list(3);
        *list.pointer_mut(path).unwrap() = value;
        list.to_string()
    };
    let cut = list(3).to_string();
    for (text, id, what) in [
        (list(3).to_string(), 8, "vendor 8 was deleted"),
        (list(3).to_string(), 9, "vendor 9 is not in version 150"),
        (with("/gvlSpecificationVersion", json!(1)), 7, "`gvlSpecificationVersion` is 1"),
        (with("/vendors/7/purposes", json!([25])), 7, "`purposes` has 25"),
        (with("/vendors/7/legIntPurposes", json!([0])), 7, "`legIntPurposes` has 0"),
        (with("/vendors/7/purposes", json!([1, 2])), 7, "share a purpose"),
        (with("/vendors/7/flexiblePurposes", json!("all")), 7, "vendor 7: invalid type"),
        (with("/vendors", json!([])), 7, "line 1: invalid type"),
        (cut[..cut.len() - 2].to_owned(), 7, "line 1: EOF"),
        (String::new(), 7, "line 1: EOF"),
    ] {
        let said = Vendor::from_gvl(&text, VendorId(id)).unwrap_err();
        assert!(said.contains(what) && !said.contains('\n'), "{said:?} is not about {what:?}");
    }
}

#[test]
fn a_file_is_named_with_its_mistake() {
    let path = std::env::temp_dir().join(format!("corebid-gvl-{}.json", std::process::id()));
    std::fs::write(&path, format!("\u{feff}{}", list(3))).unwrap();
    let (ours, gone) = (Vendor::load(&path, VendorId(7)), Vendor::load(&path, VendorId(8)));
    std::fs::remove_file(&path).unwrap();
    assert_eq!(ours.unwrap().by_consent, set(&[1, 3, 4]));
    let said = gone.unwrap_err().to_string();
    assert!(said.starts_with(&path.display().to_string()) && said.contains("deleted"), "{said}");
    assert!(Vendor::load(&path, VendorId(7)).unwrap_err().to_string().contains("cannot be read"));
}
