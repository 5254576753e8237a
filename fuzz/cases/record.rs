//! Records of the ledger: what is read, of either version, is written and read again as it is, and shown.

use corebid::reconcile::record::{Record, RecordId};

/// Checks one input: `(id, record)*` of the second version, records of the first.
pub(crate) fn check(input: &[u8]) {
    let mut rest = input;
    while let Some((id, record)) = Record::decode(&mut rest) {
        again(id, record);
    }
    assert!(input.ends_with(rest));
    let mut rest = input;
    while let Some(record) = Record::decode_v1(&mut rest) {
        again(RecordId(7), record);
    }
    assert!(input.ends_with(rest));
    // A frame around it, of each kind: kind, then its body.
    let Some((&kind, body)) = input.split_first() else { return };
    let length = (body.len() as u16).to_le_bytes();
    let framed = [&length[..], &[kind, 1], &[9; 8], &body[..body.len().min(u16::MAX.into())]].concat();
    if let Some((id, record)) = Record::decode(&mut &framed[..]) {
        assert_eq!(id, RecordId(u64::from_le_bytes([9; 8])));
        again(id, record);
        assert!(Record::decode(&mut &framed[..framed.len() - 1]).is_none(), "a part of a record");
    }
}

fn again(id: RecordId, record: Record) {
    let mut bytes = Vec::new();
    record.encode(id, &mut bytes);
    let mut rest = &bytes[..];
    assert_eq!(Record::decode(&mut rest), Some((id, record)));
    assert!(rest.is_empty());
    assert!(record.show().contains_key("kind"));
}
