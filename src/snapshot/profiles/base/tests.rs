use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("corebid-base-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn base(&self) -> PathBuf {
        self.0.join("base")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn plain(_user: UserKey, value: &[u8]) -> std::io::Result<Vec<u8>> {
    Ok(value.to_vec())
}

fn build(folder: &Path, file_bytes: u64, memory: usize, values: &[(UserKey, Vec<u8>)]) -> Built {
    let mut builder = Builder::within(folder, false, plain, file_bytes, memory).unwrap();
    values.iter().for_each(|(user, value)| builder.push(*user, value).unwrap());
    builder.finish().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn a_base_is_a_map_of_the_last_values(
        values in prop::collection::vec((prop_oneof![1..60u64, any::<u64>(), u64::MAX - 2..=u64::MAX], 0..300usize), 0..200),
        file_bytes in 500..5000u64,
        memory in prop_oneof![Just(1usize), 500..5000usize, Just(1 << 20)],
    ) {
        let folder = Folder::new();
        let values: Vec<_> = values.iter().enumerate()
            .map(|(at, (user, long))| (UserKey(*user), vec![at as u8; *long])).collect();
        let model: BTreeMap<_, _> = values.iter().filter(|(user, _)| *user != UserKey::NOBODY).cloned().collect();
        let built = build(&folder.base(), file_bytes, memory, &values);
        let base = Base::open(&folder.base()).unwrap();
        prop_assert_eq!((built.users, base.users()), (model.len() as u64, model.len() as u64));
        prop_assert_eq!((built.files, built.bytes), (base.files() as u64, base.bytes()));
        prop_assert!(base.iter().map(|(user, value)| (user, value.unwrap().to_vec())).eq(model.clone()));
        for (user, value) in &model {
            prop_assert_eq!(base.get(*user), Ok(Some(&value[..])));
            for stranger in [user.0.wrapping_sub(1), user.0.wrapping_add(1)].map(UserKey) {
                prop_assert_eq!(base.get(stranger), Ok(model.get(&stranger).map(|value| &value[..])));
            }
        }
        let names: Vec<_> = fs::read_dir(folder.base()).unwrap().map(|entry| entry.unwrap()).collect();
        prop_assert_eq!(names.len() as u64, built.files, "and nothing else");
        for entry in names {
            let most = file_bytes.max((HEADER + 2 * ENTRY + 300) as u64);
            prop_assert!(entry.metadata().unwrap().len() <= most);
        }
        prop_assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "nothing is left beside it");
    }
}

fn some() -> Vec<(UserKey, Vec<u8>)> {
    (1..=20u64).map(|n| (UserKey(n << 58 | n), vec![n as u8; n as usize % 7 * 3])).collect()
}

/// Opens what is there and reads all of it: right values, or a refusal.
fn never_wrong(folder: &Path, values: &[(UserKey, Vec<u8>)]) -> bool {
    let Ok(base) = Base::open(folder) else { return true };
    let mut refused = false;
    for (user, value) in values {
        match base.get(*user) {
            Ok(found) => assert_eq!(found, Some(&value[..]), "a wrong value"),
            Err(Damaged) => refused = true,
        }
    }
    refused
}

#[test]
fn no_damage_makes_a_wrong_value() {
    let folder = Folder::new();
    let values = some();
    let built = build(&folder.base(), 600, 1 << 20, &values);
    assert!(built.files > 1);
    assert!(!never_wrong(&folder.base(), &values));
    for number in 0..built.files as usize {
        let path = folder.base().join(file_name(number));
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for bit in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                fs::write(&path, &bad).unwrap();
                assert!(never_wrong(&folder.base(), &values), "byte {at} of file {number}");
            }
            fs::write(&path, &good[..at]).unwrap();
            assert!(Base::open(&folder.base()).is_err(), "cut at {at}");
        }
        let longer = [&good[..], &[0]].concat();
        fs::write(&path, longer).unwrap();
        assert!(Base::open(&folder.base()).is_err(), "longer");
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn the_files_of_a_base_belong_together() {
    let folder = Folder::new();
    let values = some();
    let built = build(&folder.base(), 600, 1 << 20, &values);
    let path = |number: usize| folder.base().join(file_name(number));
    let last = built.files as usize - 1;
    let error = || Base::open(&folder.base()).unwrap_err().to_string();

    let good = fs::read(path(last)).unwrap();
    fs::remove_file(path(last)).unwrap();
    assert!(error().contains("more files than there are"), "{}", error());
    // The last file of a build of other values.
    let other = Folder::new();
    let others: Vec<_> = values.iter().map(|(user, value)| (*user, vec![9; value.len()])).collect();
    build(&other.base(), 600, 1 << 20, &others);
    fs::copy(other.base().join(file_name(last)), path(last)).unwrap();
    assert!(error().contains("not of the same build"), "{}", error());
    fs::write(path(last), good).unwrap();
    fs::rename(path(0), folder.0.join("kept")).unwrap();
    fs::copy(path(1), path(0)).unwrap();
    assert!(error().contains("another file's name"), "{}", error());
    fs::rename(folder.0.join("kept"), path(0)).unwrap();
    assert!(Base::open(&folder.base()).is_ok());
    assert!(Base::open(&folder.0).unwrap_err().to_string().contains("no base of profiles"));
}

#[test]
fn what_is_sealed_is_said_and_only_that_is_kept() {
    let folder = Folder::new();
    let veil = |user: UserKey, value: &[u8]| Ok(value.iter().map(|byte| byte ^ user.0 as u8 ^ 0x55).collect());
    let mut builder = Builder::within(&folder.base(), true, veil, 1 << 20, 1 << 20).unwrap();
    builder.push(UserKey(7), b"sentinel").unwrap();
    builder.finish().unwrap();
    let base = Base::open(&folder.base()).unwrap();
    assert!(base.is_sealed());
    let sealed: Vec<u8> = b"sentinel".iter().map(|byte| byte ^ 7 ^ 0x55).collect();
    assert_eq!(base.get(UserKey(7)), Ok(Some(&sealed[..])));
    assert!(!fs::read(folder.base().join(file_name(0))).unwrap().windows(8).any(|bytes| bytes == b"sentinel"));
}

#[test]
fn a_build_that_fails_leaves_nothing() {
    let folder = Folder::new();
    let fails = |user: UserKey, value: &[u8]| match user.0 {
        3 => Err(std::io::Error::other("no key")),
        _ => Ok(value.to_vec()),
    };
    let mut builder = Builder::new(&folder.base(), true, fails).unwrap();
    builder.push(UserKey(2), b"two").unwrap();
    assert_eq!(builder.push(UserKey(3), b"three").unwrap_err().to_string(), "no key");
    drop(builder);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0);
    // What is there is not overwritten.
    build(&folder.base(), 1 << 20, 1 << 20, &some());
    assert_eq!(Builder::new(&folder.base(), false, plain).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
    assert!(!never_wrong(&folder.base(), &some()));
    // A value that no seal makes so long.
    let folder = Folder::new();
    let mut builder = Builder::new(&folder.base(), false, plain).unwrap();
    assert!(builder.push(UserKey(1), &vec![0; VALUE_BYTES]).is_ok());
    assert!(builder.push(UserKey(1), &vec![0; VALUE_BYTES + 1]).is_err());
}
