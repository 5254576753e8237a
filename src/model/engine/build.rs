//! From a forest to its tables.
//!
//! A list of events costs instructions, a row of bits costs cache. So rows get a budget ([`MODEL_ROWS_BYTES`]), and a list may be the
//! longer the more events its feature has, by their square root: that is where the expected length of all lists together is least.

use std::collections::BTreeMap;

use super::branch::Branches;
use super::input::Input;
use super::{Engine, FIELD, FIELDS, Line, State};
use crate::limits::{MODEL_MEMBERS, MODEL_NODES, MODEL_ROWS_BYTES};
use crate::model::forest::{Child, Forest, Library, Missing, Node, Test, Tree};

/// What one node rules out, when its event happens.
#[derive(Clone, Copy)]
struct Event<'a> {
    node: &'a Node,
    word: u32,
    mask: u64,
}

/// Events of one input. Numbers and categories of one feature are told apart by different borders, and so are nodes that take 0 for
/// missing from those that do not: within [`crate::model::forest::ZERO`] of 0 the latter may have a threshold.
type Events<'a> = BTreeMap<(u32, bool, bool), Vec<Event<'a>>>;

/// A state before it is known which rows there are.
enum Draft {
    /// So many of the input's sorted events.
    Up(usize),
    /// These.
    List(Vec<(u32, u64)>),
}

pub(super) fn engine(forest: &Forest) -> Engine {
    let closed = too_many_members(forest);
    let open: Vec<Vec<bool>> = forest.trees.iter().map(|tree| opened(forest, tree, &closed)).collect();
    let fullest = open.iter().map(|open| 1 + open.iter().filter(|open| **open).count()).max().unwrap_or(1);
    let cut = open.iter().flatten().any(|open| !open);
    let width = if cut { FIELD } else { fullest.next_power_of_two().max(8) };
    let per_word = FIELD / width;
    let lines = forest.trees.len().div_ceil(per_word * 8);
    let mut events = Events::new();
    let mut leaves = Vec::with_capacity(lines * FIELDS);
    let mut branches = Branches::default();
    if cut {
        branches.roots.resize(forest.trees.len() * FIELD, 0);
        branches.forest.library = forest.library;
        branches.forest.sets.clone_from(&forest.sets);
    }
    for (number, (tree, open)) in forest.trees.iter().zip(open).enumerate() {
        let (word, shift) = ((number / per_word) as u32, number % per_word * width);
        let mut top =
            Top { forest, tree, open: &open, word, shift, exits: Vec::with_capacity(width), events: &mut events };
        top.number(if tree.nodes == 0 { Child::Leaf(0) } else { Child::Node(0) });
        let exits = top.exits;
        if open.contains(&false) {
            graft(forest, tree, &exits, &mut branches, number * FIELD);
        }
        leaves.extend(exits.iter().map(|exit| match *exit {
            Child::Leaf(leaf) => forest.leaves[tree.leaves()][leaf as usize],
            Child::Node(_) => 0.0,
        }));
        leaves.resize((number + 1) * width, 0.0);
    }
    // What is added for a tree that is not there: any sum stays as it is, -0 too.
    leaves.resize(lines * FIELDS, -0.0);
    let mut engine = Engine {
        features: forest.features.len(),
        library: forest.library,
        inputs: Vec::new(),
        states: Vec::new(),
        lines,
        rows: vec![Line::OPEN; lines],
        words: Vec::new(),
        masks: Vec::new(),
        width,
        leaves: leaves.as_chunks().0.to_vec(),
        outputs: forest.trees.iter().map(|tree| tree.output).collect(),
        base: forest.base.clone(),
        branches,
    };
    let drafts: Vec<_> = events.into_iter().map(|(key, events)| draft(forest, key, events)).collect();
    let budget = MODEL_ROWS_BYTES / (lines.max(1) * size_of::<Line>());
    let mut patience = 0.0;
    while drafts.iter().map(|(_, events, states)| rows(events.len(), states, patience)).sum::<usize>() > budget {
        patience = f64::max(0.1, patience * 1.1);
    }
    for (input, events, states) in drafts {
        engine.lay(input, &events, &states, patience);
    }
    engine
}

/// The nodes whose sets would take too many events, which are left to be walked: none, unless all sets together have more than
/// [`MODEL_MEMBERS`], and then those with the largest.
fn too_many_members(forest: &Forest) -> Vec<bool> {
    let members: Vec<u64> =
        forest.nodes.iter().map(|node| set(forest, node).map(|word| u64::from(word.count_ones())).sum()).collect();
    let mut most = u64::MAX;
    while members.iter().filter(|&&members| members <= most).sum::<u64>() > MODEL_MEMBERS {
        most /= 2;
    }
    members.iter().map(|&members| members > most).collect()
}

/// The words of a node's set.
fn set<'a>(forest: &'a Forest, node: &Node) -> impl Iterator<Item = &'a u64> {
    let words = match node.test {
        Test::AtMost(_) => 0..0,
        Test::Among { first, words } => first as usize..first as usize + words as usize,
    };
    forest.sets[words].iter()
}

/// Which nodes of a tree have bits: from the root on always the one with most leaves below, until there are as many ways out as bits.
fn opened(forest: &Forest, tree: &Tree, closed: &[bool]) -> Vec<bool> {
    let nodes = &forest.nodes[tree.nodes()];
    let closed = &closed[tree.nodes()];
    if nodes.len() < FIELD && !closed.contains(&true) {
        return vec![true; nodes.len()];
    }
    let children = |node: usize| {
        let node: &Node = &nodes[node];
        [node.left, node.right].map(|child| if let Child::Node(node) = child { Some(node as usize) } else { None })
    };
    // Parents before their children.
    let mut order = vec![0];
    let mut at = 0;
    while let Some(&node) = order.get(at) {
        order.extend(children(node).into_iter().flatten());
        at += 1;
    }
    let mut below = vec![0_usize; nodes.len()];
    for &node in order.iter().rev() {
        below[node] = children(node).into_iter().map(|child| child.map_or(1, |child| below[child])).sum();
    }
    let mut open = vec![false; nodes.len()];
    let mut next: Vec<usize> = if closed[0] { Vec::new() } else { vec![0] };
    for _ in 1..FIELD {
        let Some(largest) = (0..next.len()).max_by_key(|&at| below[next[at]]) else { break };
        let node = next.swap_remove(largest);
        open[node] = true;
        next.extend(children(node).into_iter().flatten().filter(|&child| !closed[child]));
    }
    open
}

/// The part of a tree that has bits.
struct Top<'a, 'b> {
    forest: &'a Forest,
    tree: &'a Tree,
    open: &'b [bool],
    word: u32,
    shift: usize,
    /// Leaves and branches by their bits.
    exits: Vec<Child>,
    events: &'b mut Events<'a>,
}

impl Top<'_, '_> {
    /// Numbers what is below; not deeper than there are bits.
    fn number(&mut self, child: Child) {
        let node = match child {
            Child::Node(node) if self.open[node as usize] => &self.forest.nodes[self.tree.nodes()][node as usize],
            _ => return self.exits.push(child),
        };
        // The event is going right at a threshold, and left at a set: what is ruled out then comes first.
        let among = matches!(node.test, Test::Among { .. });
        let (ruled_out, other) = if among { (node.right, node.left) } else { (node.left, node.right) };
        let from = self.exits.len();
        self.number(ruled_out);
        let ruled_out = (u64::MAX >> (FIELD - (self.exits.len() - from))) << from;
        self.number(other);
        let event = Event { node, word: self.word, mask: !(ruled_out << self.shift) };
        self.events.entry((node.feature, among, node.missing == Missing::Zero)).or_default().push(event);
    }
}

/// Keeps the nodes of a tree that was cut, with its branches at their exits.
fn graft(forest: &Forest, tree: &Tree, exits: &[Child], branches: &mut Branches, first: usize) {
    let kept = &mut branches.forest;
    let (node, leaf) = (kept.nodes.len() as u32, kept.leaves.len() as u32);
    let moved = |child| match child {
        Child::Node(number) => Child::Node(node + number),
        Child::Leaf(number) => Child::Leaf(leaf + number),
    };
    kept.leaves.extend(&forest.leaves[tree.leaves()]);
    kept.nodes.extend(forest.nodes[tree.nodes()].iter().map(|node| Node {
        left: moved(node.left),
        right: moved(node.right),
        ..*node
    }));
    for (at, exit) in exits.iter().enumerate() {
        if let Child::Node(number) = *exit {
            branches.roots[first + at] = node + number + 1;
        }
    }
}

/// An input with its states, and the events that they count.
fn draft<'a>(
    forest: &Forest,
    (feature, among, zero): (u32, bool, bool),
    mut events: Vec<Event<'a>>,
) -> (Input, Vec<Event<'a>>, Vec<Draft>) {
    let mut states = Vec::new();
    let mut borders = Vec::new();
    let happens = |event: &Event<'_>, value| forest.goes_left(event.node, value) == among;
    let at = |value: f64| {
        Draft::List(events.iter().filter(|event| happens(event, value)).map(|event| (event.word, event.mask)).collect())
    };
    let special: Vec<Draft> = [f64::NAN, 0.0].into_iter().take(1 + usize::from(zero)).map(at).collect();
    if among {
        let mut members: BTreeMap<u64, Vec<(u32, u64)>> = BTreeMap::new();
        for event in &events {
            for (at, word) in set(forest, event.node).enumerate() {
                for bit in (0..64).filter(|bit| word >> bit & 1 == 1) {
                    members.entry(at as u64 * 64 + bit).or_default().push((event.word, event.mask));
                }
            }
        }
        for (category, list) in members {
            let (from, to) = (before_category(forest.library, category), before_category(forest.library, category + 1));
            if borders.last() != Some(&from) {
                borders.push(from);
                states.push(Draft::List(Vec::new()));
            }
            borders.push(to);
            states.push(Draft::List(list));
        }
        states.push(Draft::List(Vec::new()));
    } else {
        events.sort_by(|a, b| threshold(a.node).total_cmp(&threshold(b.node)));
        borders.extend(events.iter().map(|event| threshold(event.node)));
        // Both zeros are one border.
        borders.dedup();
        states.extend(
            borders.iter().map(|&border| Draft::Up(events.partition_point(|event| threshold(event.node) < border))),
        );
        states.push(Draft::Up(events.len()));
    }
    states.extend(special);
    (Input { feature: feature as usize, borders, first: 0, zero }, events, states)
}

fn threshold(node: &Node) -> f64 {
    match node.test {
        Test::AtMost(threshold) => threshold,
        Test::Among { .. } => f64::NAN,
    }
}

/// How many events a list may have before its state gets a row.
fn longest(events: usize, patience: f64) -> usize {
    (patience * (events as f64).sqrt()) as usize
}

/// How many rows the states of an input take.
fn rows(events: usize, states: &[Draft], patience: f64) -> usize {
    let longest = longest(events, patience);
    let mut row_at = 0;
    let takes = |state: &&Draft| match state {
        Draft::Up(to) if to - row_at > longest => {
            row_at = *to;
            true
        }
        Draft::Up(_) => false,
        Draft::List(list) => list.len() > longest,
    };
    states.iter().filter(takes).count()
}

impl Engine {
    /// Adds an input.
    fn lay(&mut self, mut input: Input, events: &[Event<'_>], states: &[Draft], patience: f64) {
        let longest = longest(events.len(), patience);
        let first_event = self.words.len();
        if states.iter().any(|state| matches!(state, Draft::Up(_))) {
            self.words.extend(events.iter().map(|event| event.word));
            self.masks.extend(events.iter().map(|event| event.mask));
        }
        input.first = self.states.len() as u32;
        debug_assert_eq!(states.len(), input.states());
        let (mut row, mut row_at) = (0, 0);
        for state in states {
            let (of_row, events) = match state {
                Draft::Up(to) => {
                    if to - row_at > longest {
                        row = self.add_row(events[..*to].iter().map(|event| (event.word, event.mask)));
                        row_at = *to;
                    }
                    (row, first_event + row_at..first_event + to)
                }
                Draft::List(list) if list.len() > longest => (self.add_row(list.iter().copied()), 0..0),
                Draft::List(list) => {
                    let from = self.words.len();
                    self.words.extend(list.iter().map(|event| event.0));
                    self.masks.extend(list.iter().map(|event| event.1));
                    (0, from..self.words.len())
                }
            };
            self.states.push(State { row: of_row, from: events.start as u32, to: events.end as u32 });
        }
        self.inputs.push(input);
    }

    /// A row of bits with these events, by its number.
    fn add_row(&mut self, events: impl Iterator<Item = (u32, u64)>) -> u32 {
        let from = self.rows.len();
        self.rows.resize(from + self.lines, Line::OPEN);
        for (word, mask) in events {
            self.rows[from + word as usize / 8].0[word as usize % 8] &= mask;
        }
        (from / self.lines) as u32
    }
}

/// The largest value before those that are cut to a category. LightGBM cuts first, so that -0.5 is 0; XGBoost knows no category of what
/// is below zero.
fn before_category(library: Library, category: u64) -> f64 {
    if category == 0 && library == Library::LightGbm { -1.0 } else { (category as f64).next_down() }
}

// Events, states and rows are counted in 32 bits: an event for each node and each member of a set, once more for each node where the
// feature is missing, and as often where it is zero; a border for each event, or two.
const _: () = assert!(3 * (MODEL_NODES as u64 + MODEL_MEMBERS) < u32::MAX as u64);
