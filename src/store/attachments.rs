//! The contract of uploaded files: rows only, the bytes are in the object store. What
//! [`super`] says of every method holds here too.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{Attachment, AttachmentId, MessageId, Timestamp, UserId};
use crate::error::Result;

/// A file whose bytes are whole in the object store.
#[derive(Clone, Debug)]
pub struct NewAttachment {
    /// Its public identifier, under which its bytes are kept.
    pub uuid: Uuid,
    /// Who uploaded it.
    pub user_id: UserId,
    /// What it is called.
    pub name: String,
    /// Its media type.
    pub mime: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Whether there is a small picture of it.
    pub has_thumbnail: bool,
    /// When.
    pub at: Timestamp,
}

/// What every engine does for uploaded files.
///
/// A file is loose until a message holds it, and again when every message that held it was removed
/// with its conversation. What is loose for long is collected in three steps, so that neither a crash
/// nor a message that takes the file meanwhile leaves a row without bytes that somebody can see, or
/// bytes without a row: it is condemned, its bytes are deleted, its row is removed.
#[async_trait]
pub trait Attachments: Send + Sync {
    /// Stores an upload, loose.
    async fn add_attachment(&self, new: NewAttachment) -> Result<Attachment>;

    /// The file of that identifier, if the user may see it: who uploaded it, and who takes part, as a
    /// user, in the conversation of a visible message that holds it.
    async fn attachment_for(&self, user: UserId, uuid: Uuid) -> Result<Option<Attachment>>;

    /// Lets a message hold files of that user, all or none; one that it holds already is held once.
    ///
    /// # Errors
    /// `Invalid` (`attachments`, valid) when one of them is not the user's or is not there (any more);
    /// `NotFound(Message)`.
    async fn hold_attachments(&self, user: UserId, uuids: Vec<Uuid>, message: MessageId) -> Result<()>;

    /// At most `limit` files to collect, the oldest first: those that are loose and were uploaded
    /// before that instant, and those that were condemned and not removed.
    async fn loose_attachments(&self, before: Timestamp, limit: usize) -> Result<Vec<(AttachmentId, Uuid)>>;

    /// Makes sure that no message can take a loose file any more, and nobody see it; `false` when a
    /// message holds it, or it is not there. Condemning twice is condemning once.
    async fn condemn_attachment(&self, id: AttachmentId) -> Result<bool>;

    /// Removes the row of a condemned file; `false` when there is none.
    async fn remove_attachment(&self, id: AttachmentId) -> Result<bool>;
}
