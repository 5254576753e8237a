use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::profile::value;
use crate::units::SegmentId;

const LEAST: usize = limits::SHARD_BYTES_LEAST;
const SECOND: u64 = 1_000_000_000;

fn user(n: u64) -> UserKey {
    UserKey(n.wrapping_mul(0x9E37_79B9_7F4A_7C15).max(1))
}

/// A value of so many segments that names its user and its version.
fn value(user: u64, version: u32, segments: usize) -> Vec<u8> {
    let mut ids = (0..segments as u32).map(|at| SegmentId((user as u32) << 16 | version << 8 | at)).collect();
    let mut value = Vec::new();
    value::write(&mut ids, &mut Vec::new(), None, &mut value).unwrap();
    value
}

fn segments(known: Known<'_>) -> Option<Vec<SegmentId>> {
    match known {
        Known::Profile(profile) => Some(profile.segments.iter().collect()),
        Known::Nothing | Known::Missing => None,
    }
}

fn read(value: &[u8]) -> Vec<SegmentId> {
    Profile::check(value).unwrap().segments.iter().collect()
}

fn empty(behind: Behind) -> ProfileShard {
    ProfileShard::with_bytes(Profiles::default(), behind, LEAST)
}

#[derive(Clone, Debug)]
enum Step {
    Promote(u64, usize),
    Unknown(u64),
    Lookup(u64),
    Erase(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Few users who come often, and many who come once; together several times what the shard holds.
    let who = || prop_oneof![1..40u64, 1..4000u64];
    let step = prop_oneof![
        4 => (who(), prop_oneof![0..8usize, 0..257usize]).prop_map(|(user, long)| Step::Promote(user, long)),
        1 => who().prop_map(Step::Unknown),
        4 => who().prop_map(Step::Lookup),
        1 => who().prop_map(Step::Erase),
    ];
    prop::collection::vec(step, 1..3000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// A hit is what was last promoted, byte for byte; what was erased, or replaced by nothing, is never found.
    #[test]
    fn a_shard_is_a_map_that_forgets(steps in steps()) {
        let consent = Personal::granted();
        let mut shard = empty(Behind::Store);
        let mut model: HashMap<u64, Option<Vec<u8>>> = HashMap::new();
        for (version, step) in steps.into_iter().enumerate() {
            match step {
                Step::Promote(n, long) => {
                    let value = value(n, version as u32, long);
                    shard.promote(user(n), Some(&value), Nanos(SECOND));
                    prop_assert_eq!(segments(shard.lookup(&consent, user(n))), Some(read(&value)));
                    model.insert(n, Some(value));
                }
                Step::Unknown(n) => {
                    shard.promote(user(n), None, Nanos(SECOND));
                    model.insert(n, None);
                }
                Step::Lookup(n) => match (shard.lookup(&consent, user(n)), model.get(&n)) {
                    (Known::Profile(profile), Some(Some(value))) => {
                        prop_assert_eq!(profile.segments.iter().collect::<Vec<_>>(), read(value));
                    }
                    (Known::Nothing, Some(None)) | (Known::Missing, _) => {}
                    (known, model) => prop_assert!(false, "{known:?} of {model:?}"),
                },
                Step::Erase(n) => {
                    let was = !matches!(shard.lookup(&consent, user(n)), Known::Missing);
                    prop_assert_eq!(shard.erase(user(n)), was);
                    prop_assert!(matches!(shard.lookup(&consent, user(n)), Known::Missing));
                    model.remove(&n);
                }
            }
            let used = shard.usage();
            prop_assert!(used.bytes <= LEAST as u64 && used.held <= used.bytes);
        }
    }
}

#[test]
fn the_shard_says_what_the_base_says() {
    let all: Vec<_> = (1..=3000).map(|n| (user(n), value(n, 0, n as usize % 40))).collect();
    let base = Profiles::new(all);
    let consent = Personal::granted();
    let mut shard = ProfileShard::with_bytes(base.clone(), Behind::Base, LEAST);
    let mut random = 1u64;
    for _ in 0..50_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let user = user(1 + (random >> 33) % 6000);
        assert_eq!(segments(shard.lookup(&consent, user)), base.get(user).map(read));
    }
    let ShardCounts { hits, unknown, misses, evictions, refused } = shard.counts();
    assert_eq!((hits + unknown + misses, refused), (50_000, 0));
    assert!(hits > 0 && unknown > 0 && evictions > 0 && evictions < misses);
}

#[test]
fn what_is_erased_is_nowhere_in_memory() {
    let consent = Personal::granted();
    let mut shard = empty(Behind::Store);
    let sentinel = SegmentId(0xfeed_beef);
    let found = |shard: &ProfileShard| {
        let pattern = sentinel.0.to_le_bytes();
        shard.cache.memory().iter().any(|log| log.windows(4).any(|bytes| bytes == pattern))
    };
    let mut secret = Vec::new();
    value::write(&mut vec![sentinel, SegmentId(1)], &mut Vec::new(), None, &mut secret).unwrap();
    for others in [0, 10, 400, 900, 2000, 5000] {
        shard.promote(user(7), Some(&secret), Nanos(0));
        assert!(found(&shard));
        // All are asked for, so that they move to the main log, and this one around in it.
        for n in 0..others {
            shard.promote(user(1000 + n), Some(&value(n, 0, 20)), Nanos(0));
            shard.lookup(&consent, user(1000 + n));
            shard.lookup(&consent, user(7));
        }
        assert!(found(&shard) && segments(shard.lookup(&consent, user(7))).is_some());
        assert!(shard.erase(user(7)) && !found(&shard), "after {others}");
        assert!(!shard.erase(user(7)) && matches!(shard.lookup(&consent, user(7)), Known::Missing));

        // A value that replaces it, or the news that nothing is known, leaves nothing of it either.
        for instead in [Some(value(7, 0, 2)), Some(value(7, 0, 9)), None, Some(vec![1, 2, 3])] {
            shard.promote(user(7), Some(&secret), Nanos(0));
            shard.promote(user(7), instead.as_deref(), Nanos(0));
            assert!(!found(&shard));
        }
    }
}

#[test]
fn what_was_learnt_does_not_hold_for_ever() {
    let consent = Personal::granted();
    let life = limits::PROFILE_LIFE_NS;
    let mut shard = empty(Behind::Store);
    shard.promote(user(1), Some(&value(1, 0, 3)), Nanos(0));
    shard.promote(user(2), None, Nanos(0));
    shard.pass(Nanos(limits::UNKNOWN_LIFE_NS - SECOND));
    assert!(matches!(shard.lookup(&consent, user(2)), Known::Nothing));
    shard.pass(Nanos(limits::UNKNOWN_LIFE_NS));
    assert!(matches!(shard.lookup(&consent, user(2)), Known::Missing));
    shard.pass(Nanos(life - SECOND));
    assert!(matches!(shard.lookup(&consent, user(1)), Known::Profile(_)));
    shard.pass(Nanos(life));
    assert!(matches!(shard.lookup(&consent, user(1)), Known::Missing));
    assert_eq!(shard.usage().profiles, 0);
    assert_eq!(shard.counts(), ShardCounts { hits: 1, unknown: 1, misses: 2, ..ShardCounts::default() });
}

#[test]
fn a_broken_value_is_refused_and_not_asked_for_again() {
    let consent = Personal::granted();
    let mut shard = empty(Behind::Store);
    let mut broken = value(1, 0, 3);
    shard.promote(user(1), Some(&broken), Nanos(0));
    broken.push(0);
    shard.promote(user(1), Some(&broken), Nanos(0));
    assert!(matches!(shard.lookup(&consent, user(1)), Known::Nothing));
    assert_eq!(shard.counts().refused, 1);
    shard.promote(UserKey::NOBODY, Some(&value(1, 0, 3)), Nanos(0));
    assert!(matches!(shard.lookup(&consent, UserKey::NOBODY), Known::Nothing));
}

#[test]
fn neither_a_scan_nor_strangers_wash_out_users_who_come_again() {
    let consent = Personal::granted();
    let mut shard = empty(Behind::Store);
    let regulars = 1..=500;
    for n in regulars.clone() {
        shard.promote(user(n), Some(&value(n, 0, 30)), Nanos(0));
        shard.lookup(&consent, user(n));
    }
    for stranger in 0..100_000u64 {
        if stranger % 20 == 0 {
            let n = 1 + stranger / 20 % 500;
            assert!(matches!(shard.lookup(&consent, user(n)), Known::Profile(_)), "user {n}, stranger {stranger}");
        }
        let known = value(stranger, 0, 30);
        shard.promote(user(1_000_000 + stranger), (stranger % 2 == 0).then_some(&known), Nanos(0));
    }
}
