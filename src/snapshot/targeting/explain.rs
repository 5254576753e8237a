//! Why a campaign does not want a request, predicate by predicate, straight from its definition: slow, plain and complete.

use super::globe::{Disc, Spot};
use super::{Asked, DOMAIN_BYTES, Offer, codes};
use crate::limits;
use crate::snapshot::campaign::{Campaign, Circle, Rule, Targeting};
use crate::wire::openrtb::agent::{Browser, Os};
use crate::wire::openrtb::request::Channel;

/// A predicate that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyNot {
    /// It is switched off.
    Disabled,
    /// It does not run at this time.
    Flight,
    /// It does not run at this hour of the week.
    Daypart,
    /// It has no creative of an offered size or format.
    Size,
    /// Sites only, apps only, screens only.
    Channel,
    /// Another device type.
    Device,
    /// The operating system is not included, or is excluded.
    Os,
    /// The browser is not included, or is excluded.
    Browser,
    /// The carrier is not included, or is excluded.
    Carrier,
    /// Another connection type.
    Connection,
    /// No country, region, city, postal code or circle includes the place, or one excludes it.
    Place,
    /// Neither the domain nor the bundle is included, or one is excluded.
    Inventory,
    /// The publisher is not included, or is excluded.
    Publisher,
    /// No category is included, or one is excluded.
    Category,
    /// The language is not included, or is excluded.
    Language,
    /// The exchange is not included, or is excluded.
    Exchange,
    /// It names deals and none of them is offered, or it names none and only deals are.
    Deal,
    /// The most it bids is below the floor.
    Floor,
}

impl WhyNot {
    /// One or two words, as `explain` prints them.
    pub const fn label(self) -> &'static str {
        match self {
            WhyNot::Disabled => "disabled",
            WhyNot::Flight => "flight",
            WhyNot::Daypart => "daypart",
            WhyNot::Size => "size",
            WhyNot::Channel => "channel",
            WhyNot::Device => "device",
            WhyNot::Os => "os",
            WhyNot::Browser => "browser",
            WhyNot::Carrier => "carrier",
            WhyNot::Connection => "connection",
            WhyNot::Place => "place",
            WhyNot::Inventory => "inventory",
            WhyNot::Publisher => "publisher",
            WhyNot::Category => "category",
            WhyNot::Language => "language",
            WhyNot::Exchange => "exchange",
            WhyNot::Deal => "deal",
            WhyNot::Floor => "floor",
        }
    }
}

/// Why the campaign is no candidate for the impression: the first predicate that fails, in [`WhyNot`]'s order; `None` if it
/// is one. `zones` are those that [`Asked::hours`] goes by ([`super::Index::zones`]). The user's segments are not looked at.
pub fn why_not(campaign: &Campaign, zones: &[String], asked: &Asked<'_>, offer: &Offer<'_>) -> Option<WhyNot> {
    failing(campaign, zones, asked, offer).next()
}

/// As [`why_not`], but every predicate that fails.
pub fn why_nots(campaign: &Campaign, zones: &[String], asked: &Asked<'_>, offer: &Offer<'_>) -> Vec<WhyNot> {
    failing(campaign, zones, asked, offer).collect()
}

fn failing(
    campaign: &Campaign,
    zones: &[String],
    asked: &Asked<'_>,
    offer: &Offer<'_>,
) -> impl Iterator<Item = WhyNot> + use<> {
    let targeting = &campaign.targeting;
    let offered = &offer.shapes[..offer.shapes.len().min(limits::SHAPES)];
    let deals = &offer.deals[..offer.deals.len().min(limits::DEALS)];
    let in_deal = |deal: &String| deals.contains(&deal.as_bytes());
    let deal = if targeting.deals.is_empty() { !offer.deals_only } else { targeting.deals.iter().any(in_deal) };
    let of_publisher = |listed: &String| said(asked.publisher) && listed.as_bytes() == asked.publisher;
    let of_exchange = |listed: &String| said(asked.exchange) && listed.as_bytes() == asked.exchange;
    let of_carrier = |listed: &String| said(asked.carrier) && listed.as_bytes().eq_ignore_ascii_case(asked.carrier);
    let language = codes::parent(asked.language).unwrap_or(asked.language);
    let in_language = |listed: &String| said(language) && listed.as_bytes().eq_ignore_ascii_case(language);
    let on_os = |os: &Os| asked.os != Os::Unknown && *os == asked.os;
    let in_browser = |browser: &Browser| asked.browser != Browser::Unknown && *browser == asked.browser;

    let wrong = [
        (WhyNot::Disabled, !campaign.enabled),
        (WhyNot::Flight, !campaign.flight.contains(asked.now)),
        (WhyNot::Daypart, !in_hours(targeting, zones, asked)),
        (WhyNot::Size, !campaign.creatives.iter().any(|creative| offered.contains(&creative.shape()))),
        (WhyNot::Channel, !targeting.channels.is_empty() && !targeting.channels.contains(&asked.channel)),
        (WhyNot::Device, !is_one_of(&targeting.devices, asked.device)),
        (WhyNot::Os, !allows(&targeting.os, on_os)),
        (WhyNot::Browser, !allows(&targeting.browsers, in_browser)),
        (WhyNot::Carrier, !allows(&targeting.carriers, of_carrier)),
        (WhyNot::Connection, !is_one_of(&targeting.connections, asked.connection)),
        (WhyNot::Place, !in_place(targeting, asked)),
        (WhyNot::Inventory, !on_inventory(targeting, asked)),
        (WhyNot::Publisher, !allows(&targeting.publishers, of_publisher)),
        (WhyNot::Category, !allows(&targeting.categories, |listed| of_category(asked, listed))),
        (WhyNot::Language, !allows(&targeting.languages, in_language)),
        (WhyNot::Exchange, !allows(&targeting.exchanges, of_exchange)),
        (WhyNot::Deal, !deal),
        (WhyNot::Floor, campaign.cpm < offer.floor),
    ];
    wrong.into_iter().filter_map(|(why, wrong)| wrong.then_some(why))
}

fn said(value: &[u8]) -> bool {
    !value.is_empty()
}

fn is_one_of(listed: &[u8], kind: u8) -> bool {
    listed.is_empty() || kind != 0 && listed.contains(&kind)
}

/// What a list says of a request.
#[derive(Clone, Copy, Default)]
struct Says {
    includes_some: bool,
    included: bool,
    excluded: bool,
}

impl Says {
    fn of<T>(rule: &Rule<T>, is: impl Fn(&T) -> bool) -> Says {
        Says {
            includes_some: !rule.include.is_empty(),
            included: rule.include.iter().any(&is),
            excluded: rule.exclude.iter().any(&is),
        }
    }

    /// Two lists that are one: included if either includes, excluded if either excludes.
    fn and(self, other: Says) -> Says {
        Says {
            includes_some: self.includes_some | other.includes_some,
            included: self.included | other.included,
            excluded: self.excluded | other.excluded,
        }
    }

    fn allow(self) -> bool {
        (self.included || !self.includes_some) && !self.excluded
    }
}

fn allows<T>(rule: &Rule<T>, is: impl Fn(&T) -> bool) -> bool {
    Says::of(rule, is).allow()
}

fn in_hours(targeting: &Targeting, zones: &[String], asked: &Asked<'_>) -> bool {
    let Some(daypart) = &targeting.daypart else { return true };
    let zone = zones.iter().position(|zone| *zone == daypart.zone);
    let hour = zone.and_then(|zone| asked.hours.get(zone));
    hour.is_some_and(|&hour| daypart.contains(hour))
}

fn in_place(targeting: &Targeting, asked: &Asked<'_>) -> bool {
    let in_country = |listed: &str| said(asked.country) && listed.as_bytes().eq_ignore_ascii_case(asked.country);
    // `USA-CA`: the part behind the hyphen, if the country is right.
    let part = |listed: &str| {
        let (country, part) = listed.split_once('-')?;
        in_country(country).then(|| part.to_owned())
    };
    let is = |listed: &str, said_of: &[u8]| {
        said(said_of) && part(listed).is_some_and(|part| part.as_bytes().eq_ignore_ascii_case(said_of))
    };
    let without_spaces = |zip: &[u8]| zip.iter().copied().filter(|&byte| byte != b' ').collect::<Vec<u8>>();
    let zip = without_spaces(asked.zip);
    let in_zip = |listed: &str| {
        let part = part(listed).map(|part| without_spaces(part.as_bytes()));
        said(&zip) && part.is_some_and(|part| part.eq_ignore_ascii_case(&zip))
    };
    let in_circle = |circle: &Circle| asked.point.is_some_and(|at| Disc::of(circle).contains(&Spot::of(at)));
    Says::of(&targeting.countries, |listed| in_country(listed))
        .and(Says::of(&targeting.regions, |listed| is(listed, codes::subdivision(asked.region))))
        .and(Says::of(&targeting.cities, |listed| is(listed, asked.city)))
        .and(Says::of(&targeting.zips, |listed| in_zip(listed)))
        .and(Says::of(&targeting.circles, in_circle))
        .allow()
}

fn on_inventory(targeting: &Targeting, asked: &Asked<'_>) -> bool {
    let domain = if asked.channel == Channel::Site { known_domain(asked.domain) } else { &[] };
    let bundle = if asked.channel == Channel::App { asked.bundle } else { &[] };
    Says::of(&targeting.sites, |listed| below(domain, listed.as_bytes()))
        .and(Says::of(&targeting.bundles, |listed| said(bundle) && listed.as_bytes() == bundle))
        .allow()
}

/// Whether one of the request's categories is the listed one or directly below it.
fn of_category(asked: &Asked<'_>, listed: &str) -> bool {
    asked.categories.iter().take(limits::CATEGORIES).any(|category| {
        let is = |name: &[u8]| name.eq_ignore_ascii_case(listed.as_bytes());
        is(category) || codes::parent(category).is_some_and(is)
    })
}

fn known_domain(domain: &[u8]) -> &[u8] {
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    if domain.len() > DOMAIN_BYTES { &[] } else { domain }
}

/// Whether `domain` is `listed` or a subdomain of it.
pub fn below(domain: &[u8], listed: &[u8]) -> bool {
    said(domain) && domain.len() >= listed.len() && {
        let (rest, end) = domain.split_at(domain.len() - listed.len());
        end.eq_ignore_ascii_case(listed) && (rest.is_empty() || rest.ends_with(b"."))
    }
}
