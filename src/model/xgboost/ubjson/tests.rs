use serde::Deserialize;
use serde_json::{Value, json};

use super::read;

fn value(bytes: &[u8]) -> Result<Value, String> {
    read(bytes).map_err(|refused| refused.0)
}

#[test]
fn values_are_read_as_the_format_says() {
    // Examples of ubjson.org, draft 12, and what XGBoost makes of them.
    let examples: &[(&[u8], Value)] = &[
        (b"Z", json!(null)),
        (b"T", json!(true)),
        (b"F", json!(false)),
        (b"i\xff", json!(-1)),
        (b"U\xff", json!(255)),
        (b"I\x80\0", json!(-32768)),
        (b"l\x7f\xff\xff\xff", json!(2147483647)),
        (b"L\xff\xff\xff\xff\xff\xff\xff\xfe", json!(-2)),
        (b"d\x3f\x80\0\0", json!(1.0)),
        (b"D\x3f\xf8\0\0\0\0\0\0", json!(1.5)),
        (b"Si\x03abc", json!("abc")),
        (b"SL\0\0\0\0\0\0\0\x01a", json!("a")),
        (b"[]", json!([])),
        (b"[i\x01N[T]Z]", json!([1, [true], null])),
        (b"[#i\x02i\x01Si\x01b", json!([1, "b"])),
        (b"[$U#i\x03\x01\x02\x03", json!([1, 2, 3])),
        (b"[$l#L\0\0\0\0\0\0\0\x01\0\0\0\x07", json!([7])),
        (b"[$d#U\x01\xbf\x80\0\0", json!([-1.0])),
        (b"{}", json!({})),
        (b"{i\x01a{i\x01b[$i#i\x01\xfe}i\x01ci\x05}", json!({"a": {"b": [-2]}, "c": 5})),
    ];
    for (bytes, expected) in examples {
        assert_eq!(value(bytes).as_ref(), Ok(expected), "{}", bytes.escape_ascii());
        for end in 0..bytes.len() {
            assert!(value(&bytes[..end]).is_err(), "{} cut at {end}", bytes.escape_ascii());
        }
        assert!(value(&[bytes, &b"Z"[..]].concat()).unwrap_err().contains("bytes after"));
    }
}

#[test]
fn what_is_not_the_format_is_refused() {
    for (bytes, what) in [
        (&b"H"[..], "`H` begins no value"),
        (b"Si\xffabc", "a length that cannot be"),
        (b"SL\x7f\xff\xff\xff\xff\xff\xff\xff", "a length that cannot be"),
        (b"Sdabcd", "a length that cannot be"),
        (b"Si\x02\xff\xfe", "not UTF-8"),
        (b"[$Z#L\x7f\0\0\0\0\0\0\0", "does not write"),
        (b"[$i\x01", "does not write"),
        (b"[#L\x7f\0\0\0\0\0\0\0", "a length that cannot be"),
        (b"{$i#i\x01i\x01a\x01", "a length that cannot be"),
        (b"{i\x01a}", "`}` begins no value"),
        (b"]", "`]` begins no value"),
    ] {
        let told = value(bytes).unwrap_err();
        assert!(told.contains(what) && told.contains("at byte"), "{told:?} for {}", bytes.escape_ascii());
    }
    assert!(value(&b"[".repeat(100_000)).unwrap_err().contains("in one another"));
}

#[test]
fn types_take_what_fits_them() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Taken {
        small: Vec<u8>,
        real: Vec<f32>,
        maybe: Option<u32>,
    }
    let bytes =
        b"{i\x05small[$l#i\x02\0\0\0\x01\0\0\0\xffi\x04real[$D#i\x01\x3f\xf8\0\0\0\0\0\0i\x05maybeZi\x04more[T]}";
    assert_eq!(read::<Taken>(bytes).unwrap(), Taken { small: vec![1, 255], real: vec![1.5], maybe: None });
    let beyond = b"{i\x05small[$l#i\x01\0\0\x01\0i\x04real[]i\x05maybei\x07}";
    assert!(read::<Taken>(beyond).unwrap_err().0.contains("256"));
}
