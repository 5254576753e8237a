//! The register of processes, as one item. Whoever changes it has read it whole, and replaces it only if nobody did in between:
//! that is all there is to agreement, and at some writes a minute it is enough.

use std::time::Duration;

use super::client::{Client, pause};
use super::failure::{Failure, Kind};
use super::item::{Item, Read, number, text};
use super::tables::Table;
use crate::authority::NotRetired;
use crate::authority::message::{NotRegistered, Register as Ask};
use crate::authority::register::{NotRenewed, Process, Register};
use crate::units::{Incarnation, NodeId, UnixMillis};

/// The key of the item.
const ID: &str = "processes";
/// How often a change is made again because somebody else's came first. A whole fleet that starts at once is 64 nodes.
const ROUNDS: u32 = 64;

/// The register in DynamoDB.
#[derive(Clone, Debug)]
pub struct Processes(Client);

impl Processes {
    /// Over this client.
    pub fn new(client: Client) -> Processes {
        Processes(client)
    }

    /// As [`Register::register`]. After a failure it is asked again with the same nonce: whether the first call was heard, makes
    /// no difference.
    ///
    /// # Errors
    /// The register could not be read or written.
    pub async fn register(
        &self,
        now: UnixMillis,
        ask: &Ask,
    ) -> Result<Result<(Incarnation, Process), NotRegistered>, Failure> {
        self.change(|register| {
            register.forget(now);
            register.register(now, ask)
        })
        .await
    }

    /// As [`Register::renew`].
    ///
    /// # Errors
    /// The register could not be read or written: the process may go on until the time it was told last.
    pub async fn renew(&self, incarnation: Incarnation, until: UnixMillis) -> Result<Result<(), NotRenewed>, Failure> {
        self.change(|register| register.renew(incarnation, until)).await
    }

    /// As [`Register::end`].
    ///
    /// # Errors
    /// The register could not be read or written.
    pub async fn end(&self, incarnation: Incarnation) -> Result<(), Failure> {
        self.change(|register| register.end(incarnation)).await
    }

    /// As [`Register::retire`]. A call whose answer was lost may have retired it: then it is retired already.
    ///
    /// # Errors
    /// The register could not be read or written.
    pub async fn retire(&self, now: UnixMillis, node: NodeId) -> Result<Result<(), NotRetired>, Failure> {
        self.change(|register| register.retire(now, node)).await
    }

    /// The register as it is now.
    ///
    /// # Errors
    /// It could not be read.
    pub async fn read(&self) -> Result<Register, Failure> {
        self.load().await.map(|(_, register)| register)
    }

    /// Changes the register, as often as it takes for nobody to have changed it in between.
    async fn change<T>(&self, change: impl Fn(&mut Register) -> T) -> Result<T, Failure> {
        for round in 1..=ROUNDS {
            let (version, before) = self.load().await?;
            let mut register = before.clone();
            let told = change(&mut register);
            if register == before {
                return Ok(told);
            }
            match self.replace(version, &register).await {
                Err(Failure { kind: Kind::Conflict, .. }) => {
                    pause(Duration::from_millis(10 * u64::from(round.min(8)))).await
                }
                replaced => return replaced.map(|()| told),
            }
        }
        Err(Failure { kind: Kind::Conflict, what: format!("the register changed {ROUNDS} times meanwhile") })
    }

    async fn load(&self) -> Result<(u64, Register), Failure> {
        let Client { sdk, .. } = &self.0;
        let get = || async {
            let get = sdk.get_item().table_name(self.0.table(Table::Register)).key("id", text(ID));
            Ok(get.consistent_read(true).send().await?)
        };
        let Some(item) = self.0.patiently(get).await?.item else { return Ok((0, Register::default())) };
        let register = Register::decode(item.text_of("state")?);
        let register = register.ok_or_else(|| Failure::malformed("the register of processes cannot be read"))?;
        Ok((item.number_of("version")?, register))
    }

    async fn replace(&self, version: u64, register: &Register) -> Result<(), Failure> {
        let item = Item::from([
            ("id".to_owned(), text(ID)),
            ("version".to_owned(), number(version + 1)),
            ("state".to_owned(), text(register.encode())),
        ]);
        let put = self.0.sdk.put_item().table_name(self.0.table(Table::Register)).set_item(Some(item));
        let put = put.expression_attribute_names("#version", "version");
        let put = match version {
            0 => put.condition_expression("attribute_not_exists(#version)"),
            _ => {
                put.condition_expression("#version = :version").expression_attribute_values(":version", number(version))
            }
        };
        put.send().await?;
        Ok(())
    }
}
