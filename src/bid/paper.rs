//! The paper of a bid: its ids, what its notices will prove, and their signed URLs.

use crate::bid::admit::{Exchange, Exchanges};
use crate::bid::ids::BidIds;
use crate::bid::train::Sample;
use crate::config::exchange::Billing;
use crate::ids::Snowflake;
use crate::limits;
use crate::ring::message::{Agreed, Claim, NoticeKind, NoticePrice, Reserved};
use crate::shading::Arm;
use crate::snapshot::campaign::Campaign;
use crate::snapshot::campaign::markup::Outcomes;
use crate::units::{
    ArmId, BidId, CpmMicros, Incarnation, LeaseId, Micros, Multiplier, NodeId, Now, PathKey, Slot, Terms, UnixMillis,
    UserKey,
};
use crate::wire::notice::{self, Signer, Verified};
use crate::wire::price::{self, Reading};

/// Draws up the paper of bids, and reads it when it comes back.
#[derive(Debug)]
pub struct Paper {
    /// This node.
    pub node: NodeId,
    /// This process start.
    pub incarnation: Incarnation,
    /// Scheme and authority under which exchanges reach us, at most [`BASE_BYTES`].
    pub base: Box<[u8]>,
    /// Signs notice URLs.
    pub signer: Signer,
    /// Reservation ids.
    pub reservations: Snowflake,
    /// `Bid.id`.
    pub bids: BidIds,
}

/// The longest scheme and authority of a notice URL.
pub const BASE_BYTES: usize = 256;
const URL_BYTES: usize = notice::url_bytes(BASE_BYTES);
// What takes the place of the macros is no longer than what is read of it.
const _: () = assert!(URL_BYTES + 3 * price::VALUE_BYTES <= limits::NOTICE_URL_BYTES);
const _: () = assert!(notice::outcome_url_bytes(BASE_BYTES) <= limits::OUTCOME_URL_BYTES);

/// What the paper of a bid is drawn up from.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// When the bid is made.
    pub now: Now,
    /// Who bids.
    pub campaign: &'a Campaign,
    /// Which of its creatives, by its place.
    pub creative: u8,
    /// What, in the bid's currency.
    pub price: CpmMicros,
    /// What turns that into money.
    pub terms: Terms,
    /// What backs it.
    pub lease: LeaseId,
    /// To whom it would be shown.
    pub user: UserKey,
    /// The supply path that a win counts for.
    pub path: PathKey,
    /// The arm of a rollout that it is of.
    pub arm: ArmId,
    /// Whether the training log may hear of it.
    pub sample: Sample,
    /// Who asked.
    pub exchange: &'a Exchange,
    /// Whether it was a test, so that nothing is reserved or billed.
    pub test: bool,
}

/// The paper of one bid.
#[derive(Debug)]
pub struct Deed {
    claim: Claim,
    path: PathKey,
    arm: ArmId,
    urls: [[u8; URL_BYTES]; 3],
    lengths: [usize; 3],
}

/// Where a click on a bid, and a conversion after it, are told.
#[derive(Debug)]
pub struct OutcomeUrls {
    urls: [[u8; limits::OUTCOME_URL_BYTES]; 2],
    lengths: [usize; 2],
}

/// What a notice says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it tells.
    pub kind: NoticeKind,
    /// The clearing price.
    pub price: NoticePrice,
    /// How many impressions it is for, at most what was claimed.
    pub multiplier: Multiplier,
    /// The supply path it counts for.
    pub path: PathKey,
    /// The arm of a rollout that the bid is of.
    pub arm: ArmId,
    /// Of a loss, why, if the exchange says so.
    pub loss: Option<u16>,
    /// The least that would have won, in the bid's currency, if the exchange says so.
    pub to_win: Option<CpmMicros>,
    /// The bid.
    pub claim: Claim,
}

/// The exchange could not read the bid response, or it broke its rules (OpenRTB 2.5 section 5.25).
pub const INVALID_RESPONSE: u16 = 3;

impl Paper {
    /// Draws up a bid.
    ///
    /// # Panics
    /// If its id was not asked for ([`Snowflake::has`]).
    pub fn draw(&mut self, draft: Draft<'_>) -> Deed {
        let Draft { now, campaign, creative, price, terms, lease, user, path, arm, sample, exchange, test } = draft;
        let bid = self.bids.draw();
        let logged = Agreed::LOGGED.when(!test && sample.takes(bid));
        let claim = Claim {
            reservation: self.reservations.next(now).expect("ids were asked for"),
            lease,
            price,
            terms,
            expires: UnixMillis(now.wall.0 + exchange.rules.h2_ms()),
            user,
            bid,
            campaign: campaign.id,
            incarnation: self.incarnation,
            node: self.node,
            exchange: exchange.key,
            agreed: exchange.agreed().and(Agreed::TEST.when(test)).and(logged),
            creative,
        };
        let signed = self.signer.sign(&claim, path, arm).asking_to_win(exchange.shading.arm != Arm::None);
        let mut urls = [[0; URL_BYTES]; 3];
        let lengths = NoticeKind::OF_EXCHANGE.map(|kind| {
            // The bill's may stand elsewhere than in `burl`.
            let rules = &exchange.rules;
            let elsewhere = [rules.billing, rules.video_billing] != [Billing::Burl; 2];
            if !(rules.sends(kind) || kind == NoticeKind::Bill && elsewhere) {
                return 0;
            }
            let url = &mut urls[kind as usize];
            signed.write(kind, &self.base, exchange.rules.price, url).expect("URL_BYTES holds the longest URL")
        });
        Deed { claim, path, arm, urls, lengths }
    }

    /// The addresses that tell of a click and a conversion: for bids whose markup has a place for them.
    pub fn outcomes(&self, deed: &Deed) -> OutcomeUrls {
        let signed = self.signer.sign_outcomes(&deed.claim, deed.path, deed.arm);
        let mut urls = [[0; limits::OUTCOME_URL_BYTES]; 2];
        let mut write = |at: usize| {
            let written = signed.write(NoticeKind::OUTCOMES[at], &self.base, &mut urls[at]);
            written.expect("OUTCOME_URL_BYTES holds the longest")
        };
        let lengths = [write(0), write(1)];
        OutcomeUrls { urls, lengths }
    }

    /// Reads the target of a notice request. Nothing if we did not sign it.
    ///
    /// Whether its price is encrypted is part of what was signed; only the keys are the exchange's of today.
    #[inline]
    pub fn read(&self, target: &[u8], exchanges: &Exchanges) -> Option<Heard> {
        let Verified::Claim { kind, claim, path, arm, query } = self.signer.verify(target) else { return None };
        let price = match exchanges.by_key(claim.exchange).map(|exchange| &exchange.reading) {
            _ if !claim.agreed.any(Agreed::ENCRYPTED) => Reading::Plain.price(query),
            Some(reading @ Reading::Encrypted(..)) => reading.price(query),
            _ => Reading::Blind.price(query),
        };
        // Asked for only where there is more than one to count.
        let claimed = claim.terms.multiplier;
        let multiplier = if claimed != Multiplier::ONE { price::multiplier(query, claimed) } else { claimed };
        let loss = if kind == NoticeKind::Loss { price::loss(query) } else { None };
        Some(Heard { kind, price, multiplier, path, arm, loss, to_win: price::to_win(query), claim })
    }
}

impl Deed {
    /// The reservation, as the reconciliation core hears of it.
    pub fn reserved(&self, slot: Slot, price: Micros) -> Reserved {
        let Claim { reservation, lease, expires, exchange, .. } = self.claim;
        Reserved { reservation, lease, slot, price, expires, exchange }
    }

    /// `Bid.id`.
    pub fn bid_id(&self) -> BidId {
        self.claim.bid
    }

    /// `Bid.price`.
    pub fn price(&self) -> CpmMicros {
        self.claim.price
    }

    /// Whether the training log is to hear of it.
    pub fn is_logged(&self) -> bool {
        self.claim.agreed.any(Agreed::LOGGED)
    }

    /// The URL of a notice of [`NoticeKind::OF_EXCHANGE`]; empty where the exchange gets none.
    pub fn url(&self, kind: NoticeKind) -> &[u8] {
        &self.urls[kind as usize][..self.lengths[kind as usize]]
    }
}

impl OutcomeUrls {
    /// What creatives are told of them.
    pub fn as_values(&self) -> Outcomes<'_> {
        let [click, conversion] = [0, 1].map(|at| &self.urls[at][..self.lengths[at]]);
        let token = memchr::memrchr(b'/', conversion).map_or(conversion, |at| &conversion[at + 1..]);
        Outcomes { click, conversion, token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::exchange::{NoticeUrl, Notices};
    use crate::config::{Config, Exchange as Section};
    use crate::ring::message::Notice;
    use crate::secrets::Key;
    use crate::snapshot::data::{Data, Source};
    use crate::wire::price::Scheme;
    use crate::wire::price_cipher::PriceCipher;

    fn paper() -> Paper {
        Paper {
            node: NodeId(1),
            incarnation: Incarnation(2),
            base: b"http://bid.example"[..].into(),
            signer: Signer::new(1, &[3; 32]),
            reservations: Snowflake::new(4, UnixMillis(0)),
            bids: BidIds::from_kernel().unwrap(),
        }
    }

    /// From the draft to the money: a screen at an exchange that hides its prices, bills alone, and has an H2 of its own.
    #[test]
    fn what_was_drawn_up_is_what_is_read() {
        let (mut paper, cipher) = (paper(), PriceCipher::new(&[5; 32], &[6; 32]));
        let mut config = Config::demo(std::path::Path::new(""));
        let mut section = Section::generic("screens");
        section.reading = Reading::Encrypted(Scheme::Google, cipher.clone());
        section.rules.price = Scheme::Google;
        section.rules.losses_final = true;
        section.rules.h2_minutes = 90;
        section.rules.notices = Notices::from_iter([NoticeUrl::Burl]);
        config.exchanges.push(section);
        let exchanges = Exchanges::new(&config);
        let data = Data::load(Source::demo(None), &Key([0; 32])).unwrap();
        let draft = Draft {
            now: Now { wall: UnixMillis(1_800_000_000_000), ..Now::default() },
            campaign: &data.campaigns()[0],
            creative: 0,
            price: CpmMicros(2_500_000),
            terms: Terms { multiplier: Multiplier(30_300_000), ..Terms::PLAIN },
            lease: LeaseId(7),
            user: UserKey(8),
            path: PathKey([9; 6]),
            arm: ArmId(6),
            sample: Sample::NONE,
            exchange: exchanges.by_name("screens").unwrap(),
            test: false,
        };
        let deed = paper.draw(draft);
        assert!(deed.url(NoticeKind::Win).is_empty() && deed.url(NoticeKind::Loss).is_empty());
        assert_eq!(deed.claim.expires.0, draft.now.wall.0 + 90 * 60_000);
        assert_eq!(deed.claim.agreed, Agreed::ENCRYPTED.and(Agreed::LOSS_IS_FINAL));

        let url = String::from_utf8(deed.url(NoticeKind::Bill).to_vec()).unwrap();
        let called = |price: &str, multiplier: &str| {
            let target = url.strip_prefix("http://bid.example").unwrap().replace("%%WINNING_PRICE%%", price);
            target.replace("${AUCTION_MULTIPLIER}", multiplier).into_bytes()
        };
        let hidden = String::from_utf8(cipher.encrypt(&[9; 16], 2_500_000).to_vec()).unwrap();
        for (multiplier, cost) in [("30.3", 75_750), ("10", 25_000), ("99", 75_750), ("", 75_750)] {
            let Heard { kind, price, multiplier, path, arm, claim, .. } =
                paper.read(&called(&hidden, multiplier), &exchanges).unwrap();
            assert_eq!((kind, path, arm, claim), (NoticeKind::Bill, draft.path, ArmId(6), deed.claim));
            let NoticePrice::Cpm(cpm) = price else { panic!("{price:?}") };
            assert_eq!(Notice { ticket: 0, kind, price, multiplier, path, arm, claim }.cost(cpm), Micros(cost));
        }
        let price = |target: &[u8], exchanges: &Exchanges| paper.read(target, exchanges).unwrap().price;
        assert_eq!(price(&called("2.5", ""), &exchanges), NoticePrice::Unreadable);

        // The exchange is dropped from the configuration, or turns to plain prices: this bid stays what it was.
        config.exchanges.pop();
        assert_eq!(price(&called(&hidden, ""), &Exchanges::new(&config)), NoticePrice::Unreadable);
        config.exchanges.push(Section::generic("screens"));
        assert_eq!(price(&called("2.5", ""), &Exchanges::new(&config)), NoticePrice::Unreadable);

        let exchange = exchanges.by_name("generic").unwrap();
        let test = paper.draw(Draft { exchange, test: true, terms: Terms::PLAIN, ..draft });
        assert_eq!(test.claim.agreed, Agreed::TEST);
        assert!(test.url(NoticeKind::Loss).ends_with(b"?p=${AUCTION_PRICE}&l=${AUCTION_LOSS}"));
        let lost = String::from_utf8(test.url(NoticeKind::Loss).to_vec()).unwrap().replace("${AUCTION_LOSS}", "3");
        let heard = paper.read(lost.strip_prefix("http://bid.example").unwrap().as_bytes(), &exchanges).unwrap();
        assert_eq!((heard.kind, heard.loss), (NoticeKind::Loss, Some(INVALID_RESPONSE)));

        // What the creative tells, and what its landing page hands on.
        let logged = paper.draw(Draft { exchange, sample: Sample::of(1), ..draft });
        assert!(logged.is_logged() && !test.is_logged());
        let urls = paper.outcomes(&logged);
        let Outcomes { click, conversion, token } = urls.as_values();
        let made = ["http://bid.example/notice/conversion/".as_bytes(), token].concat();
        assert_eq!(made, conversion);
        for (url, kind) in [(click, NoticeKind::Click), (conversion, NoticeKind::Conversion)] {
            let heard = paper.read(url.strip_prefix(b"http://bid.example").unwrap(), &exchanges).unwrap();
            assert_eq!((heard.kind, heard.arm, heard.claim), (kind, ArmId(6), logged.claim));
            assert_eq!((heard.price, heard.loss), (NoticePrice::Empty, None));
        }
    }
}
