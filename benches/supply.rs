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

/// What a request says.
struct Question {
    host: String,
    chain: [(String, String); 2],
}

impl Question {
    fn ask(&self, supply: &Supply) -> Verdict {
        let nodes =
            self.chain.each_ref().map(|(asi, sid)| Node { asi: asi.as_bytes(), sid: sid.as_bytes(), pays: true });
        supply.check(
            &Path {
                chain: Chain::Nodes { complete: true, nodes: &nodes },
                sender: nodes[1].asi,
                inventory: Inventory::Site(self.host.as_bytes()),
                partner: b"",
                country: None,
            },
            NOW,
        )
    }
}

fn questions(size: &Size, domains: u64, change: impl Fn(&mut Question)) -> Vec<Question> {
    let mut random = Random::new(4);
    let one = |_| {
        let (number, at) = (random.below(domains), random.below(size.records / 2) * 2);
        let chain = [line(number, at), line(number, at + 1)].map(|(system, seller)| (asi(system), sid(seller)));
        let mut question = Question { host: domain(number), chain };
        change(&mut question);
        question
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
    files: HashMap<String, HashSet<(String, String)>>,
    sellers: HashMap<String, HashMap<String, Option<String>>>,
}

impl Maps {
    fn new(domains: u64, records: u64) -> Maps {
        let names = |(system, seller)| (asi(system), sid(seller));
        let file = |number| (domain(number), (0..records).map(|at| names(line(number, at))).collect());
        let entry = |seller| (sid(seller), (seller & 1 == 1).then(|| asi(seller / 2 % SYSTEMS)));
        let list = |system| (asi(system), (0..SELLERS).map(entry).collect());
        Maps { files: (0..domains).map(file).collect(), sellers: (0..SYSTEMS).map(list).collect() }
    }

    fn check(&self, question: &Question) -> Verdict {
        let [first, second] = &question.chain;
        for ((asi, sid), before) in [(first, None), (second, Some(&first.0))] {
            let Some(list) = self.sellers.get(asi) else { return Verdict::NoSellersJson };
            let Some(domain) = list.get(sid) else { return Verdict::UnknownSeller };
            if before.is_some() && domain.is_some() && domain.as_ref() != before {
                return Verdict::WrongSellerDomain;
            }
        }
        match self.files.get(&question.host) {
            None => Verdict::NoAdsTxt,
            Some(file) if question.chain.iter().all(|node| file.contains(node)) => Verdict::Verified,
            Some(_) => Verdict::Unauthorized,
        }
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
    let verified = questions(&size, size.domains, |_| {});
    let foreign = {
        // The chain of one domain on another.
        let mut foreign = questions(&size, size.domains, |_| {});
        let mut hosts: Vec<String> = foreign.iter().map(|question| question.host.clone()).collect();
        hosts.rotate_left(1);
        foreign.iter_mut().zip(hosts).for_each(|(question, host)| question.host = host);
        foreign.retain(|question| question.ask(&supply) == Verdict::Unauthorized);
        foreign
    };
    let below = questions(&size, size.domains, |question| question.host.insert_str(0, "www.sport."));
    let unknown = questions(&size, size.domains, |question| question.host.insert(0, 'x'));
    let ask = |question: &Question| question.ask(&supply);
    measure("verified", &size, &verified, Verdict::Verified, ask);
    measure("verified, of a subdomain", &size, &below, Verdict::Verified, ask);
    measure("unauthorized", &size, &foreign, Verdict::Unauthorized, ask);
    measure("unknown domain", &size, &unknown, Verdict::NoAdsTxt, ask);
    measure("reading the questions alone", &size, &verified, Verdict::Incomplete, |question| {
        black_box((question.host.as_bytes(), &question.chain));
        Verdict::Incomplete
    });
    drop((supply, below, unknown, foreign, verified));

    println!("\n{} domains, against maps of strings", size.few);
    let (supply, maps) = (build(size.few, size.records).0, Maps::new(size.few, size.records));
    let verified = questions(&size, size.few, |_| {});
    measure("verified, table", &size, &verified, Verdict::Verified, |question| question.ask(&supply));
    measure("verified, maps", &size, &verified, Verdict::Verified, |question| maps.check(question));
}
