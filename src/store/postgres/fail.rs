//! From PostgreSQL's conditions to what the use-cases understand.

use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::error::{Error, Rule};

/// Why a statement or a whole transaction did not go through.
#[derive(Debug)]
pub(super) enum Fail {
    /// The store looked and declined: nothing is changed.
    Refused(Error),
    /// PostgreSQL declined: whatever the transaction holds is void.
    Sql(tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for Fail {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<PoolError> for Fail {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => Self::Sql(error),
            PoolError::Timeout(_) => Self::Refused(Error::Busy),
            other => Self::Refused(Error::internal(other)),
        }
    }
}

impl From<Fail> for Error {
    fn from(fail: Fail) -> Self {
        match fail {
            Fail::Refused(error) => error,
            Fail::Sql(error) => from_sql(error),
        }
    }
}

impl Fail {
    /// Whether the same may go through a moment later: two transactions were in each other's way, and this one gave
    /// way. Nothing of it was done.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(
            error.code(),
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
        ))
    }
}

/// The error that a failed statement is answered with.
pub(super) fn from_sql(error: tokio_postgres::Error) -> Error {
    let Some(code) = error.code() else {
        // No answer at all: the server is away, or the connection was cut. Whether a commit under way came through is
        // not known, as with any answer that is lost: who sent a key asks again with it.
        tracing::warn!(error = %error, "the database does not answer");
        return Error::Busy;
    };
    // Classes 08 (connection), 57P (shutdown, recovery) and 53 (resources), PostgreSQL's appendix A.
    match code.code() {
        "53100" => Error::StorageFull,
        "25006" => {
            tracing::error!(error = %error, "the database takes no writes");
            Error::StorageReadOnly
        }
        // Text that PostgreSQL cannot hold: a NUL, which the doors let pass where it does no harm elsewhere. Which field
        // it was in is not known here.
        "22021" => Error::field("body", Rule::NoNul),
        "40001" | "40P01" | "55P03" | "57014" | "53300" | "53400" => Error::Busy,
        state if state.starts_with("08") || state.starts_with("57P") => {
            tracing::warn!(error = %error, "the database goes away");
            Error::Busy
        }
        _ => Error::internal(error),
    }
}

/// Whether a unique index refused the row.
pub(super) fn is_unique(fail: &Fail) -> bool {
    matches!(fail, Fail::Sql(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION))
}
