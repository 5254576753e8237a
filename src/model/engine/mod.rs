//! The scoring engine: what a value of one feature rules out, in all trees at once, is a row of bits made when the model is loaded.
//!
//! ```text
//!               tree 0    tree 1    tree 2                 a bit for each leaf; 0: this value cannot lead there
//!   hour = 7    11110011  10111100  11111111 …  ─┐
//!   price = 3   10011111  11111111  11000111 …   ├─ AND ─► the first 1 of each tree is the leaf that the row ends at
//!   city: NaN   11011110  11110000  11111111 …  ─┘
//! ```
//!
//! Leaves are numbered so that the children which a node's *event* rules out come first: an event is a value above the threshold, or in
//! the set. Nodes off the path rule out leaves too, but none before the one where the row ends (QuickScorer, Lucchese et al., SIGIR
//! 2015). So there is no walk and no branch that depends on the row, whatever the shape of the trees.
//!
//! A row of bits for each value that a model tells apart would be tens of megabytes for a thousand trees, so only some have one of
//! their own; the others share it and add a short list of events ([`build`]). Trees of more than [`FIELD`] leaves have their largest
//! branches cut off and walked ([`branch`]). Candidates of one request share most features, whose rows are combined once
//! ([`Engine::scores`]).

use crate::model::forest::{Forest, Library, ZERO};

mod branch;
mod build;
mod input;
#[cfg(test)]
mod tests;

use branch::Branches;
use input::Input;

/// Leaves of a tree that have bits: those of one word.
const FIELD: usize = 64;

/// Bits of a line.
const FIELDS: usize = 8 * FIELD;

/// Rows of bits that are combined in one pass: as many streams of memory, and the bits so far are read and written once for all.
const STREAMS: usize = 4;

/// A cache line of bits. The processor combines 16 aligned bytes with one instruction.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u64; 8]);

impl Line {
    /// Nothing is ruled out.
    const OPEN: Line = Line([!0; 8]);
}

/// What a value of a feature rules out.
#[derive(Clone, Copy, Debug)]
struct State {
    /// A row of bits, by its number.
    row: u32,
    /// And these events.
    from: u32,
    to: u32,
}

/// A forest, ready to score. Immutable; shared by cores.
#[derive(Debug)]
pub struct Engine {
    features: usize,
    library: Library,
    inputs: Vec<Input>,
    states: Vec<State>,
    /// Lines of a row.
    lines: usize,
    /// Rows, one after the other; the first rules nothing out.
    rows: Vec<Line>,
    /// Events: a word of the row and what stays of it.
    words: Vec<u32>,
    masks: Vec<u64>,
    /// Bits of a tree: 8, 16, 32 or [`FIELD`].
    width: usize,
    /// Values of the leaves, `width` for each tree; those of a line together.
    leaves: Vec<[f64; FIELDS]>,
    /// The output of each tree.
    outputs: Vec<u32>,
    base: Vec<f64>,
    branches: Branches,
}

/// Which features differ between the rows of a batch; made once by [`Engine::varying`].
#[derive(Clone, Debug)]
pub struct Varying {
    /// Inputs that are the same in all rows, by their numbers.
    shared: Vec<u32>,
    /// The others.
    own: Vec<u32>,
    /// All of them, for one row by itself.
    features: usize,
}

/// Where an engine works. It fits the engine that it was made for, and grows to fit another at its first use.
#[derive(Debug, Default)]
pub struct Room {
    /// What is not ruled out.
    bits: Vec<Line>,
    /// The same by the shared features.
    shared: Vec<Line>,
    /// Rows to combine.
    rows: Vec<u32>,
}

impl Room {
    /// Room for an engine.
    pub fn new(engine: &Engine) -> Room {
        let mut room = Room::default();
        room.fit(engine);
        room
    }

    /// Makes room for an engine; allocates if there is less.
    pub fn fit(&mut self, engine: &Engine) {
        self.bits.resize(engine.lines, Line::OPEN);
        self.shared.resize(engine.lines, Line::OPEN);
        self.rows.clear();
        self.rows.reserve(engine.inputs.len() + STREAMS);
    }
}

impl Engine {
    /// Compiles a forest that [`Forest::check`] has passed.
    pub fn build(forest: &Forest) -> Engine {
        build::engine(forest)
    }

    /// How many scores a row has: one, or one for each class.
    pub fn outputs(&self) -> usize {
        self.base.len()
    }

    /// How many values a row has.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Bytes of its tables.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.rows)
            + size_of_val(&*self.words)
            + size_of_val(&*self.masks)
            + size_of_val(&*self.states)
            + size_of_val(&*self.leaves)
            + self.inputs.iter().map(Input::bytes).sum::<usize>()
            + self.branches.bytes()
    }

    /// Says which features differ between the rows of a batch, by their numbers; those it does not know are left out.
    pub fn varying(&self, features: &[usize]) -> Varying {
        let numbered = 0..self.inputs.len() as u32;
        let (own, shared) = numbered.partition(|&at| features.contains(&self.inputs[at as usize].feature));
        Varying { shared, own, features: self.features }
    }

    /// The raw scores of one row of [`Engine::features`] values, NaN where one is missing, into [`Engine::outputs`] places: what
    /// [`Forest::walk`] says, in the same order and precision.
    ///
    /// # Panics
    /// If the row or the output has another length.
    pub fn score<V: Copy + Into<f64>>(&self, row: &[V], room: &mut Room, out: &mut [f64]) {
        assert_eq!(row.len(), self.features);
        room.fit(self);
        room.bits.fill(Line::OPEN);
        self.rule_out(self.inputs.iter(), row, &mut room.bits, &mut room.rows);
        combine(&mut room.bits, &self.rows, &mut room.rows);
        self.sum(&room.bits, row, out);
    }

    /// The raw scores of many rows, one after the other in `rows` as in `out`, of which only the features in `varying` differ: the others
    /// are read from the first.
    ///
    /// # Panics
    /// If there are not as many rows as outputs, or `varying` was made for another model.
    pub fn scores(&self, rows: &[f32], varying: &Varying, room: &mut Room, out: &mut [f64]) {
        assert_eq!(rows.len() * self.outputs(), out.len() * self.features);
        assert_eq!((varying.features, varying.shared.len() + varying.own.len()), (self.features, self.inputs.len()));
        let Some(first) = rows.get(..self.features) else { return };
        room.fit(self);
        room.shared.fill(Line::OPEN);
        self.rule_out(self.numbered(&varying.shared), first, &mut room.shared, &mut room.rows);
        combine(&mut room.shared, &self.rows, &mut room.rows);
        for (number, out) in out.chunks_exact_mut(self.outputs()).enumerate() {
            let row = &rows[number * self.features..][..self.features];
            room.bits.copy_from_slice(&room.shared);
            self.rule_out(self.numbered(&varying.own), row, &mut room.bits, &mut room.rows);
            combine(&mut room.bits, &self.rows, &mut room.rows);
            self.sum(&room.bits, row, out);
        }
    }

    fn numbered<'a>(&'a self, numbers: &'a [u32]) -> impl Iterator<Item = &'a Input> {
        numbers.iter().map(|&at| &self.inputs[at as usize])
    }

    /// Applies the events of a row's values, and notes the rows of bits to combine.
    #[inline]
    fn rule_out<'a, V: Copy + Into<f64>>(
        &self,
        inputs: impl Iterator<Item = &'a Input>,
        row: &[V],
        bits: &mut [Line],
        rows: &mut Vec<u32>,
    ) {
        rows.clear();
        for input in inputs {
            let state = &self.states[input.state(as_compared(self.library, row[input.feature]))];
            rows.push(state.row);
            let events = state.from as usize..state.to as usize;
            for (&word, &mask) in self.words[events.clone()].iter().zip(&self.masks[events]) {
                bits[word as usize / 8].0[word as usize % 8] &= mask;
            }
        }
    }

    /// Adds up the leaves.
    fn sum<V: Copy + Into<f64>>(&self, bits: &[Line], row: &[V], out: &mut [f64]) {
        out.copy_from_slice(&self.base);
        match self.width {
            _ if !self.branches.is_empty() => self.sum_branches(bits, row, out),
            8 => self.sum_leaves::<8>(bits, out),
            16 => self.sum_leaves::<16>(bits, out),
            32 => self.sum_leaves::<32>(bits, out),
            _ => self.sum_leaves::<FIELD>(bits, out),
        }
    }

    fn sum_leaves<const WIDTH: usize>(&self, bits: &[Line], out: &mut [f64]) {
        let lines = bits.iter().zip(&self.leaves);
        match (out, self.library) {
            ([out], Library::LightGbm) => {
                lines.for_each(|(line, leaves)| line.leaves::<WIDTH>(leaves, |_, value| *out += value))
            }
            ([out], Library::XgBoost) => {
                let mut sum = *out as f32;
                lines.for_each(|(line, leaves)| line.leaves::<WIDTH>(leaves, |_, value| sum += value as f32));
                *out = f64::from(sum);
            }
            (out, library) => lines.zip(self.outputs.chunks(FIELDS / WIDTH)).for_each(|((line, leaves), outputs)| {
                line.leaves::<WIDTH>(leaves, |tree, value| {
                    if let Some(&output) = outputs.get(tree) {
                        add(library, &mut out[output as usize], value);
                    }
                });
            }),
        }
    }

    /// The same where a leaf may be a branch that is walked.
    fn sum_branches<V: Copy + Into<f64>>(&self, bits: &[Line], row: &[V], out: &mut [f64]) {
        let leaves = self.leaves.iter().flat_map(|leaves| leaves.as_chunks::<FIELD>().0);
        let bits = bits.iter().flat_map(|line| line.0);
        for (tree, ((field, leaves), &output)) in bits.zip(leaves).zip(&self.outputs).enumerate() {
            let at = first::<FIELD>(field);
            let value = match self.branches.at(tree * FIELD + at) {
                Some(branch) => self.branches.walk(branch, |feature| row[feature].into()),
                None => leaves[at],
            };
            add(self.library, &mut out[output as usize], value);
        }
    }
}

impl Line {
    /// The leaf of each field, in order.
    #[inline]
    fn leaves<const WIDTH: usize>(&self, leaves: &[f64; FIELDS], mut each: impl FnMut(usize, f64)) {
        for (at, word) in self.0.iter().enumerate() {
            for field in 0..FIELD / WIDTH {
                let tree = at * (FIELD / WIDTH) + field;
                each(tree, leaves[tree * WIDTH + first::<WIDTH>(word >> (field * WIDTH))]);
            }
        }
    }
}

/// The first 1 of a field that has one. That its last bit is set costs less than the case that none is.
#[inline]
fn first<const WIDTH: usize>(field: u64) -> usize {
    (field | 1 << (WIDTH - 1)).trailing_zeros() as usize % WIDTH
}

/// A value as the library compares it.
#[inline]
fn as_compared<V: Into<f64>>(library: Library, value: V) -> f64 {
    let value = value.into();
    match library {
        Library::LightGbm if value.abs() <= ZERO => 0.0,
        Library::LightGbm => value,
        Library::XgBoost => f64::from(value as f32),
    }
}

/// Adds as the library does.
#[inline]
fn add(library: Library, sum: &mut f64, value: f64) {
    match library {
        Library::LightGbm => *sum += value,
        Library::XgBoost => *sum = f64::from(*sum as f32 + value as f32),
    }
}

/// `bits` and all of the rows.
fn combine(bits: &mut [Line], table: &[Line], rows: &mut Vec<u32>) {
    rows.resize(rows.len().next_multiple_of(STREAMS), 0);
    let lines = bits.len();
    for streams in rows.as_chunks::<STREAMS>().0 {
        let [a, b, c, d] = streams.map(|row| &table[row as usize * lines..][..lines]);
        for (line, (((a, b), c), d)) in bits.iter_mut().zip(a.iter().zip(b).zip(c).zip(d)) {
            for at in 0..line.0.len() {
                line.0[at] &= (a.0[at] & b.0[at]) & (c.0[at] & d.0[at]);
            }
        }
    }
}
