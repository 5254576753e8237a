//! Load beside a drill: the engine of `corebid load` on a thread of its own, to be watched, ended early and summed up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};

use crate::lab::drill::Halt;
use crate::lab::load::{self, Error, Live, Options};
use crate::lab::report::Report;

/// Load that is on. It ends when this is dropped.
#[derive(Debug)]
pub struct Background {
    live: Arc<Live>,
    thread: Option<JoinHandle<Result<Report, Error>>>,
}

impl Background {
    pub(super) fn start(mut options: Options) -> Result<Background, Halt> {
        let live = Arc::new(Live::default());
        options.live = Some(live.clone());
        let thread = thread::Builder::new().name("background".into()).spawn(move || load::run(&options))?;
        Ok(Background { live, thread: Some(thread) })
    }

    /// The counts until now.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// Waits for the end of its schedule.
    pub fn wait(mut self) -> Result<Report, Halt> {
        self.join()
    }

    /// Sends nothing more, and waits for what is under way.
    pub fn end(mut self) -> Result<Report, Halt> {
        self.live.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(&mut self) -> Result<Report, Halt> {
        let thread = self.thread.take().expect("it is joined once: by `wait`, `end` or `drop`");
        let ended = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ended.map_err(|error| Halt::failed("load", error))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.live.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
