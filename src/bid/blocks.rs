//! What the publisher blocks: categories and advertisers (`bcat`, `acat`, `badv`, `bapp`).
//!
//! Both sides are compared as marks: a campaign carries the marks of its own categories and domains and of all above them,
//! so that a blocked parent blocks its children.

use arrayvec::ArrayVec;

use crate::limits;
use crate::snapshot::campaign::Campaign;
use crate::snapshot::marks;
use crate::wire::json::Raw;
use crate::wire::openrtb::nobid::NoBidReason;
use crate::wire::openrtb::request::BidRequest;

/// The lists of one request, as marks.
#[derive(Debug, Default)]
pub struct Blocks {
    /// One bit per mark: most campaigns are cleared by one look.
    filter: u64,
    /// `cattax`, in which `bcat` and `acat` are written.
    taxonomy: u16,
    /// The request blocks or allows categories at all.
    names_categories: bool,
    /// `acat`: the only categories allowed, if there are any.
    allowed: ArrayVec<u64, { limits::LIST }>,
    marks: ArrayVec<u64, { 3 * limits::LIST }>,
}

impl Blocks {
    /// Takes the lists of a request.
    ///
    /// # Errors
    /// More entries than are kept: what they block could not be honoured.
    pub fn fill(&mut self, request: &BidRequest<'_>) -> Result<(), NoBidReason> {
        self.marks.clear();
        self.filter = 0;
        self.allowed.clear();
        self.taxonomy = request.cattax;
        self.names_categories = !(request.bcat.is_empty() && request.acat.is_empty());
        let category = |name: &[u8]| marks::category(request.cattax, name);
        for mark in marks_of(request.acat, category) {
            self.allowed.try_push(mark).map_err(|_| NoBidReason::TooMuch)?;
        }
        self.block(marks_of(request.bcat, category))?;
        self.block(marks_of(request.badv, marks::domain))?;
        self.block(marks_of(request.bapp, marks::app))
    }

    fn block(&mut self, marks: impl Iterator<Item = u64>) -> Result<(), NoBidReason> {
        for mark in marks {
            self.filter |= 1 << (mark >> 58);
            self.marks.try_push(mark).map_err(|_| NoBidReason::TooMuch)?;
        }
        Ok(())
    }

    /// Whether the campaign is blocked. One that does not say its categories in the taxonomy of the lists cannot be cleared of
    /// them.
    #[inline]
    pub fn hold(&self, campaign: &Campaign) -> bool {
        if self.names_categories {
            let categories = campaign.categories_in(self.taxonomy);
            if categories.is_none() && campaign.has_categories() {
                return true;
            }
            let categories = categories.unwrap_or_default();
            if !self.allowed.is_empty() && !marks::all_within(self.taxonomy, categories, &self.allowed) {
                return true;
            }
        }
        self.filter != 0
            && campaign.marks.iter().any(|mark| self.filter >> (mark >> 58) & 1 == 1 && self.marks.contains(mark))
    }
}

fn marks_of<'r>(list: Raw<'r>, mark: impl Fn(&[u8]) -> u64 + 'r) -> impl Iterator<Item = u64> + 'r {
    let mut room = [0; 256];
    list.strings().map(move |text| mark(text.unescape(&mut room).unwrap_or_default()))
}
