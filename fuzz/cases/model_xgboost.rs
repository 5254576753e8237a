//! XGBoost's files. What is taken is walked to an end, and is the same after an import. A model in JSON is written as UBJSON, by a
//! writer that knows nothing of models, and reads as the same one; cut, neither is a model.

use corebid::model::forest::Library;
use corebid::model::import_bytes;
use serde_json::Value;

#[path = "support/walked.rs"]
mod walked;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let model = match import_bytes(Library::XgBoost, input) {
        Ok(model) => model,
        Err(error) => return assert!(!error.to_string().contains('\n'), "{error:?}"),
    };
    walked::check(&model);
    let whole = input.trim_ascii_end();
    assert!(import_bytes(Library::XgBoost, &whole[..whole.len() - 1]).is_err());
    if let Ok(json) = serde_json::from_slice::<Value>(input) {
        let mut bytes = Vec::new();
        write(&json, &mut bytes);
        match import_bytes(Library::XgBoost, &bytes) {
            Ok(other) => assert_eq!(other, model),
            Err(error) => assert!(error.to_string().contains("in one another"), "{error}"),
        }
        assert!(import_bytes(Library::XgBoost, &bytes[..bytes.len() - 1]).is_err());
    }
}

/// UBJSON in its plainest form: no counts, the widest numbers.
fn write(value: &Value, out: &mut Vec<u8>) {
    let text = |text: &str, out: &mut Vec<u8>| {
        out.push(b'L');
        out.extend((text.len() as i64).to_be_bytes());
        out.extend(text.as_bytes());
    };
    match value {
        Value::Null => out.push(b'Z'),
        Value::Bool(value) => out.push(if *value { b'T' } else { b'F' }),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => {
                out.push(b'L');
                out.extend(integer.to_be_bytes());
            }
            None => {
                out.push(b'D');
                out.extend(number.as_f64().expect("a number").to_be_bytes());
            }
        },
        Value::String(value) => {
            out.push(b'S');
            text(value, out);
        }
        Value::Array(values) => {
            out.push(b'[');
            values.iter().for_each(|value| write(value, out));
            out.push(b']');
        }
        Value::Object(values) => {
            out.push(b'{');
            for (key, value) in values {
                text(key, out);
                write(value, out);
            }
            out.push(b'}');
        }
    }
}
