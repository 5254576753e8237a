//! Secrets come from files that only their owner may read; a missing or open one stops the start-up.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use zeroize::Zeroizing;

use crate::wire::base64;

/// A 256-bit key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// Why a key cannot be used.
#[derive(Debug)]
pub struct SecretError(String);

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SecretError {}

/// A password. Never printed, and wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Password {
    /// Reads a password: one line, without the newline.
    pub fn read(path: &Path) -> Result<Password, SecretError> {
        let text = Zeroizing::new(read(path, "write the password there, mode 0600")?);
        if text.is_empty() || text.contains(['\n', '\0']) {
            return Err(SecretError(format!("{}: not a password: one line of text is wanted", path.display())));
        }
        Ok(Password(text))
    }

    /// What is sent to a server, and nowhere else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Key {
    /// Reads a key: 64 hexadecimal digits, and a newline if one likes.
    pub fn read(path: &Path) -> Result<Key, SecretError> {
        let text = read(path, "make one with `openssl rand -hex 32`, mode 0600")?;
        from_hex(&text).map(Key).ok_or_else(|| not_a_key(path, "64 hexadecimal digits are wanted"))
    }

    /// Reads a key of an exchange's encrypted prices, in the form the exchange gave it in.
    pub fn read_price(path: &Path) -> Result<Key, SecretError> {
        let text = read(path, "put the key that the exchange gave you there, mode 0600")?;
        Key::from_text(&text).ok_or_else(|| not_a_key(path, "32 bytes in base64 or hexadecimal digits are wanted"))
    }

    /// 32 bytes as 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Key> {
        from_hex(text).map(Key)
    }

    /// 32 bytes as 64 hexadecimal digits, or in base64 of either alphabet, padded or not.
    pub fn from_text(text: &str) -> Option<Key> {
        let mut key = [0; 32];
        let decoded = || (base64::decode_any(text.as_bytes(), &mut key) == Some(32)).then_some(key);
        from_hex(text).or_else(decoded).map(Key)
    }

    /// Reads the key, or makes one where there is no file: for `--demo` only.
    pub fn read_or_make(path: &Path) -> Result<Key, SecretError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).and_then(|mut file| {
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        match made {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(SecretError(format!("{}: cannot make the key: {error}", path.display())))
            }
            _ => Key::read(path),
        }
    }
}

/// The text of a file that only its owner may read, without the newline. One that is no text is empty.
pub(crate) fn read(path: &Path, advice: &str) -> Result<String, SecretError> {
    let fail = |what: String| SecretError(format!("{}: {what}", path.display()));
    let mut file = File::open(path).map_err(|error| fail(format!("cannot read the key: {error}; {advice}")))?;
    let mode = file.metadata().map_err(|error| fail(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        return Err(fail(format!("mode {:04o} lets others read the key; chmod 600 it", mode & 0o7777)));
    }
    let mut text = String::new();
    let read = Read::by_ref(&mut file).take(4096).read_to_string(&mut text);
    Ok(if read.is_ok() { text.trim_end().to_owned() } else { String::new() })
}

/// Tells one content of a file from another: device and number, length, time of the last change of content or owner.
pub(crate) type Stamp = [i64; 6];

/// Of this file now; zeros without one.
pub(crate) fn stamp(path: &Path) -> Stamp {
    let stamp = fs::metadata(path).map(|data| {
        [data.dev() as i64, data.ino() as i64, data.size() as i64, data.mtime(), data.mtime_nsec(), data.ctime_nsec()]
    });
    stamp.unwrap_or_default()
}

pub(crate) fn not_a_key(path: &Path, wanted: &str) -> SecretError {
    SecretError(format!("{}: not a key: {wanted}", path.display()))
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    // `from_str_radix` takes a sign.
    text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_never_shown() {
        let dir = std::env::temp_dir().join(format!("corebid-secrets-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("key");
        assert!(Key::read(&path).unwrap_err().to_string().contains("cannot read"));
        let key = Key::read_or_make(&path).unwrap();
        assert!(Key::read_or_make(&path).unwrap() == key && Key::read(&path).unwrap() == key);
        assert_eq!(format!("{key:?}"), "Key(..)");

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Key::read(&path).unwrap_err().to_string().contains("chmod 600"));

        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "00", &"+0".repeat(32), &"g".repeat(64), &"0".repeat(65)] {
            fs::write(&path, bad).unwrap();
            assert!(Key::read(&path).unwrap_err().to_string().contains("not a key"), "{bad:?}");
        }

        let texts = ["00".repeat(32), "A".repeat(43), format!("{}=\n", "A".repeat(43))];
        for text in texts {
            fs::write(&path, &text).unwrap();
            assert!(Key::read_price(&path).unwrap() == Key([0; 32]), "{text:?}");
        }
        for bad in ["", "A", &"A".repeat(42), &"A".repeat(44), &"!".repeat(43)] {
            fs::write(&path, bad).unwrap();
            assert!(Key::read_price(&path).unwrap_err().to_string().contains("not a key"), "{bad:?}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
