//! Why a call did not do what it was to do: few kinds, each with an answer of its own.

use std::fmt;

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};

/// What kind of failure it was, and so what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Too much is asked of the table or the account: ask again later.
    Throttled,
    /// No answer in time. What was to be written may have been.
    Timeout,
    /// We are not who may do that, or cannot say who we are: for the operator.
    Denied,
    /// There is no such table: for the operator.
    NoTable,
    /// The condition of a write does not hold: somebody else was there before.
    Conflict,
    /// What is stored, or was asked, is not as it should be.
    Malformed,
    /// There was no connection, or the service is ill.
    Unreachable,
}

impl Kind {
    /// Whether the same call may do better in a moment.
    pub const fn is_passing(self) -> bool {
        matches!(self, Kind::Throttled | Kind::Timeout | Kind::Unreachable)
    }
}

/// A failure, with what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub kind: Kind,
    /// In the words of whoever noticed; secrets are not in it.
    pub what: String,
}

impl Failure {
    /// Something stored that is not as it should be.
    pub fn malformed(what: impl Into<String>) -> Failure {
        Failure { kind: Kind::Malformed, what: what.into() }
    }

    /// The time for it is over.
    pub fn late() -> Failure {
        Failure { kind: Kind::Timeout, what: "no answer in time".to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Throttled => "throttled",
            Kind::Timeout => "timed out",
            Kind::Denied => "access denied",
            Kind::NoTable => "no such table; `corebid stores init` makes them",
            Kind::Conflict => "somebody else was first",
            Kind::Malformed => "malformed",
            Kind::Unreachable => "unreachable",
        };
        write!(f, "DynamoDB: {kind}: {}", self.what)
    }
}

impl std::error::Error for Failure {}

impl<E, R> From<SdkError<E, R>> for Failure
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: fmt::Debug,
    SdkError<E, R>: std::error::Error,
{
    fn from(error: SdkError<E, R>) -> Failure {
        match &error {
            SdkError::TimeoutError(_) => Failure::late(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Failure::late(),
            SdkError::ServiceError(context) => {
                let said = context.err();
                let code = said.code().unwrap_or("an error without a code");
                let what = said.message().map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"));
                Failure { kind: of_code(code), what }
            }
            // Where credentials cannot be had, no request is made.
            SdkError::ConstructionFailure(_) => {
                Failure { kind: Kind::Denied, what: DisplayErrorContext(&error).to_string() }
            }
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                Failure { kind: Kind::Denied, what: DisplayErrorContext(&error).to_string() }
            }
            _ => {
                let what = DisplayErrorContext(&error).to_string();
                let is_credentials = what.contains("credentials");
                Failure { kind: if is_credentials { Kind::Denied } else { Kind::Unreachable }, what }
            }
        }
    }
}

/// The codes of the API reference of DynamoDB, "Error handling", and those common to all services of AWS.
fn of_code(code: &str) -> Kind {
    match code {
        "ConditionalCheckFailedException"
        | "TransactionCanceledException"
        | "TransactionConflictException"
        | "TransactionInProgressException" => Kind::Conflict,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "ThrottlingException"
        | "Throttling"
        | "LimitExceededException" => Kind::Throttled,
        "ResourceNotFoundException" | "ResourceInUseException" => Kind::NoTable,
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId" => Kind::Denied,
        "ValidationException" | "SerializationException" | "ItemCollectionSizeLimitExceededException" => {
            Kind::Malformed
        }
        _ => Kind::Unreachable,
    }
}
