//! A chat as others see it, by its link.

use std::sync::Arc;

use uuid::Uuid;

use super::Answered;
use super::context::Ctx;
use super::envelope::Failure;
use super::wire_shares::{OpenedShare, ShareInfo, SharedMessage};
use crate::chat::{MessageFilter, MessagePage};
use crate::domain::{EventId, Share};
use crate::error::{Error, Subject};
use crate::http::headers;
use crate::http::json::{self, Page};

/// Open a shared chat
///
/// A protected one with Basic authentication: no name, and the share's password. Where users are listed, with
/// the session of one of them.
#[utoipa::path(get, path = "/api/shared/chats/{uuid}", operation_id = "neptun_open_share", tag = "neptun",
    params(("uuid" = String, Path, description = "What the link holds")),
    responses(
        (status = 200, description = "The messages and the share", body = OpenedShare),
        (status = 404, description = "There is no such share, or its link is switched off"),
    ),
    security((), ("neptun-share" = []), ("neptun-session" = [])))]
pub async fn read(ctx: Ctx) -> Answered {
    let unknown = || Failure::Share(Error::NotFound(Subject::Share), info(None, Some(false)));
    let link = Uuid::try_parse(ctx.segment("uuid")).map_err(|_| unknown())?;
    let password = headers::basic(ctx.headers()).filter(|(name, _)| name.is_empty()).map(|(_, password)| password);
    let access = ctx.maybe_caller().map(|caller| &caller.access);
    let opened = match ctx.chat().open_share(link, password, access, ctx.address()).await {
        Err(Error::NotFound(Subject::Share)) => return Err(unknown()),
        other => other?,
    };
    if let Some(refusal) = opened.refusal {
        return Err(Failure::Share(refusal, info(Some(&opened.share), Some(opened.has_list))));
    }
    shown(&ctx, opened.share).await
}

fn info(share: Option<&Share>, share_has_whitelist: Option<bool>) -> ShareInfo {
    ShareInfo {
        share_exists: share.is_some(),
        share_is_active: share.is_some_and(|share| share.is_shared),
        share_is_private: share.is_some_and(|share| share.is_protected),
        share_has_password: share.is_some_and(|share| share.password_hash.is_some()),
        share_has_whitelist,
    }
}

async fn shown(ctx: &Ctx, share: Share) -> Answered {
    let after = [br#"],"shareInfo":"#.to_vec(), json::bytes(&info(Some(&share), None)), b"}".to_vec()].concat();
    let (chat, share) = (Arc::clone(ctx.chat()), Arc::new(share));
    let id = share.conversation_id;
    let first = page(chat.message_page(id, MessageFilter::default()).await?, &share);
    let next = move |cursor: EventId| {
        let (chat, share) = (Arc::clone(&chat), Arc::clone(&share));
        let filter = MessageFilter { after: Some(cursor), ..MessageFilter::default() };
        async move { chat.message_page(id, filter).await.map(|found| page(found, &share)) }
    };
    Ok(json::paged(br#"{"chatMessages":["#.to_vec(), first, next, after))
}

fn page(found: MessagePage, share: &Arc<Share>) -> Page<EventId> {
    let share = Arc::clone(share);
    Page::new(found.messages, move |message| json::bytes(&SharedMessage::new(message, &share)), found.next)
}
