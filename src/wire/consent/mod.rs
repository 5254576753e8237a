//! Consent strings, as a bid core reads them: only the bits that say something about us, without allocation. `corebid consent`
//! decodes whole strings ([`crate::commands::consent`]).

mod digits;
mod bits;
pub mod tcf;
mod states;
pub mod gpp;
pub mod us_privacy;

/// Purposes of the TCF (Policies, Appendix A): bit p - 1 stands for purpose p, 1 to 24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purposes(pub u32);

impl Purposes {
    /// None of them.
    pub const NONE: Purposes = Purposes(0);
    /// All that a string has room for.
    pub const ALL: Purposes = Purposes((1 << 24) - 1);
    /// Store and/or access information on a device.
    pub const STORAGE: Purposes = Purposes::of(1);
    /// Use limited data to select advertising.
    pub const BASIC_ADS: Purposes = Purposes::of(2);
    /// Create profiles for personalised advertising.
    pub const MAKE_PROFILE: Purposes = Purposes::of(3);
    /// Use profiles to select personalised advertising.
    pub const USE_PROFILE: Purposes = Purposes::of(4);
    /// Measure advertising performance.
    pub const MEASURE: Purposes = Purposes::of(7);
    /// Understand audiences through statistics or combinations of data from different sources.
    pub const AUDIENCES: Purposes = Purposes::of(9);
    /// Develop and improve services.
    pub const IMPROVE: Purposes = Purposes::of(10);

    /// One purpose, 1 to 24.
    pub const fn of(purpose: u32) -> Purposes {
        assert!(1 <= purpose && purpose <= 24);
        Purposes(1 << (purpose - 1))
    }

    /// Those in either.
    #[must_use]
    pub const fn and(self, other: Purposes) -> Purposes {
        Purposes(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub const fn both(self, other: Purposes) -> Purposes {
        Purposes(self.0 & other.0)
    }

    /// Those there are, 1 to 24.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (1..=24).filter(move |&purpose| self.has(Purposes::of(purpose)))
    }

    /// Whether it has all of `other`.
    #[inline]
    pub const fn has(self, other: Purposes) -> bool {
        self.0 & other.0 == other.0
    }
}
