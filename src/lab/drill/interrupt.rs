//! Ctrl-C and SIGTERM end a drill as an error does, so that it leaves nothing behind.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use crate::lab::drill::Halt;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// Longest sleep that does not look.
const STEP: Duration = Duration::from_millis(20);

/// Listens from now on. The second signal ends the process as it stands; its children die with it.
pub(super) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let listening = thread::Builder::new().name("signals".into()).spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
                for _ in 0..2 {
                    tokio::select! {
                        _ = term.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    if INTERRUPTED.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                }
                std::io::Result::Ok(())
            })
        });
        if let Err(error) = listening {
            log::warn!("Ctrl-C leaves the drill's folder behind: {error}");
        }
    });
}

/// Whether somebody did.
pub(super) fn is_wanted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Sleeps so long, unless somebody does.
#[allow(clippy::disallowed_methods, reason = "a drill waits, no request does")]
pub(super) fn sleep(time: Duration) -> Result<(), Halt> {
    let end = Instant::now() + time;
    loop {
        if is_wanted() {
            return Err(Halt::Interrupted);
        }
        match end.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => thread::sleep(left.min(STEP)),
            _ => return Ok(()),
        }
    }
}
