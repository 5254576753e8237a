//! Files and arguments: a mistake stops the start in one line that says where; on reload it changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::process::{Bidder, Refused, run};
use crate::support::{Folder, campaign, eventually, request};

/// Starts and expects to be refused with exit code 1 and one line.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let Refused { code, stderr } = Bidder::try_start(arguments).unwrap_err();
    assert_eq!((code, stderr.lines().count()), (Some(1), 1), "{stderr}");
    assert!(stderr.starts_with("corebid: "), "{stderr}");
    stderr
}

#[test]
fn a_mistake_in_the_campaigns_stops_the_start() {
    let folder = Folder::new("mistake");
    let good = campaign(1, "");
    for (from, to, line) in [
        ("cpm = 2.00", "cpm = -1", 6),
        ("cpm = 2.00", "cpm = \"two\"", 6),
        ("daily_budget", "frequency = 1\ndaily_budget", 5),
        ("w = 300", "w = 0", 8),
        ("adomain = [\"a1.example\"]", "adomain = []", 7),
        ("id = 1\n", "id = 1\nid = 1\n", 3),
        ("[[campaigns]]", "[[campaigns]", 1),
    ] {
        assert!(good.contains(from));
        let config = folder.configure("", "", &good.replacen(from, to, 1));
        let said = refused(&["--config", &config]);
        assert!(said.contains(&format!("{}:{line}:", folder.text("campaigns.toml"))), "{to}: {said}");
    }
    let twice = folder.configure("", "", &format!("{good}{good}"));
    assert!(refused(&["--config", &twice]).contains("campaigns.toml:"));
    fs::remove_file(folder.path("campaigns.toml")).unwrap();
    assert!(refused(&["--config", &twice]).contains("campaigns.toml"));
}

#[test]
fn a_mistake_in_the_configuration_stops_the_start() {
    let folder = Folder::new("configuration");
    assert!(refused(&["--config", &folder.text("absent.toml")]).contains("absent.toml"));
    for (server, data, said) in [
        ("wiat = \"spin\"", "", "corebid.toml:2: unknown field `wiat`"),
        ("wait = \"nap\"", "", "corebid.toml:2:"),
        ("node = 64", "", "server.node 64"),
        ("cores = [4096]", "", "CPU 4096"),
        ("", "profiles = \"absent.ndjson\"", "absent.ndjson"),
        ("", "model = \"absent.toml\"", "absent.toml"),
    ] {
        let config = folder.configure(server, data, &campaign(1, ""));
        let line = refused(&["--config", &config]);
        assert!(line.contains(said), "{line}");
    }
}

#[test]
fn a_key_must_be_there_and_secret() {
    let folder = Folder::new("keys");
    let config = folder.configure("", "", &campaign(1, ""));
    for key in ["notice.key", "user.key"] {
        fs::set_permissions(folder.path(key), fs::Permissions::from_mode(0o644)).unwrap();
        let line = refused(&["--config", &config]);
        assert!(line.contains(&folder.text(key)) && line.contains("chmod 600"), "{line}");
        folder.write(key, "no key");
        fs::set_permissions(folder.path(key), fs::Permissions::from_mode(0o600)).unwrap();
        assert!(refused(&["--config", &config]).contains("64 hexadecimal digits"));
        fs::remove_file(folder.path(key)).unwrap();
        let line = refused(&["--config", &config]);
        assert!(line.contains(&folder.text(key)) && line.contains("cannot read"), "{line}");
        folder.configure("", "", &campaign(1, ""));
    }
    Bidder::start(&["--config", &config]).stop();
}

#[test]
fn an_address_in_use_stops_the_start() {
    let folder = Folder::new("address");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--admin"] {
        let (code, stdout, stderr) = run(&["serve", "--demo", "--data", &folder.text("data"), option, &address]);
        // The other address is the default one, which may be in use as well; either way it is one line and a 1.
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
        assert!(stderr.lines().filter(|line| line.starts_with("corebid: cannot listen on ")).count() == 1, "{stderr}");
    }
}

#[test]
fn bad_usage_exits_with_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["serve"],
        &["serve", "--nonsense"],
        &["serve", "--demo", "--config", "x"],
        &["serve", "--demo=x"],
        &["serve", "--demo=262145"],
        &["explain", "--demo=262145", "--request", "-"],
        &["serve", "--demo", "--listen", "nowhere"],
        &["serve", "--demo", "--wait", "nap"],
        &["serve", "--demo", "--backend", "select"],
        &["serve", "--demo", "--steer", "queue"],
        &["serve", "--demo", "--cores", "a,b"],
        &["serve", "--demo", "--busy-work", "-1"],
        &["serve", "--demo", "--busy-work", "NaN"],
        &["explain", "--demo"],
        &["load"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty(), "{arguments:?}");
    }
    for command in ["serve", "demo", "floor", "load", "explain"] {
        let (code, stdout, _) = run(&[command, "--help"]);
        assert!(code == Some(0) && stdout.contains("Usage"), "{command}");
    }
}

/// The campaign that bids now; 0 if none does.
fn bids(bidder: &Bidder) -> u64 {
    let answer = bidder.client().debug(&request("r", ""));
    if answer.status == 204 {
        return 0;
    }
    answer.json()["seatbid"][0]["bid"][0]["cid"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_rewritten_campaign_file_is_taken_up_and_a_broken_one_is_not() {
    let folder = Folder::new("reload");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let mut bidder = Bidder::start(&["--config", &config]);
    assert_eq!(bids(&bidder), 1);

    // By itself: the file is looked at once a second.
    folder.write("campaigns.toml", campaign(22, ""));
    eventually("the new campaign", || (bids(&bidder) == 22).then_some(()));

    // A mistake is named, and what is there keeps serving, also when told to look again.
    let broken = campaign(333, "").replace("cpm = 2.00", "cpm = no");
    folder.write("campaigns.toml", broken);
    let named = format!("{}:6:", folder.text("campaigns.toml"));
    eventually("the mistake", || bidder.log().contains(&named).then_some(()));
    assert!(bidder.log().contains("the old campaigns keep serving"));
    let times = bidder.log().matches(&named).count();
    bidder.signal(libc::SIGHUP);
    eventually("the mistake again", || (bidder.log().matches(&named).count() > times).then_some(()));
    assert_eq!(bids(&bidder), 22);

    // At once, when told to. Of the same length and time stamp, so that only the signal can tell.
    folder.write("campaigns.toml", campaign(44, ""));
    eventually("the repaired file", || (bids(&bidder) == 44).then_some(()));
    let stamp = fs::metadata(folder.path("campaigns.toml")).unwrap().modified().unwrap();
    folder.write("campaigns.toml", campaign(55, ""));
    fs::File::options().append(true).open(folder.path("campaigns.toml")).unwrap().set_modified(stamp).unwrap();
    bidder.signal(libc::SIGHUP);
    eventually("the campaign of the signal", || (bids(&bidder) == 55).then_some(()));

    // A campaign that is switched off is silent; one that comes back has its money.
    folder.write("campaigns.toml", campaign(55, "enabled = false\n"));
    eventually("silence", || (bids(&bidder) == 0).then_some(()));
    folder.write("campaigns.toml", campaign(55, ""));
    eventually("its return", || (bids(&bidder) == 55).then_some(()));
    assert!(bidder.is_running());
    bidder.stop();
}

/// `deploy/` starts as it is, once the files it names are there, and bids on every format; so does what README.md asks it.
#[test]
fn an_agreed_currency_without_a_rate_stops_the_start() {
    let folder = Folder::new("currency");
    folder.write("rates.toml", "base = \"USD\"\nas_of = 2026-01-02T16:00:00Z\n[rates]\nEUR = 1.1\n");
    let config = folder.configure("", "rates = \"rates.toml\"", &campaign(1, ""));
    let agreed = |currency: &str| {
        let text = fs::read_to_string(&config).unwrap();
        let text = text.split("currency").next().unwrap().to_owned();
        fs::write(&config, format!("{text}currency = \"{currency}\"\n")).unwrap();
    };
    agreed("SEK");
    let line = refused(&["--config", &config]);
    assert!(line.contains("exchange \"generic\": currency SEK has no rate") && line.contains("data.rates"), "{line}");
    folder.write("request.json", request("r", ""));
    let explain = ["explain", "--config", &config, "--request", &folder.text("request.json")];
    let (code, stdout, stderr) = run(&explain);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("currency SEK has no rate"), "{stderr}");
    // A rate that is too old is none of these: it is known.
    for currency in ["EUR", "USD"] {
        agreed(currency);
        assert_eq!(run(&explain).0, Some(0), "{currency}");
    }
}

#[test]
fn a_file_with_a_mistake_holds_up_no_other() {
    let folder = Folder::new("alone");
    folder.write("bots.txt", "oldbot\n");
    let config = folder.configure("debug_header = true", "", &campaign(1, ""));
    let edge = fs::read_to_string(&config).unwrap() + "[edge]\nbots = \"bots.txt\"\n";
    fs::write(&config, edge).unwrap();
    let mut bidder = Bidder::start(&["--config", &config]);
    let reason = |bidder: &Bidder, agent: &str| {
        let body = String::from_utf8(request("r", "")).unwrap();
        let body = body.replace("\"devicetype\":2", &format!("\"devicetype\":2,\"ua\":\"{agent}\""));
        bidder.client().debug(body.as_bytes()).reason().unwrap_or_default().to_owned()
    };
    assert_eq!((bids(&bidder), reason(&bidder, "oldbot/1").as_str()), (1, "known_bot"));

    // The list is broken, and the campaign switched off.
    folder.write("bots.txt", "newbot\nab\n");
    folder.write("campaigns.toml", campaign(1, "enabled = false\n"));
    bidder.signal(libc::SIGHUP);
    eventually("silence", || (bids(&bidder) == 0).then_some(()));
    let named = format!("{}:2:", folder.text("bots.txt"));
    let line = |bidder: &Bidder, named: &str| bidder.log().lines().find(|line| line.contains(named)).map(str::to_owned);
    let line_of_bots = eventually("the mistake", || line(&bidder, &named));
    assert!(line_of_bots.starts_with("warn ") && line_of_bots.ends_with("the old bots keep serving"), "{line_of_bots}");
    assert_eq!(reason(&bidder, "oldbot/1"), "known_bot");

    // The other way round.
    folder.write("bots.txt", "newbot\n");
    folder.write("campaigns.toml", campaign(1, ""));
    eventually("the new list", || (reason(&bidder, "newbot/1") == "known_bot" && bids(&bidder) == 1).then_some(()));
    folder.write("bots.txt", "newerbot\n");
    folder.write("campaigns.toml", campaign(22, "").replace("cpm = 2.00", "cpm = no"));
    bidder.signal(libc::SIGHUP);
    eventually("the newer list", || (reason(&bidder, "newerbot/1") == "known_bot").then_some(()));
    let named = format!("{}:6:", folder.text("campaigns.toml"));
    let line = eventually("the other mistake", || line(&bidder, &named));
    assert!(line.starts_with("warn ") && line.ends_with("the old campaigns keep serving"), "{line}");
    assert_eq!((bids(&bidder), reason(&bidder, "newbot/1").as_str()), (1, ""));
    assert!(bidder.is_running());
    bidder.stop();
}

/// `deploy/` starts as it is, once the files it names are there.
#[test]
fn the_example_configuration_starts() {
    let folder = Folder::new("example");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["corebid.toml", "profiles.ndjson", "model.toml", "rates.toml"] {
        fs::copy(root.join("deploy").join(file), folder.path(file)).unwrap();
    }
    // The campaign with hours would sleep through some runs of this test.
    let campaigns = fs::read_to_string(root.join("deploy/campaigns.toml")).unwrap();
    let hours = "hours = \"mon-fri 07-23, sat-sun 09-24\"";
    assert!(campaigns.contains(hours));
    folder.write("campaigns.toml", campaigns.replace(hours, "hours = \"mon-sun\""));
    folder.write_key("notice.key", 'a');
    folder.write_key("user.key", 'b');
    // The two CPUs it names may not be this machine's.
    let cpu = corebid::topology::Topology::allowed()[0].to_string();
    let bidder = Bidder::start(&["--config", &folder.text("corebid.toml"), "--cores", &cpu, "--reconcile-core", &cpu]);
    assert!(bidder.log().contains("3 campaigns"), "{}", bidder.log());

    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let asked = readme.split("-d '").nth(1).and_then(|rest| rest.split('\'').next()).expect("a request in README.md");
    let phone = r#""user":{"buyeruid":"our-own-id-of-a-user"},"device":{"devicetype":4,"os":"iOS","language":"en","connectiontype":2,
        "geo":{"country":"USA","region":"NY","lat":40.7,"lon":-74.0,"type":1}}"#;
    let runner =
        |imp: &str| format!(r#"{{"id":"r","imp":[{{"id":"1",{imp}}}],"site":{{"domain":"runners.example"}},{phone}}}"#);
    let native = r#"{\"native\":{\"ver\":\"1.2\",\"assets\":[{\"id\":1,\"required\":1,\"title\":{\"len\":30}},
        {\"id\":2,\"required\":1,\"img\":{\"type\":3,\"wmin\":600,\"hmin\":300}}]}}"#;
    let native = native.replace("\n        ", "");
    for (body, campaign, creative) in [
        (asked.to_owned(), "1002", "logo-300x250"),
        (runner(r#""banner":{"w":728,"h":90}"#), "1002", "logo-728x90"),
        (runner(r#""banner":{"w":300,"h":250}"#), "1001", "shoes-300x250"),
        (
            runner(
                r#""video":{"mimes":["video/mp4"],"minduration":5,"maxduration":30,"protocols":[3,7],"w":640,"h":360}"#,
            ),
            "1003",
            "spring-30s",
        ),
        (
            runner(r#""audio":{"mimes":["audio/mpeg"],"minduration":5,"maxduration":15,"protocols":[3,7]}"#),
            "1003",
            "radio-15s",
        ),
        (runner(&format!(r#""native":{{"ver":"1.2","request":"{native}"}}"#)), "1003", "feed"),
    ] {
        // A bid that a busy machine made too late has used up what its campaign's pace allowed for the moment.
        let answer = eventually("a bid", || {
            let answer = bidder.client().debug(body.as_bytes());
            assert!(answer.status == 200 || answer.reason() == Some("paced"), "{body}: {answer:?}");
            (answer.status == 200).then_some(answer)
        });
        let answer = answer.json();
        let (seat, bid) = (&answer["seatbid"][0]["seat"], &answer["seatbid"][0]["bid"][0]);
        assert_eq!((seat, &bid["cid"], &bid["crid"]), (&"1234".into(), &campaign.into(), &creative.into()), "{body}");
        assert!(bid["burl"].as_str().unwrap().starts_with("http://bid.example.com/notice/bill/"), "{bid}");
    }
    bidder.stop();
}

/// Every key there is stands in the example and in the document, and nothing else does.
#[test]
fn the_example_and_the_document_know_every_key() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let code = [
        "config",
        "config/edge",
        "config/privacy",
        "config/profiles",
        "config/supply",
        "config/audit",
        "config/score",
        "config/tail",
        "config/training",
        "config/stores",
        "config/dynamodb",
        "config/process",
        "config/shading",
        "config/ingress",
    ];
    let code = code.map(|file| read(&format!("src/{file}.rs"))).concat();
    let (example, document) = (read("deploy/corebid.toml"), read("docs/CONFIGURATION.md"));
    let exchange = read("src/config/exchange.rs");
    let mut keys = 0;
    let sections = [
        ("server", "Server"),
        ("data", "Data"),
        ("exchange", "Exchange"),
        ("exchange.shading", "Shading"),
        ("edge", "Edge"),
        ("privacy", "Privacy"),
        ("profiles", "Profiles"),
        ("supply", "Supply"),
        ("audit", "Audit"),
        ("score", "Score"),
        ("tail", "Tail"),
        ("training", "Training"),
        ("ingress", "Ingress"),
        ("stores", "Stores"),
        ("stores.valkey", "Valkey"),
        ("stores.dynamodb", "DynamoDb"),
        ("process", "Process"),
    ];
    for (section, name) in sections {
        // Those of an exchange are where its section is read: a few by hand, and the rest from a list.
        let fields = match section {
            "exchange" => ["struct Section {", "\nsection! {"]
                .map(|start| exchange.split(start).nth(1).unwrap().split(['$', '}']).next().unwrap())
                .concat(),
            _ => code.split(&format!("pub struct {name} {{")).nth(1).unwrap().split("\n}").next().unwrap().to_owned(),
        };
        let header = if section == "exchange" { "[[exchange]]".to_owned() } else { format!("[{section}]") };
        // A section that needs servers stands there as a comment.
        let part = [format!("\n{header}\n"), format!("\n# {header}\n")]
            .iter()
            .find_map(|start| example.split(start).nth(1))
            .unwrap_or_else(|| panic!("no {header} in the example"));
        let part = part.split("\n[").next().unwrap().split("\n# [").next().unwrap();
        let told =
            document.split(&format!("## `{header}`")).nth(1).unwrap_or_else(|| panic!("no {header} in the document"));
        let told = told.split("\n## ").next().unwrap();
        let members = fields.lines().map(str::trim).filter(|line| !line.starts_with(['/', '#']));
        // A section within a section has its own header.
        let is_section = |line: &&str| {
            sections.iter().any(|(_, name)| {
                [format!(": {name},"), format!(": Option<{name}>,")].iter().any(|end| line.ends_with(end))
            })
        };
        let members = members.filter(|line| !is_section(line));
        for (key, _) in members.filter_map(|line| line.trim_start_matches("pub ").split_once(": ")) {
            let given = part.lines().any(|line| line.trim_start_matches("# ").split(" =").next() == Some(key));
            assert!(given, "{header} {key} is not in deploy/corebid.toml");
            assert!(told.contains(&format!("| `{key}` |")), "{header} {key} is not in docs/CONFIGURATION.md");
            keys += 1;
        }
    }
    assert_eq!(document.matches("\n| `").count(), keys, "docs/CONFIGURATION.md has a row for what is no key");
}
