//! The register of a fleet: the first eight bytes are a time, the rest its text. What is read is written again; whatever it holds, two
//! processes never get the same numbers.

use corebid::authority::message::Register as Ask;
use corebid::authority::register::Register;
use corebid::ids::WORKERS;
use corebid::units::{Incarnation, NodeId, UnixMillis};

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((now, text)) = input.split_first_chunk::<8>() else { return };
    // To the year 2200.
    let now = UnixMillis(u64::from_le_bytes(*now) % 7_258_118_400_000);
    let Some(mut register) = std::str::from_utf8(text).ok().and_then(Register::decode) else { return };
    assert_eq!(Register::decode(&register.encode()).as_ref(), Some(&register));
    let highest = register.processes().map(|(incarnation, _)| incarnation).max();
    let mut given = Vec::new();
    for (node, nonce) in [(1, 1), (1, 2), (2, 3), (63, 4)] {
        let ask = Ask {
            node: NodeId(node),
            nonce: 0xfeed_0000_0000 + nonce,
            workers: 3,
            horizon: 7_200_000,
            last: highest.unwrap_or(Incarnation(0)),
            first_booking: 1,
            next_booking: u64::MAX,
        };
        let Ok((incarnation, process)) = register.register(now, &ask) else { continue };
        assert_eq!(register.register(now, &ask), Ok((incarnation, process)), "asked again, it says the same");
        assert!(Some(incarnation) > highest, "a number that was given before");
        assert!(process.first_worker + process.workers <= WORKERS && process.ids_from >= now);
        given.push((process.first_worker, process.workers));
        let _ = register.renew(incarnation, UnixMillis(now.0 + 60_000));
        assert!(register.retire(now, ask.node).is_err(), "it is alive");
    }
    given.sort_unstable();
    assert!(given.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "one worker id for two: {given:?}");
    for node in 0..4 {
        let _ = register.retire(UnixMillis(now.0 + 120_000), NodeId(node));
    }
    register.end(Incarnation(1));
    register.forget(UnixMillis(now.0 + 86_400_000));
    let again = Register::decode(&register.encode());
    // Numbers end somewhere.
    let is_last = register.processes().any(|(Incarnation(number), _)| number >= 1 << 31);
    assert!(is_last || again.as_ref() == Some(&register));
}
