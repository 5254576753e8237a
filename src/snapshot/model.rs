//! The model: a logistic score of a few declared features, each a table of weights indexed by a small code.
//!
//! The score is the model's probability of a good impression. What reaches the price is the **price factor**: the score
//! over the best score the weights allow. So a campaign's CPM is the most it bids, and a worse impression gets less. The
//! factor is a whole number of 1/65536: floating point ends here, and money is integers from there on.

use std::path::Path;

use crate::snapshot::document::{self, Fault, FileError, Node, Table, fault};
use crate::wire::openrtb::request::{Channel, Size};

/// A price factor of one.
pub const FACTOR_ONE: u32 = 1 << 16;

/// A weight's largest magnitude. The sum of all stays finite, and so does the score.
const MAX_WEIGHT: f64 = 20.0;

const DEVICES: usize = 9;
const CHANNELS: usize = 4;
const HOURS: usize = 24;
const POSITIONS: usize = 8;
const AREAS: usize = 6;
const SEGMENTS: usize = 4;

/// Device types by code (AdCOM list "Device Types"); 0 is unknown, and so is everything beyond the list.
const DEVICE_NAMES: [&str; DEVICES] =
    ["unknown", "mobile", "pc", "tv", "phone", "tablet", "connected_device", "set_top_box", "ooh"];
/// Channels by code.
const CHANNEL_NAMES: [&str; CHANNELS] = ["unknown", "site", "app", "dooh"];
/// Square pixels at which the next area bucket begins.
const AREA_BORDERS: [u32; AREAS - 1] = [20_000, 40_000, 80_000, 120_000, 200_000];
/// Segment counts at which the next bucket begins.
const SEGMENT_BORDERS: [usize; SEGMENTS - 1] = [1, 4, 16];

/// What the model knows of an impression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// AdCOM device type.
    pub device: u8,
    /// Site, app or other.
    pub channel: Channel,
    /// Hour of the UTC day, 0 to 23.
    pub hour: u8,
    /// AdCOM placement position (`banner.pos`); 0 is unknown.
    pub position: u8,
    /// The creative's size.
    pub size: Size,
    /// How many segments the user is in; `None` if nothing is known of the user.
    pub segments: Option<usize>,
}

/// A linear model with a logistic link.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    weights: Weights,
    /// The score if every table gave its largest weight.
    best: f32,
}

#[derive(Clone, Debug, PartialEq)]
struct Weights {
    bias: f32,
    device: [f32; DEVICES],
    channel: [f32; CHANNELS],
    hour: [f32; HOURS],
    position: [f32; POSITIONS],
    area: [f32; AREAS],
    /// Added for a user with a profile.
    profile: f32,
    segments: [f32; SEGMENTS],
}

impl Default for Linear {
    /// The built-in weights: factors from 0.58 to 1. Phones and desktops, the UTC evening, positions above the fold, large
    /// formats and known users are worth most.
    fn default() -> Self {
        Linear::of(Weights {
            bias: 1.0,
            device: [-0.15, -0.05, 0.0, -0.25, 0.0, -0.05, -0.25, -0.25, -0.25],
            channel: [-0.1, 0.0, -0.05, -0.1],
            hour: [
                -0.05, -0.1, -0.2, -0.25, -0.3, -0.3, -0.3, -0.25, -0.2, -0.15, -0.15, -0.1, -0.1, -0.1, -0.1, -0.1,
                -0.1, -0.05, -0.05, 0.0, 0.0, 0.0, 0.0, 0.0,
            ],
            position: [-0.1, 0.0, -0.1, -0.25, -0.05, -0.2, -0.15, 0.0],
            area: [-0.2, -0.15, 0.0, -0.05, 0.0, 0.0],
            profile: 0.1,
            segments: [-0.1, -0.05, -0.02, 0.0],
        })
    }
}

impl Linear {
    /// Reads a model file (TOML or JSON): the keys of docs/CAMPAIGNS.md, section "Model file". A key that is left out weighs 0.
    ///
    /// # Errors
    /// The first mistake, with its line.
    pub fn load(path: &Path) -> Result<Linear, FileError> {
        weights(document::load(path)?).map(Linear::of).map_err(|fault| fault.within(path))
    }

    fn of(weights: Weights) -> Linear {
        let largest = |table: &[f32]| table.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let Weights { bias, device, channel, hour, position, area, profile, segments } = &weights;
        let tables = [&device[..], channel, hour, position, area, segments, &[0.0, *profile]];
        let best = logistic(bias + tables.into_iter().map(largest).sum::<f32>());
        Linear { weights, best }
    }

    /// The probability the model gives, within 0 to 1 and always finite.
    #[inline]
    pub fn score(&self, features: &Features) -> f32 {
        let weights = &self.weights;
        let at = |table: &[f32], code: usize| table.get(code).copied().unwrap_or(table[0]);
        let area = u32::from(features.size.w) * u32::from(features.size.h);
        let area = AREA_BORDERS.iter().filter(|&&border| border <= area).count();
        let known = features.segments.unwrap_or(0);
        let segments = SEGMENT_BORDERS.iter().filter(|&&border| border <= known).count();
        logistic(
            weights.bias
                + at(&weights.device, features.device.into())
                + at(&weights.channel, features.channel as usize)
                + at(&weights.hour, features.hour.into())
                + at(&weights.position, features.position.into())
                + weights.area[area]
                + weights.segments[segments]
                + if features.segments.is_some() { weights.profile } else { 0.0 },
        )
    }

    /// The score over the best score, in 1/65536: 1 to [`FACTOR_ONE`].
    #[inline]
    pub fn price_factor(&self, features: &Features) -> u32 {
        let factor = self.score(features) / self.best * FACTOR_ONE as f32;
        // Rounding may have put a score a hair above the best; a cast from float to integer saturates.
        (factor as u32).clamp(1, FACTOR_ONE)
    }
}

#[inline]
fn logistic(sum: f32) -> f32 {
    1.0 / (1.0 + (-sum).exp())
}

fn weights(mut table: Table) -> Result<Weights, Fault> {
    let weights = Weights {
        bias: table.read("bias", weight)?.unwrap_or(0.0),
        device: table.read("device", |node| named(node, &DEVICE_NAMES))?.unwrap_or_default(),
        channel: table.read("channel", |node| named(node, &CHANNEL_NAMES))?.unwrap_or_default(),
        hour: table.read("hour", listed)?.unwrap_or_default(),
        position: table.read("position", listed)?.unwrap_or_default(),
        area: table.read("area", listed)?.unwrap_or_default(),
        profile: table.read("profile", weight)?.unwrap_or(0.0),
        segments: table.read("segments", listed)?.unwrap_or_default(),
    };
    table.finish()?;
    Ok(weights)
}

fn weight(node: Node) -> Result<f32, Fault> {
    let line = node.line;
    let value = node.float()?;
    if value.abs() <= MAX_WEIGHT { Ok(value as f32) } else { fault(line, format!("a weight is within ±{MAX_WEIGHT}")) }
}

fn named<const N: usize>(node: Node, names: &[&str; N]) -> Result<[f32; N], Fault> {
    let mut table = node.table()?;
    let mut weights = [0.0; N];
    for (of, name) in weights.iter_mut().zip(names) {
        *of = table.read(name, weight)?.unwrap_or(0.0);
    }
    table.finish()?;
    Ok(weights)
}

fn listed<const N: usize>(node: Node) -> Result<[f32; N], Fault> {
    let line = node.line;
    let weights: Vec<f32> = node.list()?.into_iter().map(weight).collect::<Result<_, _>>()?;
    weights
        .try_into()
        .map_err(|weights: Vec<f32>| Fault { line, what: format!("{} weights where {N} belong", weights.len()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn features() -> impl Strategy<Value = Features> {
        let channel = prop_oneof![Just(Channel::Unknown), Just(Channel::Site), Just(Channel::App), Just(Channel::Dooh)];
        let segments = prop_oneof![Just(None), (0..300usize).prop_map(Some)];
        (any::<u8>(), channel, any::<u8>(), any::<u8>(), any::<u16>(), any::<u16>(), segments).prop_map(
            |(device, channel, hour, position, w, h, segments)| Features {
                device,
                channel,
                hour,
                position,
                size: Size { w, h },
                segments,
            },
        )
    }

    proptest! {
        #[test]
        fn the_built_in_factor_is_above_a_half_and_at_most_one(features in features()) {
            let factor = Linear::default().price_factor(&features);
            prop_assert!(FACTOR_ONE / 2 < factor && factor <= FACTOR_ONE);
        }

        #[test]
        fn any_weights_give_a_finite_score(sign in prop::bool::ANY, features in features()) {
            let weight = if sign { MAX_WEIGHT } else { -MAX_WEIGHT };
            let text = format!("bias = {weight}\nprofile = {weight}\nhour = {:?}\narea = {:?}", [weight; 24], [weight; 6]);
            let model = Linear::of(weights(document::toml(&text).unwrap()).unwrap());
            prop_assert!(model.score(&features).is_finite());
            prop_assert!((1..=FACTOR_ONE).contains(&model.price_factor(&features)));
        }
    }

    #[test]
    fn the_best_impression_has_factor_one_and_the_score_is_logistic() {
        let best = Features {
            device: 4,
            channel: Channel::Site,
            hour: 20,
            position: 1,
            size: Size { w: 300, h: 250 },
            segments: Some(40),
        };
        let model = Linear::default();
        assert_eq!(model.price_factor(&best), FACTOR_ONE);
        assert!(model.price_factor(&Features { segments: None, ..best }) < FACTOR_ONE);
        let text = "bias = 0.5\n[device]\npc = -2\n[channel]\napp = 0.25\n";
        let model = Linear::of(weights(document::toml(text).unwrap()).unwrap());
        let score = |device, channel| model.score(&Features { device, channel, ..Features::default() });
        // 1 / (1 + e^-z), from a table.
        assert!((score(2, Channel::Site) - 0.182_425_52).abs() < 1e-6);
        assert!((score(2, Channel::App) - 0.222_700_14).abs() < 1e-6);
        assert!((score(200, Channel::Site) - 0.622_459_33).abs() < 1e-6);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        let wrong = |text: &str| weights(document::toml(text).unwrap()).unwrap_err();
        assert_eq!(wrong("bias = 1\nhour = [1, 2]"), Fault { line: 2, what: "hour: 2 weights where 24 belong".into() });
        assert_eq!(wrong("bias = nan").line, 1);
        assert_eq!(wrong("bias = 21").what, "bias: a weight is within ±20");
        assert_eq!(wrong("[device]\n\nfridge = 1").what, "device: unknown key `fridge`");
        assert_eq!(wrong("[device]\n\nfridge = 1").line, 3);
    }
}
