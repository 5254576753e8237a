//! Values that tell people apart, written over in their own place: as long as before, of the same shape, and of nobody.
//!
//! What stands there instead follows from the value and from a random key that lives as long as one capture and is kept nowhere. So
//! the same person is the same pseudonym throughout a capture, in whichever field it stands, caps and duplicates go on being what they
//! are, and nobody can try ids against what was captured.

use std::net::{IpAddr, Ipv6Addr};

use blake3::{Hasher, OutputReader};
use zeroize::Zeroizing;

/// The key of one capture.
pub struct Pseudonyms(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

/// Bytes that follow from a value.
struct Drawn(OutputReader);

impl Drawn {
    fn byte(&mut self) -> u8 {
        let mut one = [0];
        self.0.fill(&mut one);
        one[0]
    }

    /// One of `alphabet`.
    fn of(&mut self, alphabet: &[u8]) -> u8 {
        alphabet[usize::from(self.byte()) % alphabet.len()]
    }
}

const DIGITS: &[u8] = b"0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LOWER_HEX: &[u8] = b"0123456789abcdef";
const UPPER_HEX: &[u8] = b"0123456789ABCDEF";

impl Pseudonyms {
    /// Under a key that the kernel draws now.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn random() -> std::io::Result<Pseudonyms> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *key).map_err(std::io::Error::from)?;
        Ok(Pseudonyms(key))
    }

    fn drawn(&self, value: &[u8]) -> Drawn {
        Drawn(Hasher::new_keyed(&self.0).update(value).finalize_xof())
    }

    /// Of the text between the quotes of a JSON string. Hexadecimal stays hexadecimal, digits digits, letters letters of their case,
    /// and what is between them stays, so that a UUID stays one. An id of nothing but zeros means that there is none, and stays. Where
    /// something is escaped or not ASCII, all of it becomes letters.
    pub fn text(&self, text: &mut [u8]) {
        if text.iter().all(|byte| matches!(byte, b'0' | b'-')) {
            return;
        }
        let mut drawn = self.drawn(text);
        if text.iter().any(|byte| *byte == b'\\' || !byte.is_ascii()) {
            text.fill_with(|| drawn.of(LOWER));
            return;
        }
        let is_hex = text.iter().filter(|byte| byte.is_ascii_alphanumeric()).all(u8::is_ascii_hexdigit);
        let (lower, upper) = if is_hex { (LOWER_HEX, UPPER_HEX) } else { (LOWER, UPPER) };
        // A hexadecimal id has letters of one case, and its digits become either.
        let digits = match (is_hex, text.iter().any(u8::is_ascii_lowercase), text.iter().any(u8::is_ascii_uppercase)) {
            (true, true, false) => LOWER_HEX,
            (true, false, true) => UPPER_HEX,
            _ => DIGITS,
        };
        for byte in text {
            *byte = match *byte {
                b'0'..=b'9' => drawn.of(digits),
                b'a'..=b'z' => drawn.of(lower),
                b'A'..=b'Z' => drawn.of(upper),
                other => other,
            };
        }
    }

    /// Of a number: another whole number of as many digits; what has a fraction or an exponent becomes 0.
    pub fn number(&self, number: &mut [u8]) {
        if number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return nothing(number);
        }
        if number.iter().all(|byte| matches!(byte, b'0' | b'-')) {
            return;
        }
        let mut drawn = self.drawn(number);
        let first = number.iter().position(u8::is_ascii_digit).unwrap_or(0);
        for (at, byte) in number.iter_mut().enumerate().skip(first) {
            *byte = if at == first { drawn.of(&DIGITS[1..]) } else { drawn.of(DIGITS) };
        }
    }

    /// Of an address: its network stays (the first 24 bits, or 48 of IPv6), so that places, data centres and velocity stay about what
    /// they are. What is no address is an id like another.
    pub fn address(&self, text: &mut [u8]) {
        let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        match parsed {
            Some(IpAddr::V4(_)) => self.last_octet(text),
            Some(IpAddr::V6(address)) => self.low_groups(address, text),
            None => self.text(text),
        }
    }

    /// Another last octet of as many digits.
    fn last_octet(&self, text: &mut [u8]) {
        let mut drawn = self.drawn(text);
        let last = text.iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
        let octet = match text.len() - last {
            1 => drawn.byte() % 10,
            2 => 10 + drawn.byte() % 90,
            _ => 100 + drawn.byte() % 156,
        };
        text[last..].copy_from_slice(octet.to_string().as_bytes());
    }

    /// Other digits in the groups behind the third.
    fn low_groups(&self, address: Ipv6Addr, text: &mut [u8]) {
        // 6to4 has a whole IPv4 address in the two groups behind its first.
        if address.segments()[0] == 0x2002 {
            return self.text(text);
        }
        if text.contains(&b'.') {
            // An IPv4 address in the last 32 bits.
            return match address.to_ipv4_mapped() {
                Some(_) => self.last_octet(text),
                None => self.text(text),
            };
        }
        let mut drawn = self.drawn(text);
        let (mut colons, mut low, mut before) = (0, false, 0);
        for byte in text {
            if *byte == b':' {
                colons += 1;
                low |= colons == 3 || before == b':';
            } else if low {
                *byte = drawn.of(LOWER_HEX);
            }
            before = *byte;
        }
    }

    /// Of a postal code: the first three characters stay, which are of many people, as a coordinate's tenth of a degree is; letters and
    /// digits behind them become zeros.
    pub fn zip(&self, text: &mut [u8]) {
        if text.iter().any(|byte| *byte == b'\\' || !byte.is_ascii()) {
            return self.text(text);
        }
        for byte in text.iter_mut().skip(3).filter(|byte| byte.is_ascii_alphanumeric()) {
            *byte = b'0';
        }
    }

    /// Of a URL: what is behind `?` or `#`, value by value; a page's address stays, for pages are what is bought and blocked.
    pub fn query(&self, text: &mut [u8]) {
        // What is escaped by number could be the question mark itself.
        if text.windows(2).any(|pair| pair == b"\\u") {
            return self.text(text);
        }
        let Some(from) = text.iter().position(|byte| matches!(byte, b'?' | b'#')) else { return };
        let behind = &mut text[from + 1..];
        if !behind.is_empty() {
            self.text(behind);
        }
    }
}

/// A coordinate to a tenth of a degree, some 11 km: further digits become zeros.
pub fn coarse(number: &mut [u8]) {
    if number.iter().any(|byte| matches!(byte, b'e' | b'E')) {
        return nothing(number);
    }
    if let Some(point) = number.iter().position(|byte| *byte == b'.') {
        for digit in number.iter_mut().skip(point + 2) {
            *digit = b'0';
        }
    }
}

/// The number 0, and white space up to the length that was.
fn nothing(number: &mut [u8]) {
    number.fill(b' ');
    if let Some(first) = number.first_mut() {
        *first = b'0';
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn over(with: impl Fn(&Pseudonyms, &mut [u8]), value: &str) -> String {
        let mut bytes = value.as_bytes().to_vec();
        with(&Pseudonyms(Zeroizing::new([7; 32])), &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    fn shape(text: &str) -> String {
        let class = |letter: char| match letter {
            'a'..='f' | '0'..='9' => 'h',
            'g'..='z' => 'z',
            'A'..='Z' => 'Z',
            other => other,
        };
        text.chars().map(class).collect()
    }

    #[test]
    fn an_id_keeps_its_shape_and_nothing_else() {
        let text = |value: &str| over(Pseudonyms::text, value);
        for id in ["6d92078a-8246-4ba4-ae5b-76104861e7dc", "da39a3ee5e6b4b0d3255bfef95601890afd80709"] {
            let pseudonym = text(id);
            assert_eq!(shape(&pseudonym), shape(id));
            let same = pseudonym.bytes().zip(id.bytes()).filter(|(one, other)| one == other && *one != b'-').count();
            assert!(same < 10, "{id} {pseudonym}");
            assert_eq!(text(id), pseudonym);
        }
        assert!(text("6D92078A-8246").bytes().all(|byte| !byte.is_ascii_lowercase()));
        assert!(text("1234567").bytes().all(|byte| byte.is_ascii_digit()));
        assert_eq!(text("AbC_xyz-9").bytes().map(|byte| byte.is_ascii_uppercase()).filter(|upper| *upper).count(), 2);
        for kept in ["", "0", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(text(kept), kept);
        }
        for odd in [r"a\u0041b\n", "Zoë-1", r"\\"] {
            assert!(text(odd).bytes().all(|byte| byte.is_ascii_lowercase()) && text(odd).len() == odd.len());
        }
        let other = Pseudonyms(Zeroizing::new([8; 32]));
        let mut bytes = b"6d92078a".to_vec();
        other.text(&mut bytes);
        assert_ne!(bytes, text("6d92078a").into_bytes());
    }

    #[test]
    fn numbers_stay_numbers_of_their_length() {
        for number in ["7", "-12", "90071992547409931", "100"] {
            let pseudonym = over(Pseudonyms::number, number);
            assert_eq!((pseudonym.len(), pseudonym.starts_with('-')), (number.len(), number.starts_with('-')));
            assert!(serde_json::from_str::<serde_json::Number>(&pseudonym).is_ok(), "{pseudonym}");
        }
        assert_eq!(over(Pseudonyms::number, "0"), "0");
        assert_eq!(over(Pseudonyms::number, "1.5e300"), "0      ");
        let near = |value: &str| over(|_, bytes| coarse(bytes), value);
        assert_eq!(
            ["52.520008", "-13.4", "7", "-0.00412", "5.2e1"].map(near),
            ["52.500000", "-13.4", "7", "-0.00000", "0    "]
        );
    }

    #[test]
    fn the_network_of_an_address_stays() {
        let address = |value: &str| over(Pseudonyms::address, value);
        for ip in ["203.0.113.7", "203.0.113.77", "203.0.113.177", "198.51.100.0"] {
            let pseudonym = address(ip);
            let (one, other): (Ipv4Addr, Ipv4Addr) = (ip.parse().unwrap(), pseudonym.parse().unwrap());
            assert_eq!((one.octets()[..3].to_vec(), ip.len()), (other.octets()[..3].to_vec(), pseudonym.len()));
        }
        for ip in [
            "2001:db8:1:2:3:4:5:6",
            "2001:db8::1",
            "2001:db8:85a3::8a2e:370:7334",
            "::1",
            "2001::",
            "2001:db8:0:0:0:0:0:1",
        ] {
            let pseudonym = address(ip);
            let (one, other): (Ipv6Addr, Ipv6Addr) = (ip.parse().unwrap(), pseudonym.parse().unwrap());
            assert_eq!((&one.segments()[..3], ip.len()), (&other.segments()[..3], pseudonym.len()), "{ip} {pseudonym}");
        }
        let mapped = address("::ffff:203.0.113.77");
        assert!(mapped.starts_with("::ffff:203.0.113.") && mapped.parse::<Ipv6Addr>().is_ok());
        let through = address("2002:cb00:714d::7");
        assert!(!through.contains("cb00:714d") && through.len() == 17, "{through}");
        assert_eq!(address("no address").len(), 10);
        assert_ne!(address("no address"), "no address");
    }

    #[test]
    fn of_a_postal_code_the_area_stays() {
        let zip = |value: &str| over(Pseudonyms::zip, value);
        let given = ["80331", "SW1A 1AA", "94105-1234", "101", ""];
        assert_eq!(given.map(zip), ["80300", "SW10 000", "94100-0000", "101", ""]);
        assert!(!zip(r"80\u0033").contains("80"));
    }

    #[test]
    fn of_a_url_the_page_stays() {
        let query = |value: &str| over(Pseudonyms::query, value);
        assert_eq!(query("https://news.example/a/b"), "https://news.example/a/b");
        let url = query("https://news.example/a?mail=ann&n=12#top");
        assert!(url.starts_with("https://news.example/a?") && url.len() == 40 && !url.contains("ann"), "{url}");
    }
}
