//! Lists of whom to turn away: the first byte chooses the list, then come its lines, and after a zero what is asked. What is found is
//! what looking at line by line finds.

use std::net::IpAddr;
use std::sync::Arc;

use corebid::snapshot::edge::{Edge, Files};
use corebid::snapshot::targeting::below;
use ipnet::IpNet;

#[path = "support/place.rs"]
mod place;

/// The lines that say something: without comments, which begin a line or follow a space.
fn said(text: &str) -> Vec<&str> {
    let until = |line: &str| {
        let marks = line.char_indices().filter(|(_, letter)| *letter == '#').map(|(at, _)| at);
        let mut begins = marks.filter(|at| line[..*at].is_empty() || line[..*at].ends_with(char::is_whitespace));
        begins.next().unwrap_or(line.len())
    };
    text.lines().map(|line| line[..until(line)].trim()).filter(|line| !line.is_empty()).collect()
}

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&kind, input)) = input.split_first() else { return };
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let (list, asked) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let mut kept = Vec::new();
    let edge = place::with_file("list.txt", list, |path| {
        let file = Some(path.to_owned());
        let files = match kind % 4 {
            0 => Files { blocked_domains: file, ..Files::default() },
            1 => Files { blocked_bundles: file, ..Files::default() },
            2 => Files { bots: file, ..Files::default() },
            _ => Files { data_centers: file, ..Files::default() },
        };
        Edge::load(&files, &Arc::default(), &mut kept)
    });
    let empty =
        edge.domains.is_empty() && edge.bundles.is_empty() && edge.bots.is_empty() && edge.data_centers.is_empty();
    if !kept.is_empty() {
        return assert!(empty, "a list with a mistake");
    }
    let list = std::str::from_utf8(list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list)).expect("checked");
    let lines = said(list);
    assert_eq!(lines.is_empty(), empty);
    match kind % 4 {
        0 => {
            let plain = asked.strip_suffix(b".").unwrap_or(asked);
            let listed = |line: &&str| below(plain, line.strip_suffix('.').unwrap_or(line).as_bytes());
            // Of longer names nothing is known, nor of labels beyond those that a list may have.
            let is_name = plain.len() <= 253 && !plain.ends_with(b".");
            assert_eq!(edge.domains.covers(asked), is_name && lines.iter().any(listed));
        }
        1 => assert_eq!(edge.bundles.names(asked), lines.iter().any(|line| line.as_bytes() == asked)),
        2 => {
            let agent = asked.to_ascii_lowercase();
            let holds = |part: &str| agent.windows(part.len()).any(|some| some == part.to_ascii_lowercase().as_bytes());
            let is = |line: &&str| {
                let mut parts = line.split('|').map(str::trim);
                holds(parts.next().unwrap_or_default()) && !parts.filter(|part| !part.is_empty()).any(holds)
            };
            assert_eq!(edge.bots.is_bot(asked), lines.iter().any(is));
        }
        _ => {
            let Some(asked) = std::str::from_utf8(asked).ok().and_then(|text| text.parse::<IpAddr>().ok()) else {
                return assert!(!edge.data_centers.hold(asked));
            };
            let holds = |line: &&str| {
                let net = line.parse::<IpNet>().or_else(|_| line.parse::<IpAddr>().map(IpNet::from)).expect("checked");
                let mapped = |address: IpAddr| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                // All as IPv6, where a network is a prefix like any other.
                let (first, length) =
                    (mapped(net.network()).to_bits(), net.prefix_len() + if net.addr().is_ipv4() { 96 } else { 0 });
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                mapped(asked).to_bits() & mask == first & mask
            };
            assert_eq!(edge.data_centers.hold(asked.to_string().as_bytes()), lines.iter().any(holds));
        }
    }
}
