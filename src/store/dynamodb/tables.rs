//! The tables, as deploy/dynamodb/tables.json describes them.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use serde::Deserialize;

use super::client::{Client, pause};
use super::failure::{Failure, Kind};
use std::time::Duration;

/// A table. Each has rights of its own in deploy/dynamodb/policy.json.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Processes, retired nodes, epochs, checkpoints.
    Register,
    /// Sealed values of users.
    Profiles,
    /// Their wrapped keys.
    Keys,
    /// Campaigns, by advertiser.
    Campaigns,
    /// What advertisers know of sellers.
    Supply,
}

impl Table {
    /// All of them.
    pub const ALL: [Table; 5] = [Table::Register, Table::Profiles, Table::Keys, Table::Campaigns, Table::Supply];

    /// Its name, after the prefix.
    pub const fn label(self) -> &'static str {
        match self {
            Table::Register => "register",
            Table::Profiles => "profiles",
            Table::Keys => "keys",
            Table::Campaigns => "campaigns",
            Table::Supply => "supply",
        }
    }
}

/// One entry of the file: what `aws dynamodb create-table --cli-input-json` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Description {
    table_name: String,
    key_schema: Vec<Key>,
    attribute_definitions: Vec<Attribute>,
    billing_mode: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Key {
    attribute_name: String,
    key_type: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Attribute {
    attribute_name: String,
    attribute_type: String,
}

fn description(table: Table) -> Description {
    let all: Vec<Description> =
        serde_json::from_str(include_str!("../../../deploy/dynamodb/tables.json")).expect("the tables of this program");
    let name = format!("corebid-{}", table.label());
    all.into_iter().find(|it| it.table_name == name).expect("a table of this program")
}

impl Client {
    /// Makes those tables that are missing, and waits for them. Returns the ones it made.
    ///
    /// # Errors
    /// We may not, or the service does not answer.
    pub async fn make_tables(&self) -> Result<Vec<Table>, Failure> {
        let mut made = Vec::new();
        for table in Table::ALL {
            if !self.has_table(table).await? {
                self.make(table).await?;
                made.push(table);
            }
        }
        for table in &made {
            // Some seconds, on AWS.
            for _ in 0..120 {
                if self.has_table(*table).await? {
                    break;
                }
                pause(Duration::from_millis(500)).await;
            }
        }
        Ok(made)
    }

    /// Whether a table is there and ready.
    ///
    /// # Errors
    /// We may not ask, or the service does not answer.
    pub async fn has_table(&self, table: Table) -> Result<bool, Failure> {
        let ask = || async {
            let answer = self.sdk.describe_table().table_name(self.table(table)).send().await?;
            Ok(answer.table().and_then(|table| table.table_status()) == Some(&TableStatus::Active))
        };
        match self.patiently(ask).await {
            Err(Failure { kind: Kind::NoTable, .. }) => Ok(false),
            told => told,
        }
    }

    async fn make(&self, table: Table) -> Result<(), Failure> {
        let Description { key_schema, attribute_definitions, billing_mode, .. } = description(table);
        let malformed = |error: aws_sdk_dynamodb::error::BuildError| Failure::malformed(error.to_string());
        let mut make = self.sdk.create_table().table_name(self.table(table));
        for Key { attribute_name, key_type } in key_schema {
            let key = KeySchemaElement::builder().attribute_name(attribute_name);
            make = make.key_schema(key.key_type(KeyType::from(&*key_type)).build().map_err(malformed)?);
        }
        for Attribute { attribute_name, attribute_type } in attribute_definitions {
            let attribute = AttributeDefinition::builder().attribute_name(attribute_name);
            let attribute = attribute.attribute_type(ScalarAttributeType::from(&*attribute_type));
            make = make.attribute_definitions(attribute.build().map_err(malformed)?);
        }
        match make.billing_mode(BillingMode::from(&*billing_mode)).send().await.map_err(Failure::from) {
            // Somebody else made it a moment ago.
            Err(Failure { kind: Kind::NoTable, .. }) => Ok(()),
            made => made.map(|_| ()),
        }
    }
}
