//! `corebid profiles`: the base of profiles in files.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::commands::Failure;
use crate::profile::keyfile::KeyFile;
use crate::profile::seal::FleetKeys;
use crate::profile::sealed::Keyring;
use crate::profile::value::Profile;
use crate::secrets::Key;
use crate::snapshot::profiles::base::{Base, Builder, Built};
use crate::snapshot::profiles::{Lines, UserKeys};
use crate::units::UserKey;

/// The base of profiles.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Build a base from profiles, one JSON object a line. Of a user who comes twice the last line counts
    Build(Build),
    /// What a base holds: every value is checked; one that is damaged or no profile ends with exit code 1
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct Build {
    /// The folder to make; it must not be there yet, or be empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The bidder's `data.user_key_file`: users have other keys under another one
    #[arg(long, value_name = "FILE")]
    user_key: PathBuf,
    /// The bidder's `profiles.key_file`: seals every profile with a key of its user
    #[arg(long, value_name = "FILE", requires = "keys")]
    key_file: Option<PathBuf>,
    /// Where users' keys are kept, and made for those who have none: `users.keys` of the bidder's `data.dir`, while it does not run
    #[arg(long, value_name = "FILE", requires = "key_file")]
    keys: Option<PathBuf>,
    /// The lines; `-` is standard input
    #[arg(value_name = "IN")]
    lines: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The folder
    #[arg(value_name = "DIR")]
    base: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What a base holds.
#[derive(Debug, Default, serde::Serialize)]
struct Held {
    sealed: bool,
    files: usize,
    /// Of all files.
    bytes: u64,
    users: u64,
    /// Of the values.
    value_bytes: u64,
    /// Values that are not as they were written.
    damaged: u64,
    /// Values that are no profile, of a base that is not sealed.
    broken: u64,
}

/// Runs it.
pub fn run(args: &Args) -> Result<(), Failure> {
    match &args.action {
        Action::Build(args) => build(args),
        Action::Show(args) => show(args),
    }
}

fn build(args: &Build) -> Result<(), Failure> {
    let key = Key::read(&args.user_key)?;
    let keys = UserKeys::new(key.0.first_chunk().expect("a key is longer than 16 bytes"));
    let (lines, from): (Box<dyn BufRead>, _) = match args.lines.as_os_str() == "-" {
        true => (Box::new(io::stdin().lock()), Path::new("standard input")),
        false => {
            let file = File::open(&args.lines);
            let file = file.map_err(|error| Failure::new(format!("{}: {error}", args.lines.display())))?;
            (Box::new(BufReader::with_capacity(1 << 20, file)), &args.lines)
        }
    };
    let built = match (&args.key_file, &args.keys) {
        (Some(fleet), Some(path)) => {
            let failed = |error: io::Error| Failure::new(format!("{}: {error}", path.display()));
            let store = KeyFile::open_to_fill(path).map_err(failed)?;
            let keyring = Keyring::new(FleetKeys::read(fleet)?, store);
            // The file of keys is at hand: nothing is waited for but it.
            let runtime = tokio::runtime::Builder::new_current_thread().build()?;
            let seal = |user, value: &[u8]| runtime.block_on(keyring.seal(user, value)).map_err(io::Error::other);
            make(lines, from, &args.out, &keys, true, seal, || keyring.store.sync())?
        }
        _ => make(lines, from, &args.out, &keys, false, |_: UserKey, value: &[u8]| Ok(value.to_vec()), || Ok(()))?,
    };
    match args.json {
        true => println!("{}", serde_json::to_string(&built)?),
        false => {
            let Built { users, replaced, files, bytes, value_bytes } = built;
            println!("{users} users in {files} files, {bytes} bytes, of which values {value_bytes}");
            println!("{replaced} lines were replaced by later ones of the same user");
        }
    }
    Ok(())
}

/// Reads the lines as they come: neither they nor the base need fit in memory.
/// What its values are sealed with is on disk `before` the base is there.
fn make(
    lines: impl BufRead,
    from: &Path,
    out: &Path,
    keys: &UserKeys,
    sealed: bool,
    seal: impl FnMut(UserKey, &[u8]) -> io::Result<Vec<u8>>,
    before: impl FnOnce() -> io::Result<()>,
) -> Result<Built, Failure> {
    let failed = |error: io::Error| Failure::new(format!("{}: cannot build it: {error}", out.display()));
    let mut builder = Builder::new(out, sealed, seal).map_err(failed)?;
    let mut read = Lines::new(keys);
    for line in lines.lines() {
        let line = line.map_err(|error| Failure::new(format!("{}: cannot read it: {error}", from.display())))?;
        if let Some((user, value)) = read.read(&line).map_err(|fault| fault.within(from))? {
            builder.push(user, value).map_err(failed)?;
        }
    }
    before().map_err(failed)?;
    builder.finish().map_err(failed)
}

fn show(args: &Show) -> Result<(), Failure> {
    let base = Base::open(&args.base)?;
    let mut held = Held {
        sealed: base.is_sealed(),
        files: base.files(),
        bytes: base.bytes(),
        users: base.users(),
        ..Held::default()
    };
    for (_, value) in base.iter() {
        match value {
            Ok(value) => {
                held.value_bytes += value.len() as u64;
                held.broken += u64::from(!held.sealed && Profile::check(value).is_err());
            }
            Err(_) => held.damaged += 1,
        }
    }
    let Held { sealed, files, bytes, users, value_bytes, damaged, broken } = held;
    match args.json {
        true => println!("{}", serde_json::to_string(&held)?),
        false => {
            let kind = if sealed { "sealed" } else { "plain" };
            println!("{users} users in {files} {kind} files, {bytes} bytes, of which values {value_bytes}");
            println!("{damaged} values are damaged, {broken} are no profiles");
        }
    }
    match damaged + broken {
        0 => Ok(()),
        bad => Err(Failure::new(format!("{}: {bad} values cannot be used", args.base.display()))),
    }
}
