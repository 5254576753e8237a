//! The one thing a bid core reads that another thread writes without a ring: whether the process is about to end.
//!
//! A thread that panics has found that the program is wrong, so the process must end; what the bid cores have framed must not
//! end unanswered with it. A ring has one producer, and any thread can panic; so this is one byte for all cores, written at most
//! once in the life of the process and read once in a turn, from a cache line that nobody writes until then.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::ring::wake::{Wake, Waker};
use crate::units::CoreId;

/// The process goes on.
const CALM: u8 = 0;
/// It ends in a moment.
const RAISED: u8 = 1;
/// The core of this number, less this, is to panic: a drill.
const DRILL: u8 = 2;

/// On a cache line of its own, and the one that comes with it.
#[repr(align(128))]
struct State(AtomicU8);

/// What the cores of a process look at.
struct Alarm {
    state: State,
    /// Which cores have answered all they could. Each is written by its core.
    answered: Box<[AtomicBool]>,
}

/// A bid core's end.
#[derive(Clone, Copy)]
pub struct Bell {
    alarm: &'static Alarm,
    core: CoreId,
}

/// The end of those who raise it.
#[derive(Debug)]
pub struct Panel {
    alarm: Bell,
    wakers: Vec<Waker>,
}

impl Panel {
    /// For the cores that these wake, in their order. Lives as long as the process does.
    pub fn new(wakers: Vec<Waker>) -> Panel {
        let answered = wakers.iter().map(|_| AtomicBool::new(false)).collect();
        let alarm = Box::leak(Box::new(Alarm { state: State(AtomicU8::new(CALM)), answered }));
        Panel { alarm: Bell { alarm, core: CoreId(0) }, wakers }
    }

    /// What a core holds.
    pub fn bell(&self, core: CoreId) -> Bell {
        assert!(usize::from(core.0) < self.wakers.len(), "a core that nobody wakes");
        Bell { core, ..self.alarm }
    }

    /// Tells every core that the process ends, and wakes those that sleep. Allocates nothing.
    pub fn raise(&self) {
        self.set(RAISED);
    }

    /// Lets a core panic: a drill.
    pub fn drill(&self, core: CoreId) {
        self.set(DRILL + core.0);
    }

    fn set(&self, state: u8) {
        self.alarm.alarm.state.0.store(state, Ordering::Release);
        self.wakers.iter().for_each(Wake::wake);
    }

    /// How many cores it has.
    pub fn cores(&self) -> usize {
        self.wakers.len()
    }

    /// Whether every core has answered what it could, but for one that cannot.
    pub fn is_answered(&self, without: Option<CoreId>) -> bool {
        let mut cores = self.alarm.alarm.answered.iter().zip(0..);
        cores.all(|(answered, core)| Some(CoreId(core)) == without || answered.load(Ordering::Acquire))
    }
}

impl Bell {
    /// Whether there is anything to hear: one plain load, once in a turn.
    #[inline]
    pub fn rings(&self) -> bool {
        self.alarm.state.0.load(Ordering::Relaxed) != CALM
    }

    /// Whether the process ends.
    ///
    /// # Panics
    /// If this core is told to: a drill.
    pub fn is_raised(&self) -> bool {
        let state = self.alarm.state.0.load(Ordering::Acquire);
        assert!(state != DRILL + self.core.0, "a drill: bid-{} was told to panic", self.core.0);
        state == RAISED
    }

    /// This core has answered what it could, and does nothing any more.
    pub fn answered(&self) {
        self.alarm.answered[usize::from(self.core.0)].store(true, Ordering::Release);
    }

    /// Whose it is.
    pub fn core(&self) -> CoreId {
        self.core
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Bell").field(&self.core).finish()
    }
}
