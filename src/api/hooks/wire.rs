//! What the hooks door takes and shows.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::{Attempt, Content, Delivery, DeliveryState, Timestamp, Webhook};

/// An endpoint to be.
#[derive(Deserialize, ToSchema)]
#[schema(as = hooks::AddEndpoint)]
#[expect(dead_code, reason = "described here; read field by field, so that every error is told")]
pub struct AddEndpoint {
    /// Where it is: an `http` or `https` address.
    #[schema(example = "https://shop.example.com/hooks/chat", max_length = 2000)]
    url: String,
    /// `standard` (the default): the events of the log, as Standard Webhooks. `pusher`: what happens on channels, as
    /// Pusher's webhooks.
    #[schema(example = "standard")]
    form: Option<String>,
    /// Which types it wants; left out or empty: all of them.
    #[schema(example = json!(["message.created"]))]
    types: Option<Vec<String>>,
    /// It is told of what comes after this cursor; left out: of what comes from now on.
    #[schema(example = 0)]
    after: Option<i64>,
}

/// What is changed of an endpoint; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[schema(as = hooks::EditEndpoint)]
#[expect(dead_code, reason = "described here; read field by field, so that every error is told")]
pub struct EditEndpoint {
    /// Where it is.
    #[schema(max_length = 2000)]
    url: Option<String>,
    /// Which types it wants; empty: all of them.
    types: Option<Vec<String>>,
    /// Whether it is told at all; switched on, it goes on where it was.
    is_active: Option<bool>,
}

/// An endpoint.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Endpoint)]
pub struct Endpoint {
    /// Its number.
    id: i64,
    /// Where it is.
    url: String,
    /// How it is spoken to.
    #[schema(example = "standard")]
    form: &'static str,
    /// Which types it wants; none: all of them.
    types: Vec<String>,
    /// Whether it is told.
    is_active: bool,
    /// Why it is not.
    disabled_reason: Option<String>,
    /// When it was switched off.
    disabled_at: Option<String>,
    /// Since when everything has failed.
    failing_since: Option<String>,
    /// When it last took something.
    last_delivered_at: Option<String>,
    /// The last event that was taken from the log for it.
    cursor: i64,
    /// How many deliveries are on their way.
    open: u64,
    /// When it was made.
    created_at: String,
    /// When it was last changed.
    updated_at: String,
}

impl From<&Webhook> for Endpoint {
    fn from(hook: &Webhook) -> Self {
        let disabled = hook.disabled.as_ref();
        Self {
            id: hook.id.0,
            url: hook.url.clone(),
            form: hook.form.as_str(),
            types: hook.kinds.clone(),
            is_active: disabled.is_none(),
            disabled_reason: disabled.map(|disabled| disabled.why.clone()),
            disabled_at: disabled.map(|disabled| disabled.at.with_micros()),
            failing_since: hook.failing_since.map(Timestamp::with_micros),
            last_delivered_at: hook.delivered_at.map(Timestamp::with_micros),
            cursor: hook.cursor.0,
            open: hook.open,
            created_at: hook.created_at.with_micros(),
            updated_at: hook.updated_at.with_micros(),
        }
    }
}

/// An endpoint with its key, which is shown this once.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::NewEndpoint)]
pub struct NewEndpoint {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What its requests are signed with; null in Pusher's form, which signs with the platform's secret.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    secret: Option<String>,
}

impl NewEndpoint {
    /// An endpoint with that key.
    pub fn new(hook: &Webhook, secret: Option<String>) -> Self {
        Self { endpoint: hook.into(), secret }
    }
}

/// One thing that an endpoint is told.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Delivery)]
pub struct Told {
    /// Its number.
    id: i64,
    /// What the endpoint knows it by.
    #[schema(example = "evt_41")]
    event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "message.created")]
    kind: String,
    /// The event's place in the log; null for what is in no log.
    cursor: Option<i64>,
    /// `waiting` (for another one of the same conversation), `due`, `delivered` or `failed`.
    #[schema(example = "delivered")]
    state: &'static str,
    /// Tries so far.
    attempts: u32,
    /// The status of the last answer.
    last_status: Option<u16>,
    /// Why the last try failed.
    last_error: Option<String>,
    /// The next try.
    next_attempt_at: Option<String>,
    /// When it was taken from the log.
    created_at: String,
    /// When it was delivered or given up.
    ended_at: Option<String>,
}

impl From<&Delivery> for Told {
    fn from(delivery: &Delivery) -> Self {
        Self {
            id: delivery.id.0,
            event_id: delivery.public_id(),
            kind: delivery.kind.clone(),
            cursor: match &delivery.content {
                Content::Event { id, .. } => Some(id.0),
                Content::Happening { .. } => None,
            },
            state: delivery.state.as_str(),
            attempts: delivery.attempts,
            last_status: delivery.last_status,
            last_error: delivery.last_error.clone(),
            next_attempt_at: (delivery.state == DeliveryState::Due).then(|| delivery.due_at.with_micros()),
            created_at: delivery.created_at.with_micros(),
            ended_at: delivery.ended_at.map(Timestamp::with_micros),
        }
    }
}

/// One try.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Attempt)]
pub struct Tried {
    /// When it began.
    at: String,
    /// How long it took, in milliseconds.
    took_ms: u64,
    /// The answer's status, if there was an answer.
    status: Option<u16>,
    /// Why it failed, if it did.
    error: Option<String>,
}

impl From<&Attempt> for Tried {
    fn from(attempt: &Attempt) -> Self {
        let Attempt { took_ms, status, .. } = *attempt;
        Self { at: attempt.at.with_micros(), took_ms, status, error: attempt.error.clone() }
    }
}

/// What is told again.
#[derive(Deserialize, ToSchema)]
#[schema(as = hooks::ReplayRequest)]
#[expect(dead_code, reason = "described here; read field by field, so that every error is told")]
pub struct ReplayRequest {
    /// That delivery, however it ended.
    delivery: Option<i64>,
    /// Without one: those that failed, of events after that cursor; 0 by default.
    after: Option<i64>,
}

/// How many deliveries are told again.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Replayed)]
pub struct Replayed {
    /// That many.
    pub replayed: usize,
}
