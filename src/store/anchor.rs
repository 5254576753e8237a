//! The head of the chain, told to places off the host. Whoever can write the disk can write a chain anew from any commit on;
//! what they cannot change is a head that has left. So it goes to the log, the metrics and, if configured, a file on another
//! machine's volume: with each segment that closes, at least every minute in which something was written, and at the end.
//!
//! A file far away can hang. So telling is a thread of its own, and what it cannot keep up with is left out: a head stands
//! for all heads before it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use blake3::Hash;

use super::embedded::Position;
use crate::reconcile::gauges::Gauges;
use crate::units::{Nanos, Now, UnixMillis};

/// Between two heads at most, while there are commits.
const PERIOD_NS: u64 = 60 * Nanos::SECOND;
/// Heads that wait to be told.
const WAITING: usize = 16;
/// How long the end waits for the last head to be told.
const LAST: Duration = Duration::from_secs(1);

/// A head of the chain, and where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The segment.
    pub segment: u32,
    /// Records of all segments up to it.
    pub records: u64,
    /// Hash of the commit that ends there.
    pub head: Hash,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, records, head } = self;
        write!(f, "ledger head segment={segment} records={records} head={head}")
    }
}

/// Reads the line of a log or of a head file: the three numbers are looked for, wherever they stand.
impl FromStr for Anchor {
    type Err = &'static str;

    fn from_str(line: &str) -> Result<Self, &'static str> {
        let value = |name: &str| {
            let words = line.split_ascii_whitespace();
            words.filter_map(|word| word.strip_prefix(name)?.strip_prefix('=')).next()
        };
        let number = |name| value(name).and_then(|value| value.parse::<u64>().ok());
        let segment = number("segment").and_then(|number| u32::try_from(number).ok()).ok_or("no segment=NUMBER")?;
        let records = number("records").ok_or("no records=NUMBER")?;
        let head = value("head").and_then(|head| Hash::from_hex(head).ok()).ok_or("no head=HASH of 64 digits")?;
        Ok(Self { segment, records, head })
    }
}

/// The head that was told last, for the metrics.
#[derive(Debug, Default)]
pub struct Latest(Mutex<Option<Anchor>>);

impl Latest {
    /// The head that was told last.
    pub fn get(&self) -> Option<Anchor> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Only the thread that tells does, and tests.
    pub(crate) fn set(&self, anchor: Anchor) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(anchor);
    }
}

/// Tells heads, when it is time to. The last one is told when this is dropped.
#[derive(Debug)]
pub struct Anchors {
    sender: Option<SyncSender<(UnixMillis, Anchor)>>,
    done: Receiver<()>,
    due: Nanos,
    /// Not told yet.
    held: Option<(UnixMillis, Anchor)>,
}

impl Anchors {
    /// Starts the thread that tells. It ends with this.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(head_file: Option<PathBuf>, gauges: Arc<Gauges>) -> io::Result<Self> {
        let (sender, heads) = mpsc::sync_channel::<(UnixMillis, Anchor)>(WAITING);
        let (ended, done) = mpsc::sync_channel(1);
        thread::Builder::new().name("anchor".into()).spawn(move || {
            for (wall, anchor) in heads {
                tell(wall, &anchor, head_file.as_deref(), &gauges);
            }
            let _ = ended.send(());
        })?;
        Ok(Self { sender: Some(sender), done, due: Nanos(0), held: None })
    }

    /// After a commit: tells the head if the segment closed with it, or if it is time. Waits for nothing.
    pub fn committed(&mut self, now: Now, position: &Position) {
        let Position { segment, next: records, head, closed, .. } = *position;
        self.held = Some((now.wall, Anchor { segment, records, head }));
        if (closed || now.boot >= self.due) && self.tell() {
            self.due = now.boot.after(PERIOD_NS);
        }
    }

    /// Whether there was room for it.
    fn tell(&mut self) -> bool {
        let Some((sender, held)) = self.sender.as_ref().zip(self.held) else { return true };
        let told = sender.try_send(held).is_ok();
        if told {
            self.held = None;
        }
        told
    }
}

impl Drop for Anchors {
    fn drop(&mut self) {
        self.tell();
        self.sender = None;
        let _ = self.done.recv_timeout(LAST);
    }
}

fn tell(wall: UnixMillis, anchor: &Anchor, head_file: Option<&Path>, gauges: &Gauges) {
    log::info!("{anchor}");
    gauges.head.set(*anchor);
    let Some(path) = head_file else { return };
    if let Err(error) = append(path, wall, anchor) {
        gauges.head_file_failures.add(1);
        log::error!("{}: {error}; the ledger's heads are not kept there: see to the volume", path.display());
    }
}

/// Opened anew for each line, as what is mounted there may change. A line that was cut off must not take the next one with it.
fn append(path: &Path, wall: UnixMillis, anchor: &Anchor) -> io::Result<()> {
    let time = jiff::Timestamp::from_millisecond(wall.0 as i64).map_err(io::Error::other)?;
    let open = |read| OpenOptions::new().read(read).append(true).create(true).open(path);
    let mut file = match open(true) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(false)?,
        opened => opened?,
    };
    let end = if is_cut_off(&file)? { "\n" } else { "" };
    file.write_all(format!("{end}{time} {anchor}\n").as_bytes())?;
    file.sync_data()
}

/// Whether the last line has no end; also where this user may not read it: an empty line is none.
fn is_cut_off(file: &File) -> io::Result<bool> {
    let mut last = [0];
    let Some(at) = file.metadata()?.len().checked_sub(1) else { return Ok(false) };
    Ok(file.read_exact_at(&mut last, at).is_err() || last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn position(next: u64, closed: bool) -> Position {
        Position { segment: 3, next, head: blake3::hash(&next.to_le_bytes()), closed, ..Position::START }
    }

    fn at(seconds: u64) -> Now {
        Now { boot: Nanos(seconds * Nanos::SECOND), wall: UnixMillis(1_800_000_000_000 + seconds * 1000) }
    }

    #[test]
    fn heads_are_told_every_minute_with_each_segment_and_at_the_end() {
        let path = std::env::temp_dir().join(format!("corebid-heads-{}", std::process::id()));
        let _ = fs::remove_file(&path);
        let gauges = Arc::new(Gauges::new(0));
        let mut anchors = Anchors::start(Some(path.clone()), gauges.clone()).unwrap();
        for (second, closed) in [(0, false), (5, false), (59, false), (60, false), (70, true), (80, false), (90, false)]
        {
            anchors.committed(at(second), &position(second, closed));
        }
        drop(anchors);
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let told: Vec<Anchor> = text.lines().map(|line| line.parse().unwrap()).collect();
        let records: Vec<_> = told.iter().map(|anchor| anchor.records).collect();
        assert_eq!(records, [0, 60, 70, 90]);
        assert_eq!(told[1].head, blake3::hash(&60_u64.to_le_bytes()));
        assert_eq!(gauges.head.get(), told.last().copied());
        let line = format!("2027-01-15T08:01:00Z ledger head segment=3 records=60 head={}", told[1].head);
        assert_eq!(text.lines().nth(1), Some(&*line));
    }

    #[test]
    fn a_line_that_was_cut_off_takes_no_other_with_it() {
        let path = std::env::temp_dir().join(format!("corebid-torn-heads-{}", std::process::id()));
        fs::write(&path, "2027-01-15T08:00:00Z ledger head segment=1 rec").unwrap();
        let anchor = Anchor { segment: 3, records: 9, head: blake3::hash(b"") };
        (0..2).for_each(|second| append(&path, at(second).wall, &anchor).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let told: Vec<_> = text.lines().map(|line| line.parse::<Anchor>().ok()).collect();
        assert_eq!(told, [None, Some(anchor), Some(anchor)]);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_counted() {
        let gauges = Arc::new(Gauges::new(0));
        let mut anchors = Anchors::start(Some("/nowhere/heads".into()), gauges.clone()).unwrap();
        anchors.committed(at(0), &position(1, false));
        drop(anchors);
        assert_eq!((gauges.head_file_failures.get(), gauges.head.get().map(|head| head.records)), (1, Some(1)));
    }
}
