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
    /// `price`.
    pub price: CpmMicros,
    /// `adm`, a JSON string with its quotes.
    pub markup: &'a [u8],
    /// `adomain`, a JSON array.
    pub adomain: &'a [u8],
    /// `cat`, a JSON array; `[]` is left out.
    pub cat: &'a [u8],
    /// `cid`, a JSON string with its quotes.
    pub campaign: &'a [u8],
    /// `crid`, a JSON string with its quotes.
    pub creative: &'a [u8],
    /// `w` and `h`.
    pub size: Size,
    /// `nurl`.
    pub win_url: &'a [u8],
    /// `burl`.
    pub bill_url: &'a [u8],
    /// `lurl`.
    pub loss_url: &'a [u8],
}

/// Writes one `BidResponse`: [`ResponseWriter::new`], then [`ResponseWriter::bid`] for each, then
/// [`ResponseWriter::finish`].
#[derive(Debug)]
pub struct ResponseWriter<'b> {
    out: Out<'b>,
    bids: usize,
}

impl<'b> ResponseWriter<'b> {
    /// Begins a response to the request whose `id` has this text between its quotes.
    pub fn new(buffer: &'b mut [u8], request_id: &[u8]) -> Self {
        let mut out = Out { buffer, length: 0, overflow: false };
        out.put(br#"{"id":""#);
        out.put(request_id);
        out.put(br#"","seatbid":[{"bid":["#);
        ResponseWriter { out, bids: 0 }
    }

    /// Adds a bid. False if it does not fit; the response then ends before it.
    pub fn bid(&mut self, bid: &Bid<'_>) -> bool {
        let before = self.out.length;
        if self.bids > 0 {
            self.out.put(b",");
        }
        self.write(bid);
        // Room for the end of the response is part of fitting.
        if self.out.overflow || self.out.buffer.len() - self.out.length < END_BYTES {
            self.out.length = before;
            self.out.overflow = false;
            return false;
        }
        self.bids += 1;
        true
    }

    /// Ends the response; its length, or nothing if no bid fitted or `seat` does not.
    pub fn finish(mut self, seat: &[u8]) -> Option<usize> {
        self.out.put(b"]");
        if !seat.is_empty() {
            self.out.put(br#","seat":""#);
            self.out.put(seat);
            self.out.put(b"\"");
        }
        self.out.put(br#"}],"cur":"USD"}"#);
        (self.bids > 0 && !self.out.overflow).then_some(self.out.length)
    }

    fn write(&mut self, bid: &Bid<'_>) {
        let out = &mut self.out;
        out.put(br#"{"id":""#);
        out.hex(&bid.id.0);
        out.put(br#"","impid":""#);
        out.put(bid.imp);
        out.put(br#"","price":"#);
        out.price(bid.price);
        out.put(br#","nurl":""#);
        out.put(bid.win_url);
        out.put(br#"","burl":""#);
        out.put(bid.bill_url);
        out.put(br#"","lurl":""#);
        out.put(bid.loss_url);
        out.put(br#"","adm":"#);
        out.put(bid.markup);
        out.put(br#","adomain":"#);
        out.put(bid.adomain);
        out.put(br#","cid":"#);
        out.put(bid.campaign);
        out.put(br#","crid":"#);
        out.put(bid.creative);
        if bid.cat != b"[]" {
            out.put(br#","cat":"#);
            out.put(bid.cat);
        }
        out.put(br#","w":"#);
        out.integer(bid.size.w.into());
        out.put(br#","h":"#);
        out.integer(bid.size.h.into());
        out.put(br#","mtype":1}"#);
    }
}

/// `],"seat":"…"}],"cur":"USD"}` with the longest seat a configuration may have.
const END_BYTES: usize = 32 + SEAT_BYTES;
/// The longest seat id a configuration may have, bytes as JSON.
pub const SEAT_BYTES: usize = 128;

#[derive(Debug)]
struct Out<'b> {
    buffer: &'b mut [u8],
    length: usize,
    overflow: bool,
}

impl Out<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        match self.buffer.get_mut(self.length..self.length + bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                self.length += bytes.len();
            }
            None => self.overflow = true,
        }
    }

    fn hex(&mut self, bytes: &[u8; 16]) {
        let mut text = [0; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = HEX[(byte >> 4) as usize];
            pair[1] = HEX[(byte & 15) as usize];
        }
        self.put(&text);
    }

    fn integer(&mut self, mut value: u64) {
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

    fn bid(price: i64) -> Bid<'static> {
        Bid {
            id: BidId(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xff"),
            imp: br"imp \u00e9",
            price: CpmMicros(price),
            markup: br#""<a href=\"x\">""#,
            adomain: br#"["a.example"]"#,
            cat: br#"["IAB1"]"#,
            campaign: br#""7""#,
            creative: br#""c1""#,
            size: Size { w: 300, h: 250 },
            win_url: b"http://h/notice/win/x",
            bill_url: b"http://h/notice/bill/x",
            loss_url: b"http://h/notice/loss/x",
        }
    }

    #[test]
    fn a_response_is_what_serde_reads_it_to_be() {
        let mut buffer = [0; 2048];
        let mut writer = ResponseWriter::new(&mut buffer, br#"r\"1"#);
        assert!(writer.bid(&bid(2_500_000)));
        assert!(writer.bid(&Bid { cat: b"[]", ..bid(1) }));
        let length = writer.finish(b"seat").unwrap();
        let read: Value = serde_json::from_slice(&buffer[..length]).unwrap();
        assert_eq!(read["id"], "r\"1");
        assert_eq!(read["cur"], "USD");
        assert_eq!(read["seatbid"][0]["seat"], "seat");
        assert_eq!(
            read["seatbid"][0]["bid"][0],
            json!({"id": "000102030405060708090a0b0c0d0eff", "impid": "imp é", "price": 2.5,
                   "nurl": "http://h/notice/win/x", "burl": "http://h/notice/bill/x", "lurl": "http://h/notice/loss/x",
                   "adm": "<a href=\"x\">", "adomain": ["a.example"], "cid": "7", "crid": "c1", "cat": ["IAB1"],
                   "w": 300, "h": 250, "mtype": 1})
        );
        assert_eq!(read["seatbid"][0]["bid"][1]["price"], json!(0.000001));
        assert!(read["seatbid"][0]["bid"][1].get("cat").is_none());
    }

    proptest! {
        #[test]
        fn whatever_the_room_the_response_is_whole_or_absent(room in 0usize..1500, bids in 0usize..4) {
            let mut buffer = vec![0; room];
            let mut writer = ResponseWriter::new(&mut buffer, b"id");
            let fitted = (0..bids).filter(|_| writer.bid(&bid(1_230_000))).count();
            match writer.finish(&[b's'; SEAT_BYTES]) {
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
            let mut out = Out { buffer: &mut buffer, length: 0, overflow: false };
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
