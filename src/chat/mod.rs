//! The use-cases: one function is one thing that somebody can do. The only place with rules.
//!
//! Nothing here knows a wire format, a status code or SQL. A use-case takes what the caller wants,
//! asks the store for one transaction, and answers in the language of [`crate::domain`].

mod accounts;
mod attachments;
mod budgets;
mod codes;
mod connections;
mod conversations;
mod credentials;
mod deliveries;
mod direct;
mod follow;
mod knowledge;
mod listen;
mod messages;
mod named;
mod origin;
mod own;
mod passwords;
mod platforms;
mod presence;
mod runs;
mod seal;
mod shares;
mod staff;
mod tickets;
mod typing;
mod under_way;
mod webhooks;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::assistant::Provider;
use crate::assistant::prompt::Prompts;
use crate::clock::Clock;
use crate::domain::WhileAnswering;
use crate::limits::{Attempts, Shared};
use crate::mail::Mailer;
use crate::objects::Objects;
use crate::realtime::sockets::Sockets;
use crate::realtime::{Broker, Hub, Online, Origins, Realtime};
use crate::store::SharedStore;

pub use accounts::{AccountEdit, Registration};
pub use attachments::{AttachmentRules, UploadError};
pub use budgets::{Allowances, BudgetRules, BudgetStats, Budgeted, Estimate, Granted, Instead, Over, Payer, WhenOver};
pub use connections::Resume;
pub use conversations::{NewSession, SessionEdit};
pub use credentials::NewToken;
pub use follow::{BACKOFFICE, Topic};
pub use knowledge::{KnowledgeRules, Received, SOURCES_MAX, Step, TITLE_CHARS_MAX};
pub use listen::{Batch, Follower};
pub use messages::{Draft, Key, MessagePage};
pub use named::chat_name;
pub use origin::Deed;
pub use own::Retracted;
pub use platforms::DeviceRegistration;
pub use runs::{Again, Asked, Asking, Attached, Ended, Piece, Unkept};
pub use shares::Opened;
pub use tickets::{Ticket, TicketFor};
pub use webhooks::{WebhookDraft, WebhookRules};

/// What an assistant is shown, and what it says.
pub use crate::assistant::Line;
/// The type of every small picture of an attachment.
pub use crate::media::THUMBNAIL_TYPE;
pub use crate::realtime::Channel;
pub use crate::store::FeedPage;
pub use crate::store::knowledge::{DocumentEdit, DocumentFilter};
pub use crate::store::webhooks::{DeliveryFilter, HookEdit, HookOwner, HookReplay};
/// How a caller names, filters and pages what the use-cases return.
pub use crate::store::{
    Appended, ChatColumn, ChatOrder, ConversationFilter, Desk, Direct, Found, InboxEntry, InboxFilter, InboxPlace,
    Locator, Member, MessageFilter, NewLetter, Page, StoredToken, UserFilter,
};

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
    /// The doors at which answers rest on documents.
    pub knowledge_doors: Vec<String>,
    /// What the assistant is told and shown.
    pub prompts: Prompts,
    /// Answers under way at once, over all conversations.
    pub runs_max: usize,
    /// In one conversation.
    pub runs_per_conversation_max: usize,
    /// Of one user.
    pub runs_per_user_max: usize,
    /// Of one tenant.
    pub runs_per_tenant_max: usize,
    /// The longest that an answer may take.
    pub answer_timeout: Duration,
    /// Whether other nodes work on the same store.
    pub is_one_of_many: bool,
    /// How often at most what has arrived of an answer is stored and told.
    pub tell_every: Duration,
    /// What becomes of a message that is sent while an answer is under way, where the conversation does not say.
    pub while_answering: WhileAnswering,
    /// Largest answer, in bytes; what comes after is cut.
    pub answer_bytes_max: usize,
    /// How long a mailed code is good for.
    pub code_lifetime: Duration,
    /// How often a code may be tried.
    pub code_tries_max: u32,
    /// Passwords hashed at once: each takes 19 MiB and a core for some tens of milliseconds.
    pub hashes_max: usize,
    /// Failures to sign in that an account or an address has for free; after them each try waits.
    pub sign_in_free_tries: u32,
    /// The longest that such a wait becomes.
    pub sign_in_wait_max: Duration,
    /// Accounts, and addresses, whose failures are remembered at once.
    pub sign_in_keys_max: usize,
    /// Where all nodes remember them together; `None`: this is the only node.
    pub sign_in_shared: Option<Shared>,
    /// How long a browser stays signed in.
    pub sign_in_lifetime: Duration,
    /// How long a ticket for a stream is good for.
    pub ticket_lifetime: Duration,
    /// Uploaded files.
    pub attachments: AttachmentRules,
    /// Documents that answers rest on.
    pub knowledge: KnowledgeRules,
    /// Endpoints that are told what happens.
    pub webhooks: WebhookRules,
    /// What answers may cost.
    pub budgets: BudgetRules,
}

/// The use-cases with what they stand on. Shared by every door.
pub struct Chat {
    store: SharedStore,
    hub: Arc<Hub>,
    broker: Arc<Broker>,
    sockets: Arc<Sockets>,
    online: Arc<Online>,
    origins: Origins<Deed>,
    apps: connections::Apps,
    clock: Clock,
    /// This process among the servers over the store.
    node: uuid::Uuid,
    provider: Option<Arc<dyn Provider>>,
    mailer: Mailer,
    rules: Rules,
    runs: runs::Registry,
    hashing: Arc<tokio::sync::Semaphore>,
    code_key: [u8; 32],
    attempts: Arc<Attempts>,
    attempt_key: [u8; 32],
    seal: seal::Seal,
    ticket_seal: seal::Seal,
    deliveries: deliveries::Deliveries,
    letters: Arc<tokio::sync::Semaphore>,
    shelf: attachments::Shelf,
    library: knowledge::Library,
    hooked: webhooks::Hooked,
    budgets: budgets::Budgets,
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
        realtime: Realtime,
        clock: Clock,
        provider: Option<Arc<dyn Provider>>,
        mailer: Mailer,
        objects: Objects,
        rules: Rules,
    ) -> crate::error::Result<SharedChat> {
        let code_key = store.secret("one-time-codes", clock.secret()).await?;
        let runs = runs::Registry::new();
        let hashing = Arc::new(tokio::sync::Semaphore::new(rules.hashes_max.max(1)));
        let shelf = attachments::Shelf::new(objects, &rules.attachments);
        let library = knowledge::Library::new(&rules.knowledge);
        let attempts = Attempts::new(rules.sign_in_free_tries, rules.sign_in_wait_max, rules.sign_in_keys_max);
        let (attempts, attempt_key) = match rules.sign_in_shared.clone() {
            Some(shared) => (attempts.shared(shared), store.secret("sign-in-tries", clock.secret()).await?),
            // Nothing of the attempts outlives the process, so neither does their key.
            None => (attempts, clock.secret()),
        };
        let seal = seal::Seal::new(&store.secret("sessions", clock.secret()).await?);
        let ticket_seal = seal::Seal::new(&store.secret("event-tickets", clock.secret()).await?);
        let budgets = budgets::Budgets::open(&store, &clock, &rules.budgets).await?;
        realtime.broker.begin_at(store.last_event().await?);
        let letters = Arc::new(tokio::sync::Semaphore::new(codes::LETTERS_MAX));
        Ok(Arc::new(Self {
            store,
            hub: realtime.hub,
            broker: realtime.broker,
            sockets: realtime.sockets,
            online: Arc::default(),
            origins: Origins::default(),
            apps: connections::Apps::default(),
            node: clock.uuid(),
            clock,
            provider,
            mailer,
            rules,
            runs,
            hashing,
            code_key,
            attempts: Arc::new(attempts),
            attempt_key,
            seal,
            ticket_seal,
            deliveries: deliveries::Deliveries::default(),
            letters,
            shelf,
            library,
            hooked: webhooks::Hooked::default(),
            budgets,
        }))
    }

    /// This process among the servers over the store: a fresh identifier each time it starts.
    pub fn node(&self) -> uuid::Uuid {
        self.node
    }

    /// The present instant.
    pub fn now(&self) -> crate::domain::Timestamp {
        self.clock.now()
    }

    /// The name of the assistant that answers, if one does.
    pub fn assistant(&self) -> Option<&str> {
        self.provider.as_ref().map(|provider| provider.name())
    }

    /// The names of models that the assistant may be asked for.
    pub fn models(&self) -> Vec<String> {
        self.provider.as_ref().map(|provider| provider.models()).unwrap_or_default()
    }

    /// Answers under way.
    pub fn runs_under_way(&self) -> usize {
        self.runs.len()
    }

    /// Tries to sign in that were told to wait.
    pub fn sign_ins_refused(&self) -> u64 {
        self.attempts.refusals()
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
