//! A conversation's state as both engines keep it in an event's row.

use serde::{Deserialize, Serialize};

use crate::domain::{Assignment, Contact, ConversationState, Json, Timestamp, UserId, WhileAnswering};
use crate::error::{Error, Result};

/// A conversation's state as an event's row keeps it.
///
/// What came with a later schema has a default: rows from before it lack it.
#[derive(Serialize, Deserialize)]
pub(in crate::store) struct StateRow {
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    while_answering: Option<String>,
}

impl StateRow {
    /// The row's text.
    pub fn write(state: &ConversationState) -> Result<String> {
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
            while_answering: state.while_answering.map(|way| way.as_str().to_owned()),
        };
        serde_json::to_string(&row).map_err(Error::internal)
    }

    /// The state that the text holds.
    pub fn parse(text: &str) -> Result<ConversationState> {
        let read: Self = serde_json::from_str(text).map_err(Error::internal)?;
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
            while_answering: read.while_answering.as_deref().and_then(WhileAnswering::parse),
        })
    }
}
