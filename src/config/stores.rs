//! `[stores]`: the stores of a fleet. Without it a node is its own.

use serde::Deserialize;

use super::ConfigError;
use super::dynamodb::DynamoDb;

/// `[stores]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stores {
    /// `[stores.dynamodb]`.
    pub dynamodb: Option<DynamoDb>,
}

impl Stores {
    /// The rules that span fields or that a type cannot hold.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        self.dynamodb.as_ref().map_or(Ok(()), DynamoDb::validate)
    }
}
