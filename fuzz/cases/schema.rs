//! Schemas of features. What is taken has the columns that another reader of the file finds, means the same when it is read again, and
//! makes numbers of any values that are what they may be; a mistake is told in one line with a line that exists.

use corebid::snapshot::features::{BUCKETS, Schema, Value};

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let schema = match Schema::parse(text) {
        Ok(schema) => schema,
        Err(error) => {
            let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
            assert!(error.line <= lines, "line {} of {lines}", error.line);
            return assert!(!error.what.is_empty() && !error.to_string().contains('\n'), "{error:?}");
        }
    };
    let plain = text.strip_prefix('\u{feff}').unwrap_or(text);
    let file: toml::Value = toml::from_str(plain).expect("TOML, or it is no schema");
    let features = file["features"].as_array().expect("a list");
    let names: Vec<_> = features.iter().map(|feature| feature["name"].as_str().expect("a name")).collect();
    assert!(schema.names().eq(names.iter().copied()), "{names:?}");
    let again = Schema::parse(schema.text()).expect("what was taken");
    assert_eq!(again.fingerprint(), schema.fingerprint());

    let (shared, varying) = (schema.shared(), schema.varying());
    let mut columns = [shared, varying].concat();
    columns.sort_unstable();
    assert!(columns.iter().copied().eq(0..schema.width()), "each column is of the request or of the offer");
    let categorical: Vec<usize> = schema.categorical().collect();
    let sources = schema.of_request().len() + schema.of_offer().len();
    for at in 0..8 {
        let value = |source: usize| match (source + at) % 4 {
            0 => Value::MISSING,
            1 => Value::whole(source as i64 - 3),
            2 => Value::text(names[source % names.len()].as_bytes()),
            _ => Value::named(source as u8, "ios"),
        };
        let values: Vec<Value> = (0..sources).map(value).collect();
        let mut row = vec![-1.5; schema.width()];
        schema.encode(shared, &values, &mut row);
        schema.encode(varying, &values, &mut row);
        for (column, said) in row.iter().enumerate() {
            assert!(said.is_nan() || said.fract() == 0.0, "column {column} is {said}");
            let below = |said: f32| (0.0..BUCKETS as f32).contains(&said);
            assert!(said.is_nan() || !categorical.contains(&column) || below(*said), "column {column} is {said}");
        }
    }
}
