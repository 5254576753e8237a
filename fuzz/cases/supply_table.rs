//! Tables of supply: a file with an even first byte is taken as it stands; an odd one begins a list of changes to a good file, of which
//! the checksum is then made right. A table that was not written is refused by its checksum; one that somebody made answers.

use corebid::snapshot::supply::{Chain, Inventory, Node, Path, Supply};
use corebid::units::UnixMillis;

#[path = "support/place.rs"]
mod place;
#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

/// One publisher's ads.txt, its app's app-ads.txt and the sellers.json of two systems.
const GOOD: &[u8] = include_bytes!("support/supply.table");
const SUM: usize = 4;
/// Bytes of the head, which says how long the rest is.
const HEAD: usize = 128;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    if input.first().is_none_or(|first| first & 1 == 0) {
        if let Ok(supply) = load(input) {
            asked(&supply);
        }
        return;
    }
    let mut changes = Recipe(&input[1..]);
    let mut file = GOOD.to_vec();
    // Of a file that is cut, or longer, the lengths say so.
    let longer = usize::from(changes.u8());
    if longer > 128 {
        file.truncate(file.len() - (longer - 128));
    } else {
        file.extend(std::iter::repeat_n(0, longer));
    }
    let body = file.len() - SUM;
    let mut says_the_same = true;
    while !changes.is_over() {
        let at = usize::from(changes.u16()) % body;
        says_the_same &= at >= HEAD;
        file[at] = changes.u8();
    }
    if file != GOOD {
        assert!(load(&file).is_err(), "a checksum of another file");
    }
    let sum = crc32fast::hash(&file[..body]);
    file[body..].copy_from_slice(&sum.to_le_bytes());
    match load(&file) {
        Ok(supply) => {
            assert!(file.len() == GOOD.len() || !says_the_same, "of another length than it says");
            asked(&supply);
        }
        Err(what) => assert!(file != GOOD && !what.contains('\n'), "{what}"),
    }
}

fn load(bytes: &[u8]) -> Result<Supply, String> {
    place::with_file("supply.table", bytes, Supply::load).map_err(|error| error.to_string())
}

/// Whatever it says, it says something, and the same again.
fn asked(supply: &Supply) {
    assert!(supply.bytes() > 0 || supply.counts() == Supply::default().counts());
    let node = |asi: &'static [u8], sid: &'static [u8]| Node { asi, sid, pays: true };
    let nodes = [node(b"one.example", b"1"), node(b"two.example", b"R"), node(b"three.example", b"x")];
    let sold = [
        Inventory::Site(b"pub.example"),
        Inventory::Site(b"a.pub.example"),
        Inventory::App(b"com.a"),
        Inventory::Unknown,
    ];
    for inventory in sold {
        for length in 1..=nodes.len() {
            let path = Path {
                chain: Chain::Nodes { complete: true, nodes: &nodes[..length] },
                sender: nodes[length - 1].asi,
                inventory,
                partner: if length == 2 { b"partner.example" } else { b"" },
                country: Some(*b"DE"),
            };
            for now in [UnixMillis(0), UnixMillis(1_780_000_000_000)] {
                assert_eq!(supply.check(&path, now), supply.check(&path, now));
            }
        }
    }
}
