//! What the supply table costs: to build from files as publishers write them, and to ask about a chain of two nodes when it is
//! far larger than the caches. Every question is another one, about a domain drawn from all.
//!
//! `cargo bench --bench supply` builds 100,000 domains of 500 records; as a test it only shows that it works.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::hint::black_box;

use corebid::clock;
use corebid::market::random::Random;
use corebid::snapshot::supply::{Body, Builder, Chain, Inventory, Kind, Node, Path, Supply, Verdict};
use corebid::units::UnixMillis;

/// Advertising systems, and the sellers of each: what the large sellers.json files add up to.
const SYSTEMS: u64 = 200;
const SELLERS: u64 = 10_000;
const NOW: UnixMillis = UnixMillis(1_780_000_000_000);
const LATER: UnixMillis = UnixMillis(NOW.0 + UnixMillis::DAY);

struct Size {
    domains: u64,
    records: u64,
    /// Of the tables that are compared with maps of strings.
    few: u64,
    questions: u64,
    passes: u32,
}

const FULL: Size = Size { domains: 100_000, records: 500, few: 2_000, questions: 1 << 18, passes: 10 };
const SMOKE: Size = Size { domains: 50, records: 20, few: 20, questions: 64, passes: 1 };

fn domain(number: u64) -> String {
    format!("{:x}-news.{}", number * 7919 + 1_000_003, ["com", "net", "de", "org"][number as usize % 4])
}

fn asi(system: u64) -> String {
    format!("exchange{system}.example")
}

fn sid(seller: u64) -> String {
    format!("pub-{:012}", seller * 48_271 + 7)
}

/// A line of a file: the system and the seller. Lines go by twos: the first is a seller's whose domain is not told, the second
/// the first's system as a reseller. So any two make a chain.
fn line(domain: u64, at: u64) -> (u64, u64) {
    let first = Random::of(domain, at & !1).bits() % (SYSTEMS * SELLERS / 2);
    let (system, seller) = (first % SYSTEMS, first / SYSTEMS * 2);
    if at & 1 == 0 {
        return (system, seller);
    }
    let other = Random::of(domain, at).bits();
    // Seller 2n + 1 of any system is system n % SYSTEMS.
    (other % SYSTEMS, (other / SYSTEMS % (SELLERS / SYSTEMS / 2) * SYSTEMS + system) * 2 + 1)
}

fn ads_txt(text: &mut String, number: u64, records: u64) {
    text.clear();
    writeln!(text, "# ads.txt of {}\nOWNERDOMAIN={}\n", domain(number), domain(number)).expect("a string takes it");
    for at in 0..records {
        let (system, seller) = line(number, at);
        let relation = if at & 1 == 0 { "DIRECT" } else { "RESELLER" };
        writeln!(text, "{}, {}, {relation}, f08c47fec0942fa0", asi(system), sid(seller)).expect("a string takes it");
    }
}

fn sellers_json(system: u64) -> String {
    let mut text = String::from("{\"contact_email\":\"a@b.example\",\"version\":\"1.0\",\"sellers\":[");
    for seller in 0..SELLERS {
        let comma = if seller == 0 { "" } else { "," };
        write!(text, "{comma}{{\"seller_id\":\"{}\",\"seller_type\":\"BOTH\",", sid(seller))
            .expect("a string takes it");
        match seller & 1 {
            0 => write!(text, "\"is_confidential\":1}}"),
            _ => write!(text, "\"name\":\"System {system}\",\"domain\":\"{}\"}}", asi(seller / 2 % SYSTEMS)),
        }
        .expect("a string takes it");
    }
    text + "]}"
}

/// Builds a table; the CPU seconds it took without making up the texts.
fn build(domains: u64, records: u64) -> (Supply, f64) {
    let (mut took, mut text) = (0, String::new());
    let mut timed = |from: u64| took += clock::thread_cpu() - from;
    let mut builder = Builder::new(&std::env::temp_dir()).expect("random numbers");
    for number in 0..domains {
        ads_txt(&mut text, number, records);
        let start = clock::thread_cpu();
        let body = Body::Good(text.as_bytes());
        let read = builder.ads_txt(Kind::AdsTxt, &domain(number), body, LATER).expect("room");
        timed(start);
        assert_eq!((read.records, read.skipped), (records, 0));
    }
    for system in 0..SYSTEMS {
        let text = sellers_json(system);
        let start = clock::thread_cpu();
        builder.sellers_json(&asi(system), text.as_bytes(), LATER).expect("room");
        timed(start);
    }
    let start = clock::thread_cpu();
    let supply = builder.finish().expect("what was spilled");
    timed(start);
    (supply, took as f64 / 1e9)
}

/// What a request says, in one piece: a request has just been read, so its text is no more to wait for.
struct Question {
    text: [u8; 120],
    ends: [u8; 5],
}

impl Question {
    fn new(host: &str, chain: &[(String, String); 2]) -> Question {
        let [(asi, sid), (next, account)] = chain;
        let (mut text, mut ends, mut end) = ([0; 120], [0; 5], 0);
        for (part, at) in [host, asi, sid, next, account].iter().zip(&mut ends) {
            text[end..end + part.len()].copy_from_slice(part.as_bytes());
            end += part.len();
            *at = end as u8;
        }
        Question { text, ends }
    }

    /// Host, then asi and sid of the first and the second node.
    fn parts(&self) -> [&[u8]; 5] {
        let mut start = 0;
        self.ends.map(|end| &self.text[std::mem::replace(&mut start, usize::from(end))..usize::from(end)])
    }

    fn ask(&self, supply: &Supply) -> Verdict {
        let [host, asi, sid, next, account] = self.parts();
        let nodes = [Node { asi, sid, pays: true }, Node { asi: next, sid: account, pays: true }];
        let chain = Chain::Nodes { complete: true, nodes: &nodes };
        let inventory = Inventory::Site(host);
        supply.check(&Path { chain, sender: next, inventory, partner: b"", country: None }, NOW)
    }
}

/// Questions about domains drawn from all, as `host` writes them.
fn questions(size: &Size, domains: u64, host: impl Fn(u64) -> String) -> Vec<Question> {
    let mut random = Random::new(4);
    let one = |_| {
        let (number, at) = (random.below(domains), random.below(size.records / 2) * 2);
        let chain = [line(number, at), line(number, at + 1)].map(|(system, seller)| (asi(system), sid(seller)));
        Question::new(&host(number), &chain)
    };
    (0..size.questions).map(one).collect()
}

/// On a busy machine the mean says how busy it was; the least CPU time of many passes says what a question takes.
fn measure(name: &str, size: &Size, questions: &[Question], expected: Verdict, ask: impl Fn(&Question) -> Verdict) {
    let pass = || {
        let start = clock::thread_cpu();
        let right = questions.iter().filter(|question| black_box(ask(question)) == expected).count();
        assert_eq!(right, questions.len(), "{name}");
        clock::thread_cpu() - start
    };
    let least = (0..size.passes).map(|_| pass()).min().expect("passes");
    println!("{name:<34} {:>7.1} ns", least as f64 / questions.len() as f64);
}

/// The rules over maps of strings, as far as these questions go.
#[derive(Default)]
struct Maps {
    files: HashMap<String, HashMap<String, HashSet<String>>>,
    sellers: HashMap<String, HashMap<String, Option<String>>>,
}

impl Maps {
    fn new(domains: u64, records: u64) -> Maps {
        let file = |number| {
            let mut file: HashMap<String, HashSet<String>> = HashMap::new();
            for (system, seller) in (0..records).map(|at| line(number, at)) {
                file.entry(asi(system)).or_default().insert(sid(seller));
            }
            (domain(number), file)
        };
        let entry = |seller| (sid(seller), (seller & 1 == 1).then(|| asi(seller / 2 % SYSTEMS)));
        let list = |system| (asi(system), (0..SELLERS).map(entry).collect());
        Maps { files: (0..domains).map(file).collect(), sellers: (0..SYSTEMS).map(list).collect() }
    }

    fn check(&self, question: &Question) -> Verdict {
        let [host, asi, sid, next, account] = question.parts().map(|part| str::from_utf8(part).unwrap_or_default());
        for (asi, sid, before) in [(asi, sid, None), (next, account, Some(asi))] {
            let Some(list) = self.sellers.get(asi) else { return Verdict::NoSellersJson };
            let Some(domain) = list.get(sid) else { return Verdict::UnknownSeller };
            if before.is_some() && domain.is_some() && domain.as_deref() != before {
                return Verdict::WrongSellerDomain;
            }
        }
        let Some(file) = self.files.get(host) else { return Verdict::NoAdsTxt };
        let names = |asi: &str, sid: &str| file.get(asi).is_some_and(|accounts| accounts.contains(sid));
        if names(asi, sid) && names(next, account) { Verdict::Verified } else { Verdict::Unauthorized }
    }
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim().to_owned()
}

fn cache() -> String {
    let size = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/cache/index3/size");
    size.map_or_else(|_| "unknown".to_owned(), |size| size.trim().to_owned())
}

fn main() {
    let size = if std::env::args().any(|arg| arg == "--bench") && !cfg!(debug_assertions) { FULL } else { SMOKE };
    let (supply, took) = build(size.domains, size.records);
    let counts = supply.counts();
    let records = size.domains * size.records;
    println!("{} domains x {} records, {} sellers", size.domains, size.records, counts.sellers);
    println!("built in {took:.1} s of one CPU: {:.1} million records/s", records as f64 / took / 1e6);
    println!("peak memory {}, table {} bytes, {} pairs", peak(), supply.bytes(), counts.pairs);

    let path = std::env::temp_dir().join(format!("corebid-bench-supply-{}", std::process::id()));
    let start = clock::boot();
    supply.write(&path).expect("room for a table");
    let written = clock::boot();
    drop(supply);
    let supply = Supply::load(&path).expect("what was written");
    println!(
        "written in {} ms, loaded in {} ms",
        written.since(start) / 1_000_000,
        clock::boot().since(written) / 1_000_000
    );
    std::fs::remove_file(&path).expect("a file of ours");

    println!("\ntwo nodes; last-level cache {}, table {} KB", cache(), supply.bytes() / 1024);
    let verified = questions(&size, size.domains, domain);
    let below = questions(&size, size.domains, |number| format!("www.sport.{}", domain(number)));
    // Each chain on another domain, but for the few that are right there too.
    let mut foreign = questions(&size, size.domains, |number| domain((number + size.domains / 2) % size.domains));
    foreign.retain(|question| question.ask(&supply) == Verdict::Unauthorized);
    let unknown = questions(&size, size.domains, |number| format!("x{}", domain(number)));
    let ask = |question: &Question| question.ask(&supply);
    measure("verified", &size, &verified, Verdict::Verified, ask);
    measure("verified, of a subdomain", &size, &below, Verdict::Verified, ask);
    measure("unauthorized", &size, &foreign, Verdict::Unauthorized, ask);
    measure("unknown domain", &size, &unknown, Verdict::NoAdsTxt, ask);
    let empty = Supply::default();
    measure("hashes alone, of an empty table", &size, &verified, Verdict::NoSellersJson, |question| {
        question.ask(&empty)
    });
    drop((supply, below, unknown, foreign, verified));

    println!("\n{} domains, against maps of strings", size.few);
    let (supply, maps) = (build(size.few, size.records).0, Maps::new(size.few, size.records));
    let verified = questions(&size, size.few, domain);
    measure("verified, table", &size, &verified, Verdict::Verified, |question| question.ask(&supply));
    measure("verified, maps", &size, &verified, Verdict::Verified, |question| maps.check(question));
}
