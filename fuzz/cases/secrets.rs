//! Secrets in files: a key, a password and a list of keys are what a slow reader finds, and nothing else is one.

use corebid::profile::seal::FleetKeys;
use corebid::secrets::{Key, Password};

#[path = "support/place.rs"]
mod place;

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16).filter(|_| digit.is_ascii())).collect();
    let digits = digits.filter(|digits| digits.len() == 64)?;
    Some(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    if let Ok(text) = std::str::from_utf8(input) {
        assert_eq!(Key::from_hex(text).map(|key| key.0.to_vec()), hex(text));
        match Key::from_text(text) {
            Some(key) => assert!(hex(text).is_none_or(|slow| slow == key.0) && (43..=64).contains(&text.len())),
            None => assert!(hex(text).is_none()),
        }
    }
    // What is read of a file is at most its first 4,096 bytes.
    let said = &input[..input.len().min(4000)];
    let text = std::str::from_utf8(said).map(str::trim_end);
    place::with_file("secret", said, |path| {
        let key = Key::read(path).map(|key| key.0.to_vec());
        assert_eq!(key.ok(), text.ok().and_then(hex));
        match (Password::read(path), text) {
            (Ok(password), Ok(text)) => assert!(password.reveal() == text && !text.contains('\n')),
            (Ok(_), Err(_)) => panic!("a password that is no text"),
            (Err(error), _) => assert!(!error.to_string().contains('\n')),
        }
        let numbers = text.ok().and_then(|text| {
            let line = |line: &str| {
                let (number, digits) = line.split_once(' ')?;
                hex(digits)?;
                number.parse::<u32>().ok()
            };
            let numbers: Vec<u32> = text.lines().map(line).collect::<Option<_>>()?;
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            let distinct = sorted.windows(2).all(|pair| pair[0] != pair[1]);
            (distinct && !numbers.is_empty()).then(|| format!("{numbers:?}"))
        });
        assert_eq!(
            FleetKeys::read(path).ok().map(|keys| format!("{keys:?}")),
            numbers,
            "and nothing of a key is shown"
        );
    });
}
