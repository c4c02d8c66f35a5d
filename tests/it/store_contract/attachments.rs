//! Uploaded files: who may see them, and when they go.

use std::sync::Arc;

use roost::domain::{Attachment, AttachmentId, Conversation, Message, User};
use roost::error::{Error, FieldError, Rule, Subject};
use roost::store::NewConversation;
use roost::store::attachments::NewAttachment;
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{at, live_chat};

fn upload(user: &User, second: i64) -> NewAttachment {
    NewAttachment {
        uuid: Uuid::new_v4(),
        user_id: user.id,
        name: "ảnh.png".to_owned(),
        mime: "image/png".to_owned(),
        size: 5_000_000_000,
        has_thumbnail: true,
        at: at(second),
    }
}

impl Bench {
    pub(super) async fn uploaded(&self, user: &User, second: i64) -> Attachment {
        self.store.add_attachment(upload(user, second)).await.unwrap()
    }

    /// A conversation that somebody takes part in as a user, with a message in it.
    pub(super) async fn chat_with(&self, user: &User, key: &str) -> (Conversation, Arc<Message>) {
        let chat = self.add(NewConversation { user_id: Some(user.id), ..live_chat(key) }).await;
        let message = self.say(&chat, "see this").await;
        (chat, message)
    }

    pub(super) async fn sees(&self, user: &User, file: &Attachment) -> bool {
        self.store.attachment_for(user.id, file.uuid).await.unwrap().is_some()
    }

    pub(super) async fn loose(&self, second: i64) -> Vec<AttachmentId> {
        let loose = self.store.loose_attachments(at(second), 100).await.unwrap();
        loose.into_iter().map(|(id, _)| id).collect()
    }
}

fn assert_refused(answer: Result<(), Error>) {
    match answer {
        Err(Error::Invalid(fields)) => {
            assert_eq!(fields, [FieldError { field: "attachments".into(), rule: Rule::Valid }]);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_upload_is_read_back_as_it_was_stored() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let new = upload(&lan, 3);
        let stored = bench.store.add_attachment(new.clone()).await.unwrap();
        assert_eq!((stored.uuid, stored.user_id, &stored.name), (new.uuid, new.user_id, &new.name));
        assert_eq!((&stored.mime, stored.size), (&new.mime, new.size));
        assert_eq!((stored.has_thumbnail, stored.created_at), (true, new.at));
        let bench = bench.reopen().await;
        assert_eq!(bench.store.attachment_for(lan.id, new.uuid).await.unwrap(), Some(stored));
        assert_eq!(bench.store.attachment_for(lan.id, Uuid::new_v4()).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_file_is_seen_by_its_owner_and_by_who_takes_part_where_it_was_sent() {
    for bench in benches().await {
        let (lan, minh, eve) = (bench.staff("lan").await, bench.staff("minh").await, bench.staff("eve").await);
        let file = bench.uploaded(&lan, 1).await;
        let (chat, message) = bench.chat_with(&minh, "with-minh").await;
        bench.chat_with(&eve, "with-eve").await;
        assert!(bench.sees(&lan, &file).await && !bench.sees(&minh, &file).await);
        bench.store.hold_attachments(lan.id, vec![file.uuid], message.id).await.unwrap();
        assert!(bench.sees(&lan, &file).await && bench.sees(&minh, &file).await);
        assert!(!bench.sees(&eve, &file).await, "she takes part elsewhere only");
        assert!(bench.store.delete_message(chat.id, message.id, at(5)).await.unwrap());
        assert!(bench.sees(&lan, &file).await && !bench.sees(&minh, &file).await, "its message is hidden");
    }
}

#[tokio::test]
async fn a_message_holds_only_its_authors_own_files_all_or_none() {
    for bench in benches().await {
        let (lan, eve) = (bench.staff("lan").await, bench.staff("eve").await);
        let (own, other) = (bench.uploaded(&lan, 1).await, bench.uploaded(&eve, 1).await);
        let (chat, message) = bench.chat_with(&lan, "a").await;
        for wrong in [other.uuid, Uuid::new_v4()] {
            assert_refused(bench.store.hold_attachments(lan.id, vec![own.uuid, wrong], message.id).await);
        }
        assert_eq!(bench.loose(100).await, [own.id, other.id], "nothing was taken");
        let nowhere = roost::domain::EventId(message.id.0 + 1000);
        let refused = bench.store.hold_attachments(lan.id, vec![own.uuid], nowhere).await;
        assert!(matches!(refused, Err(Error::NotFound(Subject::Message))), "{refused:?}");
        // Twice in one message, and again in another: both are held.
        bench.store.hold_attachments(lan.id, vec![own.uuid, own.uuid], message.id).await.unwrap();
        let again = bench.say(&chat, "and again").await;
        bench.store.hold_attachments(lan.id, vec![own.uuid], again.id).await.unwrap();
        assert_eq!(bench.loose(100).await, [other.id]);
    }
}

#[tokio::test]
async fn what_is_loose_is_listed_by_age() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let (new, old) = (bench.uploaded(&lan, 20).await, bench.uploaded(&lan, 10).await);
        assert!(bench.loose(10).await.is_empty(), "that instant itself is not before it");
        assert_eq!(bench.loose(20).await, [old.id]);
        assert_eq!(bench.loose(21).await, [old.id, new.id]);
        let first = bench.store.loose_attachments(at(21), 1).await.unwrap();
        assert_eq!(first, [(old.id, old.uuid)]);
    }
}

#[tokio::test]
async fn a_condemned_file_is_nobodys_and_stays_listed_until_it_is_removed() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let file = bench.uploaded(&lan, 10).await;
        let (_, message) = bench.chat_with(&lan, "a").await;
        assert!(!bench.store.remove_attachment(file.id).await.unwrap(), "not without being condemned");
        for _ in 0..2 {
            assert!(bench.store.condemn_attachment(file.id).await.unwrap());
        }
        assert!(!bench.sees(&lan, &file).await);
        assert_refused(bench.store.hold_attachments(lan.id, vec![file.uuid], message.id).await);
        let bench = bench.reopen().await;
        assert_eq!(bench.loose(0).await, [file.id], "whatever its age: its bytes may be gone");
        assert!(bench.store.remove_attachment(file.id).await.unwrap());
        assert!(!bench.store.remove_attachment(file.id).await.unwrap());
        assert!(!bench.store.condemn_attachment(file.id).await.unwrap());
        assert!(bench.loose(100).await.is_empty());
    }
}

#[tokio::test]
async fn a_message_that_takes_a_file_in_between_keeps_it() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let file = bench.uploaded(&lan, 10).await;
        let (_, message) = bench.chat_with(&lan, "a").await;
        assert_eq!(bench.loose(100).await, [file.id]);
        bench.store.hold_attachments(lan.id, vec![file.uuid], message.id).await.unwrap();
        assert!(!bench.store.condemn_attachment(file.id).await.unwrap());
        assert!(!bench.store.remove_attachment(file.id).await.unwrap());
        assert!(bench.sees(&lan, &file).await);
    }
}

#[tokio::test]
async fn a_file_is_loose_again_when_the_last_conversation_that_held_it_is_removed() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let file = bench.uploaded(&lan, 10).await;
        let (one, first) = bench.chat_with(&lan, "one").await;
        let (two, second) = bench.chat_with(&lan, "two").await;
        for message in [first, second] {
            bench.store.hold_attachments(lan.id, vec![file.uuid], message.id).await.unwrap();
        }
        assert!(bench.store.remove_conversation(one.id).await.unwrap());
        assert!(bench.loose(100).await.is_empty(), "the other conversation has it still");
        assert!(bench.store.remove_conversation(two.id).await.unwrap());
        assert_eq!(bench.loose(100).await, [file.id]);
    }
}
