//! A no-bid that says why (OpenRTB 2.6 section 7.1), for exchanges that prefer it to 204.

use super::response::Out;

/// Writes `{"id":"…","nbr":…}` to the front of `out`; its length, or nothing if it does not fit. `request_id` is the text of
/// the request's `id` between its quotes, valid JSON already.
pub fn write(out: &mut [u8], request_id: &[u8], nbr: u16) -> Option<usize> {
    let mut out = Out::new(out);
    out.put(br#"{"id":""#);
    out.put(request_id);
    out.put(br#"","nbr":"#);
    out.integer(nbr.into());
    out.put(b"}");
    out.written()
}

#[cfg(test)]
mod tests {
    use super::write;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_serde_reads_it_to_be(id in ".{0,40}", nbr: u16) {
            let quoted = serde_json::to_string(&id).unwrap();
            let raw = &quoted.as_bytes()[1..quoted.len() - 1];
            let mut out = [0; 400];
            let length = write(&mut out, raw, nbr).unwrap();
            let read: serde_json::Value = serde_json::from_slice(&out[..length]).unwrap();
            prop_assert_eq!(read, serde_json::json!({ "id": id, "nbr": nbr }));
            prop_assert_eq!(write(&mut out[..length - 1], raw, nbr), None);
        }
    }
}
