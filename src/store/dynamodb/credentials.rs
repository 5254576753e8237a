//! Who we are to AWS: access key and secret in a file, in the form of AWS's shared credentials file. When the file changes it is
//! read again, so that keys are rotated without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_dynamodb::config::Credentials;

use crate::secrets::{self, Stamp, stamp};

const ADVICE: &str = "put aws_access_key_id and aws_secret_access_key there, mode 0600";

/// Credentials from a file.
#[derive(Debug)]
pub struct CredentialsFile {
    path: PathBuf,
    /// What was read last. Only the stores thread and tools ask, one at a time.
    read: Mutex<(Stamp, Credentials)>,
}

impl CredentialsFile {
    /// Reads the file, which only its owner may read.
    ///
    /// # Errors
    /// It cannot be read, others can read it, or it holds no credentials: in one line.
    pub fn read(path: &Path) -> Result<CredentialsFile, String> {
        let read = (stamp(path), read(path)?);
        Ok(CredentialsFile { path: path.to_owned(), read: Mutex::new(read) })
    }

    /// Those in the file now. While a changed file cannot be used, those before it go on: a key that is rotated stays good for
    /// some time.
    fn current(&self) -> Result<Credentials, CredentialsError> {
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.path);
        if now != last.0 {
            last.0 = now;
            match read(&self.path) {
                Ok(credentials) => {
                    log::info!("{}: credentials read again", self.path.display());
                    last.1 = credentials;
                }
                Err(what) => log::error!("{what}; the credentials before stay in use"),
            }
        }
        Ok(last.1.clone())
    }
}

impl ProvideCredentials for CredentialsFile {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.current())
    }
}

fn read(path: &Path) -> Result<Credentials, String> {
    let text = secrets::read(path, ADVICE).map_err(|error| error.to_string())?;
    parse(&text).ok_or_else(|| format!("{}: no credentials in it: {ADVICE}", path.display()))
}

/// `name = value` a line, in the section `default` or in none.
fn parse(text: &str) -> Option<Credentials> {
    let (mut key, mut secret, mut token, mut is_ours) = (None, None, None, true);
    for line in text.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            is_ours = section.strip_suffix(']').map(str::trim) == Some("default");
        } else if let Some((name, value)) = line.split_once('=').filter(|_| is_ours && !line.starts_with('#')) {
            let value = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
            match name.trim() {
                "aws_access_key_id" => key = value,
                "aws_secret_access_key" => secret = value,
                "aws_session_token" => token = value,
                _ => {}
            }
        }
    }
    Some(Credentials::new(key?, secret?, token, None, "file"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_form_is_that_of_the_shared_credentials_file() {
        let text = "# ours\n[other]\naws_access_key_id = NO\n[default]\naws_access_key_id=AKID\n\
                    aws_secret_access_key = a=b/c+\naws_session_token = t\nregion = x\n";
        let read = parse(text).unwrap();
        assert_eq!(
            (read.access_key_id(), read.secret_access_key(), read.session_token()),
            ("AKID", "a=b/c+", Some("t"))
        );
        assert!(parse("aws_access_key_id = A\naws_secret_access_key = B").is_some());
        for bad in ["", "aws_access_key_id = A", "aws_access_key_id = A\naws_secret_access_key =\n", "[x]\na"] {
            assert!(parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_is_not_used() {
        let path = std::env::temp_dir().join(format!("corebid-credentials-{}", std::process::id()));
        let write = |key: &str| {
            fs::write(&path, format!("aws_access_key_id = {key}\naws_secret_access_key = s\n")).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        };
        write("ONE");
        let file = CredentialsFile::read(&path).unwrap();
        assert_eq!(file.current().unwrap().access_key_id(), "ONE");
        write("SECOND");
        assert_eq!(file.current().unwrap().access_key_id(), "SECOND");
        fs::write(&path, "nothing").unwrap();
        assert_eq!(file.current().unwrap().access_key_id(), "SECOND");
        write("THIRD_");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(file.current().unwrap().access_key_id(), "SECOND");
        assert!(CredentialsFile::read(&path).unwrap_err().contains("chmod 600"));
        fs::remove_file(&path).unwrap();
        assert_eq!(file.current().unwrap().access_key_id(), "SECOND");
    }
}
