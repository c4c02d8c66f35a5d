//! The messages of a chat: listed, stored one or many at a time, and the last ones taken back.

use std::sync::Arc;

use super::Answered;
use super::context::{Ctx, Input};
use super::described::{MessageFields, OfChat};
use super::envelope::Failure;
use super::wire::{ChatMessage, ChatMessages, Said, TakenBack};
use crate::api::events;
use crate::api::idempotency::{self, IdempotencyKey};
use crate::chat::{Draft, MessageFilter, MessagePage};
use crate::domain::{EventId, MessageText, Role, UserId};
use crate::error::{Error, Subject};
use crate::http::json::{self, Page};
use crate::http::values::Values;

/// What is said of input that is wrong.
const INVALID: &str = "Bad Request. Invalid body(message | messages).";
/// Who may speak at this door.
const ACTORS: [&str; 3] = ["user", "assistant", "system"];

/// List a chat's messages
#[utoipa::path(get, path = "/api/users/{user_id}/chats/{chat_id}/messages", operation_id = "neptun_list_messages",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "The messages, oldest first", body = ChatMessages,
            headers(("Event-Cursor" = i64, description = "Follow from here"))),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn list(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let cursor = ctx.chat().told_end();
    let found = ctx.chat().chat_of(access, id).await?;
    let (chat, owner) = (Arc::clone(ctx.chat()), access.user.id);
    let first = page(chat.message_page(found.id, MessageFilter::default()).await?, owner);
    let next = move |cursor: EventId| {
        let chat = Arc::clone(&chat);
        let filter = MessageFilter { after: Some(cursor), ..MessageFilter::default() };
        async move { chat.message_page(id, filter).await.map(|found| page(found, owner)) }
    };
    let mut response = json::paged(br#"{"chatMessages":["#.to_vec(), first, next, b"]}".to_vec());
    events::mark(&mut response, cursor);
    Ok(response)
}

fn page(found: MessagePage, owner: UserId) -> Page<EventId> {
    Page::new(found.messages, move |message| json::bytes(&ChatMessage::new(message, owner)), found.next)
}

/// Store a message, or several
///
/// Several are stored all or not at all, in the order of the list. With the header `Idempotency-Key` a retry
/// returns the first messages and `Idempotent-Replayed: true`.
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/messages", operation_id = "neptun_add_messages",
    tag = "neptun",
    request_body(content((MessageFields = "application/json"),
        (MessageFields = "application/x-www-form-urlencoded"))),
    params(
        OfChat,
        ("Idempotency-Key" = inline(Option<IdempotencyKey>), Header,
            description = "Makes a retry return the first messages"),
    ),
    responses((status = 200, description = "What was stored", body = Said<'static>)),
    security(("neptun-session" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let mut values = ctx.values(input).await?;
    let is_batch = values.has("messages");
    let spoken = if is_batch { batch(&ctx, &mut values) } else { single(&ctx, &mut values).into_iter().collect() };
    values.finish().map_err(|error| Failure::Input(INVALID, error))?;
    let mut key = ctx.idempotency_key()?;
    let drafts = spoken.into_iter().map(|spoken| Draft { key: key.take(), ..spoken.draft() }).collect();
    let stored = ctx.chat().add_messages(access, id, drafts).await?;
    let owner = access.user.id;
    let mut shown = stored.iter().map(|one| ChatMessage::new(&one.message, owner));
    let said = match shown.next() {
        Some(only) if !is_batch => Said::ChatMessage(only),
        first => Said::ChatMessages(first.into_iter().chain(shown).collect()),
    };
    let mut response = json::response(json::bytes(&said));
    if stored.iter().any(|one| one.replayed) {
        idempotency::mark_replayed(&mut response);
    }
    Ok(response)
}

/// What somebody says, in which role.
pub struct Spoken {
    /// In which role.
    pub role: Role,
    /// What.
    pub text: MessageText,
}

impl Spoken {
    fn draft(self) -> Draft {
        let Self { role, text } = self;
        Draft { role, user_id: None, text, metadata: None, letter: None, key: None }
    }
}

fn single(ctx: &Ctx, values: &mut Values) -> Option<Spoken> {
    let is_empty = !values.has("message") && !values.has("actor");
    let text = values.text("message", ctx.door().message_chars_max);
    // Who sends none of the two forms is told of the first field of the first, as clients know it.
    let role = if is_empty { None } else { role(values, "actor") };
    Some(Spoken { role: role?, text: text? })
}

fn batch(ctx: &Ctx, values: &mut Values) -> Vec<Spoken> {
    let items = values.list("messages", 1..=ctx.door().batch_max).unwrap_or_default();
    values.each("messages", items, |values| {
        let text = values.text("content", ctx.door().message_chars_max);
        let role = role(values, "role");
        Some(Spoken { role: role?, text: text? })
    })
}

/// Who speaks.
pub fn role(values: &mut Values, field: &str) -> Option<Role> {
    let actors = ACTORS.map(str::to_owned);
    values.choice(field, &actors.as_slice().into()).and_then(|word| Role::parse(&word))
}

/// Take back the last exchange
///
/// Removes what the user said since the last answer and, when two messages are left before that, those two.
#[utoipa::path(delete, path = "/api/users/{user_id}/chats/{chat_id}/messages/last",
    operation_id = "neptun_delete_last_messages", tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "What was removed", body = TakenBack<'static>),
        (status = 400, description = "There is no message, or a number is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn remove_last(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let retracted = ctx.chat().retract(access, id).await.map_err(|error| match error {
        Error::NotFound(Subject::Message) => Failure::NothingSaid,
        other => other.into(),
    })?;
    let shown = |message| ChatMessage::new(message, access.user.id);
    let taken = match &retracted.exchange {
        Some([user, assistant]) => TakenBack::Exchange {
            maybe_assistant_message_to_delete: shown(assistant),
            maybe_user_message_to_delete: shown(user),
        },
        None => TakenBack::Trailing {
            deleted_successfully: retracted.trailing.iter().map(|id| id.0).collect(),
            failed_to_delete: Vec::new(),
        },
    };
    Ok(json::response(json::bytes(&taken)))
}
