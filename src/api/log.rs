//! Events of the log in JSON that is no door's: what webhooks post, and what `/api/v1/events` lists.
//!
//! An event says what *is*: read again later, it carries the message as it stands by then, and no message when that
//! was deleted. Users are named by their public identifiers.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{
    ConversationState, Event, EventBody, EventType, Happened, Json, Letter, Logged, Message, Reach, Run, RunReason,
    RunState, Timestamp, UserId,
};
use crate::http::json;

/// What those are known by outside whom events name.
pub type People = HashMap<UserId, Uuid>;

/// An event of the log.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::LogEvent)]
pub struct LogEvent {
    /// The same however often it is told.
    #[schema(example = "evt_41")]
    id: String,
    /// What happened.
    #[serde(rename = "type")]
    #[schema(example = "message.created")]
    kind: &'static str,
    /// Its place among all events: what is listed next comes after it.
    #[schema(example = 41)]
    cursor: i64,
    /// When.
    at: String,
    /// Where.
    conversation: Where,
    /// More, by type.
    #[schema(value_type = Object)]
    data: Value,
}

/// Where an event happened.
#[derive(Serialize, ToSchema)]
#[schema(as = hooks::Where)]
struct Where {
    /// The conversation.
    uuid: Uuid,
    /// What it is for.
    #[schema(example = "direct")]
    kind: &'static str,
    /// The event's number within it: 1, 2, 3, …
    seq: u64,
}

impl LogEvent {
    /// An event, with what those are known by whom it names.
    pub fn new(Logged { event, place }: &Logged, people: &People) -> Self {
        Self {
            id: format!("evt_{}", event.id),
            kind: EventType::of(event).as_str(),
            cursor: event.id.0,
            at: event.at.with_micros(),
            conversation: Where { uuid: place.uuid, kind: place.kind.as_str(), seq: event.seq },
            data: data(event, people),
        }
    }
}

/// The body of a webhook that tells an event.
pub fn event_body(logged: &Logged, people: &People) -> Vec<u8> {
    json::bytes(&LogEvent::new(logged, people))
}

fn data(event: &Event, people: &People) -> Value {
    let user = |id: UserId| people.get(&id);
    match &event.body {
        EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => {
            json!({"message": message_data(message, people)})
        }
        EventBody::MessageGone | EventBody::Void => json!({"message": null}),
        EventBody::MessageDeleted { message_id, uuid } => json!({"message_id": message_id.0, "message_uuid": uuid}),
        EventBody::Reacted { message_id, reaction, .. } => {
            json!({"message_id": message_id.0, "user": user(reaction.user_id), "emoji": reaction.emoji})
        }
        EventBody::Received { reader, reach, .. } => match reach {
            Reach::One(message) => json!({"user": user(*reader), "message_id": message.0}),
            Reach::Through(message) => json!({"user": user(*reader), "through_message_id": message.0}),
        },
        EventBody::StateChanged { state, .. } => state_data(state, people),
        EventBody::RunChanged { state, run } => run_data(run, *state),
        EventBody::RunTold(told) => json!({"run": told.run, "start": told.start, "text": told.text}),
    }
}

fn run_data(run: &Run, state: RunState) -> Value {
    let ended = matches!(state, RunState::Ended(_));
    let by = run.by.as_ref().filter(|_| ended);
    json!({
        "run": run.uuid,
        "message_uuid": run.question_uuid,
        "state": state.as_str(),
        "reason": run.reason.filter(|_| ended).map(RunReason::as_str),
        "response_uuid": run.answer_uuid.filter(|_| ended),
        "provider": by.map(|(provider, _)| provider),
        "model": by.map(|(_, model)| model),
        "usage": ended.then(|| json!({
            "prompt_tokens": run.usage.prompt_tokens,
            "completion_tokens": run.usage.completion_tokens,
            "cost_micros": run.usage.cost.0,
            "estimated": run.usage.is_estimated,
        })),
    })
}

fn message_data(message: &Message, people: &People) -> Value {
    let mut data = json!({
        "id": message.id.0,
        "uuid": message.uuid,
        "role": message.role.as_str(),
        "user": message.user_id.and_then(|id| people.get(&id)),
        "text": message.text,
        "metadata": message.metadata.as_ref().map(value),
        "reply_to": message.reply_to.map(|id| id.0),
        "created_at": message.created_at.with_micros(),
        "edited_at": message.edited_at.map(Timestamp::with_micros),
    });
    if let Some(letter) = &message.letter {
        data["letter"] = letter_data(letter, people);
    }
    data
}

fn letter_data(letter: &Letter, people: &People) -> Value {
    let reaction = |one: &crate::domain::Reaction| json!({"user": people.get(&one.user_id), "emoji": one.emoji});
    json!({
        "receiver": people.get(&letter.receiver_id),
        "kind": letter.kind.as_str(),
        "attachments": value(&letter.attachments),
        "delivered_at": letter.delivered_at.map(Timestamp::with_micros),
        "read_at": letter.read_at.map(Timestamp::with_micros),
        "reactions": letter.reactions.iter().map(reaction).collect::<Value>(),
    })
}

fn state_data(state: &ConversationState, people: &People) -> Value {
    let assigned = state.assigned.map(|held| json!({"user": people.get(&held.user_id), "at": held.at.with_micros()}));
    json!({
        "is_active": state.is_active,
        "assigned": assigned,
        "expires_at": state.expires_at.map(Timestamp::with_micros),
        "external_user_id": state.external_user_id,
        "contact": {"name": state.contact.name, "email": state.contact.email, "phone": state.contact.phone},
        "metadata": value(&state.metadata),
        "title": state.title,
        "model": state.model,
        "is_archived": state.is_archived,
    })
}

fn value(json: &Json) -> Value {
    serde_json::from_str(&json.0).unwrap_or_default()
}

/// The body of a webhook in Pusher's form.
pub fn happening_body(what: &Happened, at: Timestamp) -> Vec<u8> {
    let mut event = json!({"name": what.as_str(), "channel": what.channel()});
    match what {
        Happened::MemberAdded { user_id, .. } | Happened::MemberRemoved { user_id, .. } => {
            event["user_id"] = json!(user_id);
        }
        Happened::ClientEvent { event: name, data, socket_id, user_id, .. } => {
            event["event"] = json!(name);
            event["socket_id"] = json!(socket_id);
            let more = [("data", data), ("user_id", user_id)];
            more.into_iter().for_each(|(field, text)| text.iter().for_each(|text| event[field] = json!(text)));
        }
        Happened::SubscriptionCount { count, .. } => event["subscription_count"] = json!(count),
        Happened::ChannelOccupied { .. } | Happened::ChannelVacated { .. } | Happened::CacheMiss { .. } => {}
    }
    json::bytes(&json!({"time_ms": at.0 / 1000, "events": [event]}))
}
