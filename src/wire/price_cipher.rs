//! Clearing prices that only we can read: the scheme of Authorized Buyers (`%%WINNING_PRICE%%`), which OpenX shares.
//!
//! ```text
//! web-safe base64( iv · price XOR pad · integrity )
//!                  16        8              4         bytes
//!
//! pad       = the first 8 bytes of HMAC-SHA1(encryption key, iv)
//! integrity = the first 4 bytes of HMAC-SHA1(integrity key, price · iv)
//! ```
//!
//! The price is big-endian. What it counts differs by exchange: [`super::price::Scheme`] knows.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::base64;

/// An encryption or integrity key: 256 bits.
pub type Key = [u8; 32];

/// Bytes of the initialisation vector, never used twice.
pub const IV: usize = 16;
const PRICE: usize = 8;
const INTEGRITY: usize = 4;
const MESSAGE: usize = IV + PRICE + INTEGRITY;

/// Digits of an encrypted price without padding.
pub const DIGITS: usize = base64::encoded(MESSAGE);

/// Both keys of one exchange. Their HMAC states are computed once.
#[derive(Clone)]
pub struct PriceCipher {
    encryption: Hmac<Sha1>,
    integrity: Hmac<Sha1>,
}

/// Why an encrypted price is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is nothing.
    Empty,
    /// It is not base64 of 28 bytes.
    Malformed,
    /// It was not made with these keys, or was changed since.
    Forged,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::Empty => "the encrypted price is empty",
            Refused::Malformed => "not an encrypted price: 38 digits of base64 are wanted, 40 with padding",
            Refused::Forged => "wrongly signed: the price was changed, or encrypted under other keys",
        })
    }
}

impl std::error::Error for Refused {}

impl std::fmt::Debug for PriceCipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PriceCipher(..)")
    }
}

impl PriceCipher {
    /// The keys an exchange gave us.
    pub fn new(encryption: &Key, integrity: &Key) -> PriceCipher {
        let keyed = |key: &Key| Hmac::new_from_slice(key).expect("HMAC takes a key of any length");
        PriceCipher { encryption: keyed(encryption), integrity: keyed(integrity) }
    }

    /// The number inside, in whatever the exchange counts in.
    pub fn decrypt(&self, text: &[u8]) -> Result<u64, Refused> {
        if text.is_empty() {
            return Err(Refused::Empty);
        }
        let mut message = [0; MESSAGE];
        if base64::decode_any(text, &mut message) != Some(MESSAGE) {
            return Err(Refused::Malformed);
        }
        let (iv, rest) = message.split_first_chunk::<IV>().ok_or(Refused::Malformed)?;
        let (hidden, given) = rest.split_first_chunk::<PRICE>().ok_or(Refused::Malformed)?;
        let price = u64::from_be_bytes(*hidden) ^ self.pad(iv);
        let integrity = self.integrity(price, iv);
        // No early end: how long it takes tells nothing about where they differ.
        let differ = integrity.iter().zip(given).fold(0, |differ, (a, b)| differ | (a ^ b));
        if differ == 0 { Ok(price) } else { Err(Refused::Forged) }
    }

    /// What an exchange sends for `price`. It never uses an initialisation vector twice.
    pub fn encrypt(&self, iv: &[u8; IV], price: u64) -> [u8; DIGITS] {
        let mut message = [0; MESSAGE];
        message[..IV].copy_from_slice(iv);
        message[IV..IV + PRICE].copy_from_slice(&(price ^ self.pad(iv)).to_be_bytes());
        message[IV + PRICE..].copy_from_slice(&self.integrity(price, iv));
        let mut text = [0; DIGITS];
        base64::encode(&message, &mut text);
        text
    }

    fn pad(&self, iv: &[u8; IV]) -> u64 {
        let mac: [u8; 20] = self.encryption.clone().chain_update(iv).finalize().into_bytes().into();
        mac.first_chunk().map_or(0, |pad| u64::from_be_bytes(*pad))
    }

    fn integrity(&self, price: u64, iv: &[u8; IV]) -> [u8; INTEGRITY] {
        let mac = self.integrity.clone().chain_update(price.to_be_bytes()).chain_update(iv);
        let mac: [u8; 20] = mac.finalize().into_bytes().into();
        [mac[0], mac[1], mac[2], mac[3]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cipher() -> PriceCipher {
        PriceCipher::new(&[1; 32], &[2; 32])
    }

    proptest! {
        #[test]
        fn what_was_encrypted_comes_back(encryption: Key, integrity: Key, iv: [u8; 16], price: u64) {
            let cipher = PriceCipher::new(&encryption, &integrity);
            let text = cipher.encrypt(&iv, price);
            prop_assert_eq!(cipher.decrypt(&text), Ok(price));
            let other = PriceCipher::new(&integrity, &encryption);
            prop_assert!(encryption == integrity || other.decrypt(&text) == Err(Refused::Forged));
            let padded = [&text[..], b"=="].concat();
            prop_assert_eq!(cipher.decrypt(&padded), Ok(price));
            let usual: Vec<u8> = padded.iter().map(|digit| match digit { b'-' => b'+', b'_' => b'/', other => *other }).collect();
            prop_assert_eq!(cipher.decrypt(&usual), Ok(price));
        }

        #[test]
        fn a_changed_digit_is_noticed(iv: [u8; 16], price: u64, at in 0..DIGITS, byte: u8) {
            let mut text = cipher().encrypt(&iv, price);
            let same = |digit: u8| match digit { b'+' => b'-', b'/' => b'_', other => other };
            prop_assume!(same(byte) != text[at]);
            text[at] = byte;
            let refused = matches!(cipher().decrypt(&text), Err(Refused::Forged | Refused::Malformed));
            prop_assert!(refused);
        }

        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(cipher().decrypt(&text).is_err());
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let text = cipher().encrypt(&[3; 16], 4);
        assert_eq!(cipher().decrypt(b""), Err(Refused::Empty));
        assert_eq!(cipher().decrypt(&text[..37]), Err(Refused::Malformed));
        assert_eq!(cipher().decrypt(&[&text[..], b"="].concat()), Err(Refused::Malformed));
        assert_eq!(PriceCipher::new(&[1; 32], &[3; 32]).decrypt(&text), Err(Refused::Forged));
        assert_eq!(format!("{:?}", cipher()), "PriceCipher(..)");
    }
}
