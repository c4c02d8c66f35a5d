//! The files of a chat: made of the code in its answers, or put beside a message.

use std::sync::Arc;

use super::Answered;
use super::context::{Ctx, Input};
use super::described::{FileFields, OfChat};
use super::envelope::Failure;
use super::wire::{self, ChatFiles, Filed, UserFile};
use crate::domain::{ChatFile, ConversationId, EventId, FileId, NewFile, clean_line};
use crate::http::json::{self, Page};
use crate::http::values::Values;

/// What is said of input that is wrong.
const INVALID: &str = "Bad Request. Invalid body(file | files).";

/// List a chat's files
#[utoipa::path(get, path = "/api/users/{user_id}/chats/{chat_id}/files", operation_id = "neptun_list_files",
    tag = "neptun",
    params(OfChat),
    responses(
        (status = 200, description = "The files, oldest first", body = ChatFiles),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn list(ctx: Ctx) -> Answered {
    let (access, id) = ctx.owner_of_chat()?;
    ctx.chat().chat_of(access, id).await?;
    let render = |file: &ChatFile| json::bytes(&wire::ChatFile::listed(file));
    listed(&ctx, Some(id), [r#"{"chatFiles":["#, "]}"], render).await
}

/// List the files of all chats
///
/// A bare array.
#[utoipa::path(get, path = "/api/users/{user_id}/files", operation_id = "neptun_list_all_files", tag = "neptun",
    params(("user_id" = u64, Path, description = "The caller's own number")),
    responses(
        (status = 200, description = "The files, oldest first", body = Vec<UserFile<'static>>),
        (status = 400, description = "A number in the path is none"),
    ),
    security(("neptun-session" = [])))]
pub async fn list_all(ctx: Ctx) -> Answered {
    let render = |file: &ChatFile| json::bytes(&UserFile::from(file));
    listed(&ctx, None, ["[", "]"], render).await
}

async fn listed(
    ctx: &Ctx,
    id: Option<ConversationId>,
    [before, after]: [&str; 2],
    render: fn(&ChatFile) -> Vec<u8>,
) -> Answered {
    let (user, chat) = (ctx.owner_with([]).map(|(access, [])| access.user.id)?, Arc::clone(ctx.chat()));
    let page = move |(files, next): (Vec<ChatFile>, Option<FileId>)| Page::new(files, render, next);
    let first = page(chat.files_page(user, id, FileId(0)).await?);
    let next = move |after: FileId| {
        let chat = Arc::clone(&chat);
        async move { chat.files_page(user, id, after).await.map(page) }
    };
    Ok(json::paged(before.as_bytes().to_vec(), first, next, after.as_bytes().to_vec()))
}

/// Put a file beside a message, or several
#[utoipa::path(post, path = "/api/users/{user_id}/chats/{chat_id}/files/{message_id}",
    operation_id = "neptun_add_files", tag = "neptun",
    request_body(content((FileFields = "application/json"), (FileFields = "application/x-www-form-urlencoded"))),
    params(
        OfChat,
        ("message_id" = u64, Path, description = "The message"),
    ),
    responses((status = 200, description = "What was stored", body = Filed<'static>)),
    security(("neptun-session" = [])))]
pub async fn create(ctx: Ctx, input: Input) -> Answered {
    let (access, [chat, message]) = ctx.owner_with(["chat_id", "message_id"])?;
    let mut values = ctx.values(input).await?;
    let (are_many, chars_max) = (values.has("files"), ctx.door().file_chars_max);
    let files = if are_many {
        let items = values.list("files", 1..=ctx.door().batch_max).unwrap_or_default();
        values.each("files", items, |values| file(values, chars_max))
    } else {
        file(&mut values, chars_max).into_iter().collect()
    };
    values.finish().map_err(|error| Failure::Input(INVALID, error))?;
    let added = ctx.chat().add_files(access, ConversationId(chat), EventId(message), files).await?;
    let mut shown = added.iter().map(wire::ChatFile::one);
    let filed = match shown.next() {
        Some(only) if !are_many => Filed::ChatFile(Box::new(only)),
        first => Filed::ChatFiles(first.into_iter().chain(shown).collect()),
    };
    Ok(json::response(json::bytes(&filed)))
}

fn file(values: &mut Values, chars_max: usize) -> Option<NewFile> {
    let text = values.string("text", 1..=chars_max);
    let line = |values: &mut Values, field, max| {
        let line = clean_line(&values.optional_string(field, 1..=max)?);
        (!line.is_empty()).then_some(line)
    };
    let title = line(values, "title", 255);
    let language = line(values, "language", 64).unwrap_or_else(|| "text".to_owned());
    let extension = line(values, "extension", 64).unwrap_or_else(|| "txt".to_owned());
    let title = title.unwrap_or_else(|| format!("{language}-file"));
    Some(NewFile { title, text: text?, language, extension })
}
