//! Configurations: a mistake is told in one line that begins with the file; one without a mistake has none when it is asked again.

use corebid::config::Config;

#[path = "support/place.rs"]
mod place;

/// Checks one input.
pub(crate) fn check(text: &[u8]) {
    place::with_file("corebid.toml", text, |path| match Config::load(path) {
        Ok(config) => {
            config.validate().expect("what was validated");
            assert!(config.exchanges.iter().all(|exchange| !exchange.name.is_empty()));
            let mut names: Vec<_> = config.exchanges.iter().map(|exchange| &exchange.name).collect();
            names.sort_unstable();
            assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "an exchange twice");
        }
        Err(error) => {
            let error = error.to_string();
            let folder = path.parent().expect("a folder").to_str().expect("a path in UTF-8");
            assert!(error.starts_with(folder) && !error.contains('\n'), "{error:?}");
            if let Some(line) =
                error.strip_prefix(path.to_str().expect("a path in UTF-8")).and_then(|rest| rest.strip_prefix(':'))
            {
                let digits: String = line.chars().take_while(char::is_ascii_digit).collect();
                let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
                assert!(
                    digits.parse::<usize>().is_ok_and(|line| (1..=lines).contains(&line)) || line.starts_with(' '),
                    "{error}"
                );
            }
        }
    });
}
