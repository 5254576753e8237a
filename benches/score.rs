//! Scoring: the engine, and what others make of the same models, on the same rows. Run by `scripts/score`, which makes models and rivals
//! in `COREBID_SCORE`; without them a made-up forest is scored by the engine alone. `-- SVG` draws the figures.
//!
//! All take turns, a millisecond or two each, so that what else the machine does meets all of them; figures are medians of the turns, and
//! ratios medians of the ratios within a round.

#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use corebid::model;
use corebid::model::engine::{Engine, Room};
use corebid::model::forest::{Child, Forest, Library, Missing, Node, Test, Tree};

#[path = "score/rivals.rs"]
mod rivals;

use rivals::{Compiled, Entry, LightGbm};

const MODELS: [&str; 2] = ["100x31", "1000x63"];
/// Candidates of a batch, and the features of which they have their own: a third.
const BATCH: usize = 16;
const OWN: [usize; 8] = [7, 8, 9, 14, 15, 16, 17, 20];
const ROUNDS: usize = 501;
/// Leaves that are added up in one turn, over all rows and trees: a millisecond or two, less than the scheduler gives at once.
const TURN: usize = 16_000;

/// Who takes turns, with what a row took in each, ns.
struct Arm<'a> {
    name: &'static str,
    turn: Box<dyn FnMut(std::ops::Range<usize>) -> f64 + 'a>,
    took: Vec<f64>,
}

/// A figure: of which model, by whom, ns a row, and how much faster than the first.
struct Figure {
    model: &'static str,
    name: &'static str,
    row: f64,
    least: f64,
    ratio: f64,
    of_second: f64,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let picture = words.iter().find(|word| word.ends_with(".svg"));
    // `cargo test --benches` only asks whether it starts.
    let rounds = if words.iter().any(|word| word == "--bench") { ROUNDS } else { 1 };
    let Some(folder) = std::env::var_os("COREBID_SCORE").map(PathBuf::from) else {
        println!("no COREBID_SCORE, so no rivals (scripts/score makes them): a made-up forest, by the engine alone");
        let (forest, rows) = made_up(100, 31);
        return report(&measure("100x31", &forest, &rows, None, rounds), None);
    };
    let rows = std::fs::read(folder.join("rows.f32")).unwrap();
    let rows: Vec<f32> = rows.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let figures: Vec<Figure> = MODELS
        .into_iter()
        .flat_map(|name| {
            let path = folder.join(name);
            let forest = model::read(&path.join("model.txt")).unwrap().forest;
            measure(name, &forest, &rows, Some(&path), rounds)
        })
        .collect();
    report(&figures, picture.map(Path::new));
}

fn measure(name: &'static str, forest: &Forest, rows: &[f32], rivals: Option<&Path>, rounds: usize) -> Vec<Figure> {
    let width = forest.features.len();
    let count = rows.len() / width / BATCH * BATCH;
    let engine = Engine::build(forest);
    println!("{name}: {count} rows of {width}, {} KB of tables", engine.bytes() / 1024);
    let long: Vec<f64> = rows.iter().map(|&value| f64::from(value)).collect();
    let mut entries: Vec<Entry> = long.iter().map(|&value| Entry::new(value)).collect();
    let mut candidates = rows.to_vec();
    for (at, value) in candidates.iter_mut().enumerate() {
        if !OWN.contains(&(at % width)) {
            *value = rows[at / width / BATCH * BATCH * width + at % width];
        }
    }
    let varying = engine.varying(&OWN);
    let rivals = rivals.map(|path| {
        let library = std::fs::read_to_string(path.with_file_name("lightgbm")).unwrap();
        (LightGbm::load(Path::new(&library), &path.join("model.txt"), width), Compiled::load(&path.join("c.so")))
    });
    let score = |rows: &[f32], room: &mut Room| {
        let mut out = [0.0];
        engine.score(rows, room, &mut out);
        out[0]
    };
    let (mut room, mut batch_room) = (Room::new(&engine), Room::new(&engine));
    if let Some((lightgbm, compiled)) = &rivals {
        for row in 0..count {
            let at = row * width..(row + 1) * width;
            let ours = score(&rows[at.clone()], &mut room);
            for theirs in [lightgbm.score(&long[at.clone()]), compiled.score(&mut entries[at])] {
                assert!((ours - theirs).abs() <= 1e-12 * theirs.abs(), "row {row}: {ours}, {theirs}");
            }
        }
    }
    let mut arms = Vec::new();
    if let Some((lightgbm, compiled)) = &rivals {
        let of = |row: usize| row * width..(row + 1) * width;
        let turn = move |rows: std::ops::Range<usize>| rows.map(|row| lightgbm.score(&long[of(row)])).sum();
        arms.push(Arm { name: "LightGBM, single row fast", turn: Box::new(turn), took: Vec::new() });
        let turn = move |rows: std::ops::Range<usize>| rows.map(|row| compiled.score(&mut entries[of(row)])).sum();
        arms.push(Arm { name: "tl2cgen, gcc -O3", turn: Box::new(turn), took: Vec::new() });
    }
    let turn = |turn: std::ops::Range<usize>| turn.map(|row| score(&rows[row * width..][..width], &mut room)).sum();
    arms.push(Arm { name: "engine, row by row", turn: Box::new(turn), took: Vec::new() });
    let turn = |turn: std::ops::Range<usize>| {
        let mut out = [0.0; BATCH];
        let batches = turn.step_by(BATCH).map(|row| {
            engine.scores(&candidates[row * width..][..BATCH * width], &varying, &mut batch_room, &mut out);
            out[BATCH - 1]
        });
        batches.sum()
    };
    arms.push(Arm { name: "engine, batches of 16", turn: Box::new(turn), took: Vec::new() });
    let rows_of_turn = (TURN / forest.trees.len()).next_multiple_of(BATCH).min(count);
    for round in 0..rounds {
        let from = round % (count / rows_of_turn) * rows_of_turn;
        for arm in &mut arms {
            let start = Instant::now();
            black_box((arm.turn)(from..from + rows_of_turn));
            arm.took.push(start.elapsed().as_nanos() as f64 / rows_of_turn as f64);
        }
    }
    let against = |first: &[f64], took: &[f64]| median(first.iter().zip(took).map(|(a, b)| a / b).collect());
    let figure = |arm: &Arm<'_>| Figure {
        model: name,
        name: arm.name,
        row: median(arm.took.clone()),
        least: arm.took.iter().copied().fold(f64::INFINITY, f64::min),
        ratio: against(&arms[0].took, &arm.took),
        of_second: against(&arms[1].took, &arm.took),
    };
    arms.iter().map(figure).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(figures: &[Figure], picture: Option<&Path>) {
    println!(
        "| model | | ns a row, median (least) | times as fast as the first | as the second |\n|---|---|---:|---:|---:|"
    );
    for Figure { model, name, row, least, ratio, of_second } in figures {
        println!("| {model} | {name} | {row:.0} ({least:.0}) | {ratio:.2} | {of_second:.2} |");
    }
    if let Some(path) = picture {
        std::fs::write(path, drawn(figures)).unwrap();
    }
}

/// Bars: how many times as fast as LightGBM.
fn drawn(figures: &[Figure]) -> String {
    let most = figures.iter().map(|figure| figure.ratio).fold(1.0, f64::max);
    let height = 60 + figures.len() * 30;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 820 {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"820\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"20\" y=\"24\" font-size=\"14\" font-weight=\"bold\">Rows scored in the time that LightGBM takes for one</text>\n"
    );
    for (at, Figure { model, name, row, ratio, .. }) in figures.iter().enumerate() {
        let (top, long) = (44 + at * 30, 440.0 * ratio / most);
        let colour = if name.starts_with("engine") { "#0072b2" } else { "#888888" };
        let (text, end) = (top + 15, 240.0 + long);
        let _ = writeln!(svg, "<text x=\"230\" y=\"{text}\" text-anchor=\"end\">{model}: {name}</text>");
        let _ = writeln!(svg, "<rect x=\"240\" y=\"{top}\" width=\"{long:.1}\" height=\"22\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{text}\">{ratio:.1} ({row:.0} ns)</text>", end + 6.0);
    }
    svg.push_str("</svg>\n");
    svg
}

/// A forest and rows from a fixed sequence, of the shape that libraries grow: leaves are split anywhere.
fn made_up(trees: u32, leaves: u32) -> (Forest, Vec<f32>) {
    let mut state = 8_u64;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let features = (0..24).map(|feature| format!("f{feature}")).collect();
    let mut forest = Forest { library: Library::LightGbm, features, base: vec![0.0], ..Forest::default() };
    for tree in 0..trees {
        let mut nodes: Vec<Node> = Vec::new();
        for number in 0..leaves - 1 {
            let (old, new) = (Child::Leaf(next(u64::from(number) + 1) as u32), Child::Leaf(number + 1));
            let places = nodes.iter_mut().flat_map(|node| [&mut node.left, &mut node.right]);
            places.filter(|child| **child == old).for_each(|child| *child = Child::Node(number));
            let (feature, test) = (next(24) as u32, Test::AtMost(next(255) as f64 / 255.0));
            nodes.push(Node {
                feature,
                test,
                missing: Missing::Nan,
                missing_left: next(2) == 0,
                left: old,
                right: new,
            });
        }
        let (first_node, first_leaf) = (tree * (leaves - 1), tree * leaves);
        forest.trees.push(Tree { output: 0, first_node, nodes: leaves - 1, first_leaf, leaves });
        forest.nodes.extend(nodes);
        forest.leaves.extend((0..leaves).map(|_| next(1000) as f64 / 1000.0 - 0.5));
    }
    let value = |_| if next(20) == 0 { f32::NAN } else { next(10_000) as f32 / 10_000.0 };
    (forest, (0..24 * 10_000).map(value).collect())
}
