//! Consent strings: the first two bytes are the vendor, the third says which sections apply, the rest is the string, also as
//! a section of a GPP string.

use corebid::limits;
use corebid::snapshot::vendor::Vendor;
use corebid::units::VendorId;
use corebid::wire::consent::Purposes;
use corebid::wire::consent::gpp::{Gpp, Sections};
use corebid::wire::consent::tcf::Tcf;

#[path = "../../tests/consent/reference.rs"]
mod reference;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((head, string)) = input.split_first_chunk::<3>() else { return };
    let vendor = VendorId(u16::from_be_bytes([head[0], head[1]]));
    let read = Tcf::read(string, vendor);
    if string.len() <= limits::CONSENT_BYTES {
        assert_eq!(read, reference::read(string, vendor));
    } else {
        assert_eq!(read, None);
    }
    if let Some(tcf) = read {
        let permitted = Vendor::DEMO.permitted(&tcf);
        for purpose in 1..=24 {
            assert_eq!(permitted.has(Purposes::of(purpose)), reference::may(&Vendor::DEMO, &tcf, purpose));
        }
    }

    let applicable = (head[2] != 0).then(|| Sections(u64::from(head[2]) << 2));
    let gpp = Gpp::read(string, applicable, vendor);
    assert!(applicable.is_none_or(|wanted| wanted.any(Sections::TCF_EU)) || gpp.tcf.is_none());
    let as_section = Gpp::read(&[b"DBABMA~", string].concat(), Some(Sections::TCF_EU), vendor);
    if !string.contains(&b'~') && string.len() + 7 <= limits::CONSENT_BYTES {
        assert_eq!(as_section, Gpp { tcf: read, tcf_damaged: read.is_none(), opted_out: false });
    }
}
