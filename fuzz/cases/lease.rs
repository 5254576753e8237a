//! What a shard of the lease authority replies: the first byte chooses the function, the second whether the rest is a reply as it
//! stands or the recipe of one. A reply is read to its last byte, or not at all; what was put into one is what is read.

use corebid::authority::books::Scope;
use corebid::authority::message::{Answer, Booked, Foreign, LeaseAnswer, LeaseReport, Part, Report, Standing, Why};
use corebid::store::valkey::lease::decode::{self, Said};
use corebid::store::valkey::lease::state::State;
use corebid::store::valkey::lease::{Position, Reply, ServerId};
use corebid::units::{AdvertiserId, CampaignId, Day, Epoch, ExchangeKey, LeaseId, Micros, ReservationId, UnixMillis};

#[path = "support/recipe.rs"]
mod recipe;

use recipe::Recipe;

/// Checks one input.
pub(crate) fn check(input: &[u8]) {
    let Some((&[function, cooked], rest)) = input.split_first_chunk::<2>() else { return };
    if cooked & 1 == 1 {
        return cook(&mut Recipe(rest));
    }
    match function % 6 {
        0 => whole(rest, |bytes| decode::report(&Report::default(), bytes)),
        1 => whole(rest, decode::done),
        2 => whole(rest, decode::resumed),
        3 => whole(rest, decode::retired),
        4 => {
            let _ = decode::stops(rest);
            let _ = decode::checkpoint(rest);
        }
        _ => {
            // Accounts of the same shard, twice: what is said later of a key counts.
            if let Ok(state) = State::of(rest) {
                let again = State::of(&[rest, rest].concat()).expect("each half is read");
                assert_eq!((&again.days, &again.leases, &again.lives), (&state.days, &state.leases, &state.lives));
                assert_eq!(again.stops.len(), 2 * state.stops.len());
            }
            let id = std::str::from_utf8(rest).ok().and_then(ServerId::of);
            assert!(id.is_none_or(|id| id.0 == rest));
        }
    }
}

/// Neither a part of what is read nor anything longer is read.
fn whole<T: PartialEq + std::fmt::Debug>(bytes: &[u8], read: impl Fn(&[u8]) -> Said<T>) {
    if read(bytes).is_err() {
        return;
    }
    assert!(read(&bytes[..bytes.len() - 1]).is_err() && read(&[bytes, &[0]].concat()).is_err());
}

fn money(recipe: &mut Recipe<'_>) -> Micros {
    Micros(recipe.u32().cast_signed().into())
}

/// An answer, and a report that it answers.
fn cook(recipe: &mut Recipe<'_>) {
    let advertiser = AdvertiserId(recipe.u32());
    let counts: [u8; 4] = std::array::from_fn(|_| recipe.u8() & 3);
    let report = Report {
        part: Part::Advertiser(advertiser),
        number: recipe.u64(),
        leases: vec![LeaseReport::new(CampaignId(1), Day(2)); counts[2].into()],
        ..Report::default()
    };
    let until = UnixMillis(recipe.u64());
    let why = |recipe: &mut Recipe<'_>| Why::of(recipe.u8() & 3).expect("one of four");
    let answer = Answer {
        part: report.part,
        incarnation: report.incarnation,
        number: report.number,
        sent: report.sent,
        renews: recipe.u8() & 1 == 1,
        epoch: Epoch(recipe.u32()),
        standing: [Standing::Current, Standing::Learning(until), Standing::Replaced, Standing::Unknown]
            [usize::from(recipe.u8() & 3)],
        booked: recipe.u64(),
        asked: Vec::new(),
        foreign: (0..counts[1])
            .map(|_| Foreign {
                number: recipe.u64(),
                lease: LeaseId(recipe.u64()),
                reservation: ReservationId(recipe.u64()),
                exchange: ExchangeKey(recipe.u32()),
                reserved: money(recipe),
                amount: money(recipe),
                expires: UnixMillis(recipe.u64()),
            })
            .collect(),
        leases: (0..counts[2])
            .map(|_| LeaseAnswer {
                campaign: CampaignId(recipe.u32()),
                advertiser,
                day: Day(recipe.u32()),
                lease: Some(LeaseId(recipe.u64())).filter(|lease| lease.0 > 0),
                granted: money(recipe),
                available: money(recipe),
                budget: money(recipe),
                settled: money(recipe),
                expected: money(recipe),
                share: recipe.u32(),
                exposure: Some(money(recipe)).filter(|exposure| *exposure >= Micros::ZERO),
            })
            .collect(),
        stops: (0..counts[3])
            .map(|at| {
                (
                    if at & 1 == 0 { Scope::Campaign(CampaignId(recipe.u32())) } else { Scope::Advertiser(advertiser) },
                    why(recipe),
                )
            })
            .collect(),
    };
    let position = Position { epoch: answer.epoch, version: recipe.u64(), at: UnixMillis(recipe.u64()) };
    let bytes = written(&position, &answer, until);
    assert_eq!(decode::report(&report, &bytes), Ok((position, Reply::Done(answer))));
    whole(&bytes, |bytes| decode::report(&report, bytes));
    for end in 0..bytes.len() {
        assert!(decode::report(&report, &bytes[..end]).is_err(), "cut at {end}");
    }
}

/// By the layouts at the head of corebid.lua.
fn written(position: &Position, answer: &Answer, until: UnixMillis) -> Vec<u8> {
    let mut out = vec![0];
    out.extend(position.epoch.0.to_le_bytes());
    out.extend(position.version.to_le_bytes());
    out.extend(position.at.0.to_le_bytes());
    out.push(match answer.standing {
        Standing::Current => 0,
        Standing::Learning(_) => 1,
        Standing::Replaced => 2,
        Standing::Unknown => 3,
    });
    out.extend(until.0.to_le_bytes());
    out.extend(answer.booked.to_le_bytes());
    out.push(answer.renews.into());
    for count in [answer.asked.len(), answer.foreign.len(), answer.leases.len(), answer.stops.len()] {
        out.extend((count as u32).to_le_bytes());
    }
    for (ticket, booked) in &answer.asked {
        let (what, amount) = match booked {
            Booked::Safe => (0, Micros::ZERO),
            Booked::Before(amount) => (1, *amount),
            Booked::Expired => (2, Micros::ZERO),
            Booked::Unknown => (3, Micros::ZERO),
        };
        out.extend(ticket.to_le_bytes());
        out.push(what);
        out.extend(amount.0.to_le_bytes());
    }
    for foreign in &answer.foreign {
        out.extend([foreign.number, foreign.lease.0, foreign.reservation.0].map(u64::to_le_bytes).concat());
        out.extend(foreign.exchange.0.to_le_bytes());
        out.extend([foreign.reserved.0, foreign.amount.0].map(i64::to_le_bytes).concat());
        out.extend(foreign.expires.0.to_le_bytes());
    }
    for lease in &answer.leases {
        out.extend([lease.campaign.0, lease.day.0].map(u32::to_le_bytes).concat());
        out.extend(lease.lease.unwrap_or_default().0.to_le_bytes());
        let sums = [lease.granted, lease.available, lease.budget, lease.settled, lease.expected];
        out.extend(sums.map(|Micros(sum)| sum.to_le_bytes()).concat());
        out.extend(lease.share.to_le_bytes());
        out.extend(lease.exposure.map_or(-1, |exposure| exposure.0).to_le_bytes());
    }
    for (scope, why) in &answer.stops {
        let (scope, id) = match scope {
            Scope::Campaign(campaign) => (0, campaign.0),
            Scope::Advertiser(advertiser) => (1, advertiser.0),
        };
        out.push(scope);
        out.extend(id.to_le_bytes());
        out.push(*why as u8);
    }
    out
}
