//! The rules that no compiler checks.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder and its folders, by name. A module's tests may stand in a `tests.rs` of their own: those are left out.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    found.sort();
    assert!(!found.is_empty(), "no sources in {folder}");
    let name = |path: &Path| path.strip_prefix(root()).unwrap().display().to_string();
    found.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// The code of a file, without its tests and comments.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn imports_point_down_the_path() {
    // What may not be named where: the bid core and the reconciliation core know nothing of each other, the wire nothing
    // of anybody, and immutable data nothing of those who use it.
    let rules: &[(&str, &[&str])] = &[
        (
            "src/wire",
            &[
                "crate::bid",
                "crate::reconcile",
                "crate::snapshot",
                "crate::admin",
                "crate::market",
                "std::net",
                "std::fs",
            ],
        ),
        ("src/ring", &["crate::bid", "crate::reconcile", "crate::admin"]),
        ("src/snapshot", &["crate::bid", "crate::reconcile", "crate::admin", "crate::market"]),
        ("src/shading", &["crate::bid", "crate::reconcile", "crate::admin", "crate::market", "crate::lab", "std::fs"]),
        ("src/bid", &["crate::reconcile", "crate::store", "crate::admin", "crate::market", "crate::lab", "std::fs"]),
        ("src/reconcile", &["crate::bid", "crate::admin", "crate::market", "crate::lab"]),
        ("src/market", &["crate::bid", "crate::reconcile"]),
    ];
    for (folder, banned) in rules {
        for (name, text) in sources(folder) {
            let code = code(&text);
            for word in *banned {
                assert!(!code.contains(word), "{name} names {word}");
            }
        }
    }
}

#[test]
fn system_interfaces_have_one_home_each() {
    for (name, text) in sources("src") {
        let code = code(&text);
        assert!(!code.contains("io_uring::") || name.starts_with("src/bid/net/"), "{name} uses io_uring");
        assert!(
            !code.contains("glommio::") || name.starts_with("src/reconcile/") || name.starts_with("src/store/"),
            "{name} uses glommio"
        );
    }
}

#[test]
fn nothing_is_shared_on_the_bid_path() {
    for (name, text) in sources("src/bid").into_iter().chain(sources("src/ring")).chain(sources("src/wire")) {
        let code = code(&text);
        for word in ["Mutex", "RwLock", "Arc<", "fetch_add", "compare_exchange", "println!", "format!(", "Instant::now"]
        {
            let allowed = match word {
                "format!(" => name.starts_with("src/bid/net/") || name == "src/bid/server.rs", // start-up messages
                "Arc<" => name == "src/bid/profile.rs" || name.starts_with("src/bid/mod.rs"), // the read-only base, cloned once
                _ => false,
            };
            assert!(allowed || !code.contains(word), "{name} uses {word}");
        }
    }
}

#[test]
fn the_map_lists_modules_in_the_order_of_the_path() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let order =
        ["wire", "bid", "snapshot", "ring", "reconcile", "store", "metrics", "admin", "market", "lab", "commands"];
    let places: Vec<_> = order.iter().map(|module| map.find(&format!("pub mod {module};")).expect(module)).collect();
    assert!(places.is_sorted(), "src/lib.rs does not list {order:?} in this order");
}

#[test]
fn handle_enters_the_stages_in_order() {
    let text = fs::read_to_string(root().join("src/bid/mod.rs")).unwrap();
    let entered: Vec<&str> = text.split("enter(Stage::").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    let stages = fs::read_to_string(root().join("src/metrics/stage.rs")).unwrap();
    let declared: Vec<&str> = stages
        .split("stages! {")
        .nth(1)
        .unwrap()
        .lines()
        .filter_map(|line| line.trim().strip_suffix("\";").and_then(|line| line.split(' ').next()))
        .collect();
    // Arrival, framing and accounting belong to the loop around `handle`.
    let of_handle: Vec<&str> =
        declared.iter().copied().filter(|name| !["Arrive", "Frame", "Account"].contains(name)).collect();
    assert_eq!(entered, of_handle);
}

/// The documents, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = Vec::new();
    for folder in ["", "docs", "docs/decisions", "fuzz"] {
        documents.extend(fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    documents.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    assert!(!documents.is_empty());
    documents
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

#[test]
fn documents_link_to_files_that_exist() {
    for (document, text) in documents() {
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap();
            if !target.is_empty() && !target.contains("://") {
                assert!(document.parent().unwrap().join(target).exists(), "{} links to {target}", document.display());
            }
        }
    }
}

#[test]
fn documents_name_files_that_exist() {
    let of_a_path = |letter: char| letter.is_ascii_alphanumeric() || "_-./".contains(letter);
    let mut named = 0;
    for (document, text) in documents() {
        for word in text.split(|letter| !of_a_path(letter)) {
            let path = word.trim_start_matches("../").trim_end_matches('.');
            if ["tests/", "src/", "benches/", "scripts/", "deploy/"].iter().any(|folder| path.starts_with(folder)) {
                assert!(root().join(path).exists(), "{} names {path}", document.display());
                named += 1;
            }
        }
    }
    assert!(named > 0);
}
