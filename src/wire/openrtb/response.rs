//! OpenRTB `BidResponse` (2.6 section 4.2), written straight into the answer buffer.
//!
//! Everything variable is copied as it stands: request texts are valid JSON already, campaign texts were escaped when the
//! campaigns were loaded, and nothing else in a response can need an escape.

use crate::units::{BidId, CpmMicros};
use crate::wire::openrtb::request::Size;

/// One bid of a response (2.6 section 4.2.3).
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// `id`.
    pub id: BidId,
    /// `impid`: the text of `imp.id` between its quotes.
    pub imp: &'a [u8],
    /// `price`, in the currency of the response.
    pub price: CpmMicros,
    /// `dealid`: the text of `deal.id` between its quotes.
    pub deal: Option<&'a [u8]>,
    /// `nurl`.
    pub win_url: Option<&'a [u8]>,
    /// `burl`.
    pub bill_url: Option<&'a [u8]>,
    /// `lurl`.
    pub loss_url: Option<&'a [u8]>,
    /// `adomain`, a JSON array.
    pub adomain: &'a [u8],
    /// `cid`, a JSON string with its quotes.
    pub campaign: &'a [u8],
    /// `crid`, a JSON string with its quotes.
    pub creative: &'a [u8],
    /// `adid` repeats `crid`, for exchanges where creatives are registered under it.
    pub registered: bool,
    /// `iurl`, a JSON string with its quotes.
    pub preview: Option<&'a [u8]>,
    /// `bundle`, a JSON string with its quotes.
    pub app: Option<&'a [u8]>,
    /// `cat`, a JSON array; `[]` is left out.
    pub cat: &'a [u8],
    /// `cattax`, the taxonomy of `cat`; 1, the default, is left out.
    pub cattax: u16,
    /// `attr`: bit n for value n (1 to 63); none is left out.
    pub attr: u64,
    /// `language`, ISO 639-1 alpha-2.
    pub language: Option<[u8; 2]>,
    /// `w` and `h`.
    pub size: Option<Size>,
    /// `dur`, seconds.
    pub duration: Option<u16>,
    /// `protocol` (AdCOM list "Creative Subtypes").
    pub protocol: Option<u8>,
    /// `slotinpod`, only for the dynamic part of a pod (2.6 section 7.6).
    pub slot_in_pod: Option<i8>,
    /// `mtype`; left out before 2.6.
    pub kind: Option<MarkupType>,
    /// The members of `ext.dsa`, in two pieces.
    pub dsa: Option<[&'a [u8]; 2]>,
}

/// What a bid's markup is (2.6 section 4.2.3, `mtype`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MarkupType {
    /// HTML.
    Banner = 1,
    /// VAST for a video.
    Video = 2,
    /// VAST for an audio spot.
    Audio = 3,
    /// A native response.
    Native = 4,
}

/// Writes one `BidResponse`: [`ResponseWriter::new`], then [`ResponseWriter::bid`] for each, then
/// [`ResponseWriter::finish`].
#[derive(Debug)]
pub struct ResponseWriter<'b> {
    out: Out<'b>,
    bids: usize,
    /// Not even the beginning fitted.
    hopeless: bool,
}

impl<'b> ResponseWriter<'b> {
    /// Begins a response to the request whose `id` has this text between its quotes.
    pub fn new(buffer: &'b mut [u8], request_id: &[u8]) -> Self {
        let mut out = Out::new(buffer);
        out.put(br#"{"id":""#);
        out.put(request_id);
        out.put(br#"","seatbid":[{"bid":["#);
        let hopeless = out.overflow;
        ResponseWriter { out, bids: 0, hopeless }
    }

    /// Adds a bid; `markup` writes what stands between the quotes of `adm`, and where it writes nothing there is no `adm`.
    /// False if the bid does not fit; the response is then without it.
    pub fn bid(&mut self, bid: &Bid<'_>, markup: impl FnOnce(&mut Out<'_>)) -> bool {
        let before = self.out.length;
        if self.bids > 0 {
            self.out.put(b",");
        }
        self.write(bid, markup);
        // Room for the end of the response is part of fitting.
        if self.hopeless || self.out.overflow || self.out.buffer.len() - self.out.length < END_BYTES {
            self.out.length = before;
            self.out.overflow = false;
            return false;
        }
        self.bids += 1;
        true
    }

    /// Ends the response; its length, or nothing if no bid fitted or `seat` or `currency` does not. `seat` is JSON text without
    /// its quotes, empty for none; `group` makes the bids all or nothing (`seatbid.group`); `currency` is ISO 4217 (`cur`).
    pub fn finish(mut self, seat: &[u8], group: bool, currency: &[u8]) -> Option<usize> {
        self.out.put(b"]");
        if !seat.is_empty() {
            self.out.put(br#","seat":""#);
            self.out.put(seat);
            self.out.put(b"\"");
        }
        if group {
            self.out.put(br#","group":1"#);
        }
        self.out.put(br#"}],"cur":""#);
        self.out.put(currency);
        self.out.put(br#""}"#);
        (self.bids > 0 && !self.out.overflow).then_some(self.out.length)
    }

    fn write(&mut self, bid: &Bid<'_>, markup: impl FnOnce(&mut Out<'_>)) {
        let out = &mut self.out;
        out.put(br#"{"id":""#);
        out.hex(&bid.id.0);
        out.put(br#"","impid":""#);
        out.put(bid.imp);
        out.put(br#"","price":"#);
        out.price(bid.price);
        let quoted: [(&[u8], _); 4] = [
            (br#","dealid":""#, bid.deal),
            (br#","nurl":""#, bid.win_url),
            (br#","burl":""#, bid.bill_url),
            (br#","lurl":""#, bid.loss_url),
        ];
        for (key, text) in quoted {
            if let Some(text) = text {
                out.put(key);
                out.put(text);
                out.put(b"\"");
            }
        }
        let before = out.length;
        out.put(br#","adm":""#);
        let empty = out.length;
        markup(out);
        if out.length == empty && !out.overflow {
            out.length = before;
        } else {
            out.put(b"\"");
        }
        out.put(br#","adomain":"#);
        out.put(bid.adomain);
        out.put(br#","cid":"#);
        out.put(bid.campaign);
        out.put(br#","crid":"#);
        out.put(bid.creative);
        let json: [(&[u8], _); 3] = [
            (br#","adid":"#, bid.registered.then_some(bid.creative)),
            (br#","iurl":"#, bid.preview),
            (br#","bundle":"#, bid.app),
        ];
        for (key, text) in json {
            if let Some(text) = text {
                out.put(key);
                out.put(text);
            }
        }
        if bid.cat != b"[]" {
            out.put(br#","cat":"#);
            out.put(bid.cat);
            if bid.cattax != 1 {
                out.field(br#","cattax":"#, bid.cattax.into());
            }
        }
        out.attributes(bid.attr);
        if let Some(language) = bid.language {
            out.put(br#","language":""#);
            out.put(&language);
            out.put(b"\"");
        }
        if let Some(Size { w, h }) = bid.size {
            out.field(br#","w":"#, w.into());
            out.field(br#","h":"#, h.into());
        }
        if let Some(duration) = bid.duration {
            out.field(br#","dur":"#, duration.into());
        }
        if let Some(protocol) = bid.protocol {
            out.field(br#","protocol":"#, protocol.into());
        }
        if let Some(slot) = bid.slot_in_pod {
            out.put(if slot < 0 { br#","slotinpod":-"# } else { br#","slotinpod":"# });
            out.integer(slot.unsigned_abs().into());
        }
        if let Some(kind) = bid.kind {
            out.field(br#","mtype":"#, kind as u64);
        }
        if let Some([members, transparency]) = bid.dsa {
            out.put(br#","ext":{"dsa":{"#);
            out.put(members);
            out.put(transparency);
            out.put(b"}}");
        }
        out.put(b"}");
    }
}

/// `],"seat":"…","group":1}],"cur":"USD"}` with the longest seat a configuration may have.
const END_BYTES: usize = 48 + SEAT_BYTES;
/// The longest seat id a configuration may have, bytes as JSON.
pub const SEAT_BYTES: usize = 128;

/// The answer as far as it is written. What does not fit is not written, nor anything after it, and is noticed at the end.
#[derive(Debug)]
pub struct Out<'b> {
    buffer: &'b mut [u8],
    length: usize,
    overflow: bool,
}

impl<'b> Out<'b> {
    /// An empty answer with this much room.
    #[inline]
    pub fn new(buffer: &'b mut [u8]) -> Self {
        Out { buffer, length: 0, overflow: false }
    }

    /// Bytes written, if everything fitted.
    #[inline]
    pub fn written(&self) -> Option<usize> {
        (!self.overflow).then_some(self.length)
    }

    /// Writes nothing and counts as not having fitted: what was to be written has no right form.
    #[inline]
    pub fn refuse(&mut self) {
        self.overflow = true;
    }

    /// Writes bytes as they stand.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.length..self.length + bytes.len()) {
            Some(place) if !self.overflow => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            _ => self.overflow = true,
        }
    }

    /// Writes 16 bytes as 32 lower-case hexadecimal digits.
    pub fn hex(&mut self, bytes: &[u8; 16]) {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = HEX[(byte >> 4) as usize];
            pair[1] = HEX[(byte & 15) as usize];
        }
        self.put(&text);
    }

    /// Writes a whole number.
    pub fn integer(&mut self, mut value: u64) {
        let mut text = [0; 20];
        let mut at = text.len();
        loop {
            at -= 1;
            text[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.put(&text[at..]);
    }

    fn field(&mut self, key: &[u8], value: u64) {
        self.put(key);
        self.integer(value);
    }

    fn attributes(&mut self, mut attr: u64) {
        if attr == 0 {
            return;
        }
        let mut key: &[u8] = br#","attr":["#;
        while attr != 0 {
            self.field(key, attr.trailing_zeros().into());
            attr &= attr - 1;
            key = b",";
        }
        self.put(b"]");
    }

    /// The exact decimal, without trailing zeros: 2,500,000 is `2.5`.
    fn price(&mut self, price: CpmMicros) {
        assert!(price.0 > 0, "a bid has a price");
        let micros = price.0 as u64;
        self.integer(micros / 1_000_000);
        let mut fraction = micros % 1_000_000;
        if fraction == 0 {
            return;
        }
        let mut text = *b".000000";
        for digit in text[1..].iter_mut().rev() {
            *digit = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        let end = text.iter().rposition(|&digit| digit != b'0').map_or(0, |last| last + 1);
        self.put(&text[..end]);
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ID: BidId = BidId(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff");

    /// What a bid cannot do without.
    const BARE: Bid<'static> = Bid {
        registered: false,
        preview: None,
        app: None,
        id: ID,
        imp: b"1",
        price: CpmMicros(1),
        deal: None,
        win_url: None,
        bill_url: None,
        loss_url: None,
        adomain: b"[]",
        campaign: br#""7""#,
        creative: br#""c1""#,
        cat: b"[]",
        cattax: 1,
        attr: 0,
        language: None,
        size: None,
        duration: None,
        protocol: None,
        slot_in_pod: None,
        kind: Some(MarkupType::Native),
        dsa: None,
    };

    /// Everything a bid can have.
    const FULL: Bid<'static> = Bid {
        imp: br"imp \u00e9",
        price: CpmMicros(2_500_000),
        deal: Some(br#"d\"1"#),
        win_url: Some(b"http://h/notice/win/x"),
        bill_url: Some(b"http://h/notice/bill/x"),
        loss_url: Some(b"http://h/notice/loss/x"),
        adomain: br#"["a.example"]"#,
        cat: br#"["483"]"#,
        cattax: 7,
        attr: 1 << 1 | 1 << 63,
        language: Some(*b"de"),
        size: Some(Size { w: 300, h: 250 }),
        duration: Some(15),
        protocol: Some(7),
        slot_in_pod: Some(-1),
        kind: Some(MarkupType::Video),
        dsa: Some([br#""behalf":"A","paid":"B""#, br#","transparency":[]"#]),
        ..BARE
    };

    fn html(out: &mut Out<'_>) {
        out.put(br#"<a href=\"x\">"#);
    }

    #[test]
    fn a_response_is_what_serde_reads_it_to_be() {
        let mut buffer = [0; 2048];
        let mut writer = ResponseWriter::new(&mut buffer, br#"r\"1"#);
        assert!(writer.bid(&FULL, html));
        assert!(writer.bid(&BARE, |_| ()));
        let length = writer.finish(b"seat", true, b"EUR").unwrap();
        let read: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!(
            read,
            json!({"id": "r\"1", "cur": "EUR", "seatbid": [{"seat": "seat", "group": 1, "bid": [
                {"id": "000102030405060708090a0b0c0d0eff", "impid": "imp é", "price": 2.5, "dealid": "d\"1",
                 "nurl": "http://h/notice/win/x", "burl": "http://h/notice/bill/x", "lurl": "http://h/notice/loss/x",
                 "adm": "<a href=\"x\">", "adomain": ["a.example"], "cid": "7", "crid": "c1", "cat": ["483"],
                 "cattax": 7, "attr": [1, 63], "language": "de", "w": 300, "h": 250, "dur": 15, "protocol": 7,
                 "slotinpod": -1, "mtype": 2, "ext": {"dsa": {"behalf": "A", "paid": "B", "transparency": []}}},
                {"id": "000102030405060708090a0b0c0d0eff", "impid": "1", "price": 0.000001, "adomain": [],
                 "cid": "7", "crid": "c1", "mtype": 4}]}]})
        );
        let mut writer = ResponseWriter::new(&mut buffer, b"r");
        assert!(writer.bid(&Bid { cat: b"[]", ..FULL }, html));
        let length = writer.finish(b"", false, b"USD").unwrap();
        let read: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        let seatbid = read["seatbid"][0].as_object().unwrap();
        assert_eq!(seatbid.keys().collect::<Vec<_>>(), ["bid"]);
        assert!(seatbid["bid"][0].get("cattax").is_none(), "a taxonomy of nothing");
    }

    #[test]
    fn nothing_is_written_after_what_did_not_fit() {
        let mut buffer = [b' '; 4];
        let mut out = Out::new(&mut buffer);
        out.put(b"ab");
        assert_eq!(out.written(), Some(2));
        out.put(b"cde");
        out.put(b"f");
        assert_eq!(out.written(), None);
        assert_eq!(&buffer, b"ab  ");
    }

    proptest! {
        #[test]
        fn whatever_the_room_the_response_is_whole_or_absent(room in 0usize..2000, bids in 0usize..4, full: bool) {
            let mut buffer = vec![0; room];
            let mut writer = ResponseWriter::new(&mut buffer, b"id");
            let bid = if full { FULL } else { BARE };
            let fitted = (0..bids).filter(|_| writer.bid(&bid, html)).count();
            match writer.finish(&[b's'; SEAT_BYTES], true, b"USD") {
                Some(length) => {
                    let read: Value = serde_json::from_slice(&buffer[..length]).unwrap();
                    prop_assert_eq!(read["seatbid"][0]["bid"].as_array().unwrap().len(), fitted);
                    prop_assert!(fitted > 0);
                }
                None => prop_assert_eq!(fitted, 0),
            }
        }

        #[test]
        fn prices_are_exact(micros in 1i64..1_000_000_000_000) {
            let mut buffer = [0; 64];
            let mut out = Out::new(&mut buffer);
            out.price(CpmMicros(micros));
            let length = out.length;
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            prop_assert!(!fraction.ends_with('0'));
            let read = whole.parse::<i64>().unwrap() * 1_000_000 + format!("{fraction:0<6}").parse::<i64>().unwrap();
            prop_assert_eq!(read, micros);
        }
    }
}
