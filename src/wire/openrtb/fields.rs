//! What every reader of OpenRTB objects does: find the fields in use, and take values of their types.
//!
//! A field in use with a wrong type is an error, because what it forbids could not be honoured. Numbers without a fraction
//! are integers however they are written, flags may be `true` and `false`, and integers beyond a field's range take the
//! nearest value in it, which for an enum is an unknown one.

use super::mime::Mimes;
use super::request::{ScanError, Size};
use crate::limits;
use crate::units::CpmMicros;
use crate::wire::json::{Document, Raw, Token, WrongType};

/// Finds the fields of an object and names their values: `fields!(document, token; name "key" ...)`.
macro_rules! fields {
    ($document:expr, $token:expr; $($name:ident $key:literal)*) => {
        let [$($name),*] = {
            use $crate::wire::json::{Keys, are_long};
            const NAMES: &[&str] = &[$($key),*];
            static KEYS: Keys<{ NAMES.len() }, { are_long(NAMES) }> = Keys::new([$($key),*]);
            $document.fields($token, &KEYS)?
        };
    };
}

/// The nearest value in the range of an integer field of 8, 16 or 32 bits.
macro_rules! saturated {
    ($type:ty) => {
        |value: i64| value.clamp(<$type>::MIN.into(), <$type>::MAX.into()) as $type
    };
}

pub(super) use {fields, saturated};

/// A list of strings. One that names nothing says nothing: it is as good as absent.
pub(super) fn strings<'a>(document: &Document<'a, '_>, token: Token) -> Result<Raw<'a>, ScanError> {
    match document.strings(token)? {
        (_, 0) => Ok(Raw::default()),
        (_, count) if count > limits::LIST => Err(ScanError::TooMuch),
        (list, _) => Ok(list),
    }
}

/// The 2.6 place of a field, or the 2.5 place if there is nothing.
#[inline(always)]
pub(super) fn either(document: &Document<'_, '_>, place: Token, earlier_place: Token) -> Token {
    if document.is_present(place) { place } else { earlier_place }
}

/// `ext`, of which nothing is promised: of another type than an object, it is somebody else's.
#[inline(always)]
pub(super) fn extension(document: &Document<'_, '_>, ext: Token) -> Token {
    if document.is_object(ext) { ext } else { Token::ABSENT }
}

/// A price per thousand, rounded up to a micro: a floor may not be undercut. 0 if absent.
#[inline(always)]
pub(super) fn price(document: &Document<'_, '_>, token: Token) -> Result<CpmMicros, WrongType> {
    Ok(CpmMicros(document.ceiling(token, 6)?.unwrap_or(0)))
}

/// Two sides, each 0 if absent.
#[inline(always)]
pub(super) fn sides(document: &Document<'_, '_>, w: Token, h: Token) -> Result<Size, WrongType> {
    let [w, h] = [document.integer(w)?, document.integer(h)?].map(|side| side.map_or(0, saturated!(u16)));
    Ok(Size { w, h })
}

/// The integers of a list as bits; what is not between 0 and 63 has none.
pub(super) fn bits(document: &Document<'_, '_>, token: Token) -> Result<u64, WrongType> {
    let mut bits = 0;
    for element in document.elements(token)? {
        bits |= bit(document, element)?;
    }
    Ok(bits)
}

/// An integer as a bit; none if it is not between 0 and 63.
#[inline(always)]
pub(super) fn bit(document: &Document<'_, '_>, token: Token) -> Result<u64, WrongType> {
    Ok(document.integer(token)?.filter(|value| (0..64).contains(value)).map_or(0, |value| 1 << value))
}

/// The MIME types of a list of strings; empty only if the list is.
pub(super) fn mimes(document: &Document<'_, '_>, token: Token) -> Result<Mimes, ScanError> {
    let mut mimes = Mimes::default();
    for text in strings(document, token)?.strings() {
        // None of ours is longer, and `video\/mp4` is how some write it.
        let mut room = [0; 32];
        let known = text.unescape(&mut room).map_or(Mimes::default(), Mimes::of);
        mimes = mimes.with(if known.is_empty() { Mimes::FOREIGN } else { known });
    }
    Ok(mimes)
}
