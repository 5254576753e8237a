//! Items: names and values, with an error that names what is missing.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::failure::Failure;

/// What a table holds under one key.
pub(super) type Item = HashMap<String, AttributeValue>;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl Into<u64>) -> AttributeValue {
    AttributeValue::N(value.into().to_string())
}

pub(super) fn binary(value: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

/// Reads of an item's attributes.
pub(super) trait Read {
    fn text_of(&self, name: &str) -> Result<&str, Failure>;
    fn number_of<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure>;
    fn binary_of(&mut self, name: &str) -> Result<Vec<u8>, Failure>;
}

impl Read for Item {
    fn text_of(&self, name: &str) -> Result<&str, Failure> {
        let value = self.get(name).and_then(|value| value.as_s().ok());
        value.map(String::as_str).ok_or_else(|| wrong(name, "text"))
    }

    fn number_of<T: std::str::FromStr>(&self, name: &str) -> Result<T, Failure> {
        let value = self.get(name).and_then(|value| value.as_n().ok()?.parse().ok());
        value.ok_or_else(|| wrong(name, "number within its bounds"))
    }

    fn binary_of(&mut self, name: &str) -> Result<Vec<u8>, Failure> {
        match self.remove(name) {
            Some(AttributeValue::B(value)) => Ok(value.into_inner()),
            _ => Err(wrong(name, "binary value")),
        }
    }
}

fn wrong(name: &str, wanted: &str) -> Failure {
    Failure::malformed(format!("an item has no {wanted} in its attribute {name:?}"))
}
