//! Values of profiles: an input as it stands, and as a list of fields that get their head.

use corebid::profile::value::{self, Profile};

/// What is read is well formed, and is written as it was read.
fn judged(input: &[u8]) {
    let Ok(profile) = Profile::check(input) else { return };
    let mut segments: Vec<_> = profile.segments.iter().collect();
    let mut counts: Vec<_> = profile.counts.iter().collect();
    assert!(segments.is_sorted_by(|a, b| a < b) && counts.len() == profile.counts.len());
    assert!(segments.iter().all(|segment| profile.segments.contains(*segment)));
    assert!(counts.iter().all(|count| count.times > 0));
    let mut again = vec![7; 3];
    value::write(&mut segments, &mut counts, profile.consent, &mut again).expect("it was a value");
    assert_eq!(again, input);
    // Neither a part of it nor anything longer is one.
    assert!(Profile::check(&input[..input.len() - 1]).is_err());
    assert!(Profile::check(&[input, &[0]].concat()).is_err());
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    judged(input);
    // A head that agrees with the length, which a fuzzer seldom comes upon: flags and counts from the first byte.
    let Some((&first, rest)) = input.split_first() else { return };
    let (consent, counts) = (first & 1, usize::from(first >> 1 & 7));
    let Some(of_segments) = rest.len().checked_sub(9 * usize::from(consent) + 12 * counts) else { return };
    let segments = (of_segments / 4) as u16;
    let used = rest.len() - of_segments % 4;
    let [s0, s1] = segments.to_le_bytes();
    judged(&[&[1, consent, s0, s1, counts as u8, 0], &rest[..used]].concat());
}
