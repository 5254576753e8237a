//! Users who were erased, as one item in the table `register`: the last [`KEPT`] of them, and how many there ever were. Every node
//! reads it from time to time, and drops whom it does not know of yet.

use std::time::Duration;

use super::client::{Client, pause};
use super::failure::{Failure, Kind};
use super::item::{Item, Read, binary, number, text};
use super::tables::Table;
use crate::units::UserKey;

/// The key of the item.
const ID: &str = "erasures";
/// Users who stay on the list. It holds pseudonyms, so that nobody stays for longer than other nodes need: a process has nothing of
/// a user who was erased before it started, and what a node holds in plain it has from before it lost its way to the list.
pub const KEPT: usize = 1024;
/// Bytes of a user.
const USER: usize = size_of::<u64>();
/// How often one user is added again because somebody else's came first.
const ROUNDS: u32 = 64;

/// The list in DynamoDB.
#[derive(Clone, Debug)]
pub struct Erasures(Client);

/// The list as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List {
    /// How many users ever came onto it.
    length: u64,
    /// The last of them, oldest first.
    last: Vec<UserKey>,
}

impl Erasures {
    /// Over this client.
    pub fn new(client: Client) -> Erasures {
        Erasures(client)
    }

    /// Puts a user at the end of the list. After a failure the user may stand there or not, and standing there twice does no harm.
    ///
    /// # Errors
    /// The list could not be read or written.
    pub async fn append(&self, user: UserKey) -> Result<(), Failure> {
        for round in 1..=ROUNDS {
            let mut list = self.load().await?;
            let before = list.length;
            list.push(user);
            match self.replace(before, &list).await {
                Err(Failure { kind: Kind::Conflict, .. }) => {
                    pause(Duration::from_millis(10 * u64::from(round.min(8)))).await
                }
                replaced => return replaced,
            }
        }
        Err(Failure {
            kind: Kind::Conflict,
            what: format!("the list of erased users changed {ROUNDS} times meanwhile"),
        })
    }

    /// The users behind the first `known`, as far as they are kept, oldest first; and how many there ever were.
    ///
    /// # Errors
    /// The list could not be read.
    pub async fn since(&self, known: u64) -> Result<(Vec<UserKey>, u64), Failure> {
        let list = self.load().await?;
        Ok((list.since(known).to_vec(), list.length))
    }

    async fn load(&self) -> Result<List, Failure> {
        let Client { sdk, .. } = &self.0;
        let get = || async {
            let get = sdk.get_item().table_name(self.0.table(Table::Register)).key("id", text(ID));
            Ok(get.consistent_read(true).send().await?)
        };
        let Some(mut item) = self.0.patiently(get).await?.item else { return Ok(List::default()) };
        List::decode(item.number_of("length")?, &item.binary_of("users")?)
    }

    async fn replace(&self, before: u64, list: &List) -> Result<(), Failure> {
        let item = Item::from([
            ("id".to_owned(), text(ID)),
            ("length".to_owned(), number(list.length)),
            ("users".to_owned(), binary(list.encode())),
        ]);
        let put = self.0.sdk.put_item().table_name(self.0.table(Table::Register)).set_item(Some(item));
        let put = put.expression_attribute_names("#length", "length");
        let put = match before {
            0 => put.condition_expression("attribute_not_exists(#length)"),
            _ => put.condition_expression("#length = :length").expression_attribute_values(":length", number(before)),
        };
        put.send().await?;
        Ok(())
    }
}

impl List {
    fn push(&mut self, user: UserKey) {
        if self.last.len() == KEPT {
            self.last.remove(0);
        }
        self.last.push(user);
        self.length += 1;
    }

    fn since(&self, known: u64) -> &[UserKey] {
        let new = usize::try_from(self.length.saturating_sub(known)).unwrap_or(usize::MAX);
        &self.last[self.last.len().saturating_sub(new)..]
    }

    fn encode(&self) -> Vec<u8> {
        self.last.iter().flat_map(|user| user.0.to_be_bytes()).collect()
    }

    fn decode(length: u64, bytes: &[u8]) -> Result<List, Failure> {
        let (users, []) = bytes.as_chunks::<USER>() else {
            return Err(Failure::malformed("the list of erased users cannot be read"));
        };
        Ok(List { length, last: users.iter().map(|user| UserKey(u64::from_be_bytes(*user))).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_kept_and_read_from_where_one_was() {
        let mut list = List::default();
        let all: Vec<UserKey> = (1..=KEPT as u64 + 7).map(UserKey).collect();
        all.iter().for_each(|user| list.push(*user));
        assert_eq!(List::decode(list.length, &list.encode()), Ok(list.clone()));
        for known in [0, 7, 8, KEPT as u64, KEPT as u64 + 6, KEPT as u64 + 7, u64::MAX] {
            let from = usize::try_from(known).unwrap_or(usize::MAX).clamp(7, all.len());
            assert_eq!(list.since(known), &all[from..], "{known}");
        }
        assert!(List::decode(1, &[0; 9]).is_err());
    }
}
