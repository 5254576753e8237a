//! The stores of a fleet: a housekeeping thread that talks to Valkey and DynamoDB, so that no bid core and no ledger ever waits
//! for either.
//!
//! Beside a bid core stand two rings and the way back for boxes: misses come out of it, users go in. A core wakes the thread
//! at most once a turn, and the thread a core once per batch that it answers.

pub mod breaker;
pub mod fetch;
#[cfg(feature = "stores")]
pub mod frequency;
#[cfg(feature = "stores")]
pub mod leases;
pub mod metrics;
#[cfg(feature = "stores")]
pub mod start;
mod timer;
mod wanted;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::profile::fetched::{Fetched, Miss, Told};
use crate::profile::source::ProfileSource;
use crate::ring::spsc::{BoxReceiver, Receiver, Sender};
use crate::ring::wake::{Waker, Wakeup};
use fetch::{Fetching, Settings};
use metrics::FetchCounts;

/// The thread's ends of the rings of one bid core.
#[derive(Debug)]
pub struct CoreEnds {
    /// Users it asks for.
    pub misses: Receiver<Miss>,
    /// What it is told.
    pub told: Sender<Told>,
    /// What it has taken up: wiped and freed here.
    pub returned: BoxReceiver<Fetched>,
    /// Wakes it.
    pub waker: Waker,
}

/// The running thread.
#[derive(Debug)]
pub struct Stores {
    /// What it counts.
    pub counts: Arc<FetchCounts>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<io::Result<()>>,
}

/// Starts the thread beside the reconciliation core, on `cpu`. `source` makes the source of profiles on it. The cores wake it
/// by the other end of `wakeup`.
///
/// # Errors
/// The kernel gives no thread.
pub fn spawn<S: ProfileSource + 'static>(
    cpu: usize,
    settings: Settings,
    cores: Vec<CoreEnds>,
    wakeup: Wakeup,
    source: impl FnOnce() -> io::Result<S> + Send + 'static,
) -> io::Result<Stores> {
    let counts = Arc::new(FetchCounts::default());
    let (stop, stopped) = oneshot::channel();
    let counted = counts.clone();
    let thread = thread::Builder::new().name("stores".into()).spawn(move || {
        crate::topology::pin_beside(cpu, "the stores thread");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        LocalSet::new().block_on(&runtime, async {
            let fetching = Fetching::new(settings, cores, source()?, counted);
            tokio::select! {
                ended = fetching.run(wakeup) => ended,
                _ = stopped => Ok(()),
            }
        })
    })?;
    Ok(Stores { counts, stop, thread })
}

impl Stores {
    /// Whether it ended by itself.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it. What is under way is given up: nothing that it does has to end.
    ///
    /// # Errors
    /// What it failed with before.
    pub fn close(self) -> io::Result<()> {
        let _ = self.stop.send(());
        self.thread.join().unwrap_or_else(|_| Err(io::Error::other("the stores thread panicked")))
    }
}
