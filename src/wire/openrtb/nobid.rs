//! Why a request was answered with no bid: one exhaustive enum, in the order of the stages that say it.

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident $label:literal $stage:ident $nbr:literal;)*) => {
        /// Every reason for an answer without a bid. `nbr` codes are those of OpenRTB 3.0, list "No-Bid Reason Codes".
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum NoBidReason { $($(#[$doc])* $name,)* }

        impl NoBidReason {
            /// All reasons, in the order of the stages.
            pub const ALL: &'static [NoBidReason] = &[$(NoBidReason::$name,)*];

            /// The name used in the `x-nobid-reason` header, the metrics and `explain`.
            pub const fn label(self) -> &'static str {
                match self { $(NoBidReason::$name => $label,)* }
            }

            /// The stage that said no.
            pub const fn stage(self) -> crate::metrics::stage::Stage {
                match self { $(NoBidReason::$name => crate::metrics::stage::Stage::$stage,)* }
            }

            /// The IAB code for `BidResponse.nbr`.
            pub const fn nbr(self) -> u16 {
                match self { $(NoBidReason::$name => $nbr,)* }
            }
        }
    };
}

reasons! {
    /// No exchange of the configuration has this path.
    UnknownExchange "unknown_exchange" Admit 2;
    /// The request was too old when it was framed, or would be before it could be answered.
    Shed "shed" Admit 15;
    /// The request came, or may have come, while the core was kept from its loop, and was too old when it went on.
    Stalled "stalled" Admit 15;
    /// The node has no fresh lease at all: the reconciliation core is stalled, or has not granted yet.
    NoLease "no_lease" Admit 1;
    /// The exchange asks more than its limit of requests per second.
    Quota "quota" Admit 0;
    /// The body is encoded in a way the exchange's profile does not allow.
    Encoding "encoding" Admit 2;
    /// The document is JSON but not a bid request (no `id`, no `imp`, a field of the wrong type).
    NotABidRequest "not_a_bid_request" Scan 2;
    /// More of something than [`crate::limits`] admits, so that it could not be honoured.
    TooMuch "too_much" Scan 2;
    /// `tmax` minus the exchange's network margin leaves no time.
    NoTime "no_time" Scan 15;
    /// None of `cur` is a currency we can bid in.
    Currency "currency" Comply 0;
    /// The only currencies we could bid in have rates too old to bid by.
    StaleRates "stale_rates" Comply 0;
    /// Our seat is not in `wseat`, or is in `bseat`.
    Seat "seat" Comply 0;
    /// The country is one that is not answered.
    GeoFilter "geo_filter" Comply 0;
    /// The site's domain or the app's bundle is on our own block list.
    Blocklisted "blocklisted" Comply 7;
    /// The address is in a data centre.
    DataCenter "data_center" Comply 5;
    /// The user agent is that of a known bot.
    KnownBot "known_bot" Comply 3;
    /// What one address or one user asks for is more than people do.
    Velocity "velocity" Comply 4;
    /// The device is none that exists: what it says of itself contradicts itself.
    ImpossibleDevice "impossible_device" Comply 4;
    /// The GDPR applies, and there is no consent string that lets us process anything: none, one that cannot be read, one that
    /// does not name us.
    NoConsent "no_consent" Comply 0;
    /// The GDPR applies, and purpose 2 (use limited data to select advertising) is not granted to us.
    NoPurpose "no_purpose" Comply 0;
    /// The supply chain is missing, malformed, incomplete, or does not end at the exchange that sent the request.
    ChainIncomplete "chain_incomplete" Comply 16;
    /// A node of the supply chain is blocked, or is not what its system's sellers.json says it is.
    ChainBlocked "chain_blocked" Comply 17;
    /// The publisher's ads.txt or app-ads.txt does not name a seller of the supply chain.
    AdsTxtViolation "ads_txt_violation" Comply 12;
    /// There is no ads.txt or app-ads.txt to check the seller by, or it is too old.
    AdsTxtUnavailable "ads_txt_unavailable" Comply 11;
    /// No impression is of a format we have creatives for.
    Format "format" Match 0;
    /// Every impression is for deals only.
    DealsOnly "deals_only" Match 0;
    /// A floor is in a currency we have no rate for.
    FloorCurrency "floor_currency" Match 0;
    /// A floor is in a currency whose rate is too old to hold it against.
    StaleFloorRate "stale_floor_rate" Match 0;
    /// No campaign targets this request.
    NoMatch "no_match" Match 0;
    /// Campaigns target this request, and its floor is above the most that any of them bids.
    FloorAbove "floor_above" Match 0;
    /// Campaigns matched, and none has a creative that the place can show: type, duration, player, assets.
    NoCreative "no_creative" Match 0;
    /// The creative must be in a language (`wlang`, `wlangb`), and none is.
    Language "language" Match 0;
    /// Campaigns matched, and the exchange, publisher or deal blocks them all: `bcat`, `acat`, `badv`, `bapp`, `btype`,
    /// `battr`, `secure`, `wadomain`.
    Blocked "blocked" Match 0;
    /// The bid would have to carry information under the EU's Digital Services Act, and no campaign that matched has it.
    Transparency "transparency" Match 0;
    /// No campaign that matched takes inventory of which the supply chain says no more.
    UnverifiedSupply "unverified_supply" Match 17;
    /// A copy of a request that was bid on a moment ago, through another supply path.
    Duplicate "duplicate" Know 0;
    /// The user's profile could not be had in time, and `profiles.on_miss` says not to bid without.
    ProfileMissing "profile_missing" Know 1;
    /// Campaigns matched but for the user's segments.
    NoSegment "no_segment" Know 8;
    /// Every candidate has been shown to this user often enough today.
    FrequencyCap "frequency_cap" Cap 9;
    /// Every candidate sits this auction out, or has used up what it may spend until the next tick: its budget is spread over
    /// the day.
    Paced "paced" Afford 0;
    /// No candidate's sub-lease affords its price.
    Budget "budget" Afford 0;
    /// No candidate that is left got a place on the shortlist of those that a model looks at, or has a model for what it pays by.
    Outranked "outranked" Score 0;
    /// Every candidate was scored, and its price is below the floor.
    Floor "floor" Price 0;
    /// Only campaigns that take a page whole are left, and this page is not to be had whole.
    Together "together" Choose 0;
    /// The ring to the reconciliation core is full: the bid could not be accounted for.
    RingFull "ring_full" Reserve 1;
    /// More reservation ids were asked for than there is time for ([`crate::limits::IDS_BORROWED_NS`]): without an id nothing can
    /// be reserved.
    IdsExhausted "ids_exhausted" Reserve 1;
    /// The answer did not fit its buffer.
    NoRoom "no_room" Answer 1;
    /// The deadline or the lease ran out between decision and submission.
    Late "late" Account 15;
}

impl NoBidReason {
    /// How many reasons there are.
    pub const COUNT: usize = Self::ALL.len();
}

#[cfg(test)]
mod tests {
    use super::NoBidReason;

    #[test]
    fn labels_are_distinct_and_stages_in_order() {
        let mut labels: Vec<_> = NoBidReason::ALL.iter().map(|reason| reason.label()).collect();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), NoBidReason::COUNT);
        assert!(NoBidReason::ALL.windows(2).all(|pair| pair[0].stage() <= pair[1].stage()));
    }
}
