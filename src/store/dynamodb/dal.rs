//! The one way to data of advertisers: bound to a tenant, whose number is the partition of every read and write. There is no
//! call that takes another.
//!
//! ```compile_fail
//! use corebid::store::dynamodb::{dal::Dal, client::Client, tenant::Tenant};
//! use corebid::units::AdvertiserId;
//! fn of(client: &Client) { Dal::new(client, &Tenant(AdvertiserId(8))); }
//! ```

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};

use super::client::Client;
use super::failure::{Failure, Kind};
use super::item::{Item, Read, number, text};
use super::tables::Table;
use super::tenant::Tenant;

/// Items of one transaction (API reference, TransactWriteItems: 100), less the counter.
const ITEMS: usize = 99;
/// Bytes of one transaction: 4 MB, less what names take.
const BYTES: usize = 3_500_000;
/// Bytes of an item's value: 400 KB, less its names.
pub(super) const VALUE: usize = 390_000;
/// The item that counts a partition's changes.
const REVISION: &str = "revision";
/// Attempts to read a partition while nobody changes it.
const ROUNDS: usize = 5;

/// Access to one tenant's data.
#[derive(Clone, Copy, Debug)]
pub struct Dal<'t> {
    client: &'t Client,
    tenant: &'t Tenant,
}

/// What is to become of an item.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put { id: String, value: AttributeValue, bytes: usize },
    Delete { id: String },
}

impl<'t> Dal<'t> {
    /// For this tenant.
    pub fn new(client: &'t Client, tenant: &'t Tenant) -> Dal<'t> {
        Dal { client, tenant }
    }

    /// Whose data it reaches.
    pub fn tenant(&self) -> &'t Tenant {
        self.tenant
    }

    /// How often the tenant's items of a table were changed.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn revision(&self, table: Table) -> Result<u64, Failure> {
        match self.get(table, REVISION).await? {
            Some(item) => item.number_of("value"),
            None => Ok(0),
        }
    }

    /// One item.
    pub(super) async fn get(&self, table: Table, id: &str) -> Result<Option<Item>, Failure> {
        let get = || async {
            let get = self.client.sdk.get_item().table_name(self.client.table(table));
            let get = get.key("tenant", text(self.tenant.partition())).key("id", text(id));
            Ok(get.consistent_read(true).send().await?.item)
        };
        let item = self.client.patiently(get).await?;
        item.map(|item| self.own(item)).transpose()
    }

    /// All items whose id begins so, in order of it.
    pub(super) async fn query(&self, table: Table, prefix: &str) -> Result<Vec<Item>, Failure> {
        self.query_of(table, prefix, None).await
    }

    /// The same, without what they hold.
    pub(super) async fn ids(&self, table: Table, prefix: &str) -> Result<Vec<String>, Failure> {
        let items = self.query_of(table, prefix, Some("tenant, id")).await?;
        items.iter().map(|item| item.text_of("id").map(str::to_owned)).collect()
    }

    async fn query_of(&self, table: Table, prefix: &str, projection: Option<&str>) -> Result<Vec<Item>, Failure> {
        let (mut items, mut after) = (Vec::new(), None);
        loop {
            let query = || async {
                let query = self.client.sdk.query().table_name(self.client.table(table)).consistent_read(true);
                let query = query
                    .key_condition_expression("tenant = :tenant AND begins_with(id, :prefix)")
                    .expression_attribute_values(":tenant", text(self.tenant.partition()))
                    .expression_attribute_values(":prefix", text(prefix));
                let query = query.set_projection_expression(projection.map(str::to_owned));
                Ok(query.set_exclusive_start_key(after.clone()).send().await?)
            };
            let page = self.client.patiently(query).await?;
            for item in page.items.unwrap_or_default() {
                items.push(self.own(item)?);
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// The same as of one revision, which is returned with them: none of it is from before or after another's change.
    pub(super) async fn snapshot(&self, table: Table, prefix: &str) -> Result<(u64, Vec<Item>), Failure> {
        for _ in 0..ROUNDS {
            let before = self.revision(table).await?;
            let items = self.query(table, prefix).await?;
            if self.revision(table).await? == before {
                return Ok((before, items));
            }
        }
        Err(Failure { kind: Kind::Conflict, what: format!("table {} changes all the time", table.label()) })
    }

    /// Makes changes on top of a revision, and returns the one after them. As many as fit one transaction are made together or not
    /// at all; of more, others may see the first part.
    pub(super) async fn change(&self, table: Table, mut revision: u64, changes: Vec<Change>) -> Result<u64, Failure> {
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let mut write = self.client.sdk.transact_write_items();
            let (mut count, mut bytes) = (0, 0);
            while let Some(change) = changes.next_if(|change| count < ITEMS && bytes + change.bytes() <= BYTES) {
                (count, bytes) = (count + 1, bytes + change.bytes());
                write = write.transact_items(self.write(table, change)?);
            }
            write.transact_items(self.count(table, revision)?).send().await?;
            revision += 1;
        }
        Ok(revision)
    }

    fn write(&self, table: Table, change: Change) -> Result<TransactWriteItem, Failure> {
        let (name, tenant) = (self.client.table(table), text(self.tenant.partition()));
        let item = TransactWriteItem::builder();
        let built = match change {
            Change::Put { id, value, .. } => {
                let put = Put::builder().table_name(name).item("tenant", tenant).item("id", text(id));
                put.item("value", value).build().map(|put| item.put(put))
            }
            Change::Delete { id } => {
                let delete = Delete::builder().table_name(name).key("tenant", tenant).key("id", text(id));
                delete.build().map(|delete| item.delete(delete))
            }
        };
        built.map(|item| item.build()).map_err(|error| Failure::malformed(error.to_string()))
    }

    /// Counts a change, if nobody else did since.
    fn count(&self, table: Table, revision: u64) -> Result<TransactWriteItem, Failure> {
        let update = Update::builder().table_name(self.client.table(table));
        let update = update
            .key("tenant", text(self.tenant.partition()))
            .key("id", text(REVISION))
            .update_expression("SET #value = :next")
            .expression_attribute_names("#value", "value")
            .expression_attribute_values(":next", number(revision + 1));
        let update = match revision {
            0 => update.condition_expression("attribute_not_exists(#value)"),
            _ => {
                update.condition_expression("#value = :before").expression_attribute_values(":before", number(revision))
            }
        };
        let update = update.build().map_err(|error| Failure::malformed(error.to_string()))?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Whatever happened on the way: what is another's goes no further.
    fn own(&self, item: Item) -> Result<Item, Failure> {
        if item.text_of("tenant")? == self.tenant.partition() {
            Ok(item)
        } else {
            Err(Failure::malformed("an item of another tenant came back"))
        }
    }
}

impl Change {
    fn bytes(&self) -> usize {
        match self {
            Change::Put { id, bytes, .. } => id.len() + bytes,
            Change::Delete { id } => id.len(),
        }
    }
}
