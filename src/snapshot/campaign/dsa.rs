//! What a bid discloses under the EU's Digital Services Act, article 26: on whose behalf an advertisement is shown, who paid
//! for it, and what of the user it was chosen by (IAB Tech Lab, DSA Transparency extension of OpenRTB 2.x).

use serde_json::json;

use crate::wire::openrtb::request::Dsa;

/// Profiling: information about the user from other contexts (the extension's list "User Parameters").
const PROFILING: u16 = 1;
/// Where the user exactly is.
const PRECISE_PLACE: u16 = 3;

/// What a campaign discloses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// `behalf`.
    pub behalf: String,
    /// `paid`; often the same.
    pub paid: String,
    /// `adrender`: whether the creative itself shows this; not said if unknown.
    pub renders: Option<bool>,
    /// `transparency`: a domain and the user parameters that it applied.
    pub transparency: Vec<(String, Vec<u16>)>,
}

/// The same, rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    renders: Option<bool>,
    /// The members of `bid.ext.dsa`, but for `transparency`.
    members: Box<[u8]>,
    /// `transparency`, with its comma and its key, in a bid for a user who is known.
    known: Box<[u8]>,
    /// The same in a contextual bid, which used no profile and no exact place.
    contextual: Box<[u8]>,
}

impl Disclosure {
    /// Renders it.
    pub fn render(&self) -> Rendered {
        let mut members = json!({ "behalf": self.behalf, "paid": self.paid });
        if let Some(renders) = self.renders {
            members["adrender"] = u8::from(renders).into();
        }
        let members = members.to_string();
        let transparency = |applies: fn(u16) -> bool| {
            let each = self.transparency.iter().map(|(domain, params)| {
                let params: Vec<u16> = params.iter().copied().filter(|&param| applies(param)).collect();
                json!({ "domain": domain, "dsaparams": params })
            });
            let list: Vec<_> = each.filter(|entity| entity["dsaparams"] != json!([])).collect();
            let text = if list.is_empty() { String::new() } else { format!(",\"transparency\":{}", json!(list)) };
            text.into_bytes().into_boxed_slice()
        };
        Rendered {
            renders: self.renders,
            members: members.as_bytes()[1..members.len() - 1].into(),
            known: transparency(|_| true),
            contextual: transparency(|param| param != PROFILING && param != PRECISE_PLACE),
        }
    }
}

impl Rendered {
    /// Whether somebody, and not two, shows it to the user, as far as both have said.
    #[inline]
    pub fn suits(&self, dsa: Dsa) -> bool {
        !matches!((dsa.publisher_renders, self.renders), (Some(2), Some(true)) | (Some(0), Some(false)))
    }

    /// The inside of `bid.ext.dsa`, in two pieces, for a request that takes it.
    #[inline]
    pub fn of(&self, dsa: Dsa, known: bool) -> Option<[&[u8]; 2]> {
        let transparency: &[u8] = match (dsa.wants_parameters, known) {
            (false, _) => b"",
            (true, true) => &self.known,
            (true, false) => &self.contextual,
        };
        (dsa.is_supported() && self.suits(dsa)).then_some([&self.members, transparency])
    }
}
