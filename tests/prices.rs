//! Encrypted clearing prices, against what others publish: the numbers, and what the command says of them.

mod support;

use corebid::secrets::Key;
use corebid::wire::price_cipher::{PriceCipher, Refused};
use serde_json::Value;

use support::process::run;

/// Examples of the exchanges' documents and of other implementations; `src` says whose.
const PUBLISHED: &str = include_str!("data/google_price_vectors.ndjson");

struct Vector {
    text: String,
    encryption_key: String,
    integrity_key: String,
    expected: Result<u64, &'static str>,
}

fn vectors() -> Vec<Vector> {
    let vectors: Vec<Vector> = PUBLISHED
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            let expected = match line["expect"].as_str().unwrap() {
                "ok" => Ok(line["micros"].as_u64().unwrap()),
                "bad_signature" => Err("wrongly signed"),
                _ => Err(if text("encrypted").is_empty() { "is empty" } else { "not an encrypted price" }),
            };
            Vector { text: text("encrypted"), encryption_key: text("e_key"), integrity_key: text("i_key"), expected }
        })
        .collect();
    assert!(vectors.len() >= 16);
    vectors
}

#[test]
fn published_prices_are_read_as_published() {
    for vector in vectors() {
        let key = |text: &str| Key::from_text(text).unwrap().0;
        let cipher = PriceCipher::new(&key(&vector.encryption_key), &key(&vector.integrity_key));
        let read = cipher.decrypt(vector.text.as_bytes()).map_err(|refused| match refused {
            Refused::Empty => "is empty",
            Refused::Malformed => "not an encrypted price",
            Refused::Forged => "wrongly signed",
        });
        assert_eq!(read, vector.expected, "{}", vector.text);
    }
}

fn decrypt(encryption_key: &str, integrity_key: &str, text: &str) -> (Option<i32>, String, String) {
    run(&["price", "decrypt", "--encryption-key", encryption_key, "--integrity-key", integrity_key, text])
}

#[test]
fn the_command_prints_the_number_or_one_line() {
    for Vector { text, encryption_key, integrity_key, expected } in vectors() {
        let (code, stdout, stderr) = decrypt(&encryption_key, &integrity_key, &text);
        match expected {
            Ok(micros) => assert_eq!((code, stdout, stderr), (Some(0), format!("{micros}\n"), String::new()), "{text}"),
            Err(why) => {
                assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(1), "", 1), "{text}: {stderr}");
                assert!(stderr.contains(why), "{text}: {stderr}");
            }
        }
    }
}

#[test]
fn keys_come_in_every_spelling_and_no_other() {
    let good = vectors().swap_remove(12);
    let (e_key, i_key) = (good.encryption_key.as_str(), good.integrity_key.as_str());
    assert!(e_key.contains('/') && e_key.ends_with('='));
    let said = good.expected.unwrap().to_string();
    for spell in [
        |key: &str| key.to_owned(),
        |key: &str| key.trim_end_matches('=').to_owned(),
        |key: &str| key.replace('/', "_").replace('+', "-"),
        |key: &str| Key::from_text(key).unwrap().0.iter().map(|byte| format!("{byte:02x}")).collect(),
    ] {
        let (code, stdout, stderr) = decrypt(&spell(e_key), &spell(i_key), &good.text);
        assert_eq!((code, stdout.trim_end()), (Some(0), said.as_str()), "{stderr}");
    }
    for bad in ["", "A", "not a key", &e_key[1..], &format!("{e_key}{e_key}")] {
        for (e_key, i_key, name) in [(bad, i_key, "--encryption-key"), (e_key, bad, "--integrity-key")] {
            let (code, stdout, stderr) = decrypt(e_key, i_key, &good.text);
            assert_eq!((code, stdout.as_str(), stderr.lines().count()), (Some(2), "", 1), "{bad:?}: {stderr}");
            assert!(stderr.contains(name), "{stderr}");
        }
    }
    assert_eq!(run(&["price", "decrypt", "--encryption-key", e_key, &good.text]).0, Some(2));
}
