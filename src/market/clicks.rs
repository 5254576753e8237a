//! Who clicks: the market's own truth, which no bidder is told. It is what a model of clicks would have to find out.

use serde_json::Value;

use crate::market::random::Random;

/// The logit of a click on a plain impression: 15 in 1,000. Viewers of this market are livelier than most, so that a demo of a
/// minute has clicks to show.
const PLAIN: f64 = -4.2;
/// Standard deviations of what sites, campaigns, and campaigns on a kind of site add to the logit.
const SITES: f64 = 0.8;
const CAMPAIGNS: f64 = 0.4;
const AFFINITY: f64 = 0.7;
/// Kinds of sites that campaigns like, or do not.
const KINDS: u64 = 24;

/// What a viewer sees of an impression, as far as it makes a click more or less likely.
#[derive(Clone, Copy, Debug, Default)]
pub struct Viewer {
    /// What the request alone says.
    logit: f64,
    site: u64,
}

impl Viewer {
    /// Of an impression of a request.
    pub fn read(request: &Value, imp: &Value) -> Viewer {
        let device = match request["device"]["devicetype"].as_u64() {
            Some(4) => 0.3,
            Some(5 | 1) => 0.15,
            Some(3 | 7) => -0.9,
            _ => 0.0,
        };
        let banner = &imp["banner"];
        let format = &banner["format"][0];
        let side = |key: &str| banner[key].as_f64().or_else(|| format[key].as_f64()).unwrap_or(0.0);
        let area = match side("w") * side("h") {
            area if area >= 150_000.0 => 0.45,
            area if area >= 60_000.0 => 0.2,
            area if area > 0.0 => -0.25,
            // What plays is watched.
            _ => 0.1,
        };
        let position = match banner["pos"].as_u64() {
            Some(1) => 0.3,
            Some(3) => -0.5,
            _ => 0.0,
        };
        let place = [&request["site"]["domain"], &request["app"]["bundle"]].into_iter().find_map(Value::as_str);
        let site = hash(place.unwrap_or_default());
        let of_site = if place.is_some() { SITES * Random::of(1, site).normal() } else { 0.0 };
        Viewer { logit: PLAIN + device + area + position + of_site, site }
    }

    /// The probability of a click on an ad of this campaign.
    pub fn clicks(&self, campaign: &str) -> f64 {
        let campaign = hash(campaign);
        let liked = CAMPAIGNS * Random::of(2, campaign).normal();
        let fits = AFFINITY * Random::of(3, campaign ^ (self.site % KINDS)).normal();
        1.0 / (1.0 + (-(self.logit + liked + fits)).exp())
    }
}

/// FNV-1a, so that the market is the same on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where a click on the ad leads past the bidder: the address of its markup that the bidder has signed for that.
pub fn url(markup: &str) -> Option<&str> {
    let path = markup.find("/notice/click/")?;
    let start = markup[..path].rfind("http://")?;
    let inside = |letter: char| letter.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%{}".contains(letter);
    let length = markup[start..].find(|letter| !inside(letter)).unwrap_or(markup.len() - start);
    Some(&markup[start..start + length]).filter(|_| path - start < length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn clicks_are_likely_where_they_should_be() {
        let request =
            |device: u64, domain: &str| json!({ "device": { "devicetype": device }, "site": { "domain": domain } });
        let imp = |w: u64, h: u64, pos: u64| json!({ "banner": { "w": w, "h": h, "pos": pos } });
        let of = |request: &Value, imp: &Value, campaign: &str| Viewer::read(request, imp).clicks(campaign);
        let phone = request(4, "daily-post.example");
        assert!(of(&phone, &imp(300, 600, 1), "7") > of(&phone, &imp(320, 50, 3), "7"));
        assert!(of(&phone, &imp(300, 250, 1), "7") > of(&request(3, "daily-post.example"), &imp(300, 250, 1), "7"));
        let site = |site: u32| request(2, &format!("site-{site}.example"));
        let mean = (0..2000).map(|at| of(&site(at), &imp(300, 250, 0), &(at % 50).to_string())).sum::<f64>() / 2000.0;
        assert!((0.015..0.06).contains(&mean), "{mean}");
        // A broken request has viewers, too.
        assert!((0.0..1.0).contains(&Viewer::read(&Value::Null, &Value::Null).clicks("")));
    }

    #[test]
    fn the_click_address_is_cut_out_of_the_markup() {
        let address = "http://127.0.0.1:8080/notice/click/AbC-_9";
        for markup in [
            format!("<a href=\"{address}\"><img src=\"x\"></a>"),
            format!("<ClickTracking><![CDATA[{address}]]></ClickTracking>").replace("]]", "\n]]"),
            format!("http://elsewhere.example/ {address}"),
        ] {
            assert_eq!(url(&markup), Some(address), "{markup}");
        }
        assert_eq!(url("<a href='https://shop.example/notice'>"), None);
        assert_eq!(url("/notice/click/"), None);
    }
}
