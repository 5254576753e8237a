//! The authority: who may spend how much. Its protocol is [`message`].

pub mod message;
