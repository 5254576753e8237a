use std::fs;

use arrayvec::ArrayString;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::*;
use crate::limits;
use crate::ring::message::NoticeKind;
use crate::ring::spsc::Sender as Ring;
use crate::units::{BidId, CampaignId, CpmMicros, ExchangeId, Micros, Nanos, UnixMillis};

/// A writer on a folder of its own, with the ends that others have.
struct Bench {
    writer: Writer,
    rows: Ring<Row>,
    outcomes: Ring<Outcome>,
    dir: PathBuf,
    now: Now,
}

impl Bench {
    fn new(name: &str, change: impl FnOnce(&mut Training)) -> Bench {
        let dir = std::env::temp_dir().join(format!("corebid-training-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        let mut config = Training { dir: Some(dir.clone()), ..Training::default() };
        change(&mut config);
        let opened = open(&config).unwrap().unwrap();
        let (rows, taken) = spsc::ring(limits::ROWS);
        let (outcomes, heard) = spsc::ring(16);
        let source = Source { rows: vec![taken], outcomes: heard, exchanges: vec!["first".into(), "second".into()] };
        let writer = Writer::new(opened, source, Arc::default());
        let now = Now { wall: UnixMillis(1_800_000_000_000), boot: Nanos(5) };
        Bench { writer, rows, outcomes, dir, now }
    }

    fn row(&mut self, bid: u128) {
        let row = Row {
            bid: BidId(bid.to_be_bytes()),
            at: self.now.wall,
            exchange: ExchangeId(1),
            campaign: CampaignId(7),
            creative: 3,
            arm: ArrayString::from("b").unwrap(),
            price: CpmMicros(1_500_000),
            predicted: 0.25,
            features: [bid as f32; limits::FEATURES],
        };
        self.rows.offer(row).unwrap();
    }

    fn turn(&mut self, minutes: u64) {
        self.now.boot = self.now.boot.after(minutes * 60 * Nanos::SECOND);
        self.now.wall.0 += minutes * 60_000;
        self.writer.turn(self.now);
    }

    /// What is in the folder.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.dir).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn counts(&self) -> [u64; 5] {
        let Counts { rows, outcomes, unwritten, files, failing } = &*self.writer.counts;
        [rows, outcomes, unwritten, files, failing].map(Counter::get)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn rows_of(path: &Path) -> Vec<String> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

#[test]
fn a_file_is_seen_when_its_time_is_over_and_not_before() {
    let mut bench = Bench::new("time", |_| {});
    bench.row(1);
    bench.turn(0);
    bench.row(2);
    let outcome = Outcome { bid: BidId([0; 16]), at: bench.now.wall, kind: NoticeKind::Bill, micros: Micros(9) };
    bench.outcomes.offer(outcome).unwrap();
    bench.turn(9);
    assert_eq!((bench.names(), bench.counts()), (Vec::<String>::new(), [0; 5]));
    bench.turn(1);
    assert_eq!(bench.names(), ["rows-1800000000000-0000.parquet"]);
    let rows = rows_of(&bench.dir.join("rows-1800000000000-0000.parquet"));
    assert_eq!(rows.len(), 2);
    let first = "{bid_id: \"00000000000000000000000000000001\", time_ms: 1800000000000, exchange: \"second\", campaign: 7, \
                 creative: 3, arm: \"b\", price_cpm_micros: 1500000, predicted: 0.25, f.hour: 1.0, f.weekday: 1.0,";
    assert!(rows[0].starts_with(first), "{}", rows[0]);
    bench.turn(9);
    assert_eq!(bench.counts(), [2, 1, 0, 2, 0]);
    let outcomes = rows_of(&bench.dir.join("outcomes-1800000540000-0000.parquet"));
    let all = "{bid_id: \"00000000000000000000000000000000\", time_ms: 1800000000000, kind: \"bill\", micros: 9}";
    assert_eq!(outcomes, [all]);
    bench.turn(60);
    assert_eq!(bench.names().len(), 2, "nothing came, so there is no file");
}

/// Some thousand rows go to the disk together, under another name; of complete files the oldest go.
#[test]
fn files_are_bounded_in_bytes_and_in_number() {
    let mut bench = Bench::new("bounds", |config| {
        config.max_bytes = std::num::NonZeroU64::new(70_000).unwrap();
        config.keep = std::num::NonZeroU16::new(3).unwrap();
    });
    let mut bid = 0;
    let mut fill = |bench: &mut Bench, rows: usize| {
        for _ in 0..rows {
            bid += 1;
            bench.row(bid);
        }
        bench.turn(0);
    };
    fill(&mut bench, BATCH - 1);
    assert_eq!(bench.names(), Vec::<String>::new());
    fill(&mut bench, 1);
    assert_eq!(bench.names(), ["rows-1800000000000-0000.parquet"], "it is long enough");
    for _ in 0..4 {
        fill(&mut bench, BATCH);
    }
    let kept = [2, 3, 4].map(|serial| format!("rows-1800000000000-{serial:04}.parquet"));
    assert_eq!(bench.names(), kept);
    assert_eq!(bench.counts(), [5 * BATCH as u64, 0, 0, 5, 0]);

    // What is being written has no name that readers look for, and a start removes what was left of it.
    let row = sample_of(&mut bench);
    bench.writer.rows.push(bench.now, row);
    bench.writer.rows.flush().unwrap();
    assert_eq!(bench.names().iter().filter(|name| name.ends_with(".parquet")).count(), 3);
    assert_eq!(bench.names()[3], "rows-1800000000000-0005.parquet.partial");
    file::prepare(&bench.dir).unwrap();
    assert_eq!(bench.names(), kept);
}

fn sample_of(bench: &mut Bench) -> Row {
    bench.row(0);
    bench.writer.source.rows[0].take().unwrap()
}

#[test]
fn what_cannot_be_written_is_counted_and_what_follows_is_written() {
    let mut bench = Bench::new("failing", |_| {});
    bench.row(1);
    bench.turn(0);
    fs::remove_dir_all(&bench.dir).unwrap();
    bench.row(2);
    bench.turn(10);
    assert_eq!(bench.counts(), [0, 0, 2, 0, 1]);
    fs::create_dir(&bench.dir).unwrap();
    bench.row(3);
    bench.turn(0);
    bench.turn(10);
    assert_eq!(bench.counts(), [1, 0, 2, 1, 0]);
    // The folder goes while a file is open: its rows are lost with it.
    for bid in 0..BATCH as u128 {
        bench.row(bid);
        if bid == 1000 {
            bench.turn(0);
        }
    }
    bench.turn(0);
    assert!(bench.names().iter().any(|name| name.ends_with(".partial")));
    fs::remove_dir_all(&bench.dir).unwrap();
    bench.turn(10);
    assert_eq!(bench.counts(), [1, 0, 2 + BATCH as u64, 1, 1]);
}

#[test]
fn the_end_completes_what_there_is() {
    let mut bench = Bench::new("end", |_| {});
    bench.row(1);
    bench.turn(0);
    bench.writer.end();
    assert_eq!((bench.names().len(), bench.counts()), (1, [1, 0, 0, 1, 0]));
    bench.writer.end();
    assert_eq!(bench.names().len(), 1);
}
