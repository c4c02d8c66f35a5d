//! A user's chats: listed, made, renamed, removed.

use std::sync::Arc;

use serde_json::Value;

use super::Answered;
use super::accounts::done;
use super::context::{Ctx, Input};
use super::described::{ChatFields, ChatIds, ChatName, OfChat};
use super::envelope::Failure;
use super::wire::{Chat, Chats, OneChat};
use crate::api::{events, run};
use crate::chat::{ChatColumn, ChatOrder};
use crate::domain::{Conversation, ConversationId, WhileAnswering, clean_line};
use crate::error::{Error, Rule};
use crate::http::json::{self, Page};
use crate::http::values::Values;

/// What is said of input that is wrong.
const ORDER: &str = "Bad Request. Invalid query(order_by).";
const NEW: &str = "Bad Request. Invalid body(model, name).";
const NAME: &str = "Bad Request. Invalid body(name).";
const IDS: &str = "Bad Request. Invalid body(chat_ids).";

const WHILE_ANSWERING: &str = "while_answering";
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=255;

/// The columns that a list can be ordered by.
const COLUMNS: [(&str, ChatColumn); 5] = [
    ("id", ChatColumn::Id),
    ("created_at", ChatColumn::CreatedAt),
    ("updated_at", ChatColumn::EditedAt),
    ("name", ChatColumn::Title),
    ("model", ChatColumn::Model),
];

/// List chats
#[utoipa::path(get, path = "/api/users/{user_id}/chats", operation_id = "neptun_list_chats", tag = "neptun",
    params(
        ("user_id" = u64, Path, description = "The caller's own number"),
        ("order_by" = Option<String>, Query, example = "updated_at:desc,name:desc",
            description = "Pairs of id, created_at, updated_at, name or model, and asc or desc"),
    ),
    responses((status = 200, description = "The chats", body = Chats, headers(("Event-Cursor" = i64, description = "Follow from here")))),
    security(("neptun-session" = [])))]
pub async fn list(ctx: Ctx) -> Answered {
    let access = ctx.owner()?;
    let mut query = ctx.query();
    let order = if query.has("order_by") { order(&mut query) } else { usual_order() };
    query.finish().map_err(|error| Failure::Input(ORDER, error))?;
    let cursor = ctx.chat().told_end();
    let numbers = ctx.chat().chat_numbers(access, order).await?;
    let (chat, user) = (Arc::clone(ctx.chat()), access.user.id);
    let first = page(chat.chats_page(user, numbers).await?);
    let next = move |numbers: Vec<ConversationId>| {
        let chat = Arc::clone(&chat);
        async move { chat.chats_page(user, numbers).await.map(page) }
    };
    let mut response = json::paged(br#"{"chats":["#.to_vec(), first, next, b"]}".to_vec());
    events::mark(&mut response, cursor);
    Ok(response)
}

fn page((chats, rest): (Vec<Conversation>, Option<Vec<ConversationId>>)) -> Page<Vec<ConversationId>> {
    Page::new(chats, |chat| json::bytes(&Chat::from(chat)), rest)
}

fn usual_order() -> Vec<ChatOrder> {
    vec![(ChatColumn::EditedAt, true), (ChatColumn::Title, true)]
}

fn order(query: &mut Values) -> Vec<ChatOrder> {
    let asked = query.string("order_by", 0..=255).unwrap_or_default();
    let order: Option<Vec<_>> = asked.split(',').map(|pair| one_order(pair.trim())).collect();
    // No column says anything more the second time.
    let order = order.filter(|order| order.len() <= COLUMNS.len());
    if order.is_none() {
        query.wrong("order_by", Rule::Valid);
    }
    order.unwrap_or_default()
}

fn one_order(pair: &str) -> Option<ChatOrder> {
    let (column, direction) = pair.split_once(':')?;
    let (_, column) = COLUMNS.iter().find(|(name, _)| *name == column.trim())?;
    match direction.trim() {
        "asc" => Some((*column, false)),
        "desc" => Some((*column, true)),
        _ => None,
    }
}

/// Make a chat
#[utoipa::path(post, path = "/api/users/{user_id}/chats", operation_id = "neptun_create_chat", tag = "neptun",
    request_body(content((ChatFields = "application/json"), (ChatFields = "application/x-www-form-urlencoded"))),
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses((status = 200, description = "The chat", body = OneChat)),
    security(("neptun-session" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let access = ctx.owner()?;
    let mut values = ctx.values(input).await?;
    let model = values.choice("model", &ctx.door().models);
    let name = name(&mut values);
    let way = way(&mut values);
    values.finish().map_err(|error| Failure::Input(NEW, error))?;
    let (model, name) = model.zip(name).ok_or_else(|| Error::field("name", Rule::Required))?;
    let chat = ctx.chat().create_chat(access, name, model, way.flatten()).await?;
    Ok(json::response(json::bytes(&OneChat { chat: (&chat).into() })))
}

/// A chat's name: on one line, and long enough without what is not seen.
fn name(values: &mut Values) -> Option<String> {
    let line = clean_line(&values.string("name", NAME_CHARS)?);
    if line.chars().count() < *NAME_CHARS.start() {
        values.wrong("name", Rule::CharsMin(*NAME_CHARS.start()));
        return None;
    }
    Some(line)
}

/// What becomes of a message that is sent while an answer is under way, if that is said; null is what the configuration
/// says.
fn way(values: &mut Values) -> Option<Option<WhileAnswering>> {
    if values.peek(WHILE_ANSWERING).is_none_or(Value::is_null) {
        return values.has(WHILE_ANSWERING).then_some(None);
    }
    let ways: Vec<_> = run::WAYS.iter().map(|way| (*way).to_owned()).collect();
    Some(values.choice(WHILE_ANSWERING, &ways.into()).as_deref().and_then(run::way))
}

/// Remove chats
///
/// All that are named, or none when one is not the caller's.
#[utoipa::path(delete, path = "/api/users/{user_id}/chats", operation_id = "neptun_delete_chats", tag = "neptun",
    request_body(content((ChatIds = "application/json"), (ChatIds = "application/x-www-form-urlencoded"))),
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses((status = 200, description = "They are gone", body = bool, content_type = "application/json")),
    security(("neptun-session" = [])))]
pub async fn remove_many(ctx: Ctx, input: Input) -> Answered {
    let access = ctx.owner()?;
    let mut values = ctx.values(input).await?;
    let items = values.list("chat_ids", 1..=ctx.door().batch_max).unwrap_or_default();
    let mut ids = values.ids("chat_ids", &items);
    values.finish().map_err(|error| Failure::Input(IDS, error))?;
    ids.sort_unstable();
    ids.dedup();
    ctx.chat().remove_chats(access, ids.into_iter().map(ConversationId).collect()).await?;
    Ok(done())
}

/// Rename a chat
///
/// Or have it do something else with messages that are sent while an answer is under way.
#[utoipa::path(patch, path = "/api/users/{user_id}/chats/{chat_id}", operation_id = "neptun_rename_chat",
    tag = "neptun",
    request_body(content((ChatName = "application/json"), (ChatName = "application/x-www-form-urlencoded"))),
    params(OfChat),
    responses((status = 200, description = "The chat", body = OneChat)),
    security(("neptun-session" = [])))]
pub async fn rename(ctx: Ctx, input: Input) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    let mut values = ctx.values(input).await?;
    // Who sends neither is told of the name, as clients know it.
    let is_renamed = values.has("name") || !values.has(WHILE_ANSWERING);
    let name = if is_renamed { name(&mut values) } else { None };
    let way = way(&mut values);
    values.finish().map_err(|error| Failure::Input(NAME, error))?;
    let chat = ctx.chat().edit_chat(access, id, name, way).await?;
    Ok(json::response(json::bytes(&OneChat { chat: (&chat).into() })))
}

/// Remove a chat
///
/// With its messages, its files and its share.
#[utoipa::path(delete, path = "/api/users/{user_id}/chats/{chat_id}", operation_id = "neptun_delete_chat",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "It is gone", body = bool, content_type = "application/json"),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn remove(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    ctx.chat().remove_chats(access, vec![id]).await?;
    Ok(done())
}
