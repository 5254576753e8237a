//! From the web to the decision: what `corebid supply fetch` gets and `corebid supply build` compiles is what a bidder goes by.

#![allow(clippy::disallowed_methods, reason = "a test may wait")]

mod support;
#[allow(dead_code, reason = "shared with the crawler's tests, which ask what was asked")]
#[path = "support/web.rs"]
mod web;

use std::fs;
use std::io::{Result, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use support::process::{Bidder, run};
use support::{Folder, campaign};
use web::{Request, Web, reply, text};

/// Accounts at the exchange, and whose they are.
const SELLERS: [(&str, &str); 5] = [
    ("victim", "victim.co.uk"),
    ("dev", "dev.example"),
    ("games", "games.dev.example"),
    ("owns", "owns.example"),
    ("sub", "sub.root.example"),
];

/// The web: files of publishers by host, and what has none.
fn serve(request: &Request, out: &mut dyn Write) -> Result<()> {
    let file = match (&*request.path, &*request.host) {
        ("/sellers.json", "ssp.example") => {
            let seller = |(id, domain)| json!({ "seller_id": id, "seller_type": "PUBLISHER", "domain": domain });
            let file = json!({ "version": "1.0", "sellers": SELLERS.map(seller) }).to_string();
            return reply(out, 200, "content-type: application/json\r\n", file.as_bytes());
        }
        ("/ads.txt", "victim.co.uk") => "ssp.example, victim, DIRECT\n",
        ("/ads.txt", "evil.com") => "INVENTORYPARTNERDOMAIN=co.uk\nssp.example, evil, DIRECT\n",
        ("/ads.txt", "shares.example") => "CONTACT=x\nINVENTORYPARTNERDOMAIN=sub.root.example\n",
        ("/ads.txt", "sub.root.example") => "ssp.example, sub, DIRECT\n",
        ("/ads.txt", "owns.example") => "ssp.example, owns, DIRECT\n",
        ("/app-ads.txt", "dev.example") => "ssp.example, dev, DIRECT\n",
        ("/app-ads.txt", "games.dev.example") => {
            "ssp.example, games, DIRECT\nINVENTORYPARTNERDOMAIN=owns.example\nINVENTORYPARTNERDOMAIN=gone.example\n"
        }
        ("/app-ads.txt", "owns.example") => "ssp.example, dev, DIRECT\n",
        ("/ads.txt", "root.example") | ("/app-ads.txt", "broken.dev.example") => return reply(out, 500, "", b""),
        _ => return reply(out, 404, "", b""),
    };
    text(out, file)
}

const TARGETS: &str = "site victim.co.uk\nsite evil.com\nsite root.example\nsite shares.example\nseller ssp.example\n\
                       app com.dev dev.example\napp com.games games.dev.example\napp com.broken broken.dev.example\n\
                       app com.none none.dev.example\n";

/// What a command reports, and what it warns of.
fn supply(arguments: &[&str]) -> (Value, String) {
    let (code, stdout, stderr) = run(&[&["supply"], arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{arguments:?}\n{stderr}");
    (serde_json::from_str(&stdout).unwrap(), stderr)
}

/// A request for what an account sells; `of` is its site or app.
fn request(of: &str, account: &str) -> String {
    format!(
        "{{\"id\":\"r\",\"imp\":[{{\"id\":\"1\",\"banner\":{{\"w\":300,\"h\":250}}}}],{of},\"source\":{{\"schain\":\
         {{\"complete\":1,\"ver\":\"1.0\",\"nodes\":[{{\"asi\":\"ssp.example\",\"sid\":\"{account}\",\"hp\":1}}]}}}}}}"
    )
}

#[test]
fn a_bidder_goes_by_what_was_fetched() {
    let folder = Folder::new("supply-served");
    let web = Web::start(None, serve);
    folder.write("targets", TARGETS);
    let (targets, out, table) = (folder.text("targets"), folder.text("out"), folder.text("supply.bin"));
    let resolve = format!("*={}", web.address);
    supply(&["fetch", "--targets", &targets, "--out", &out, "--resolve", &resolve, "--timeout", "20"]);
    let (built, _) = supply(&["build", &out, &table]);
    assert_eq!(
        [&built["systems"], &built["sellers"], &built["apps"], &built["unavailable"]],
        [&json!(1), &json!(SELLERS.len()), &json!(4), &json!(2)],
        "{built}"
    );

    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let rest = fs::read_to_string(&config).unwrap();
    let supply = "[supply]\ntable = \"supply.bin\"\npolicy = \"require\"\n";
    fs::write(&config, format!("{supply}{rest}domain = \"ssp.example\"\n")).unwrap();
    let bidder = Bidder::start(&["--config", &config]);
    let mut client = bidder.client();
    let site = |domain: &str| format!("\"site\":{{\"domain\":\"{domain}\"}}");
    let app = |bundle: &str, more: &str| format!("\"app\":{{\"bundle\":\"{bundle}\"{more}}}");
    let partner = |name: &str| format!(",\"inventorypartnerdomain\":\"{name}\"");
    let (violation, unavailable) = (Some("ads_txt_violation"), Some("ads_txt_unavailable"));
    let cases = [
        (site("victim.co.uk"), "victim", None),
        // Whatever others say of its public suffix, its file counts.
        (site("victim.co.uk"), "dev", violation),
        (site("unknown.co.uk"), "dev", unavailable),
        // Whether it has a file of its own is for its root to say, which nobody could ask.
        (site("sub.root.example"), "sub", unavailable),
        (site("shares.example"), "sub", None),
        (app("com.dev", ""), "dev", None),
        (app("com.dev", ""), "games", violation),
        // An app has its developer's host's file, named by the root's or not.
        (app("com.games", ""), "games", None),
        (app("com.games", ""), "dev", violation),
        // Its partners are asked for their ads.txt.
        (app("com.games", ""), "owns", None),
        (app("com.games", &partner("owns.example")), "owns", None),
        (app("com.games", &partner("gone.example")), "owns", violation),
        (app("com.games", &partner("gone.example")), "games", None),
        // An error is not a 404, for which the root's file counts.
        (app("com.broken", ""), "dev", unavailable),
        (app("com.none", ""), "dev", None),
    ];
    let mut told = Vec::new();
    for (of, account, _) in &cases {
        let answer = client.debug(request(of, account).as_bytes());
        told.push((of.clone(), *account, answer.reason().map(str::to_owned)));
    }
    assert_eq!(told, cases.map(|(of, account, reason)| (of, account, reason.map(str::to_owned))));
    bidder.stop();
}

/// A root's file that names its subdomains no more leaves theirs without a use.
#[test]
fn what_nobody_refers_to_is_left_out_and_told() {
    const HOSTS: usize = 22;
    let folder = Folder::new("supply-unreferred");
    let forgets = Arc::new(AtomicBool::new(false));
    let state = forgets.clone();
    let web = Web::start(None, move |request: &Request, out: &mut dyn Write| {
        let names = |host| format!("SUBDOMAIN=s{host:02}.root.example\n");
        match &*request.host {
            "root.example" if !state.load(Ordering::Relaxed) => text(out, &(0..HOSTS).map(names).collect::<String>()),
            _ => text(out, "ssp.example, 1, DIRECT\n"),
        }
    });
    folder.write("targets", "site root.example\n");
    let (targets, out, table) = (folder.text("targets"), folder.text("out"), folder.text("supply.bin"));
    let resolve = format!("*={}", web.address);
    let round = || {
        supply(&["fetch", "--targets", &targets, "--out", &out, "--resolve", &resolve, "--timeout", "20"]);
        supply(&["build", &out, &table])
    };
    let (built, said) = round();
    assert_eq!((&built["domains"], &built["unreferred"]), (&json!(1 + HOSTS), &json!(0)), "{said}");
    forgets.store(true, Ordering::Relaxed);
    let (built, said) = round();
    assert_eq!((&built["domains"], &built["unreferred"]), (&json!(1), &json!(HOSTS)), "{said}");
    let told: Vec<&str> = said.lines().filter(|line| line.contains("left out")).collect();
    assert_eq!(told.len(), 21, "{said}");
    assert!(told[0].contains("ads.txt of s00.root.example: ") && told[20].contains(" 2 more are "), "{said}");
}
