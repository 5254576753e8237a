//! The fields in use as serde sees them. Strings are borrowed where nothing is escaped; subtrees kept as they stand are only
//! checked here, which costs the rivals nothing.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;

pub type Owned<'a> = BidRequest<'a>;

/// A string, borrowed if it can be.
#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct BidRequest<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    at: Option<u16>,
    #[serde(default)]
    tmax: Option<u32>,
    #[serde(default)]
    test: Option<u8>,
    #[serde(borrow, default)]
    imp: Vec<Imp<'a>>,
    #[serde(borrow, default)]
    cur: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    bcat: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    badv: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    bapp: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    wseat: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    bseat: Option<Vec<Text<'a>>>,
    #[serde(borrow, default)]
    site: Option<Site<'a>>,
    #[serde(borrow, default)]
    app: Option<App<'a>>,
    #[serde(default)]
    dooh: Option<IgnoredAny>,
    #[serde(borrow, default)]
    device: Option<Device<'a>>,
    #[serde(borrow, default)]
    user: Option<User<'a>>,
    #[serde(borrow, default)]
    regs: Option<Regs<'a>>,
    #[serde(default)]
    source: Option<Source>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Imp<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    banner: Option<Banner>,
    #[serde(default)]
    video: Option<IgnoredAny>,
    #[serde(default)]
    audio: Option<IgnoredAny>,
    #[serde(default)]
    native: Option<IgnoredAny>,
    #[serde(default)]
    bidfloor: Option<f64>,
    #[serde(borrow, default)]
    bidfloorcur: Option<Text<'a>>,
    #[serde(default)]
    secure: Option<u8>,
    #[serde(default)]
    pmp: Option<Pmp>,
    #[serde(borrow, default)]
    tagid: Option<Text<'a>>,
    #[serde(default)]
    instl: Option<u8>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Site<'a> {
    #[serde(borrow, default)]
    domain: Option<Text<'a>>,
    #[serde(borrow, default)]
    page: Option<Text<'a>>,
    #[serde(borrow, default)]
    publisher: Option<Publisher<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct App<'a> {
    #[serde(borrow, default)]
    bundle: Option<Text<'a>>,
    #[serde(borrow, default)]
    publisher: Option<Publisher<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Publisher<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Device<'a> {
    #[serde(borrow, default)]
    ua: Option<Text<'a>>,
    #[serde(borrow, default)]
    ip: Option<Text<'a>>,
    #[serde(borrow, default)]
    ipv6: Option<Text<'a>>,
    #[serde(default)]
    devicetype: Option<u8>,
    #[serde(borrow, default)]
    os: Option<Text<'a>>,
    #[serde(borrow, default)]
    language: Option<Text<'a>>,
    #[serde(borrow, default)]
    ifa: Option<Text<'a>>,
    #[serde(default)]
    connectiontype: Option<u8>,
    #[serde(default)]
    lmt: Option<u8>,
    #[serde(default)]
    dnt: Option<u8>,
    #[serde(borrow, default)]
    geo: Option<Geo<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Geo<'a> {
    #[serde(borrow, default)]
    country: Option<Text<'a>>,
    #[serde(borrow, default)]
    region: Option<Text<'a>>,
    #[serde(borrow, default)]
    city: Option<Text<'a>>,
    #[serde(borrow, default)]
    zip: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct User<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    buyeruid: Option<Text<'a>>,
    #[serde(default)]
    eids: Option<IgnoredAny>,
    #[serde(borrow, default)]
    consent: Option<Text<'a>>,
    #[serde(borrow, default)]
    geo: Option<Geo<'a>>,
    #[serde(borrow, default)]
    ext: Option<UserExt<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct UserExt<'a> {
    #[serde(default)]
    eids: Option<IgnoredAny>,
    #[serde(borrow, default)]
    consent: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Regs<'a> {
    #[serde(default)]
    coppa: Option<u8>,
    #[serde(default)]
    gdpr: Option<u8>,
    #[serde(borrow, default)]
    us_privacy: Option<Text<'a>>,
    #[serde(borrow, default)]
    gpp: Option<Text<'a>>,
    #[serde(default)]
    gpp_sid: Option<Vec<u32>>,
    #[serde(borrow, default)]
    ext: Option<RegsExt<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct RegsExt<'a> {
    #[serde(default)]
    gdpr: Option<u8>,
    #[serde(borrow, default)]
    us_privacy: Option<Text<'a>>,
    #[serde(borrow, default)]
    gpp: Option<Text<'a>>,
    #[serde(default)]
    gpp_sid: Option<Vec<u32>>,
    #[serde(default)]
    gpc: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Source {
    #[serde(default)]
    schain: Option<IgnoredAny>,
    #[serde(default)]
    ext: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Banner {
    #[serde(default)]
    w: Option<u16>,
    #[serde(default)]
    h: Option<u16>,
    #[serde(default)]
    format: Vec<Size>,
    #[serde(default)]
    btype: Vec<u8>,
    #[serde(default)]
    battr: Vec<u8>,
    #[serde(default)]
    pos: Option<u8>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Size {
    #[serde(default)]
    w: Option<u16>,
    #[serde(default)]
    h: Option<u16>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
pub struct Pmp {
    #[serde(default)]
    private_auction: Option<u8>,
    #[serde(default)]
    deals: Option<IgnoredAny>,
}
