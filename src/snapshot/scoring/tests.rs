use super::file::Plan;
use super::*;
use crate::snapshot::document;
use crate::units::Region;

fn plan(text: &str) -> Result<Plan, String> {
    document::toml(text).and_then(Plan::read).map_err(|fault| format!("{}: {}", fault.line, fault.what))
}

fn file(arms: &str) -> String {
    format!("split = \"user\"\nsalt = \"spring\"\n{arms}")
}

fn arm(name: &str, more: &str) -> String {
    format!("[[arm]]\nname = \"{name}\"\n{more}\n")
}

/// Arms without models, in the order of their places.
fn rollout(split: Split, salt: &str, shares: &[u16]) -> Rollout {
    let arms = shares.iter().map(|&share| Arm { share, ..Arm::default() }).collect();
    let order: Vec<ArmId> = (0..shares.len()).map(|place| ArmId(place as u8)).collect();
    Rollout::new(split, salt, arms, &order)
}

fn user(number: u64) -> UserKey {
    UserKey::new(Region::Eu, number)
}

#[test]
fn the_file_says_who_serves_whom() {
    let text = file(&format!(
        "{}{}{}",
        arm("control", "share = 90.5"),
        arm("challenger", "share = 9.5\nclick = \"ctr/1\"\nconversion = \"cvr/2\""),
        arm("candidate", "shadow = true\nclick = \"ctr/2\""),
    ));
    let plan = plan(&text).unwrap();
    assert_eq!((plan.split, plan.salt.as_str()), (Split::User, "spring"));
    let arms: Vec<_> = plan
        .arms
        .iter()
        .map(|arm| {
            let version = |named: &Option<super::file::Named>| named.as_ref().map(|named| named.version.to_string());
            (arm.name.as_str(), arm.share, arm.shadow, version(&arm.click), version(&arm.conversion))
        })
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        arms,
        [
            ("control", 9_050, false, None, None),
            ("challenger", 950, false, some("ctr/1"), some("cvr/2")),
            ("candidate", 0, true, some("ctr/2"), None),
        ]
    );
}

#[test]
fn a_mistake_is_told_with_its_line() {
    let (all, half) = (arm("a", "share = 100"), arm("a", "share = 50"));
    let nine: String = (0..9).map(|number| arm(&number.to_string(), "share = 0")).collect();
    for (text, said) in [
        (file(""), "1: `arm` is missing"),
        (file(&half), "1: the shares of the arms are 50 together, not 100"),
        (file(&format!("{all}{}", arm("b", "share = 0.01"))), "1: the shares of the arms are 100.01 together"),
        (file(&format!("{half}{half}")), "6: arm \"a\" is there twice"),
        (file(&nine), "1: 9 arms; the most is 8"),
        (file(&arm("a", "share = 100.001")), "5: arm \"a\": share: a share is a percentage"),
        (file(&arm("a", "share = -1")), "5: arm \"a\": share: a share is a percentage"),
        (file(&arm("a", "share = 101")), "5: arm \"a\": share: a share is a percentage"),
        (file(&arm("a", "")), "3: arm \"a\": `share` is missing"),
        (file(&arm("a b", "share = 100")), "4: name: \"a b\""),
        (file(&arm("", "share = 100")), "4: name: \"\""),
        (file(&format!("{all}{}", arm("b", "shadow = true"))), "6: arm \"b\": a shadow without a model"),
        (
            file(&format!("{all}{}", arm("b", "shadow = true\nshare = 1\nclick = \"m/1\""))),
            "6: arm \"b\": a shadow has no",
        ),
        (file(&arm("a", "share = 100\nclick = \"../1\"")), "6: arm \"a\": click: \"../1\" is no version"),
        (file(&arm("a", "share = 100\nclick = \"m/..\"")), "6: arm \"a\": click: \"m/..\" is no version"),
        (file(&arm("a", "share = 100\nclick = \"m/1/2\"")), "6: arm \"a\": click: \"m/1/2\" is no version"),
        (file(&arm("a", "share = 100\nclik = \"m/1\"")), "6: arm \"a\": unknown key `clik`"),
        (file(&all).replace("user", "device"), "1: split: \"device\" is no way to split"),
        (file(&all).replace("salt", "pepper"), "1: `salt` is missing"),
    ] {
        let error = plan(&text).unwrap_err();
        assert!(error.starts_with(said), "{error}\n{text}");
    }
}

#[test]
fn each_arm_has_the_share_that_it_should() {
    let shares = [5_000, 3_000, 1_999, 1];
    let rollout = rollout(Split::User, "s", &shares);
    const USERS: u64 = 400_000;
    let mut seen = [0_u64; 4];
    for number in 1..=USERS {
        seen[usize::from(rollout.arm(user(number), b"").0)] += 1;
    }
    for (seen, share) in seen.into_iter().zip(shares) {
        let p = f64::from(share) / f64::from(BUCKETS);
        let (mean, deviation) = (p * USERS as f64, (p * (1.0 - p) * USERS as f64).sqrt());
        assert!((seen as f64 - mean).abs() < 4.5 * deviation, "{seen} users for a share of {p}");
    }
}

#[test]
fn a_user_stays_and_only_who_is_given_away_moves() {
    let (before, after) = (rollout(Split::User, "s", &[9_000, 1_000]), rollout(Split::User, "s", &[8_000, 2_000]));
    const USERS: u64 = 100_000;
    let mut moved = 0;
    for number in 1..=USERS {
        let (old, new) = (before.arm(user(number), b"a"), after.arm(user(number), b"b"));
        assert_eq!(old, before.arm(user(number), b"c"), "whatever the auction");
        if old != new {
            assert_eq!((old, new), (ArmId(0), ArmId(1)));
            moved += 1;
        }
    }
    let deviation = (0.1 * 0.9 * USERS as f64).sqrt();
    assert!((f64::from(moved) - 0.1 * USERS as f64).abs() < 4.5 * deviation, "{moved}");
}

#[test]
fn another_salt_is_another_draw() {
    let (one, other) = (rollout(Split::User, "s", &[5_000, 5_000]), rollout(Split::User, "t", &[5_000, 5_000]));
    let same = (1..=100_000).filter(|&number| one.arm(user(number), b"") == other.arm(user(number), b"")).count();
    assert!((49_000..51_000).contains(&same), "{same}");
}

#[test]
fn without_a_user_the_auction_decides() {
    let (users, auctions) = (rollout(Split::User, "s", &[5_000, 5_000]), rollout(Split::Auction, "s", &[5_000, 5_000]));
    let mut first = 0;
    for number in 0..10_000_u32 {
        let auction = number.to_string();
        let arm = auctions.arm(user(7), auction.as_bytes());
        assert_eq!(arm, auctions.arm(UserKey::NOBODY, auction.as_bytes()));
        assert_eq!(arm, users.arm(UserKey::NOBODY, auction.as_bytes()));
        first += u32::from(arm == ArmId(0));
    }
    assert!((4_775..5_225).contains(&first), "{first}");
}

#[test]
fn a_shadow_and_who_has_left_are_nobodys_arm() {
    let arms = [0, 4_000, 0, 6_000].map(|share| Arm { share, ..Arm::default() }).to_vec();
    let rollout = Rollout::new(Split::User, "s", arms, &[ArmId(3), ArmId(1), ArmId(0)]);
    let seen: Vec<u8> = (1..1_000).map(|number| rollout.arm(user(number), b"").0).collect();
    assert!(seen.contains(&1) && seen.contains(&3) && seen.iter().all(|arm| [1, 3].contains(arm)));
}
