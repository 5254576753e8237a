//! An exchange that knows when it asked and when it was answered.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use corebid::clock;
use corebid::lab;

use crate::support::client::{Client, http};
use crate::support::request;

/// Between an answer and the next request of its connection.
const PAUSE: Duration = Duration::from_millis(6);

/// One request, by `CLOCK_BOOTTIME`.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) sent: u64,
    pub(crate) answered: u64,
}

impl Asked {
    /// For how long of that it was under way, ns.
    pub(crate) fn overlap(&self, time: &Range<u64>) -> u64 {
        self.answered.min(time.end).saturating_sub(self.sent.max(time.start))
    }
}

/// An exchange that asks until it is told to end.
pub(crate) struct Exchange {
    over: Arc<AtomicBool>,
    asking: Vec<JoinHandle<Vec<Asked>>>,
}

impl Exchange {
    /// Begins to ask, from this CPU, on so many connections. Each has one request at a time.
    pub(crate) fn begin(address: SocketAddr, cpu: usize, connections: u64) -> Exchange {
        let over = Arc::new(AtomicBool::new(false));
        let ask = |connection| {
            let over = over.clone();
            thread::spawn(move || {
                lab::thread::pin(cpu);
                ask_on(Client::connect(address).unwrap(), connection, &over)
            })
        };
        let asking = (0..connections).map(ask).collect();
        Exchange { over, asking }
    }

    /// Ends it; says what it asked.
    pub(crate) fn end(mut self) -> Vec<Asked> {
        self.over.store(true, Ordering::Relaxed);
        self.asking.drain(..).flat_map(|asking| asking.join().unwrap()).collect()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn ask_on(mut client: Client, connection: u64, over: &AtomicBool) -> Vec<Asked> {
    let mut asked = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let body = request(&format!("{connection}-{}", asked.len()), "");
        let bytes = http("POST", "/openrtb/generic", "", &body);
        let sent = clock::boot().0;
        client.send(&bytes).unwrap();
        client.answer().expect("every request is answered");
        asked.push(Asked { sent, answered: clock::boot().0 });
        thread::sleep(PAUSE);
    }
    asked
}
