//! What a decision was, watched from inside: the production path reports, this remembers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arithmetic::{self, Floor, amount, factor, rate};
use super::obstacles::{self, Lists, Obstacle, text};
use crate::audit::line::day;
use crate::bid::Outcome;
use crate::bid::answer::Backed;
use crate::bid::choose::Chosen;
use crate::bid::comply::Basis;
use crate::bid::comply::consent::Consent;
use crate::bid::eligible::Scene;
use crate::bid::offers::{Estimate, Offer};
use crate::bid::probe::{Probe, Sight};
use crate::bid::quote::Quote;
use crate::bid::shade::Shade;
use crate::bid::user::User;
use crate::limits;
use crate::metrics::stage::Stage;
use crate::shading::cell::Placement;
use crate::shading::curve::Curve;
use crate::snapshot::campaign::{Campaign, Shape};
use crate::snapshot::supply::{Chain, Inventory, Path, Verdict};
use crate::units::{CampaignIx, CpmMicros, Currency, Multiplier, Nanos, Rate, UserKey};
use crate::wire::consent::Purposes;
use crate::wire::json::{Raw, Text};
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::{BidRequest, Imp};

/// One stage, and what was decided there.
#[derive(Debug, Serialize)]
pub(super) struct Node {
    /// Its name.
    pub(super) stage: &'static str,
    /// In one line.
    pub(super) decided: String,
    /// Line by line.
    pub(super) details: Vec<Detail>,
}

/// One line under a stage: for people, and in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Detail {
    pub(super) text: String,
    #[serde(flatten)]
    values: Map<String, Value>,
}

/// A campaign, as it stood for one impression.
#[derive(Debug, Serialize)]
pub(super) struct Considered {
    /// The operator's number of it.
    pub(super) id: u32,
    /// What people call it.
    pub(super) name: String,
    /// The impression.
    pub(super) imp: String,
    /// The first thing that was in the way; null for a winner.
    pub(super) why_not: Option<&'static str>,
    /// Everything that was found in the way.
    pub(super) why_nots: Vec<Obstacle>,
    /// What it would have bid, if it came that far: CPM in the account's currency.
    pub(super) price: Option<f64>,
    #[serde(skip)]
    fate: Fate,
}

/// How far a campaign came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fate {
    listed: bool,
    /// The stage that let it go.
    dropped: Option<(Stage, NoBidReason)>,
    won: bool,
}

/// Remembers a decision.
#[derive(Debug, Default)]
pub(super) struct Witness {
    entered: Vec<Stage>,
    nodes: Vec<Node>,
    lists: Lists,
    account: Option<Currency>,
    imps: BTreeMap<u8, Placed>,
    considered: Vec<Considered>,
    /// What the files say of the supply path, if somebody asks.
    verdict: Option<Verdict>,
    /// The user may be known.
    personal: bool,
    /// No user is known.
    nobody: bool,
    winners: Vec<Offer>,
    purse: Vec<Backed>,
    priced: BTreeMap<(u8, u32), Offer>,
}

/// An impression of the request.
#[derive(Debug)]
struct Placed {
    id: String,
    /// Where its campaigns begin among all that were considered.
    first: usize,
    listed: usize,
}

impl Probe for Witness {
    fn enter(&mut self, stage: Stage) {
        self.entered.push(stage);
        self.nodes.push(Node { stage: stage.label(), decided: String::new(), details: Vec::new() });
    }

    fn scanned(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, deadline: Nanos) {
        let micros = (deadline.since(scene.now.boot) / 1000) as i64;
        let id = text(request.id);
        let tmax = if request.tmax == 0 { "no tmax".to_owned() } else { format!("tmax {} ms", request.tmax) };
        let auction = match request.at {
            1 => "first price",
            3 => "fixed price",
            _ => "second price",
        };
        let test = if request.test { ", a test that is not paid for" } else { "" };
        self.decide(
            Stage::Scan,
            format!("request {id}: {auction}, {tmax}, due within {} ms{test}", amount(micros * 1000)),
        );
        let terms = [("cur", request.cur), ("wseat", request.wseat), ("bseat", request.bseat)];
        for (name, list) in terms.into_iter().filter(|(_, list)| !list.is_empty()) {
            self.detail(Stage::Scan, format!("{name} {}", raw(list)), json!({ "field": name }));
        }
    }

    fn quoted(&mut self, scene: Scene<'_>, quote: Quote) {
        let account = scene.snapshot.rates.account();
        self.account = Some(account);
        let (seat, currency) = (&scene.exchange.seat, quote.currency);
        let worth = match currency == account {
            true => String::new(),
            false => format!("; 1 {currency} is {} {account}", rate(quote.rate)),
        };
        self.decide(Stage::Comply, format!("seat {seat} bids in {currency}{worth}"));
        let values = json!({ "currency": currency.code(), "account": account.code(), "rate_billionths": quote.rate.0 });
        let pair = format!("answer in {currency}, account in {account}, rate {}", rate(quote.rate));
        self.detail(Stage::Comply, pair, values);
    }

    fn cleared(&mut self, _scene: Scene<'_>, _request: &BidRequest<'_>, basis: Basis) {
        let (gdpr, consent) = (basis.gdpr(), basis.consent());
        let allowed = basis.allowed();
        self.personal = allowed.is_ok_and(|allowed| allowed.personal);
        let numbers = |purposes: Purposes| purposes.iter().collect::<Vec<u32>>();
        let opt_outs: Vec<&str> = basis.opt_outs().labels().collect();
        let granted = basis.granted().map(numbers).unwrap_or_default();
        let sections: Option<Vec<u32>> = basis.sections().map(|sections| sections.iter().collect());
        let mut values = json!({
            "gdpr": gdpr.label(), "consent": consent.label(), "granted": granted, "gpp_sid": sections, "opt_outs": opt_outs,
            "personal": self.personal, "exact_place": allowed.is_ok_and(|allowed| allowed.exact_place),
            "purposes": allowed.map_or_else(|_| Vec::new(), |allowed| numbers(allowed.purposes)),
        });
        let mut line = match gdpr.applies() {
            false => format!("GDPR does not apply ({})", gdpr.label()),
            true => format!("GDPR applies ({}), consent string {}", gdpr.label(), consent.label()),
        };
        if let Consent::Read { created, policy, vendor } = consent {
            let created = day(created).unwrap_or_default();
            let of = if vendor { "names us" } else { "does not name us" };
            let _ = write!(line, " (of {created}, policy version {policy}, {of}), purposes granted {granted:?}");
            values["created"] = created.into();
            values["policy"] = policy.into();
            values["vendor"] = vendor.into();
        }
        if !opt_outs.is_empty() {
            let _ = write!(line, "; opted out by {}", opt_outs.join(", "));
        }
        line += match (allowed, self.personal) {
            (Err(_), _) => ": no bid",
            (Ok(_), false) => ": contextual, the user is not known",
            (Ok(_), true) => ": the user may be known",
        };
        self.detail(Stage::Comply, line, values);
    }

    fn supplied(&mut self, scene: Scene<'_>, path: &Path<'_>, verdict: Verdict) {
        self.verdict = Some(verdict);
        let plain = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let nodes = if let Chain::Nodes { nodes, .. } = path.chain { nodes } else { &[] };
        let sellers: Vec<String> =
            nodes.iter().map(|node| format!("{}/{}", plain(node.asi), plain(node.sid))).collect();
        let chain = match path.chain {
            Chain::Absent => "no supply chain".to_owned(),
            Chain::Malformed => "a supply chain that is none".to_owned(),
            Chain::Nodes { complete, .. } => {
                let complete = if complete { "complete" } else { "incomplete" };
                format!("a {complete} supply chain by {}", sellers.join(", "))
            }
        };
        let (kind, inventory) = match path.inventory {
            Inventory::Site(domain) => ("site", plain(domain)),
            Inventory::App(bundle) => ("app", plain(bundle)),
            Inventory::Unknown => ("inventory", "unknown".to_owned()),
        };
        let partner =
            if path.partner.is_empty() { String::new() } else { format!(", shared with {}", plain(path.partner)) };
        let (sender, policy) = (plain(path.sender), scene.exchange.demand.policy);
        let line = format!(
            "{chain} from {sender} for {kind} {inventory}{partner}: {}, and the exchange's policy is {}",
            verdict.label(),
            policy.label(),
        );
        let values = json!({
            "supply": verdict.label(), "policy": policy.label(), "sender": sender, "sellers": sellers, kind: inventory,
            "partner": plain(path.partner), "country": path.country.map(|code| plain(&code)),
        });
        self.detail(Stage::Comply, line, values);
    }

    fn unsold(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, at: u8, reason: NoBidReason) {
        if self.imps.contains_key(&at) {
            return;
        }
        let imp = &request.imps[at as usize];
        self.place(imp, at, scene.snapshot.campaigns.iter().map(|_| vec![Obstacle::of(reason, None)]), scene);
        let id = text(imp.id);
        let line = format!("imp {id}: {}; not sold to us: {}", formats(imp), reason.label());
        self.detail(Stage::Match, line, json!({ "imp": id, "reason": reason.label() }));
    }

    fn listed(&mut self, sight: Sight<'_>) {
        let Sight { scene, request, asked, imp, at, sale, candidates, natives } = sight;
        if self.lists.is_new() {
            self.lists.fill(request);
            let asked = obstacles::asked(asked);
            self.detail(Stage::Match, format!("asked for {asked}"), json!({ "asked": asked }));
        }
        let place = crate::bid::eligible::place_of(scene, request, imp, natives);
        let of_campaign = |(index, campaign): (usize, &Campaign)| {
            let listed = candidates.iter().find(|candidate| candidate.campaign.0 as usize == index);
            obstacles::of(
                &obstacles::Question { scene, asked, sale, place: &place, lists: &self.lists, verdict: self.verdict },
                campaign,
                listed,
            )
        };
        let all: Vec<Vec<Obstacle>> = scene.snapshot.campaigns.iter().enumerate().map(of_campaign).collect();
        self.place(imp, at, all.into_iter(), scene);
        let placed = self.imps.get_mut(&at).expect("placed");
        placed.listed = candidates.len();
        let first = placed.first;
        for candidate in candidates {
            self.considered[first + candidate.campaign.0 as usize].fate.listed = true;
        }
        let offer = sale.offer();
        let (id, shapes) = (text(imp.id), sale.shapes.iter().map(|&shape| shape_text(shape)).collect::<Vec<_>>());
        let deals: Vec<String> = offer.deals.iter().map(|id| String::from_utf8_lossy(id).into_owned()).collect();
        let sold = match (offer.deals_only, deals.is_empty()) {
            (true, _) => format!("only by deals {}", deals.join(", ")),
            (false, true) => "in the open auction".to_owned(),
            (false, false) => format!("in the open auction and by deals {}", deals.join(", ")),
        };
        let line = format!(
            "imp {id}: {}; sold {sold}, from {} on; {} of {}",
            shapes.join(", "),
            self.money(offer.floor.0),
            count(candidates.len(), "candidate"),
            count(scene.snapshot.campaigns.len(), "campaign"),
        );
        let values = json!({
            "imp": id, "shapes": shapes, "open": !offer.deals_only, "deals": deals, "least_floor_micros": offer.floor.0,
            "candidates": candidates.len(),
        });
        self.detail(Stage::Match, line, values);
    }

    fn known(&mut self, scene: Scene<'_>, _request: &BidRequest<'_>, user: &User<'_>) {
        let personal = self.personal;
        self.nobody = user.key() == UserKey::NOBODY;
        let who = match (personal, !self.nobody, user.profile()) {
            (false, ..) => "the user may not be known: no profile, no frequency cap".to_owned(),
            (true, false, _) => "the request names no user".to_owned(),
            (true, true, None) => "a user without a profile".to_owned(),
            (true, true, Some(profile)) => format!("a user with {} segments", profile.segments.len()),
        };
        self.decide(Stage::Know, who.clone());
        let has = user.segments();
        let segments: Vec<u32> = has.iter().map(|segment| segment.0).collect();
        self.detail(
            Stage::Know,
            format!("segments {segments:?}"),
            json!({ "personal": personal, "segments": segments }),
        );
        for placed in self.imps.values() {
            for (considered, campaign) in
                self.considered[placed.first..].iter_mut().zip(scene.snapshot.campaigns.iter())
            {
                if !campaign.wants(|segment| has.contains(segment)) {
                    let missing = obstacles::segments(campaign, has);
                    considered.why_nots.push(Obstacle::of(NoBidReason::NoSegment, Some(missing)));
                }
            }
        }
    }

    fn dropped(&mut self, offer: &Offer, reason: NoBidReason) {
        let stage = *self.entered.last().expect("a stage was entered");
        let detail = match reason {
            NoBidReason::FloorAbove | NoBidReason::Floor => {
                Some(format!("{} is below the floor {}", self.money(offer.price.0), self.money(offer.floor.0)))
            }
            NoBidReason::FrequencyCap if self.nobody => Some("has a cap, and there is no user to count for".to_owned()),
            NoBidReason::FrequencyCap => Some("shown to this user often enough".to_owned()),
            NoBidReason::Paced => {
                Some("its budget is spread over the day: this auction is not one it takes part in".to_owned())
            }
            NoBidReason::Budget => Some("no lease holds the most it may cost".to_owned()),
            _ => None,
        };
        let Some(considered) = self.of(offer) else { return };
        considered.fate.dropped = Some((stage, reason));
        match considered.why_nots.iter().position(|why| why.why == reason.label()) {
            Some(_) => {}
            // What else fails was found in the order of the stages: this is before what later stages would say.
            None => {
                let at = considered.why_nots.iter().take_while(|why| why.at <= stage).count();
                considered.why_nots.insert(at, Obstacle::of(reason, detail));
            }
        }
    }

    fn shaded(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer, shade: &Shade<'_>) {
        let cell = shade.cell(request, offer);
        let (place, hour) = (cell.placement().map_or("any", Placement::label), cell.hour().unwrap_or_default());
        let arm = scene.exchange.shading.arm.label();
        let (curve, values) = learnt(shade.curve(cell));
        let imp = text(request.imps[offer.imp as usize].id);
        let campaign = scene.snapshot.campaign(offer.campaign).id.0;
        let line = format!("imp {imp}, campaign {campaign}: first price; {place} at {hour} h UTC, arm {arm}: {curve}");
        let values = json!({
            "imp": imp, "campaign": campaign, "arm": arm, "placement": place, "hour": hour, "curve": values,
        });
        self.detail(Stage::Price, line, values);
    }

    fn priced(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer) {
        let campaign = scene.snapshot.campaign(offer.campaign);
        let floor = Floor::of(scene, request, offer);
        let mut line = arithmetic::worth(campaign, offer);
        let scaled = offer.value.min(campaign.cpm);
        if scaled < offer.value {
            let _ = write!(line, ", at most {}", amount(scaled.0));
        }
        if offer.price != scaled {
            let why = if offer.deal.is_some() { "by its deal" } else { "shaded to" };
            let _ = write!(line, ", {why} {}", amount(offer.price.0));
        }
        let against = floor.text(offer.floor, self.account.unwrap_or_default());
        let clears = crate::bid::price::clears(offer.price, offer.floor);
        let verdict = if clears { "clears" } else { "is below" };
        let imp = text(request.imps[offer.imp as usize].id);
        let line = format!("imp {imp}, campaign {}: {line}, {verdict} {against}", campaign.id.0);
        let (factor, probability) = match offer.estimate {
            Estimate::None => (None, None),
            Estimate::Factor(factor) => (Some(factor), None),
            Estimate::Chance(chance) | Estimate::Average(chance) => (None, Some(chance.probability())),
        };
        let values = json!({
            "imp": imp, "campaign": campaign.id.0, "cpm_micros": campaign.cpm.0, "score": factor,
            "probability": probability, "value_micros": offer.value.0, "scaled_micros": scaled.0, "price_micros": offer.price.0, "floor_micros": offer.floor.0, "floor": floor,
            "clears": clears,
        });
        self.detail(Stage::Price, line, values);
        self.priced.insert((offer.imp, offer.campaign.0), *offer);
        if let Some(considered) = self.of(offer) {
            considered.price = Some(offer.price.0 as f64 / 1e6);
        }
    }

    fn chosen(&mut self, scene: Scene<'_>, request: &BidRequest<'_>, chosen: &Chosen) {
        self.winners = chosen.winners.to_vec();
        for (&at, placed) in &self.imps {
            let of_imp = chosen.winners.iter().filter(|won| won.imp == at).copied().collect::<Vec<_>>();
            let beaten = self.left(at).filter(|offer| !of_imp.iter().any(|won| won.campaign == offer.campaign)).count();
            let names: Vec<u32> = of_imp.iter().map(|won| scene.snapshot.campaign(won.campaign).id.0).collect();
            let line = match &of_imp[..] {
                [] => format!("imp {}: nobody, of {beaten}", placed.id),
                won => {
                    let each: Vec<String> = won
                        .iter()
                        .zip(&names)
                        .map(|(won, id)| {
                            format!("campaign {id} at {}{}", self.money(won.price.0), by_deal(won, request))
                        })
                        .collect();
                    format!("imp {}: {}; {beaten} beaten", placed.id, each.join(", "))
                }
            };
            let values = json!({ "imp": placed.id, "winners": names, "beaten": beaten });
            push(&mut self.nodes, Stage::Choose, line, values);
        }
        let together = if chosen.together { ", all of them or none" } else { "" };
        self.decide(Stage::Choose, format!("{}{together}", count(chosen.winners.len(), "winner")));
        for (at, offer) in self.priced.iter().map(|(&(at, _), offer)| (at, *offer)).collect::<Vec<_>>() {
            if chosen.winners.iter().any(|won| won.imp == at && won.campaign == offer.campaign) {
                continue;
            }
            let by = self.beaten_by(scene, request, &offer);
            let Some(considered) = self.of(&offer) else { continue };
            if considered.fate.dropped.is_none() {
                considered.why_nots.push(Obstacle {
                    at: Stage::Choose,
                    stage: "choose",
                    why: "outbid",
                    detail: Some(by),
                });
            }
        }
    }

    fn reserved(&mut self, scene: Scene<'_>, purse: &[Backed]) {
        self.purse = purse.to_vec();
        let account = self.account.unwrap_or_default();
        for backed in purse {
            let id = scene.snapshot.campaign(backed.offer.campaign).id.0;
            let imp = self.imps.get(&backed.offer.imp).map(|placed| placed.id.clone()).unwrap_or_default();
            let quoted = match backed.terms.rate {
                Rate::ONE => String::new(),
                by => format!(" / {} = {}", rate(by), amount(backed.price.0)),
            };
            let back = match backed.terms.rate {
                Rate::ONE => String::new(),
                by => format!(" x {}", rate(by)),
            };
            let views = match backed.terms.multiplier {
                Multiplier::ONE => String::new(),
                views => format!(" x {}", factor(views)),
            };
            let held = if backed.is_held() { "reserved" } else { "not reserved: a test is not paid for" };
            let line = format!(
                "imp {imp}, campaign {id}: {}{quoted}; {}{back}{views} / 1000 = {} {account} {held}",
                amount(backed.offer.price.0),
                amount(backed.price.0),
                amount(backed.money.0),
            );
            let values = json!({
                "imp": imp, "campaign": id, "bid_price_micros": backed.price.0, "rate_billionths": backed.terms.rate.0,
                "multiplier_millionths": backed.terms.multiplier.0, "money_micros": backed.money.0, "held": backed.is_held(),
            });
            self.detail(Stage::Reserve, line, values);
        }
        for offer in self.winners.clone() {
            if !purse.iter().any(|backed| backed.offer == offer)
                && let Some(considered) = self.of(&offer)
            {
                considered.fate.dropped = Some((Stage::Reserve, NoBidReason::Budget));
                let detail = "no money for it, or the price is nothing in the currency of the answer".to_owned();
                considered
                    .why_nots
                    .push(Obstacle { at: Stage::Reserve, ..Obstacle::of(NoBidReason::Budget, Some(detail)) });
            }
        }
        self.decide(Stage::Reserve, format!("money for {}", count(purse.len(), "bid")));
    }
}

/// A curve, in words and in numbers.
fn learnt(curve: &Curve) -> (String, Value) {
    let median = amount(curve.reaching(0.5).0);
    match curve {
        Curve::None => ("nothing is learnt yet, the value is bid".to_owned(), Value::Null),
        Curve::Mode(price) => {
            (format!("mostly {} wins", amount(price.0)), json!({ "form": "mode", "price_micros": price.0 }))
        }
        Curve::Logistic { median: at, slope, .. } => (
            format!("logistic, {median} wins half, slope {slope:.2}"),
            json!({ "form": "logistic", "median": at, "slope": slope }),
        ),
        Curve::LogNormal { mean, deviation, .. } => (
            format!("log-normal, {median} wins half, deviation {deviation:.2}"),
            json!({ "form": "lognormal", "mean": mean, "deviation": deviation }),
        ),
        Curve::Empirical(levels) => {
            let levels: Vec<_> = levels.steps().collect();
            let each: Vec<String> = levels
                .iter()
                .map(|(price, chance)| format!("{} wins {:.0} %", amount(price.0), 100.0 * chance))
                .collect();
            let steps: Vec<_> = levels.iter().map(|(price, chance)| json!([price.0, chance])).collect();
            (each.join(", "), json!({ "form": "empirical", "steps": steps }))
        }
    }
}

impl Witness {
    /// Sums up, once it is known how the request ended; `bids` are in the response. What was not looked at is told by the
    /// reason that ended the request.
    pub(super) fn finish(mut self, bids: usize, outcome: Outcome, exchange: &str) -> Told {
        let reason = match outcome {
            Outcome::NoBid(reason) => Some(reason),
            _ => None,
        };
        for backed in self.purse.clone().into_iter().take(bids) {
            if let Some(considered) = self.of(&backed.offer) {
                // By another deal it may have been dropped.
                considered.fate.won = true;
                considered.fate.dropped = None;
                considered.why_nots.clear();
            }
        }
        for considered in &mut self.considered {
            if !considered.fate.won && considered.why_nots.is_empty() {
                // Money was there and room in the answer was not; or more wanted it than are looked at.
                let rest = match reason {
                    Some(reason) => Obstacle::of(reason, None),
                    None if considered.price.is_some() => Obstacle::of(NoBidReason::NoRoom, None),
                    None => {
                        let detail = Some(format!("more than {} wanted it", limits::CANDIDATES));
                        Obstacle { at: Stage::Match, stage: "match", why: "crowded_out", detail }
                    }
                };
                considered.why_nots.push(rest);
            }
            let first = considered.why_nots.first().map(|why| why.why);
            considered.why_not = considered.fate.dropped.map(|(_, reason)| reason.label()).or(first);
        }
        self.decide(Stage::Admit, format!("exchange {exchange}: known, in time, within its rate"));
        self.decide_counts();
        if let (Some(node), Some(reason)) = (self.nodes.last_mut(), reason) {
            let so_far = if node.decided.is_empty() { String::new() } else { format!(" ({})", node.decided) };
            node.decided = format!("no: {}{so_far}", reason.label());
        }
        if outcome == Outcome::Broken {
            self.decide(*self.entered.last().expect("a stage was entered"), "the document is not JSON".to_owned());
        }
        Told {
            stages: self.entered.iter().map(|stage| stage.label()).collect(),
            tree: self.nodes,
            campaigns: self.considered,
        }
    }

    /// How many offers each stage left.
    fn decide_counts(&mut self) {
        let listed: usize = self.imps.values().map(|placed| placed.listed).sum();
        let dropped = |stage: Stage| {
            self.considered.iter().filter(|one| one.fate.dropped.is_some_and(|(at, _)| at == stage)).count()
        };
        let stages = [Stage::Match, Stage::Know, Stage::Cap, Stage::Afford, Stage::Price];
        let counts: Vec<(Stage, usize)> = stages.into_iter().map(|stage| (stage, dropped(stage))).collect();
        let mut left = listed;
        for (stage, dropped) in counts {
            let before = left;
            left = left.saturating_sub(dropped).min(limits::CANDIDATES);
            let Some(node) = self.nodes.iter_mut().find(|node| node.stage == stage.label()) else { return };
            let left_of = format!("{left} of {} left", count(before, "offer"));
            match node.decided.is_empty() {
                true => node.decided = left_of,
                false => {
                    let _ = write!(node.decided, "; {left_of}");
                }
            }
        }
        self.decide(Stage::Score, format!("{} scored", count(self.priced.len(), "offer")));
    }

    /// Adds an impression and all campaigns.
    fn place(&mut self, imp: &Imp<'_>, at: u8, obstacles: impl Iterator<Item = Vec<Obstacle>>, scene: Scene<'_>) {
        let id = text(imp.id);
        let line = format!("imp {id}: {}{}", formats(imp), floor_text(imp));
        let values = json!({ "imp": id, "formats": format_names(imp), "floor_micros": imp.floor.0 });
        self.detail(Stage::Scan, line, values);
        let first = self.considered.len();
        self.considered.extend(scene.snapshot.campaigns.iter().zip(obstacles).map(|(campaign, why_nots)| Considered {
            id: campaign.id.0,
            name: campaign.name.clone(),
            imp: id.clone(),
            why_not: None,
            why_nots,
            price: None,
            fate: Fate::default(),
        }));
        self.imps.insert(at, Placed { id, first, listed: 0 });
    }

    fn of(&mut self, offer: &Offer) -> Option<&mut Considered> {
        let first = self.imps.get(&offer.imp)?.first;
        self.considered.get_mut(first + offer.campaign.0 as usize)
    }

    /// The offers for an impression that came to be chosen from.
    fn left(&self, at: u8) -> impl Iterator<Item = &Offer> {
        let of_imp = self.priced.range((at, 0)..=(at, u32::MAX)).map(|(_, offer)| offer);
        of_imp.filter(|offer| crate::bid::price::clears(offer.price, offer.floor))
    }

    /// Who is in the way of an offer that did not win.
    fn beaten_by(&self, scene: Scene<'_>, request: &BidRequest<'_>, offer: &Offer) -> String {
        let campaign = |index: CampaignIx| scene.snapshot.campaign(index);
        let id = |won: &Offer| campaign(won.campaign).id.0;
        let imp = |won: &Offer| text(request.imps[won.imp as usize].id);
        let own = campaign(offer.campaign);
        if own.together {
            return "takes the page whole or not at all".into();
        }
        if let Some(won) = self.winners.iter().find(|won| won.campaign == offer.campaign) {
            return format!("bids once in a response: for imp {}", imp(won));
        }
        if let Some(won) = self.winners.iter().find(|won| !campaign(won.campaign).bears(own)) {
            return format!("competes with campaign {}, which bids for imp {}", id(won), imp(won));
        }
        let here: Vec<String> = self
            .winners
            .iter()
            .filter(|won| won.imp == offer.imp)
            .map(|won| format!("campaign {} at {}{}", id(won), self.money(won.price.0), by_deal(won, request)))
            .collect();
        match here.is_empty() {
            false => format!("by {}", here.join(", ")),
            true => "the response has no room for another bid".into(),
        }
    }

    fn money(&self, micros: i64) -> String {
        format!("{} {}", amount(micros), self.account.unwrap_or_default())
    }

    fn decide(&mut self, stage: Stage, decided: String) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.stage == stage.label()) {
            node.decided = decided;
        }
    }

    fn detail(&mut self, stage: Stage, text: String, values: Value) {
        push(&mut self.nodes, stage, text, values);
    }
}

/// All that was seen of a decision.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) stages: Vec<&'static str>,
    pub(super) tree: Vec<Node>,
    pub(super) campaigns: Vec<Considered>,
}

impl Told {
    /// What the answer is, under its stage.
    pub(super) fn answer(&mut self, decided: String, details: impl Iterator<Item = (String, Value)>) {
        if let Some(node) = self.tree.iter_mut().find(|node| node.stage == Stage::Answer.label()) {
            node.decided = decided;
        }
        for (text, values) in details {
            push(&mut self.tree, Stage::Answer, text, values);
        }
    }
}

fn push(nodes: &mut [Node], stage: Stage, text: String, values: Value) {
    let values = match values {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    if let Some(node) = nodes.iter_mut().find(|node| node.stage == stage.label()) {
        node.details.push(Detail { text, values });
    }
}

/// So many of a thing.
pub(super) fn count(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn by_deal(offer: &Offer, request: &BidRequest<'_>) -> String {
    match offer.sold_by(request) {
        Some(deal) if deal.guaranteed => format!(" by the guaranteed deal {}", text(deal.id)),
        Some(deal) => format!(" by deal {}", text(deal.id)),
        None => String::new(),
    }
}

fn format_names(imp: &Imp<'_>) -> Vec<&'static str> {
    let present = [
        ("banner", imp.banner.is_some()),
        ("video", imp.video.is_some()),
        ("audio", imp.audio.is_some()),
        ("native", imp.native.is_some()),
    ];
    present.into_iter().filter(|(_, present)| *present).map(|(name, _)| name).collect()
}

fn formats(imp: &Imp<'_>) -> String {
    let names = format_names(imp);
    if names.is_empty() { "no format".into() } else { names.join(", ") }
}

fn floor_text(imp: &Imp<'_>) -> String {
    match imp.floor {
        CpmMicros(0) => String::new(),
        floor => format!(", floor {} {}", amount(floor.0), currency(imp.floor_cur)),
    }
}

pub(super) fn currency(code: Text<'_>) -> String {
    if code.is_empty() { "USD".into() } else { text(code) }
}

pub(super) fn shape_text(shape: Shape) -> String {
    match shape {
        Shape::Banner(size) => format!("{}x{}", size.w, size.h),
        Shape::Video => "video".into(),
        Shape::Audio => "audio".into(),
        Shape::Native => "native".into(),
    }
}

fn raw(list: Raw<'_>) -> String {
    String::from_utf8_lossy(list.0).into_owned()
}
