//! The use-cases: one function is one thing that somebody can do. The only place with rules.
//!
//! Nothing here knows a wire format, a status code or SQL. A use-case takes what the caller wants,
//! asks the store for one transaction, and answers in the language of [`crate::domain`].

mod accounts;
mod attachments;
mod conversations;
mod listen;
mod messages;
mod runs;
mod staff;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::assistant::Provider;
use crate::clock::Clock;
use crate::mail::Mailer;
use crate::objects::Objects;
use crate::realtime::Hub;
use crate::store::SharedStore;

pub use accounts::{NewToken, Registration};
pub use attachments::{AttachmentRules, UploadError};
pub use conversations::{NewSession, SessionEdit};
pub use listen::{Batch, Follower};
pub use messages::{Draft, Key, MessagePage};
pub use runs::{Asked, Attached, Ended, Piece, Run};

/// The type of every small picture of an attachment.
pub use crate::media::THUMBNAIL_TYPE;
pub use crate::realtime::Channel;
/// How a caller names, filters and pages what the use-cases return.
pub use crate::store::{Appended, ConversationFilter, Desk, Locator, MessageFilter, Page};

/// The rules that an operator can set.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Whether the assistant answers guests whom no member of staff has.
    pub assistant_answers_guests: bool,
    /// Whether expired and switched-off assistant sessions refuse messages.
    pub enforce_expiry: bool,
    /// How long an assistant session lasts unless it says otherwise.
    pub session_lifetime: Duration,
    /// How many of the last messages an assistant is shown.
    pub context_messages: usize,
    /// Answers under way at once, over all conversations.
    pub runs_max: usize,
    /// The longest that an answer may take.
    pub answer_timeout: Duration,
    /// How often what has arrived of an answer is stored.
    pub checkpoint_every: Duration,
    /// Largest answer, in bytes; what comes after is cut.
    pub answer_bytes_max: usize,
    /// How long a mailed code is good for.
    pub code_lifetime: Duration,
    /// How often a code may be tried.
    pub code_tries_max: u32,
    /// Passwords hashed at once: each takes 19 MiB and a core for some tens of milliseconds.
    pub hashes_max: usize,
    /// Uploaded files.
    pub attachments: AttachmentRules,
}

/// The use-cases with what they stand on. Shared by every door.
pub struct Chat {
    store: SharedStore,
    hub: Arc<Hub>,
    clock: Clock,
    provider: Option<Arc<dyn Provider>>,
    mailer: Mailer,
    rules: Rules,
    runs: runs::Registry,
    hashing: Arc<tokio::sync::Semaphore>,
    code_key: [u8; 32],
    shelf: attachments::Shelf,
}

/// A shared [`Chat`].
pub type SharedChat = Arc<Chat>;

impl Chat {
    /// Puts the use-cases on their parts.
    ///
    /// # Errors
    /// When the store cannot keep this installation's secrets.
    pub async fn new(
        store: SharedStore,
        hub: Arc<Hub>,
        clock: Clock,
        provider: Option<Arc<dyn Provider>>,
        mailer: Mailer,
        objects: Objects,
        rules: Rules,
    ) -> crate::error::Result<SharedChat> {
        let code_key = store.secret("one-time-codes", clock.secret()).await?;
        let runs = runs::Registry::new(rules.runs_max);
        let hashing = Arc::new(tokio::sync::Semaphore::new(rules.hashes_max.max(1)));
        let shelf = attachments::Shelf::new(objects, &rules.attachments);
        Ok(Arc::new(Self { store, hub, clock, provider, mailer, rules, runs, hashing, code_key, shelf }))
    }

    /// The present instant.
    pub fn now(&self) -> crate::domain::Timestamp {
        self.clock.now()
    }

    /// The name of the assistant that answers, if one does.
    pub fn assistant(&self) -> Option<&'static str> {
        self.provider.as_ref().map(|provider| provider.name())
    }

    /// Answers under way.
    pub fn runs_under_way(&self) -> usize {
        self.runs.len()
    }

    /// The tasks that make answers; waited for on the way down.
    pub fn run_tasks(&self) -> &TaskTracker {
        self.runs.tasks()
    }

    /// Proves that the store can be written.
    ///
    /// # Errors
    /// `StorageFull`, `StorageReadOnly`, `Busy` or `Internal`.
    pub async fn check_store(&self) -> crate::error::Result<()> {
        self.store.ping().await
    }
}
