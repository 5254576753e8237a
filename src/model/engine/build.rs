//! From a forest to its tables.
//!
//! A list of events costs instructions, a row of bits costs cache. So rows get a budget ([`MODEL_ROWS_BYTES`]), and a list may be the
//! longer the more events its feature has, by their square root: that is where the expected length of all lists together is least.

use std::collections::BTreeMap;

use super::branch::{Branches, before_category, goes_left};
use super::input::Input;
use super::{Engine, FIELD, Line, State, TooLarge};
use crate::limits::{MODEL_MEMBERS, MODEL_ROWS_BYTES};
use crate::model::forest::{Child, Forest, Missing, Node, Test, Tree};

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

pub(super) fn engine(forest: &Forest) -> Result<Engine, TooLarge> {
    let members: u64 =
        forest.nodes.iter().map(|node| set(forest, node).map(|word| u64::from(word.count_ones())).sum::<u64>()).sum();
    if members > MODEL_MEMBERS {
        return Err(TooLarge::Members);
    }
    let fullest = forest.trees.iter().map(|tree| tree.leaves as usize).max().unwrap_or(0);
    let width = fullest.next_power_of_two().clamp(8, FIELD);
    let words = forest.trees.len().div_ceil(FIELD / width);
    let lines = words.div_ceil(8);
    let mut events = Events::new();
    let mut leaves = Vec::with_capacity(forest.trees.len() * width);
    let mut branches = Branches { library: forest.library, ..Branches::default() };
    if fullest > FIELD {
        branches.roots.resize(forest.trees.len() * FIELD, 0);
        branches.sets.clone_from(&forest.sets);
    }
    for (number, tree) in forest.trees.iter().enumerate() {
        let mut top = Top {
            forest,
            tree,
            open: opened(forest, tree),
            word: (number / (FIELD / width)) as u32,
            shift: number % (FIELD / width) * width,
            exits: Vec::with_capacity(width),
            events: &mut events,
        };
        top.number(if tree.nodes == 0 { Child::Leaf(0) } else { Child::Node(0) });
        let exits = top.exits;
        if tree.leaves as usize > FIELD {
            graft(forest, tree, &exits, &mut branches, number * FIELD);
        }
        leaves.extend(exits.iter().map(|exit| match *exit {
            Child::Leaf(leaf) => forest.leaves[tree.leaves()][leaf as usize],
            Child::Node(_) => 0.0,
        }));
        leaves.resize((number + 1) * width, 0.0);
    }
    let mut counts = vec![0.0; forest.base.len()];
    forest.trees.iter().for_each(|tree| counts[tree.output as usize] += 1.0);
    counts.iter_mut().for_each(|count: &mut f64| *count = count.max(1.0));
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
        leaves,
        outputs: forest.trees.iter().map(|tree| tree.output).collect(),
        base: forest.base.clone(),
        counts: forest.averaged.then_some(counts),
        branches,
    };
    let drafts: Vec<_> = events.into_iter().map(|(key, events)| draft(forest, key, events)).collect();
    let budget = MODEL_ROWS_BYTES / (lines.max(1) * size_of::<Line>());
    let mut patience = 0.0;
    while drafts.iter().map(|(_, events, states)| rows(events.len(), states, patience)).sum::<usize>() > budget {
        patience = f64::max(0.1, patience * 1.1);
    }
    for (input, events, states) in drafts {
        engine.lay(input, &events, &states, patience)?;
    }
    Ok(engine)
}

/// The words of a node's set.
fn set<'a>(forest: &'a Forest, node: &Node) -> impl Iterator<Item = &'a u64> {
    let words = match node.test {
        Test::AtMost(_) => 0..0,
        Test::Among { first, words } => first as usize..first as usize + words as usize,
    };
    forest.sets[words].iter()
}

/// Which nodes of a tree have bits: all, or from the root on always the one with most leaves, until there are as many ways out as bits.
fn opened(forest: &Forest, tree: &Tree) -> Vec<bool> {
    let nodes = &forest.nodes[tree.nodes()];
    let mut open = vec![tree.leaves as usize <= FIELD; nodes.len()];
    if tree.leaves as usize <= FIELD {
        return open;
    }
    let nodes_of = |child| if let Child::Node(node) = child { Some(node as usize) } else { None };
    // Parents before their children.
    let mut order = vec![0];
    let mut at = 0;
    while let Some(&node) = order.get(at) {
        order.extend([nodes[node].left, nodes[node].right].into_iter().filter_map(nodes_of));
        at += 1;
    }
    let mut below = vec![1_usize; nodes.len()];
    for &node in order.iter().rev() {
        below[node] = [nodes[node].left, nodes[node].right]
            .into_iter()
            .map(|child| nodes_of(child).map_or(1, |n| below[n]))
            .sum();
    }
    let mut exits = vec![0];
    // Leaves are ways out too: those of opened nodes beside the nodes in `exits`.
    let mut out = 1;
    while out < FIELD {
        let Some(largest) = (0..exits.len()).max_by_key(|&at| below[exits[at]]) else { break };
        let node = exits.swap_remove(largest);
        open[node] = true;
        out += 1;
        exits.extend([nodes[node].left, nodes[node].right].into_iter().filter_map(nodes_of));
    }
    open
}

/// The part of a tree that has bits.
struct Top<'a, 'b> {
    forest: &'a Forest,
    tree: &'a Tree,
    open: Vec<bool>,
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
    let (node, leaf) = (branches.nodes.len() as u32, branches.leaves.len() as u32);
    let moved = |child| match child {
        Child::Node(number) => Child::Node(node + number),
        Child::Leaf(number) => Child::Leaf(leaf + number),
    };
    branches.leaves.extend(&forest.leaves[tree.leaves()]);
    branches.nodes.extend(forest.nodes[tree.nodes()].iter().map(|node| Node {
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
    let happens = |event: &Event<'_>, value| goes_left(event.node, &forest.sets, forest.library, value) == among;
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
    fn lay(&mut self, mut input: Input, events: &[Event<'_>], states: &[Draft], patience: f64) -> Result<(), TooLarge> {
        let longest = longest(events.len(), patience);
        let first_event = self.words.len();
        if states.iter().any(|state| matches!(state, Draft::Up(_))) {
            self.words.extend(events.iter().map(|event| event.word));
            self.masks.extend(events.iter().map(|event| event.mask));
        }
        input.first = number(self.states.len())?;
        debug_assert_eq!(states.len(), input.states());
        let (mut row, mut row_at) = (0, 0);
        for state in states {
            let (of_row, events) = match state {
                Draft::Up(to) => {
                    if to - row_at > longest {
                        row = self.add_row(events[..*to].iter().map(|event| (event.word, event.mask)))?;
                        row_at = *to;
                    }
                    (row, first_event + row_at..first_event + to)
                }
                Draft::List(list) if list.len() > longest => (self.add_row(list.iter().copied())?, 0..0),
                Draft::List(list) => {
                    let from = self.words.len();
                    self.words.extend(list.iter().map(|event| event.0));
                    self.masks.extend(list.iter().map(|event| event.1));
                    (0, from..self.words.len())
                }
            };
            self.states.push(State { row: of_row, from: number(events.start)?, to: number(events.end)? });
        }
        self.inputs.push(input);
        Ok(())
    }

    /// A row of bits with these events, by its number.
    fn add_row(&mut self, events: impl Iterator<Item = (u32, u64)>) -> Result<u32, TooLarge> {
        let from = self.rows.len();
        self.rows.resize(from + self.lines, Line::OPEN);
        for (word, mask) in events {
            self.rows[from + word as usize / 8].0[word as usize % 8] &= mask;
        }
        number(from / self.lines)
    }
}

fn number(number: usize) -> Result<u32, TooLarge> {
    number.try_into().map_err(|_| TooLarge::Table)
}
