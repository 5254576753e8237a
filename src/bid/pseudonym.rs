//! Under which pseudonym the user of a request is known, as far as it may be.

use crate::bid::Outcome;
use crate::bid::comply::consent::region;
use crate::bid::comply::{Basis, Personal};
use crate::bid::eligible::Scene;
use crate::config;
use crate::config::profiles::{Id, Regions};
use crate::snapshot::profiles::UserKeys;
use crate::units::UserKey;
use crate::wire::openrtb::request::{BidRequest, Parts};

/// Makes pseudonyms of ids.
#[derive(Debug)]
pub(super) struct Pseudonyms {
    keys: UserKeys,
    /// In the order in which they are looked for.
    ids: Box<[Id]>,
    regions: Regions,
}

/// A longer id names nobody.
const ID_BYTES: usize = 256;

impl Pseudonyms {
    pub(super) fn new(keys: UserKeys, config: &config::Profiles) -> Pseudonyms {
        Pseudonyms { keys, ids: config.ids.as_slice().into(), regions: config.regions }
    }

    /// The user's; nobody's without an id, or without leave to use it. The region is looked for only if there is an id.
    #[inline]
    pub(super) fn of<'r>(
        &self,
        personal: Option<&Personal>,
        scene: Scene<'_>,
        basis: &Basis,
        parts: &mut Parts<'r, '_>,
        request: &mut BidRequest<'r>,
    ) -> Result<UserKey, Outcome> {
        if personal.is_none() {
            return Ok(UserKey::NOBODY);
        }
        let found = self.ids.iter().find_map(|id| {
            let text = match id {
                Id::Buyer => request.buyeruid,
                Id::User => request.user_id,
                Id::Device => request.device.ifa,
                Id::Source(source) => parts.eid(source.name()),
            };
            (!text.is_empty()).then_some((id, text))
        });
        let mut room = [0; ID_BYTES];
        let Some((id, text)) = found else { return Ok(UserKey::NOBODY) };
        let Some(text) = text.unescape(&mut room) else { return Ok(UserKey::NOBODY) };
        let region = region(self.regions, scene, basis, parts, request)?;
        Ok(self.keys.key(region, id.space(&scene.exchange.name), text))
    }
}
