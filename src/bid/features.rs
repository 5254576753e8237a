//! What a request, its user and its time say, as features: fills the rows that models score and the rows that are logged for
//! training, with the same code.
//!
//! A request is read once for all its offers ([`Facts::shared`]), and for each offer only what depends on it
//! ([`Facts::of_offer`]). Who the user is comes from [`User`], which knows nobody without leave: a row has the fields of the
//! user for those who may be known, and NaN for all others.

use crate::bid::asked;
use crate::bid::eligible::{Memory, Scene};
use crate::bid::frequency::Seen;
use crate::bid::offers::Offer;
use crate::bid::user::User;
use crate::snapshot::campaign::Shape;
use crate::snapshot::features::source::Kind;
use crate::snapshot::features::{Schema, Source, Value, Values};
use crate::snapshot::targeting::host;
use crate::units::{UnixMillis, UserKey};
use crate::wire::json::Text;
use crate::wire::openrtb::request::{BidRequest, Channel, Parts, ScanError, Size};

/// Bytes of a page whose JSON has escapes in it that are looked at for its host (RFC 1035 section 2.3.4, and what stands before
/// it).
const PAGE_BYTES: usize = 512;
/// 1970-01-01 was a Thursday, three days after a Monday.
const DAYS_SINCE_MONDAY: u64 = 3;

/// Reads of a request what the schema wants and nobody else has asked for.
///
/// # Errors
/// A wrong type where nobody has looked yet.
#[inline]
pub fn read<'r>(
    schema: &Schema,
    parts: &mut Parts<'r, '_>,
    request: &mut BidRequest<'r>,
    memory: &mut Memory,
) -> Result<(), ScanError> {
    if schema.asks_agent() {
        parts.agent(request, |ua| memory.agents().of(ua))?;
    }
    Ok(())
}

/// What is known when an offer is scored.
#[derive(Debug)]
pub struct Facts<'f> {
    scene: Scene<'f>,
    request: &'f BidRequest<'f>,
    user: &'f User<'f>,
    seen: Seen<'f>,
    values: Values,
    /// The tag of the impression that was asked for last.
    tag: Option<(u8, Value)>,
}

impl<'f> Facts<'f> {
    /// About a request, once [`read`] has been asked, and its user.
    #[inline]
    pub fn new(scene: Scene<'f>, request: &'f BidRequest<'f>, user: &'f User<'f>, seen: Seen<'f>) -> Facts<'f> {
        Facts { scene, request, user, seen, values: Values::new(), tag: None }
    }

    /// Fills the columns that all offers share.
    ///
    /// # Panics
    /// If the row is shorter than [`Schema::width`].
    #[inline]
    pub fn shared(&mut self, schema: &Schema, row: &mut [f32]) {
        self.values.clear();
        for &source in schema.of_request() {
            let value = self.of_request(source);
            self.values.push(value);
        }
        schema.encode(schema.shared(), &self.values, row);
    }

    /// Fills the columns that depend on the offer. After [`Facts::shared`] with the same schema.
    ///
    /// # Panics
    /// If the row is shorter than [`Schema::width`].
    #[inline]
    pub fn of_offer(&mut self, schema: &Schema, offer: &Offer, row: &mut [f32]) {
        assert!(self.values.len() >= schema.of_request().len(), "an offer before what its request says");
        self.values.truncate(schema.of_request().len());
        for &source in schema.of_offer() {
            let value = self.of(source, offer);
            self.values.push(value);
        }
        schema.encode(schema.varying(), &self.values, row);
    }

    fn of_request(&self, source: Source) -> Value {
        let Facts { scene, request, user, .. } = self;
        let device = &request.device;
        let text = |text: Text<'_>| Value::of(text, source.kind() == Kind::Text { caseless: true });
        match source {
            Source::Hour => Value::whole(scene.now.wall.hour().into()),
            Source::Weekday => Value::whole(((scene.now.wall.0 / UnixMillis::DAY + DAYS_SINCE_MONDAY) % 7) as i64),
            Source::Exchange => Value::text(scene.exchange.name.as_bytes()),
            Source::Auction => Value::whole(request.at.into()),
            Source::Impressions => Value::whole(request.imps.len() as i64),
            Source::Channel => code(request.channel as u8, source),
            Source::Device => unless_zero(device.kind.into()),
            Source::Connection => unless_zero(device.connection.into()),
            Source::Os => code(device.os as u8, source),
            Source::Browser => code(device.browser as u8, source),
            Source::Language => text(device.language),
            Source::Carrier => text(device.carrier),
            Source::Country => match request.place().country.is_empty() {
                true => {
                    let place = asked::by_address(scene.snapshot, request);
                    place.and_then(|place| place.country).map_or(Value::MISSING, |country| Value::caseless(&country))
                }
                false => text(request.place().country),
            },
            Source::Region => text(request.place().region),
            Source::Domain => match request.channel {
                Channel::Site if request.domain.is_empty() => {
                    Value::caseless(host(asked::beginning(request.page, &mut [0; PAGE_BYTES])))
                }
                _ => text(request.domain),
            },
            Source::Bundle => text(request.bundle),
            Source::Publisher => text(request.publisher),
            Source::Segments => {
                user.profile().map_or(Value::MISSING, |profile| Value::whole(profile.segments.len() as i64))
            }
            Source::Segment(segment) => {
                user.profile().map_or(Value::MISSING, |profile| Value::flag(profile.segments.contains(segment)))
            }
            _ => unreachable!("{source} is of an offer"),
        }
    }

    fn of(&mut self, source: Source, offer: &Offer) -> Value {
        let &mut Facts { scene, request, user, ref seen, .. } = self;
        let imp = &request.imps[usize::from(offer.imp)];
        let campaign = scene.snapshot.campaign(offer.campaign);
        match source {
            Source::Width => unless_zero(offer.size(request).w.into()),
            Source::Height => unless_zero(offer.size(request).h.into()),
            Source::Area => {
                let Size { w, h } = offer.size(request);
                unless_zero(i64::from(w) * i64::from(h))
            }
            Source::Position => unless_zero(offer.position(request).into()),
            Source::Format => code(
                match offer.shape {
                    Shape::Banner(_) => 1,
                    Shape::Video => 2,
                    Shape::Audio => 3,
                    Shape::Native => 4,
                },
                source,
            ),
            Source::Interstitial => Value::flag(imp.interstitial),
            Source::Tag => match self.tag {
                Some((of, tag)) if of == offer.imp => tag,
                _ => {
                    let tag = Value::of(imp.tagid, false);
                    self.tag = Some((offer.imp, tag));
                    tag
                }
            },
            Source::Floor => Value::micros(offer.floor.0),
            Source::Deal => offer.sold_by(request).map_or(Value::MISSING, |deal| Value::of(deal.id, false)),
            Source::Seconds => unless_zero(offer.seconds.into()),
            Source::Campaign => Value::whole(campaign.id.0.into()),
            Source::Creative => campaign.creatives[usize::from(offer.creative)].feature,
            Source::Advertiser => Value::whole(campaign.advertiser.0.into()),
            Source::MaxCpm => Value::micros(campaign.cpm.0),
            Source::Shown(per, window) => {
                let shown = campaign.shown(offer.creative);
                match user.key() != UserKey::NOBODY && shown.counters.has(per, window) {
                    true => Value::whole(seen.times(shown.of(per), window).into()),
                    false => Value::MISSING,
                }
            }
            _ => unreachable!("{source} is of a request"),
        }
    }
}

/// A number of which 0 says that it is not known.
#[inline]
fn unless_zero(number: i64) -> Value {
    if number == 0 { Value::MISSING } else { Value::whole(number) }
}

#[inline]
fn code(code: u8, source: Source) -> Value {
    match source.kind() {
        Kind::Code(names) => Value::named(code, Source::name_of(names, code)),
        Kind::Number | Kind::Text { .. } => unreachable!("{source} has no codes"),
    }
}
