//! Campaigns and sellers from DynamoDB: a thread that looks every two seconds at what tenants have changed, and writes the files
//! that [`crate::reload`] reads. It meets nobody: the files are all it gives, and the watch of files notices them.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::commands::supply;
use crate::config::Config;
use crate::store::dynamodb::client::Client;
use crate::store::dynamodb::failure::Failure;
use crate::store::dynamodb::feed::{Feed, PERIOD};
use crate::store::dynamodb::sellers::Sellers;
use crate::store::dynamodb::tenant::Operator;

/// What comes from DynamoDB.
#[derive(Debug)]
pub struct Feeds {
    runtime: Runtime,
    campaigns: Feed,
    sellers: Option<(Sellers, PathBuf)>,
    /// What went wrong with the sellers last: told once.
    told: Option<String>,
}

/// Ends the thread when it goes.
#[derive(Debug)]
pub struct Feeding(#[allow(dead_code, reason = "it is the drop that is heard")] oneshot::Sender<()>);

impl Feeds {
    /// As configured, after a first look, so that the files are there. Nothing if no tenants are configured.
    ///
    /// # Errors
    /// A file cannot be used; or DynamoDB does not answer and no earlier process left a campaign file, in one line.
    pub fn begin(config: &Config) -> Result<Option<Feeds>, String> {
        let Some(from) = config.stores.dynamodb.as_ref().filter(|from| !from.tenants.is_empty()) else {
            return Ok(None);
        };
        let failed = |what: &dyn Display| what.to_string();
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| failed(&error))?;
        let client = Client::new(from).map_err(|error| failed(&error))?;
        let file = &config.data.campaigns;
        let campaigns = Feed::new(client.clone(), Operator::of(from), file).map_err(|error| {
            format!("{}: campaigns come from DynamoDB, but this file is another's: {error}", file.display())
        })?;
        let table = config.supply.table.clone().filter(|_| from.sellers);
        let sellers =
            table.map(|table| (Sellers::new(client, Operator::of(from), config.data.dir.join("sellers")), table));
        let mut feeds = Feeds { runtime, campaigns, sellers, told: None };
        if let Err(failure) = feeds.pull()
            && !feeds.campaigns.has_file()
        {
            return Err(format!("no campaigns to begin with: {failure}"));
        }
        Ok(Some(feeds))
    }

    /// One look.
    fn pull(&mut self) -> Result<(), Failure> {
        let pulled = self.runtime.block_on(self.campaigns.pull());
        if let Some((sellers, table)) = &mut self.sellers {
            let taken = self.runtime.block_on(sellers.pull()).map_err(|failure| failure.to_string());
            let wants = taken.map(|taken| taken || self.told.is_some() || !table.exists());
            let built = wants.and_then(|wants| match wants {
                true => supply::make_table(sellers.folder(), table).map_err(|failure| failure.message),
                false => Ok(()),
            });
            if built.as_ref().err() != self.told.as_ref() {
                if let Err(what) = &built {
                    log::error!("sellers: {what}; the old table stays in use");
                }
                self.told = built.err();
            }
        }
        pulled.map(|_| ())
    }

    /// Goes on as a thread on this CPU.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn spawn(mut self, cpu: usize) -> io::Result<Feeding> {
        let (end, mut ended) = oneshot::channel();
        let run = move || {
            crate::topology::pin_beside(cpu, "the feed thread");
            // A timeout is the usual case: nobody has said that it is over.
            while self.runtime.block_on(async { tokio::time::timeout(PERIOD, &mut ended).await }).is_err() {
                // What went wrong was told where it was found.
                let _ = self.pull();
            }
        };
        thread::Builder::new().name("feed".into()).spawn(run)?;
        Ok(Feeding(end))
    }
}
