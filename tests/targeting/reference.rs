//! The slow matcher: who wants an impression, by the words of the definitions, campaign by campaign. It shares no code with
//! the index or with `explain`.

use corebid::snapshot::campaign::{Campaign, Circle, Rule, Shape};
use corebid::wire::openrtb::agent::{Browser, Os};
use corebid::wire::openrtb::request::{Channel, Point};

/// A request and one of its impressions, owned.
#[derive(Clone, Debug, Default)]
pub(super) struct Request {
    pub(super) country: String,
    pub(super) region: String,
    pub(super) city: String,
    pub(super) zip: String,
    pub(super) point: Option<Point>,
    pub(super) device: u8,
    pub(super) os: Os,
    pub(super) browser: Browser,
    pub(super) carrier: String,
    pub(super) connection: u8,
    pub(super) categories: Vec<String>,
    pub(super) language: String,
    /// The hour of the week by zone.
    pub(super) hours: Vec<(String, u8)>,
    pub(super) channel: Channel,
    pub(super) domain: String,
    pub(super) bundle: String,
    pub(super) publisher: String,
    pub(super) exchange: String,
    /// Unix seconds.
    pub(super) now: u64,
    pub(super) shapes: Vec<Shape>,
    pub(super) floor: i64,
    pub(super) deals: Vec<String>,
    pub(super) deals_only: bool,
}

/// What a campaign would be listed with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fit {
    pub(super) shape: usize,
    pub(super) creative: usize,
    pub(super) deal: Option<usize>,
}

/// What the campaign would be listed with if its price is enough; `None` if it does not want the impression.
pub(super) fn wants(campaign: &Campaign, request: &Request) -> Option<Fit> {
    let (all_say_yes, fit) = judge(campaign, request);
    fit.filter(|_| all_say_yes.iter().all(|&(_, yes)| yes))
}

/// Labels of all predicates that fail, the floor aside.
pub(super) fn failing(campaign: &Campaign, request: &Request) -> Vec<&'static str> {
    judge(campaign, request).0.into_iter().filter(|(_, yes)| !yes).map(|(label, _)| label).collect()
}

/// Whether a circle's rim is so near that rounding decides.
pub(super) fn on_the_rim(campaign: &Campaign, request: &Request) -> bool {
    let circles = &campaign.targeting.circles;
    let near = |circle: &Circle| {
        request.point.is_some_and(|at| (metres(circle.centre, at) - f64::from(circle.metres)).abs() < 0.001)
    };
    circles.include.iter().chain(&circles.exclude).any(near)
}

fn judge(campaign: &Campaign, request: &Request) -> (Vec<(&'static str, bool)>, Option<Fit>) {
    let t = &campaign.targeting;
    let now = request.now * 1000;

    let place = |list: fn(&Rule<String>) -> &Vec<String>, circles: &Vec<Circle>| {
        let country = request.country.to_uppercase();
        let subdivision = request.region.split_once('-').map_or(&request.region[..], |(_, after)| after).to_uppercase();
        let city = request.city.to_uppercase();
        let zip = request.zip.replace(' ', "").to_uppercase();
        let within =
            |part: &str| if country.is_empty() || part.is_empty() { None } else { Some(format!("{country}-{part}")) };
        let listed = |rule: &Rule<String>, name: Option<String>| {
            name.is_some_and(|name| list(rule).iter().any(|listed| listed.to_uppercase() == name))
        };
        let zips = Rule { include: spaceless(&t.zips.include), exclude: spaceless(&t.zips.exclude) };
        listed(&t.countries, Some(country.clone()).filter(|name| !name.is_empty()))
            || listed(&t.regions, within(&subdivision))
            || listed(&t.cities, within(&city))
            || listed(&zips, within(&zip))
            || circles.iter().any(|c| request.point.is_some_and(|at| metres(c.centre, at) <= f64::from(c.metres)))
    };
    let inclusions =
        [&t.countries, &t.regions, &t.cities, &t.zips].iter().map(|rule| rule.include.len()).sum::<usize>();
    let somewhere = inclusions + t.circles.include.len() > 0;
    let in_place = (!somewhere || place(|rule| &rule.include, &t.circles.include))
        && !place(|rule| &rule.exclude, &t.circles.exclude);

    let host = request.domain.to_lowercase();
    let dotted = format!(".{}", host.strip_suffix('.').unwrap_or(&host));
    let on = |site: &String| request.channel == Channel::Site && dotted.ends_with(&format!(".{site}"));
    let in_app = |bundle: &String| request.channel == Channel::App && *bundle == request.bundle;
    let some_inventory = !t.sites.include.is_empty() || !t.bundles.include.is_empty();
    let on_inventory = (!some_inventory || t.sites.include.iter().any(on) || t.bundles.include.iter().any(in_app))
        && !t.sites.exclude.iter().any(on)
        && !t.bundles.exclude.iter().any(in_app);

    let mut categories: Vec<String> = Vec::new();
    for category in request.categories.iter().take(32) {
        let category = category.to_uppercase();
        categories.extend(category.split_once('-').map(|(parent, _)| parent.to_owned()));
        categories.push(category);
    }
    let language = request.language.to_lowercase().split('-').next().unwrap().to_owned();
    let carrier = request.carrier.to_lowercase();

    let open = &campaign.creatives;
    let shape = request.shapes.iter().take(19).position(|shape| open.iter().any(|creative| creative.shape() == *shape));
    let deal = request.deals.iter().take(32).position(|deal| t.deals.contains(deal));
    let fit = shape.map(|shape| Fit {
        shape,
        creative: open.iter().position(|creative| creative.shape() == request.shapes[shape]).unwrap(),
        deal,
    });

    let verdicts = vec![
        ("disabled", campaign.enabled),
        ("flight", campaign.flight.start.0 <= now && now < campaign.flight.end.0),
        (
            "daypart",
            t.daypart.as_ref().is_none_or(|daypart| {
                request.hours.iter().any(|&(ref zone, hour)| {
                    *zone == daypart.zone
                        && (0..168)
                            .filter(|h| daypart.hours[h / 64] >> (h % 64) & 1 == 1)
                            .any(|h| h == usize::from(hour))
                })
            }),
        ),
        ("size", fit.is_some()),
        ("channel", t.channels.is_empty() || t.channels.contains(&request.channel)),
        ("device", t.devices.is_empty() || t.devices.iter().any(|&kind| kind == request.device && kind > 0)),
        ("os", one(&t.os, Some(request.os).filter(|&os| os != Os::Unknown))),
        ("browser", one(&t.browsers, Some(request.browser).filter(|&of| of != Browser::Unknown))),
        ("carrier", one(&lowered(&t.carriers), Some(carrier).filter(|name| !name.is_empty()))),
        ("connection", t.connections.is_empty() || t.connections.iter().any(|&of| of == request.connection && of > 0)),
        ("place", in_place),
        ("inventory", on_inventory),
        ("publisher", one(&t.publishers, Some(request.publisher.clone()).filter(|name| !name.is_empty()))),
        ("category", some(&uppered(&t.categories), &categories)),
        ("language", one(&t.languages, Some(language).filter(|name| !name.is_empty()))),
        ("exchange", one(&t.exchanges, Some(request.exchange.clone()).filter(|name| !name.is_empty()))),
        ("deal", if t.deals.is_empty() { !request.deals_only } else { deal.is_some() }),
    ];
    (verdicts, fit)
}

fn one<T: PartialEq>(rule: &Rule<T>, value: Option<T>) -> bool {
    some(rule, &value.into_iter().collect::<Vec<T>>())
}

fn some<T: PartialEq>(rule: &Rule<T>, values: &[T]) -> bool {
    (rule.include.is_empty() || values.iter().any(|value| rule.include.contains(value)))
        && !values.iter().any(|value| rule.exclude.contains(value))
}

fn lowered(rule: &Rule<String>) -> Rule<String> {
    let lower = |list: &[String]| list.iter().map(|name| name.to_lowercase()).collect();
    Rule { include: lower(&rule.include), exclude: lower(&rule.exclude) }
}

fn uppered(rule: &Rule<String>) -> Rule<String> {
    let upper = |list: &[String]| list.iter().map(|name| name.to_uppercase()).collect();
    Rule { include: upper(&rule.include), exclude: upper(&rule.exclude) }
}

fn spaceless(zips: &[String]) -> Vec<String> {
    zips.iter().map(|zip| zip.replace(' ', "")).collect()
}

/// The distance on a sphere of the earth's mean radius, by the haversine formula.
pub(super) fn metres(a: Point, b: Point) -> f64 {
    let radians = |millionths: i32| f64::from(millionths) / 1e6 * std::f64::consts::PI / 180.0;
    let (lat_a, lat_b) = (radians(a.lat), radians(b.lat));
    let square = |angle: f64| (angle / 2.0).sin().powi(2);
    let haversine = square(lat_b - lat_a) + lat_a.cos() * lat_b.cos() * square(radians(b.lon) - radians(a.lon));
    2.0 * 6_371_008.8 * haversine.sqrt().min(1.0).asin()
}
