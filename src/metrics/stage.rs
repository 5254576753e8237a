//! The stages of one request, in the order it passes them. The same names stand in the code, the metrics, `explain` and
//! the documents.

macro_rules! stages {
    ($($(#[$doc:meta])* $name:ident $label:literal;)*) => {
        /// A stage of one request.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Stage { $($(#[$doc])* $name,)* }

        impl Stage {
            /// All stages, in order.
            pub const ALL: &'static [Stage] = &[$(Stage::$name,)*];

            /// The name of the stage.
            pub const fn label(self) -> &'static str {
                match self { $(Stage::$name => $label,)* }
            }
        }
    };
}

stages! {
    /// Bytes came off the socket.
    Arrive "arrive";
    /// Head and body of one HTTP request were found.
    Frame "frame";
    /// Exchange, rate and age.
    Admit "admit";
    /// One pass over the OpenRTB document.
    Scan "scan";
    /// Consent, supply chain, block lists.
    Comply "comply";
    /// Targeting index to candidates.
    Match "match";
    /// The user's profile.
    Know "know";
    /// Frequency caps.
    Cap "cap";
    /// Sub-leases, read only.
    Afford "afford";
    /// The model.
    Score "score";
    /// Floor and price.
    Price "price";
    /// The best candidate per impression.
    Choose "choose";
    /// The winner's money.
    Reserve "reserve";
    /// The bid response is written.
    Answer "answer";
    /// Counted, and sent.
    Account "account";
}

impl Stage {
    /// How many stages there are.
    pub const COUNT: usize = Self::ALL.len();
}
