//! What the row readers of every aggregate share.

use std::io;

use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::fail::Fail;
use crate::domain::{Assignment, Contact, ConversationState, Json, Timestamp, UserId};
use crate::error::Error;

/// A column that holds a uuid.
pub(super) fn uuid(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    let bytes: [u8; 16] = row.get(column)?;
    Ok(Uuid::from_bytes(bytes))
}

/// A column that holds one of an enumeration's names.
pub(super) fn word<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> rusqlite::Result<T> {
    let name = row.get_ref(column)?.as_str()?;
    parse(name).ok_or_else(|| {
        let unknown = io::Error::new(io::ErrorKind::InvalidData, format!("unknown word {name:?}"));
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(unknown))
    })
}

/// A conversation's state as an event's row keeps it.
///
/// What came with a later schema has a default: rows from before it lack it.
#[derive(Serialize, Deserialize)]
pub(super) struct StateRow {
    is_active: bool,
    assigned_user_id: Option<i64>,
    assigned_at: Option<i64>,
    expires_at: Option<i64>,
    external_user_id: Option<String>,
    contact_name: Option<String>,
    contact_email: Option<String>,
    contact_phone: Option<String>,
    metadata: String,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    is_archived: bool,
}

impl StateRow {
    /// The row's text.
    pub fn write(state: &ConversationState) -> Result<String, Fail> {
        let row = Self {
            is_active: state.is_active,
            assigned_user_id: state.assigned.map(|assigned| assigned.user_id.0),
            assigned_at: state.assigned.map(|assigned| assigned.at.0),
            expires_at: state.expires_at.map(|at| at.0),
            external_user_id: state.external_user_id.clone(),
            contact_name: state.contact.name.clone(),
            contact_email: state.contact.email.clone(),
            contact_phone: state.contact.phone.clone(),
            metadata: state.metadata.0.clone(),
            title: state.title.clone(),
            model: state.model.clone(),
            is_archived: state.is_archived,
        };
        serde_json::to_string(&row).map_err(|error| Fail::Refused(Error::internal(error)))
    }

    /// The state that the text in `column` holds.
    pub fn read(row: &Row<'_>, column: usize) -> rusqlite::Result<ConversationState> {
        let text = row.get_ref(column)?.as_str()?;
        let read: Self = serde_json::from_str(text)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))?;
        let assigned = match (read.assigned_user_id, read.assigned_at) {
            (Some(user), Some(at)) => Some(Assignment { user_id: UserId(user), at: Timestamp(at) }),
            _ => None,
        };
        Ok(ConversationState {
            is_active: read.is_active,
            assigned,
            expires_at: read.expires_at.map(Timestamp),
            external_user_id: read.external_user_id,
            contact: Contact { name: read.contact_name, email: read.contact_email, phone: read.contact_phone },
            metadata: Json(read.metadata),
            title: read.title,
            model: read.model,
            is_archived: read.is_archived,
        })
    }
}
