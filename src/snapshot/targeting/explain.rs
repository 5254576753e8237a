//! Why a campaign does not want a request, predicate by predicate, straight from its definition: slow, plain and complete.

use super::{Asked, DOMAIN_BYTES, Offer, codes};
use crate::limits;
use crate::snapshot::campaign::{Campaign, Rule};
use crate::wire::openrtb::request::Channel;

/// The first predicate that fails, in the order below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WhyNot {
    /// It is switched off.
    Disabled,
    /// It does not run at this time.
    Flight,
    /// It has no creative of an offered size.
    Size,
    /// Sites only, apps only.
    Channel,
    /// Another device type.
    Device,
    /// Neither the country nor the region is included, or one is excluded.
    Place,
    /// Neither the domain nor the bundle is included, or one is excluded.
    Inventory,
    /// The publisher is not included, or is excluded.
    Publisher,
    /// The exchange is not included, or is excluded.
    Exchange,
    /// The most it bids is below the floor.
    Floor,
}

impl WhyNot {
    /// One or two words, as `explain` prints them.
    pub const fn label(self) -> &'static str {
        match self {
            WhyNot::Disabled => "disabled",
            WhyNot::Flight => "flight",
            WhyNot::Size => "size",
            WhyNot::Channel => "channel",
            WhyNot::Device => "device",
            WhyNot::Place => "place",
            WhyNot::Inventory => "inventory",
            WhyNot::Publisher => "publisher",
            WhyNot::Exchange => "exchange",
            WhyNot::Floor => "floor",
        }
    }
}

/// Why the campaign is no candidate for the impression; `None` if it is one. The user's segments are not looked at.
pub fn why_not(campaign: &Campaign, asked: &Asked<'_>, offer: &Offer<'_>) -> Option<WhyNot> {
    let targeting = &campaign.targeting;
    let offered = &offer.shapes[..offer.shapes.len().min(limits::SHAPES)];
    let domain = if asked.channel == Channel::Site { known_domain(asked.domain) } else { &[] };
    let bundle = if asked.channel == Channel::App { asked.bundle } else { &[] };
    let on_site = |listed: &String| below(domain, listed.as_bytes());
    let in_app = |listed: &String| !bundle.is_empty() && listed.as_bytes() == bundle;
    let subdivision = codes::subdivision(asked.region);
    let in_country = |listed: &String| listed.as_bytes().eq_ignore_ascii_case(asked.country);
    let in_region = |listed: &String| {
        listed.split_once('-').is_some_and(|(country, region)| {
            country.as_bytes().eq_ignore_ascii_case(asked.country)
                && region.as_bytes().eq_ignore_ascii_case(subdivision)
        })
    };
    let of_publisher = |listed: &String| listed.as_bytes() == asked.publisher;
    let of_exchange = |listed: &String| listed.as_bytes() == asked.exchange;

    let wrong = [
        (WhyNot::Disabled, !campaign.enabled),
        (WhyNot::Flight, !campaign.flight.contains(asked.now)),
        (WhyNot::Size, !campaign.creatives.iter().any(|creative| offered.contains(&creative.shape()))),
        (WhyNot::Channel, !targeting.channels.is_empty() && !targeting.channels.contains(&asked.channel)),
        (WhyNot::Device, !targeting.devices.is_empty() && !targeting.devices.contains(&asked.device)),
        (WhyNot::Place, !allows(&targeting.countries, in_country, &targeting.regions, in_region)),
        (WhyNot::Inventory, !allows(&targeting.sites, on_site, &targeting.bundles, in_app)),
        (WhyNot::Publisher, !allows(&targeting.publishers, of_publisher, &Rule::default(), |_| false)),
        (WhyNot::Exchange, !allows(&targeting.exchanges, of_exchange, &Rule::default(), |_| false)),
        (WhyNot::Floor, campaign.cpm < offer.floor),
    ];
    wrong.into_iter().find_map(|(why, wrong)| wrong.then_some(why))
}

/// Two lists that are one: included if either includes, excluded if either excludes.
fn allows(a: &Rule<String>, is_a: impl Fn(&String) -> bool, b: &Rule<String>, is_b: impl Fn(&String) -> bool) -> bool {
    let nothing_included = a.include.is_empty() && b.include.is_empty();
    (nothing_included || a.include.iter().any(&is_a) || b.include.iter().any(&is_b))
        && !a.exclude.iter().any(&is_a)
        && !b.exclude.iter().any(&is_b)
}

fn known_domain(domain: &[u8]) -> &[u8] {
    let domain = domain.strip_suffix(b".").unwrap_or(domain);
    if domain.len() > DOMAIN_BYTES { &[] } else { domain }
}

/// Whether `domain` is `listed` or a subdomain of it.
fn below(domain: &[u8], listed: &[u8]) -> bool {
    domain.len() >= listed.len() && {
        let (rest, end) = domain.split_at(domain.len() - listed.len());
        end.eq_ignore_ascii_case(listed) && (rest.is_empty() || rest.ends_with(b"."))
    }
}
