//! Consent.

/// The user's data may be used for this request: whoever holds it was told so by the consent of the request.
#[derive(Debug)]
pub struct Personal(());

impl Personal {
    /// Only the comply stage decides this.
    pub(in crate::bid) fn granted() -> Personal {
        Personal(())
    }
}
