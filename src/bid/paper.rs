//! The paper of a bid: its ids, what its notices will prove, and their signed URLs.

use crate::bid::ids::{BidIds, Snowflake};
use crate::bid::offers::Offer;
use crate::limits;
use crate::ring::message::{Claim, NoticeKind, Reserved};
use crate::snapshot::campaign::markup::Values;
use crate::snapshot::campaign::{Ad, Campaign};
use crate::units::{BidId, CpmMicros, Incarnation, LeaseId, Micros, NodeId, Now, Slot, UnixMillis, UserKey};
use crate::wire::json::Text;
use crate::wire::notice::{self, Signer, Verified};
use crate::wire::openrtb::response::{Bid, MarkupType, Out};

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
const _: () = assert!(URL_BYTES <= limits::NOTICE_URL_BYTES);

/// The paper of one bid.
#[derive(Debug)]
pub struct Deed {
    claim: Claim,
    urls: [[u8; URL_BYTES]; 3],
    lengths: [usize; 3],
}

impl Paper {
    /// Draws up a bid of `campaign` at `price`, backed by `lease`.
    pub fn draw(&mut self, now: Now, campaign: &Campaign, price: CpmMicros, lease: LeaseId, user: UserKey) -> Deed {
        let claim = Claim {
            reservation: self.reservations.next(now.wall),
            lease,
            price,
            expires: UnixMillis(now.wall.0 + limits::H2_MS),
            user,
            bid: self.bids.draw(),
            campaign: campaign.id,
            incarnation: self.incarnation,
            node: self.node,
        };
        let signed = self.signer.sign(&claim);
        let mut urls = [[0; URL_BYTES]; 3];
        let lengths = NoticeKind::ALL.map(|kind| {
            signed.write(kind, &self.base, &mut urls[kind as usize]).expect("URL_BYTES holds the longest URL")
        });
        Deed { claim, urls, lengths }
    }

    /// Reads the target of a notice request.
    #[inline]
    pub fn verify(&self, target: &[u8]) -> Verified {
        self.signer.verify(target)
    }
}

impl Deed {
    /// The bid, ready to be written.
    pub fn bid<'a>(&'a self, campaign: &'a Campaign, offer: &Offer, imp: &'a [u8]) -> Bid<'a> {
        let creative = &campaign.creatives[offer.creative as usize];
        Bid {
            id: self.bid_id(),
            imp,
            price: self.claim.price,
            deal: None,
            win_url: Some(self.url(NoticeKind::Win)),
            bill_url: Some(self.url(NoticeKind::Bill)),
            loss_url: Some(self.url(NoticeKind::Loss)),
            adomain: &campaign.adomain_json,
            campaign: &campaign.cid_json,
            creative: &creative.crid_json,
            cat: &campaign.cat_json,
            cattax: 1,
            attr: creative.attr,
            language: creative.language,
            size: Some(offer.size),
            duration: None,
            protocol: None,
            slot_in_pod: None,
            kind: MarkupType::Banner,
        }
    }

    /// Writes the markup of the bid that [`Deed::bid`] makes.
    pub fn markup(
        &self,
        campaign: &Campaign,
        offer: &Offer,
        auction: Text<'_>,
        imp: Text<'_>,
        seat: &str,
        out: &mut Out<'_>,
    ) {
        let [a, b, c, d, e, f, g, h, ..] = self.claim.bid.0;
        let values = Values {
            auction,
            bid: self.claim.bid,
            imp,
            seat: seat.as_bytes(),
            cachebuster: u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            currency: b"USD",
            price_macro: b"${AUCTION_PRICE}",
            click_macro: b"",
            bill_url: b"",
        };
        if let Ad::Banner(banner) = &campaign.creatives[offer.creative as usize].ad {
            banner.markup.write(&values, out);
        }
    }

    /// The reservation, as the reconciliation core hears of it.
    pub fn reserved(&self, slot: Slot, price: Micros) -> Reserved {
        let Claim { reservation, lease, expires, .. } = self.claim;
        Reserved { reservation, lease, slot, price, expires }
    }

    fn bid_id(&self) -> BidId {
        self.claim.bid
    }

    fn url(&self, kind: NoticeKind) -> &[u8] {
        &self.urls[kind as usize][..self.lengths[kind as usize]]
    }
}
