//! A strict, bounded JSON reader (RFC 8259) that checks a whole document first and answers questions afterwards.
//!
//! ```text
//!   bytes ──► block     64 bytes at a time: which are quotes, operators, space, digits …   (AVX-512, AVX2, portable)
//!         ──► index     strings told from structure; one token per operator, string and scalar
//!         ──► grammar   is the row of tokens a document? which bracket closes which?
//!         ──► document  the fields somebody asks for; everything else is jumped over
//! ```
//!
//! Everything is checked, also what nobody reads: operators and their order, brackets, literals, numbers, escapes, control
//! characters, UTF-8, trailing bytes, depth. What is left to the reader of a field is its type and its meaning.
//!
//! Beyond the grammar: nesting over [`crate::limits::JSON_DEPTH`] is broken; a number may have any size; a lone surrogate
//! escape is accepted, as the grammar has it, and unescapes to U+FFFD; of keys given twice the last wins.

mod block;
mod document;
mod grammar;
mod index;
mod number;
mod text;

pub use block::Level;
pub use document::{Document, Keys, Literal, Token, WrongType, are_long};
pub use index::{Broken, Scratch};
pub use text::{Raw, Text};
