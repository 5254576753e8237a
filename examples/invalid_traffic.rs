//! Which of many devices the rules against invalid traffic turn away: `cargo run --example invalid_traffic -- BOTS… < DEVICES`.
//!
//! DEVICES is a JSON object a line: `corpus` (a name), `devicetype`, `os`, `ua`, `weight`. BOTS are lists for `edge.bots`,
//! each tried by itself. Prints a table per corpus: how many each rule turns away, their share by weight, and some of them, or of the others where those are fewer.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use corebid::bid::edge::impossible::{Contradiction, Said};
use corebid::snapshot::edge::{Edge, Files};
use corebid::wire::json::Text;
use corebid::wire::openrtb::agent::Os;
use serde::Deserialize;

#[derive(Deserialize)]
struct Device {
    corpus: String,
    devicetype: u8,
    os: String,
    ua: String,
    weight: f64,
}

/// What became of a corpus.
#[derive(Default)]
struct Corpus {
    devices: u32,
    weight: f64,
    /// By rule.
    hits: BTreeMap<String, Hits>,
}

/// What a rule turned away.
#[derive(Clone, Default)]
struct Hits {
    devices: u32,
    weight: f64,
    examples: Vec<String>,
    /// Examples of what it did not.
    others: Vec<String>,
}

/// Examples of each rule that are printed, of what is rarer: its hits or the others.
const EXAMPLES: usize = 6;

fn main() -> Result<(), Box<dyn Error>> {
    let lists = std::env::args().skip(1).map(|file| {
        let files = Files { bots: Some(PathBuf::from(&file)), ..Files::default() };
        let mut kept = Vec::new();
        let edge = Edge::load(&files, &Arc::default(), &mut kept);
        let name = PathBuf::from(&file).file_name().map_or(file, |name| name.to_string_lossy().into_owned());
        if kept.is_empty() { Ok((name, edge)) } else { Err(format!("{kept:?}")) }
    });
    let lists: Vec<_> = lists.collect::<Result<_, _>>()?;
    let mut corpora = BTreeMap::<String, Corpus>::new();
    for line in io::stdin().lines() {
        let Device { corpus, devicetype, os, ua, weight } = serde_json::from_str(&line?)?;
        let corpus = corpora.entry(corpus).or_default();
        corpus.devices += 1;
        corpus.weight += weight;
        let stated = Os::named(Text { raw: os.as_bytes(), escaped: false });
        let contradiction = Contradiction::of(devicetype, stated, Said::of(ua.as_bytes()));
        let contradictions = Contradiction::ALL.map(|rule| (format!("{rule:?}"), contradiction == Some(rule)));
        let bots = lists.iter().map(|(name, list)| (name.clone(), list.bots.is_bot(ua.as_bytes())));
        for (rule, hit) in contradictions.into_iter().chain(bots) {
            let hits = corpus.hits.entry(rule).or_default();
            let examples = if hit { &mut hits.examples } else { &mut hits.others };
            if examples.len() < EXAMPLES {
                examples.push(format!("{devicetype} {os:?} {ua}"));
            }
            hits.devices += u32::from(hit);
            hits.weight += if hit { weight } else { 0.0 };
        }
    }
    for (name, corpus) in corpora {
        println!("{name}: {} devices", corpus.devices);
        let rules = Contradiction::ALL.map(|rule| format!("{rule:?}")).into_iter();
        for rule in rules.chain(lists.iter().map(|(name, _)| name.clone())) {
            let Some(hits) = corpus.hits.get(&rule) else { continue };
            println!("  {rule:24} {:6} {:9.4} %", hits.devices, 100.0 * hits.weight / corpus.weight);
            let (sign, examples) =
                if 2 * hits.devices > corpus.devices { ("not", &hits.others) } else { ("", &hits.examples) };
            examples.iter().for_each(|example| println!("      {sign} {example}"));
        }
    }
    Ok(())
}
