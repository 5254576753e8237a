//! The checked document: fields of objects by name, values by type.
//!
//! Reading is by token, and nothing is checked again: a member of an object is its key's token, the colon's, and the value's;
//! a container nobody asks for is left by its closing bracket. The fields of an object are found in one walk, whatever their
//! order, by one table lookup per key; what to do with them is decided afterwards, in the order of the program, so that the
//! order of the document costs no mispredicted branch.

use super::index::{Broken, Scratch};
use super::number;
use super::text::{Raw, Text};

/// A value of the document, or the absence of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Token(u32);

impl Token {
    /// No value.
    pub const ABSENT: Token = Token(0);
}

/// A value is there, and is not of the type asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A string or a number, as it stands in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal<'a> {
    /// A string, between its quotes.
    Text(Text<'a>),
    /// A number.
    Number(&'a [u8]),
}

/// A checked document. Each question takes a [`Token`]; absent and `null` are the same, and get the answer for absent.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a, 's> {
    body: &'a [u8],
    scratch: &'s Scratch,
}

impl<'a, 's> Document<'a, 's> {
    /// Checks a document.
    #[inline]
    pub fn read(body: &'a [u8], scratch: &'s mut Scratch) -> Result<Document<'a, 's>, Broken> {
        scratch.read(body)?;
        Ok(Document { body, scratch })
    }

    /// The value that is the document.
    #[inline]
    pub fn root(&self) -> Token {
        Token(1)
    }

    #[inline(always)]
    fn kind(&self, token: Token) -> u8 {
        self.scratch.kinds[token.0 as usize]
    }

    #[inline(always)]
    fn start(&self, token: Token) -> usize {
        self.scratch.at[token.0 as usize] as usize
    }

    /// The token after a value.
    #[inline(always)]
    fn after(&self, token: Token) -> Token {
        match self.kind(token) {
            b'{' | b'[' => Token(self.scratch.partner[token.0 as usize] + 1),
            _ => Token(token.0 + 1),
        }
    }

    /// Whether there is a value, other than `null`.
    #[inline]
    pub fn is_present(&self, token: Token) -> bool {
        token != Token::ABSENT && self.kind(token) != b'n'
    }

    /// Whether the value is an object.
    #[inline]
    pub fn is_object(&self, token: Token) -> bool {
        self.kind(token) == b'{'
    }

    /// What is between the quotes of a string, which is never the whole document.
    #[inline(always)]
    fn between_quotes(&self, token: Token) -> &'a [u8] {
        let start = self.start(token) + 1;
        // Between a string and the next token is only white space.
        let mut end = self.start(Token(token.0 + 1)) - 1;
        while self.body[end] != b'"' {
            end -= 1;
        }
        &self.body[start..end]
    }

    /// Whether a string is where the document has backslashes: most documents have few, and close together.
    #[inline(always)]
    fn may_be_escaped(&self, token: Token, raw: &[u8]) -> bool {
        let (first, end) = self.scratch.escapes;
        let start = self.start(token);
        start < end && start + raw.len() >= first
    }

    /// A string; empty if absent.
    #[inline(always)]
    pub fn text(&self, token: Token) -> Result<Text<'a>, WrongType> {
        match self.kind(token) {
            b'"' if token.0 + 1 < self.scratch.count as u32 => {
                let raw = self.between_quotes(token);
                Ok(Text { raw, escaped: self.may_be_escaped(token, raw) && memchr::memchr(b'\\', raw).is_some() })
            }
            b'n' | b':' => Ok(Text::default()),
            _ => Err(WrongType),
        }
    }

    /// An integer, saturated to `i64` (1.0 is one); `None` if absent.
    #[inline]
    pub fn integer(&self, token: Token) -> Result<Option<i64>, WrongType> {
        match self.kind(token) {
            b'0'..=b'9' | b'-' => {
                let start = self.start(token);
                let length = match token.0 as usize + 1 {
                    next if next < self.scratch.count => self.scratch.at[next] as usize - start,
                    _ => usize::MAX,
                };
                number::integer(&self.body[start..], length).map(Some).ok_or(WrongType)
            }
            b'n' | b':' => Ok(None),
            _ => Err(WrongType),
        }
    }

    /// A number in units of 10^-`places`, rounded up, saturated to `i64`; `None` if absent.
    #[inline]
    pub fn ceiling(&self, token: Token, places: u8) -> Result<Option<i64>, WrongType> {
        match self.kind(token) {
            b'0'..=b'9' | b'-' => Ok(Some(number::ceiling(&self.body[self.start(token)..], places.into()))),
            b'n' | b':' => Ok(None),
            _ => Err(WrongType),
        }
    }

    /// `true` or `false`, or an integer, of which 0 is false; `None` if absent.
    #[inline]
    pub fn flag(&self, token: Token) -> Result<Option<bool>, WrongType> {
        match self.kind(token) {
            b't' => Ok(Some(true)),
            b'f' => Ok(Some(false)),
            _ => Ok(self.integer(token)?.map(|value| value != 0)),
        }
    }

    /// An array as it stands, with its brackets; empty if absent.
    #[inline]
    pub fn array(&self, token: Token) -> Result<Raw<'a>, WrongType> {
        self.container(token, b'[')
    }

    /// An object as it stands, with its braces; empty if absent.
    #[inline]
    pub fn object(&self, token: Token) -> Result<Raw<'a>, WrongType> {
        self.container(token, b'{')
    }

    #[inline(always)]
    fn container(&self, token: Token, bracket: u8) -> Result<Raw<'a>, WrongType> {
        match self.kind(token) {
            kind if kind == bracket => {
                let close = Token(self.scratch.partner[token.0 as usize]);
                Ok(Raw(&self.body[self.start(token)..=self.start(close)]))
            }
            b'n' | b':' => Ok(Raw::default()),
            _ => Err(WrongType),
        }
    }

    /// An array of strings (`null` among them is passed over) as it stands, and how many strings it has; empty if absent.
    #[inline]
    pub fn strings(&self, token: Token) -> Result<(Raw<'a>, usize), WrongType> {
        let array = self.array(token)?;
        if array.is_empty() {
            return Ok((array, 0));
        }
        let (first, end) = (token.0 as usize + 1, self.scratch.partner[token.0 as usize] as usize);
        let mut count = 0;
        for kind in self.scratch.kinds[first..end].iter().step_by(2) {
            match kind {
                b'"' => count += 1,
                b'n' => {}
                _ => return Err(WrongType),
            }
        }
        Ok((array, count))
    }

    /// The elements of an array; none if absent.
    #[inline]
    pub fn elements(&self, token: Token) -> Result<impl Iterator<Item = Token> + use<'a, 's>, WrongType> {
        let document = *self;
        let (mut next, end) = match self.kind(token) {
            b'[' => (token.0 + 1, self.scratch.partner[token.0 as usize]),
            b'n' | b':' => (0, 0),
            _ => return Err(WrongType),
        };
        Ok(std::iter::from_fn(move || {
            let element = (next < end).then_some(Token(next))?;
            next = document.after(element).0 + 1;
            Some(element)
        }))
    }

    /// Every field of an object, in order, also where a name comes twice; none if it is no object. For who must look at all there is:
    /// [`Document::fields`] is for who knows what it wants.
    pub fn entries(&self, token: Token) -> impl Iterator<Item = (Text<'a>, Token)> + use<'a, 's> {
        let document = *self;
        let (mut key, end) = match self.kind(token) {
            b'{' => (Token(token.0 + 1), self.scratch.partner[token.0 as usize]),
            _ => (Token::ABSENT, 0),
        };
        std::iter::from_fn(move || {
            if key.0 >= end {
                return None;
            }
            let (name, value) = (document.text(key).unwrap_or_default(), Token(key.0 + 2));
            key = Token(document.after(value).0 + 1);
            Some((name, value))
        })
    }

    /// The string or number that a value is, as it stands: a string without its quotes. `None` of anything else.
    pub fn literal(&self, token: Token) -> Option<Literal<'a>> {
        match self.kind(token) {
            b'"' => self.text(token).ok().map(Literal::Text),
            b'0'..=b'9' | b'-' => {
                let next = token.0 as usize + 1;
                let end = if next < self.scratch.count { self.scratch.at[next] as usize } else { self.body.len() };
                Some(Literal::Number(self.body[self.start(token)..end].trim_ascii_end()))
            }
            _ => None,
        }
    }

    /// The values of an object's fields, in the order of `keys`; all absent if the object is.
    // Not inlined: with one copy of the walk per call, varied bodies take a tenth longer.
    #[inline(never)]
    pub fn fields<const N: usize, const LONG: bool>(
        &self,
        token: Token,
        keys: &Keys<N, LONG>,
    ) -> Result<[Token; N], WrongType> {
        const { assert!(N < FIELDS) };
        let mut found = [Token::ABSENT; FIELDS];
        match self.kind(token) {
            b'{' => {
                let end = self.scratch.partner[token.0 as usize];
                let mut key = Token(token.0 + 1);
                while key.0 < end {
                    let value = Token(key.0 + 2);
                    found[self.field(key, keys)] = value;
                    key = Token(self.after(value).0 + 1);
                }
            }
            b'n' | b':' => {}
            _ => return Err(WrongType),
        }
        Ok(*found.first_chunk().expect("no more keys than fields"))
    }

    /// Which of `keys` this is; `N` for none.
    #[inline(always)]
    fn field<const N: usize, const LONG: bool>(&self, key: Token, keys: &Keys<N, LONG>) -> usize {
        let name = self.between_quotes(key);
        let start = self.start(key) + 1;
        let end = start + name.len();
        let found = match (self.body.get(start..start + 8), self.body.get(end.wrapping_sub(8)..end)) {
            (Some(first), Some(last)) => keys.find(Name::read(first, last, name.len()), name),
            _ => keys.find_at_the_edge(name),
        };
        // What is asked for has no backslash in it, so that what has one is known by now, or not as it stands.
        if self.may_be_escaped(key, name) && found == N { keys.find_escaped(name) } else { found }
    }
}

/// Fields that one object can be asked for, and a place for all others.
const FIELDS: usize = 32;
/// The longest key that can be asked for, bytes.
const LONGEST_KEY: usize = 24;
/// The longest keys that a [`Name`] tells apart, bytes.
const TOLD_APART: usize = 16;
/// Places of a key table.
const PLACES: usize = 64;

/// A key in two words and a length, which tell all keys of up to [`TOLD_APART`] bytes apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Name {
    /// The first eight bytes, filled up with 0.
    first: u64,
    /// The last eight bytes; 0 if there are fewer.
    last: u64,
    length: usize,
}

impl Name {
    /// By the eight bytes from its beginning and the eight to its end, of which some may be of its neighbours.
    #[inline(always)]
    fn read(first: &[u8], last: &[u8], length: usize) -> Name {
        let word = |bytes: &[u8]| u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"));
        let shorter = !(u64::MAX << (8 * (length & 7)));
        let (of_first, of_last) = if length < 8 { (shorter, 0) } else { (u64::MAX, u64::MAX) };
        Name { first: word(first) & of_first, last: word(last) & of_last, length }
    }

    const fn of(name: &[u8]) -> Name {
        let mut words = [0_u64; 2];
        let mut n = 0;
        while n < 8 && n < name.len() {
            words[0] |= (name[n] as u64) << (8 * n);
            if name.len() >= 8 {
                words[1] |= (name[name.len() - 8 + n] as u64) << (8 * n);
            }
            n += 1;
        }
        Name { first: words[0], last: words[1], length: name.len() }
    }

    #[inline(always)]
    const fn place(self, multiplier: u64) -> usize {
        (self.first.wrapping_add(self.length as u64).wrapping_mul(multiplier) >> (64 - PLACES.trailing_zeros()))
            as usize
    }
}

/// The names of the fields an object is asked for, with a hash under which no two of them meet, found when compiled. `LONG` if
/// one of them is longer than a word at each end tells: only such lists pay for comparing it whole.
#[derive(Debug)]
pub struct Keys<const N: usize, const LONG: bool = false> {
    texts: [&'static str; N],
    names: [Name; N],
    multiplier: u64,
    /// Which name is at each place of the table; any where there is none.
    places: [u8; PLACES],
}

/// Whether [`Keys`] of these names must be `LONG`.
pub const fn are_long(names: &[&str]) -> bool {
    let mut n = 0;
    while n < names.len() {
        if names[n].len() > TOLD_APART {
            return true;
        }
        n += 1;
    }
    false
}

impl<const N: usize, const LONG: bool> Keys<N, LONG> {
    /// A table of distinct names of at most 24 bytes; to be evaluated when compiled, where a panic is an error.
    pub const fn new(names: [&'static str; N]) -> Keys<N, LONG> {
        assert!(LONG == are_long(&names));
        let mut keys = Keys {
            texts: names,
            names: [Name { first: 0, last: 0, length: 0 }; N],
            multiplier: 0x9e37_79b9_7f4a_7c15,
            places: [0; PLACES],
        };
        let mut n = 0;
        while n < N {
            assert!(names[n].len() <= LONGEST_KEY);
            keys.names[n] = Name::of(names[n].as_bytes());
            n += 1;
        }
        while !keys.fill() {
            keys.multiplier =
                keys.multiplier.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
        keys
    }

    /// Puts every name at its place; false if two meet.
    const fn fill(&mut self) -> bool {
        let mut taken = 0_u64;
        let mut n = 0;
        while n < N {
            let place = self.names[n].place(self.multiplier);
            if taken >> place & 1 == 1 {
                return false;
            }
            taken |= 1 << place;
            self.places[place] = n as u8;
            n += 1;
        }
        true
    }

    /// Which name this is; `N` for none.
    #[inline(always)]
    fn find(&self, name: Name, text: &[u8]) -> usize {
        let candidate = usize::from(self.places[name.place(self.multiplier)]);
        let known = self.names[candidate];
        let same = (known.first ^ name.first) | (known.last ^ name.last) | (known.length ^ name.length) as u64 == 0;
        let exactly = same && (!LONG || text.len() <= TOLD_APART || text == self.texts[candidate].as_bytes());
        if exactly { candidate } else { N }
    }

    /// The same for a name with less than a word of the document before its end or after its beginning.
    #[cold]
    #[inline(never)]
    fn find_at_the_edge(&self, name: &[u8]) -> usize {
        self.find(Name::of(name), name)
    }

    /// The same for a name that may have escapes in it.
    #[cold]
    #[inline(never)]
    fn find_escaped(&self, name: &[u8]) -> usize {
        if memchr::memchr(b'\\', name).is_none() {
            return N;
        }
        let mut buffer = [0; LONGEST_KEY];
        match (Text { raw: name, escaped: true }).unescape(&mut buffer) {
            Some(name) => self.find(Name::of(name), name),
            None => N,
        }
    }
}
