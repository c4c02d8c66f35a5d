//! From SQLite's result codes to what the use-cases understand.

use rusqlite::ErrorCode;

use crate::error::Error;

/// Why a statement or a whole command did not go through.
#[derive(Debug)]
pub(super) enum Fail {
    /// The command looked and declined: it has written nothing.
    Refused(Error),
    /// SQLite declined: whatever the transaction holds is void.
    Sql(rusqlite::Error),
}

impl From<rusqlite::Error> for Fail {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Refused(error)
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

/// The error that a failed statement is answered with.
pub(super) fn from_sql(error: rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Error::StorageFull,
        // A disk that failed or was remounted read-only answers the write, the fsync or the lock
        // with one of these; the log on disk stays what it was at the last commit.
        Some(
            ErrorCode::ReadOnly | ErrorCode::SystemIoFailure | ErrorCode::CannotOpen | ErrorCode::PermissionDenied,
        ) => {
            tracing::error!(error = %error, "the store cannot be written");
            Error::StorageReadOnly
        }
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
        _ => Error::internal(error),
    }
}

/// Whether trying the same again one by one cannot help.
pub(super) fn is_hopeless(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
        )
    )
}

/// Whether a unique index refused the row.
pub(super) fn is_unique(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE,
        _ => false,
    }
}
