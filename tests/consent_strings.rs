//! `corebid consent`, held against IAB's own libraries (@iabtcf/core, @iabgpp/cmpapi): on strings that were committed with the
//! libraries' judgement, and on new ones where the libraries are installed (`npm ci` in tests/oracle/consent).

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use corebid::commands::consent::{Line, UsPrivacy, decode, print};
use proptest::prelude::*;
use serde_json::{Value, json};

use support::process::run;

/// What the libraries read and we refuse: what our refusal says, and a string that shows it. docs/CONSENT.md gives the reasons.
/// There is nothing that only we read.
const ONLY_THE_LIBRARIES: &[(&str, &str)] = &[
    ("begins neither as", "IAAA"),
    ("is of type 0", "CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA"),
    ("version 1 has none", "BObdrPUOevsguAfDqFENCNAAAAAmeAAA.BObdrPUOevsguAfDqFENCNAAAAAmeAAA"),
    ("comes twice", "CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.IAAA"),
    ("comes twice", "DBABMA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.IAAA"),
    ("there is no vendor 0", "CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAQAYACgAAAAAAA"),
    ("there is no vendor 0", "DBABMA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAQAQAAAAAAA"),
    ("has no core segment", "DBABMA~IAAA"),
    ("has no core segment", "DBABDA~IAAA"),
    ("is not of version", "DBABMA~BPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA"),
    ("ends within PublisherRestrictions", "DBABMA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAhA"),
    ("tcfcav1: ends within PubRestrictions", "DBABDA~BPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAAAAAAA"),
    ("an id is beyond 65535", "DBABDA~BPSG_8APSG_8ANwAAAENAwCAAAAAAAAAAAABABqgQLVAgWAAAAA"),
    ("ConsentLanguage is not two letters", "DBABMA~CPSG_8APSG_8ANwAAA_NAwCgAAAAAAAAAAAAAAAAAAAA"),
    ("PublisherCountryCode is not two letters", "DBABMA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAH4AAAAAAAAA"),
    ("US privacy string", "DBABTA~1++N"),
];

/// `corebid consent --json` of a string.
fn ours(text: &str) -> Value {
    serde_json::to_value(Line::of(&decode(text), None)).unwrap()
}

/// What a line of judgement says of its string, without where it comes from.
fn judgement(line: &Value) -> (&str, Value) {
    let mut said = line.clone();
    for key in ["s", "src", "kind", "context"] {
        said.as_object_mut().unwrap().remove(key);
    }
    (line["s"].as_str().unwrap(), said)
}

/// Whether we say the same of a string as its judge; else how we differ.
fn same(line: &Value) -> Result<(), String> {
    let (text, theirs) = judgement(line);
    let ours = ours(text);
    let differ = |how: &str| Err(format!("{how}: {text:?}\n  ours: {ours}\ntheirs: {theirs}"));
    match (ours["ok"].as_bool().unwrap(), theirs["ok"].as_bool().unwrap()) {
        (true, true) if ours != theirs => differ("both read it, and differently"),
        // No library judges these.
        (true, false) if UsPrivacy::decode(text).is_ok() => Ok(()),
        (true, false) => differ("only we read it"),
        (false, true) => {
            let why = ours["error"].as_str().unwrap();
            match ONLY_THE_LIBRARIES.iter().any(|(refusal, _)| why.contains(refusal)) {
                true => Ok(()),
                false => differ("only the library reads it"),
            }
        }
        _ => Ok(()),
    }
}

fn lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap())
}

#[track_caller]
fn all_the_same(judged: impl IntoIterator<Item = Value>, from: &str) -> [u32; 2] {
    let mut read = [0; 2];
    let mut differences = Vec::new();
    for line in judged {
        read[usize::from(line["ok"] == json!(true))] += 1;
        differences.extend(same(&line).err());
    }
    let shown = differences.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{from}: {} differences\n{shown}", differences.len());
    read
}

/// The strings that tests/data/consent has with the libraries' judgement.
const COMMITTED: [&str; 2] =
    [include_str!("data/consent/generated.ndjson"), include_str!("data/consent/damaged.ndjson")];

// ---- committed judgements

#[test]
fn committed_strings_are_read_as_the_libraries_read_them() {
    let [generated, damaged] = COMMITTED;
    let [refused, read] = all_the_same(lines(generated), "generated");
    assert!(refused < 5 && read >= 55, "{read} read, {refused} refused");
    let [refused, read] = all_the_same(lines(damaged), "damaged");
    assert!(refused >= 40 && read >= 25, "{read} read, {refused} refused");
}

#[test]
fn what_only_the_libraries_read_is_listed() {
    for (refusal, text) in ONLY_THE_LIBRARIES {
        let ours = ours(text);
        assert!(ours["error"].as_str().is_some_and(|why| why.contains(refusal)), "{text}: {ours}");
    }
    let Some(judge) = judge() else { return };
    let texts: Vec<_> = ONLY_THE_LIBRARIES.iter().map(|(_, text)| (*text).to_owned()).collect();
    for line in node(&judge, &["judge"], Some(&texts)) {
        assert_eq!(line["ok"], json!(true), "{line}");
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn published_strings_are_read_as_published() {
    let folder = root().join("../shared/data/consent");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    }
    for name in ["tcf_strings", "tcf_generated", "gpp_strings", "gpp_generated"] {
        let text = fs::read_to_string(folder.join(name).with_extension("ndjson")).unwrap();
        for line in lines(&text) {
            // Here nobody is excused: what was judged to be readable is read.
            let (string, theirs) = judgement(&line);
            let ours = ours(string);
            assert_eq!(ours["ok"], theirs["ok"], "{string}: {ours}");
            assert!(ours["ok"] == json!(false) || ours == theirs, "{string}\n  ours: {ours}\ntheirs: {theirs}");
        }
    }
    for line in lines(&fs::read_to_string(folder.join("us_privacy.ndjson")).unwrap()) {
        let ours = ours(line["us_privacy"].as_str().unwrap());
        assert_eq!(ours["ok"], line["valid"], "{line}: {ours}");
        for key in ["valid", "opt_out_of_sale"] {
            assert_eq!(ours[key], line[key], "{line}: {ours}");
        }
    }
}

// ---- new judgements

/// The libraries' judge, if it is installed.
fn judge() -> Option<PathBuf> {
    let folder = root().join("tests/oracle/consent");
    let installed = folder.join("node_modules/@iabgpp/cmpapi").is_dir();
    if !installed {
        eprintln!("skipped: IAB's libraries are not installed (`npm ci` in {})", folder.display());
    }
    installed.then(|| folder.join("generate.mjs"))
}

fn node(script: &Path, arguments: &[&str], input: Option<&[String]>) -> Vec<Value> {
    let mut child = Command::new("node")
        .arg(script)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .spawn()
        .expect("node");
    let stdin = child.stdin.take();
    let judged = std::thread::scope(|scope| {
        scope.spawn(|| {
            if let Some((mut stdin, input)) = stdin.zip(input) {
                for text in input {
                    writeln!(stdin, "{}", json!(text)).unwrap();
                }
            }
        });
        let output = BufReader::new(child.stdout.take().unwrap());
        output.lines().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    });
    assert!(child.wait().unwrap().success());
    judged
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end as u64) as usize
    }

    fn pick<'a>(&mut self, from: &'a str) -> &'a str {
        let at = self.below(from.len());
        &from[at..=at]
    }
}

const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Does to an ASCII string what happens to strings: cut off, flipped bits, the other base64, padding, blanks, segments that
/// change places, come twice or go, garbage behind.
fn damage(text: &str, random: &mut Random) -> String {
    let at = random.below(text.len());
    let rest = (at + 1).min(text.len());
    let between = |random: &mut Random, by: char, change: fn(&mut Vec<&str>, usize, usize)| {
        let mut parts: Vec<&str> = text.split(by).collect();
        let (one, other) = (random.below(parts.len()), random.below(parts.len()));
        change(&mut parts, one, other);
        parts.join(&by.to_string())
    };
    match random.below(14) {
        0 => text[..at].to_owned(),
        1..=3 => format!("{}{}{}", &text[..at], random.pick(ALPHABET), &text[rest..]),
        4 => format!("{}{}", &text[..at], &text[rest..]),
        5 => format!("{}{}{}", &text[..at], random.pick(ALPHABET), &text[at..]),
        6 => text.replace('-', "+").replace('_', "/"),
        7 => format!("{text}{}", &"==="[..1 + random.below(3)]),
        8 => format!("{}{}{}", &text[..at], random.pick(" \t\n=%."), &text[at..]),
        9 => between(random, '.', |parts, one, other| parts.swap(one, other)),
        10 => between(random, '~', |parts, one, other| parts.swap(one, other)),
        11 => between(random, '.', |parts, one, other| parts.insert(other, parts[one])),
        12 => between(random, '.', |parts, one, _| {
            parts.remove(one);
        }),
        _ => format!("{text}{}{}", random.pick("AZz.~9"), &ALPHABET[..random.below(20)]),
    }
}

fn damaged(judged: &[Value], times: usize, random: &mut Random) -> Vec<String> {
    let texts = judged.iter().map(|line| line["s"].as_str().unwrap());
    let damaged = texts.flat_map(|text| (0..times).map(|_| damage(text, random)).collect::<Vec<_>>());
    damaged.filter(|text| !text.is_empty()).collect()
}

/// `CONSENT_STRINGS` asks for more than are judged by default.
#[test]
fn new_strings_are_read_as_the_libraries_read_them() {
    let Some(judge) = judge() else { return };
    let count = std::env::var("CONSENT_STRINGS").unwrap_or_else(|_| "100".to_owned());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    for seed in [1, 2, now] {
        let name = format!("seed {seed}");
        let written = node(&judge, &["encode", &seed.to_string(), &count], None);
        let damaged = damaged(&written, 3, &mut Random(seed));
        let [refused, read] = all_the_same(written, &name);
        assert!(refused < read / 10, "{name}: {read} read, {refused} refused");
        let [refused, read] = all_the_same(node(&judge, &["judge"], Some(&damaged)), &name);
        assert!(refused > read / 10 && read > refused / 10, "{name}, damaged: {read} read, {refused} refused");
    }
}

/// Writes tests/data/consent anew: `cargo test --test consent_strings -- --ignored`.
#[test]
#[ignore = "writes what other tests read"]
fn the_judgements_are_committed() {
    let judge = judge().expect("IAB's libraries");
    let written = node(&judge, &["encode", "2026", "66"], None);
    let damaged = damaged(&written, 2, &mut Random(2026));
    let damaged = node(&judge, &["judge"], Some(&damaged));
    for (name, judged) in [("generated", written), ("damaged", damaged)] {
        // Short ones: every kind is among them, and a reader can still look at them.
        let short = judged.iter().map(Value::to_string).filter(|line| line.len() < 4000);
        let text: String = short.map(|line| line + "\n").collect();
        fs::write(root().join("tests/data/consent").join(name).with_extension("ndjson"), text).unwrap();
    }
}

// ---- whatever comes

/// Reads a string and prints what it says in both ways. Strings that name millions of vendors are not printed.
fn survive(text: &str, vendor: u16) {
    let read = decode(text);
    serde_json::to_writer(std::io::sink(), &Line::of(&read, Some(vendor))).unwrap();
    match read {
        Ok(decoded) => print(&mut std::io::sink(), &decoded, Some(vendor)).unwrap(),
        Err(why) => assert!(!why.to_string().contains('\n'), "{why}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200), vendor in 1..=u16::MAX) {
        survive(&String::from_utf8_lossy(&bytes), vendor);
    }

    #[test]
    fn any_bits_are_survived(text in "(B|C|CPSG_8APSG_8ANwAAAENAwC|DB|DBABMA~C|DBABDA~B|DBABLA~|1)[A-Za-z0-9_.~-]{0,120}", vendor in 1..=u16::MAX) {
        survive(&text, vendor);
    }

    #[test]
    fn damaged_strings_are_survived(seed: u64, times in 1..6) {
        let mut random = Random(seed);
        let committed: Vec<Value> = COMMITTED.into_iter().flat_map(lines).collect();
        let mut text = committed[random.below(committed.len())]["s"].as_str().unwrap().to_owned();
        for _ in 0..times {
            if text.is_ascii() && !text.is_empty() {
                text = damage(&text, &mut random);
            }
        }
        survive(&text, 12);
    }
}

// ---- the command

#[test]
fn the_command_prints_what_a_string_says() {
    let text = "COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA";
    let (code, stdout, stderr) = run(&["consent", text, "--json", "--vendor", "10"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    // The order is part of the format.
    assert!(
        stdout.starts_with(r#"{"ok":true,"version":2,"created":"2019-10-07T05:17:54.000Z","lastUpdated":"#),
        "{stdout}"
    );
    let vendor =
        r#""publisherRestrictions":[{"purposeId":1,"type":0,"vendors":[10]}],"vendor":{"id":10,"consent":false,"#;
    assert!(stdout.contains(vendor), "{stdout}");
    let (code, stdout, _) = run(&["consent", text, "--vendor", "10"]);
    assert_eq!(code, Some(0));
    for line in [
        "vendors, consent                         1-3, 755",
        "restriction                              purpose 1 not allowed\n",
    ] {
        assert!(stdout.contains(line), "{stdout}");
    }
}

#[test]
fn the_command_says_of_a_vendor_what_each_section_says() {
    let text = "DBACNYA~COoC-kUOoC-kUAHABAENAwCoAIAAAELAAAwIF5wAoAAgAGAvMACX_ABBAAQAFA.IAAo~1YNN";
    let vendor = |vendor: &str| {
        let (_, stdout, _) = run(&["consent", text, "--json", "--vendor", vendor]);
        serde_json::from_str::<Value>(&stdout).unwrap()["vendor"].clone()
    };
    assert_eq!(
        vendor("10"),
        json!({"id": 10, "tcfeuv2": {"consent": false, "legitimateInterest": false, "disclosed": false,
                                     "restrictions": [{"purposeId": 1, "type": 0}]}})
    );
    assert_eq!(
        vendor("1"),
        json!({"id": 1, "tcfeuv2": {"consent": true, "legitimateInterest": true, "disclosed": true, "restrictions": []}})
    );
    let (_, stdout, _) = run(&["consent", "1YYN", "--json", "--vendor", "1"]);
    assert_eq!(stdout, "{\"ok\":true,\"valid\":true,\"opt_out_of_sale\":true,\"vendor\":{\"id\":1}}\n");
}

#[test]
fn the_command_refuses_in_one_line() {
    for text in
        ["", "-", "-x", "test_consent", "1-y-", "DBGBM~C", "CPItQrlPItQrlAKAfAENBhCsAP_AAHLAAAiQIBtf_X__bX9j", "C\n"]
    {
        let (_, told, stderr) = run(&["consent", text]);
        assert_eq!(stderr.lines().count(), 1, "{text:?}: {stderr}");
        assert!(stderr.starts_with("corebid: refused: "), "{text:?}: {stderr}");
        let (code, stdout, _) = run(&["consent", text, "--json"]);
        let said: Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((code, &said["ok"]), (Some(1), &json!(false)), "{text:?}");
        assert_eq!(told, stdout, "{text:?}");
        assert!(stderr.trim_end().ends_with(said["error"].as_str().unwrap()), "{text:?}: {stdout} {stderr}");
    }
}

#[test]
fn no_vendor_is_bad_usage() {
    for vendor in ["0", "65536", "-1", "x"] {
        assert_eq!(run(&["consent", "1YNN", "--vendor", vendor]).0, Some(2), "{vendor}");
    }
    assert_eq!(run(&["consent"]).0, Some(2));
}
