//! The contract of webhooks out: endpoints with their cursors into the log, and the deliveries that were taken from
//! it for them. What [`super`] says of every method holds here too.

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::{
    Attempt, Content, Delivery, DeliveryId, DeliveryState, Disabled, EventId, HookForm, HookKey, PlatformId, Timestamp,
    Webhook, WebhookId,
};
use crate::error::Result;

/// Whose endpoints are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookOwner {
    /// Everybody's, as an operator sees them.
    Anybody,
    /// That platform's.
    Platform(PlatformId),
}

/// An endpoint to be.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Whose; `None`: the operator's.
    pub platform_id: Option<PlatformId>,
    /// Where it is.
    pub url: String,
    /// How it is spoken to.
    pub form: HookForm,
    /// Which types it wants; none: every one.
    pub kinds: Vec<String>,
    /// What signs.
    pub key: HookKey,
    /// It is told of what comes after this event; `None`: of what comes from now on.
    pub after: Option<EventId>,
    /// How many of the same owner there may be with it.
    pub count_max: usize,
    /// When.
    pub at: Timestamp,
}

/// What is changed of an endpoint; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct HookEdit {
    /// Where it is.
    pub url: Option<String>,
    /// Which types it wants.
    pub kinds: Option<Vec<String>>,
    /// Switched off, or (`Some(None)`) on: it goes on where it was, with what failed forgotten.
    pub disabled: Option<Option<Disabled>>,
    /// A new key; the one before signs beside it until that instant.
    pub key: Option<(HookKey, Timestamp)>,
}

/// What is taken from the log for one endpoint, in one step.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The endpoint.
    pub webhook_id: WebhookId,
    /// Where its cursor is thought to stand: if it does not, somebody else took this and nothing is done.
    pub from: EventId,
    /// Where it stands then.
    pub to: EventId,
    /// What of it the endpoint is told, in order: the kind and the content.
    pub told: Vec<(String, Content)>,
}

/// Who wants deliveries to send.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The claimer, who alone may say what became of them.
    pub claimer: Uuid,
    /// At most so many.
    pub limit: usize,
    /// At most so many of one endpoint, with those that the claimer has of it already.
    pub per_webhook: usize,
    /// How many the claimer has of each endpoint.
    pub busy: Vec<(WebhookId, usize)>,
    /// The present instant.
    pub now: Timestamp,
    /// When the claim lapses, and somebody else may have them.
    pub until: Timestamp,
}

/// What a try ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AfterAttempt {
    /// It was taken.
    Delivered,
    /// It is tried again then.
    Retry(Timestamp),
    /// It is given up, and the endpoint may be switched off with it.
    GiveUp,
}

/// A try that is over.
#[derive(Clone, Debug)]
pub struct Tried {
    /// Of which delivery.
    pub delivery_id: DeliveryId,
    /// Who has it.
    pub claimer: Uuid,
    /// How it went.
    pub attempt: Attempt,
    /// What follows.
    pub then: AfterAttempt,
    /// Counts against the endpoint: switches it off, when it has failed since that instant or longer, with that
    /// reason. `None` when it took what was posted, and when nothing was posted at all.
    pub disable: Option<(Timestamp, String)>,
    /// The present instant.
    pub now: Timestamp,
}

/// Which deliveries are queued again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookReplay {
    /// That one, however it ended.
    One(DeliveryId),
    /// Those that failed, of events after that cursor; of what is in no log, with 0 only.
    FailedSince(EventId),
}

/// Which deliveries are listed, newest first.
#[derive(Clone, Copy, Debug)]
pub struct DeliveryFilter {
    /// Only those.
    pub state: Option<DeliveryState>,
    /// Only older ones.
    pub before: Option<DeliveryId>,
    /// At most so many.
    pub limit: usize,
}

/// How many deliveries one call of [`Webhooks::replay_deliveries`] queues, and one of
/// [`Webhooks::prune_deliveries`] or [`Webhooks::clear_webhook`] removes at the most: a bound on how long it holds the writer.
pub const DELIVERIES_AT_ONCE: usize = 1000;

/// What every engine does for webhooks out.
///
/// **Order.** The deliveries of one endpoint in one lane are sent one after another, in the order of their numbers:
/// the first that has not ended is `due`, the others are `waiting`. Each write keeps that so.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Makes an endpoint.
    ///
    /// # Errors
    /// `Invalid` (`url`, count max) when its owner has as many as may be.
    async fn add_webhook(&self, new: NewWebhook) -> Result<Webhook>;

    /// The endpoints of an owner, the oldest first.
    async fn webhooks(&self, owner: HookOwner) -> Result<Vec<Webhook>>;

    /// One endpoint, if it is the owner's.
    async fn webhook(&self, owner: HookOwner, id: WebhookId) -> Result<Option<Webhook>>;

    /// Changes an endpoint; as it then stands, or `None` when it is not the owner's.
    async fn edit_webhook(
        &self,
        owner: HookOwner,
        id: WebhookId,
        edit: HookEdit,
        at: Timestamp,
    ) -> Result<Option<Webhook>>;

    /// Switches an endpoint off for good and removes some of its deliveries, at most [`DELIVERIES_AT_ONCE`], the newest
    /// first; how many. Whoever removes an endpoint does this first until there are fewer, so as not to hold the
    /// writer for long.
    async fn clear_webhook(&self, owner: HookOwner, id: WebhookId, now: Timestamp) -> Result<usize>;

    /// Removes an endpoint with its deliveries; `false` when it is not the owner's.
    async fn remove_webhook(&self, owner: HookOwner, id: WebhookId) -> Result<bool>;

    /// Queues what was taken from the log and moves the endpoints' cursors, both in one transaction; how many
    /// deliveries there are of it.
    async fn take_for_webhooks(&self, taken: Vec<Taken>, at: Timestamp) -> Result<usize>;

    /// Queues what is in no log, in that order, for each endpoint of its platform in Pusher's form that is on, wants it
    /// and has fewer than `open_max` on their way; how many deliveries that are.
    async fn queue_happened(&self, happened: Vec<(PlatformId, Content)>, open_max: u64) -> Result<usize>;

    /// Deliveries whose time has come, of endpoints that are on, each with its endpoint. They are the claimer's until
    /// the claim lapses.
    async fn claim_deliveries(&self, claim: Claim) -> Result<Vec<(Delivery, Webhook)>>;

    /// Notes a try and what follows; `false` when the delivery is not the claimer's any more: then nothing is noted.
    async fn note_attempt(&self, tried: Tried) -> Result<bool>;

    /// Ends the claimer's claims; how many there were. A store that one process has to itself ends everybody's: they
    /// are what a crash left. Where nodes share the store, another's claims may be those of a node that lives, and
    /// lapse.
    async fn release_claims(&self, claimer: Uuid, now: Timestamp) -> Result<usize>;

    /// When the next delivery is due of an endpoint that is on; a claimed one counts when its claim lapses.
    async fn next_due(&self) -> Result<Option<Timestamp>>;

    /// A page of an endpoint's deliveries, newest first.
    async fn deliveries(&self, id: WebhookId, filter: DeliveryFilter) -> Result<Vec<Delivery>>;

    /// The tries of a delivery of that endpoint, in order; `None` when there is no such delivery.
    async fn attempts(&self, id: WebhookId, delivery: DeliveryId) -> Result<Option<Vec<Attempt>>>;

    /// Queues deliveries of an endpoint again, at most [`DELIVERIES_AT_ONCE`], the oldest first; how many. Those that
    /// are on their way already are tried at once.
    async fn replay_deliveries(&self, id: WebhookId, which: HookReplay, now: Timestamp) -> Result<usize>;

    /// Removes deliveries that ended before that instant, at most [`DELIVERIES_AT_ONCE`]; how many.
    async fn prune_deliveries(&self, before: Timestamp) -> Result<usize>;
}
