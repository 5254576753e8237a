//! `SupplyChain` (OpenRTB 2.6 section 3.2.25, IAB SupplyChain object 1.0): who sells the impression, on whose account.
//!
//! A chain that cannot be read is no broken request: what it is worth is for those to say who ask for one.

use arrayvec::ArrayVec;

use super::fields::fields;
use crate::limits;
use crate::wire::json::{Document, Text, Token, WrongType};

/// `schain` of a request.
#[derive(Debug, Default)]
pub struct SupplyChain<'a> {
    /// What there is.
    pub form: Form,
    /// `complete` is 1; any other value, or none, says that it is not.
    pub complete: bool,
    /// `nodes`, the owner's first; none unless it is a chain.
    pub nodes: ArrayVec<SupplyChainNode<'a>, { limits::CHAIN_NODES }>,
}

/// Whether there is a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// None, or `null`.
    #[default]
    Absent,
    /// A chain of version 1, however many nodes it has.
    Chain,
    /// Something else: a value of a wrong type, another version, or more than [`limits::CHAIN_NODES`] nodes.
    Malformed,
}

/// `SupplyChainNode` (2.6 section 3.2.26).
#[derive(Clone, Copy, Debug, Default)]
pub struct SupplyChainNode<'a> {
    /// `asi`: the domain of the system that sells.
    pub asi: Text<'a>,
    /// `sid`: the seller's account in it.
    pub sid: Text<'a>,
    /// `hp` is 1.
    pub pays: bool,
}

impl<'a> SupplyChain<'a> {
    /// Reads the value that is to be a chain, wherever it was found; [`WrongType`] if what it should be found in is no object.
    pub(super) fn read(&mut self, document: &Document<'a, '_>, found: Result<Token, WrongType>) {
        self.complete = false;
        self.nodes.clear();
        self.form = found.and_then(|token| self.fill(document, token)).unwrap_or_else(|WrongType| {
            self.complete = false;
            self.nodes.clear();
            Form::Malformed
        });
    }

    fn fill(&mut self, document: &Document<'a, '_>, token: Token) -> Result<Form, WrongType> {
        if !document.is_present(token) {
            return Ok(Form::Absent);
        }
        fields!(document, token; complete "complete" nodes "nodes" ver "ver");
        if document.is_present(ver) && !is_version_1(document.text(ver)?) {
            return Err(WrongType);
        }
        self.complete = is_one(document, complete)?;
        for element in document.elements(nodes)? {
            if !document.is_object(element) {
                return Err(WrongType);
            }
            fields!(document, element; asi "asi" sid "sid" hp "hp");
            let node =
                SupplyChainNode { asi: document.text(asi)?, sid: document.text(sid)?, pays: is_one(document, hp)? };
            self.nodes.try_push(node).map_err(|_| WrongType)?;
        }
        Ok(Form::Chain)
    }
}

/// `1`, or `true` as some write flags. Unlike other flags, 2 is no yes: the object reserves it.
fn is_one(document: &Document<'_, '_>, token: Token) -> Result<bool, WrongType> {
    match document.integer(token) {
        Ok(value) => Ok(value == Some(1)),
        Err(WrongType) => Ok(document.flag(token)? == Some(true)),
    }
}

/// `1.0`, and what minor versions may come: they only add.
fn is_version_1(version: Text<'_>) -> bool {
    let mut bytes = version.bytes();
    bytes.next() == Some(b'1') && bytes.next().is_none_or(|byte| byte == b'.')
}
