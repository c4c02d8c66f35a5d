//! A user's own assistant chats: their lists, their files, their shares.

use roost::domain::{
    Conversation, ConversationId, ConversationKind, ConversationState, EventId, FileId, NewFile, ShareId, User,
};
use roost::store::{ChatColumn, NewConversation, NewMessage, NewShare, StateChange, StateEdit};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{answer, at, from_guest};

impl Bench {
    async fn own_chat(&self, user: &User, title: &str, model: &str) -> Conversation {
        let uuid = Uuid::new_v4();
        let state = ConversationState {
            title: Some(title.to_owned()),
            model: Some(model.to_owned()),
            ..ConversationState::open()
        };
        let new = NewConversation::new(uuid, ConversationKind::AssistantChat, uuid.to_string(), at(0));
        self.add(NewConversation { user_id: Some(user.id), state, ..new }).await
    }

    async fn titles(&self, user: &User, order: &[(ChatColumn, bool)]) -> Vec<String> {
        let ids = self.store.chats_of(user.id, order.to_vec()).await.unwrap();
        let chats = self.store.chats(user.id, ids).await.unwrap();
        chats.into_iter().map(|chat| chat.state.title.unwrap()).collect()
    }
}

fn file(title: &str) -> NewFile {
    NewFile { title: title.to_owned(), text: "x\n".to_owned(), language: "rust".to_owned(), extension: "rs".to_owned() }
}

#[tokio::test]
async fn chats_are_listed_in_every_order() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("Lan").await, bench.staff("Minh").await);
        let b = bench.own_chat(&lan, "b", "m1").await;
        bench.own_chat(&lan, "a", "m2").await;
        bench.own_chat(&lan, "c", "m1").await;
        bench.own_chat(&minh, "other", "m1").await;
        use ChatColumn::{CreatedAt, EditedAt, Id, Model, Title};
        for (order, want) in [
            (vec![], ["c", "a", "b"]),
            (vec![(Id, false)], ["b", "a", "c"]),
            (vec![(Title, false)], ["a", "b", "c"]),
            (vec![(Model, false), (Title, true)], ["c", "b", "a"]),
            (vec![(CreatedAt, true), (Title, false)], ["a", "b", "c"]),
        ] {
            assert_eq!(bench.titles(&lan, &order).await, want, "{order:?}");
        }
        let edit = StateEdit { title: Some("renamed".to_owned()), ..StateEdit::default() };
        let edited = bench.store.change_state(b.id, StateChange::Edit(edit), at(9)).await.unwrap().unwrap();
        assert_eq!((edited.edited_at, edited.state.model.as_deref()), (at(9), Some("m1")));
        assert_eq!(bench.titles(&lan, &[(EditedAt, true)]).await, ["renamed", "c", "a"]);
        bench.append(NewMessage { at: at(99), ..from_guest(b.id, "hello") }).await;
        assert_eq!(bench.now(&b).await.edited_at, at(9), "a message is no edit of its chat");
        let others = bench.store.chats(minh.id, vec![b.id, ConversationId(999)]).await.unwrap();
        assert!(others.is_empty());
    }
}

#[tokio::test]
async fn chats_are_removed_all_or_none() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("Lan").await, bench.staff("Minh").await);
        let (a, b) = (bench.own_chat(&lan, "a", "m").await, bench.own_chat(&lan, "b", "m").await);
        let other = bench.own_chat(&minh, "other", "m").await;
        for stranger in [other.id, ConversationId(999), bench.chat("live").await.id] {
            assert!(!bench.store.remove_chats(lan.id, vec![a.id, stranger, b.id]).await.unwrap());
        }
        assert_eq!(bench.titles(&lan, &[]).await, ["b", "a"]);
        assert!(bench.store.remove_chats(lan.id, vec![a.id, b.id]).await.unwrap());
        assert_eq!(bench.titles(&lan, &[]).await, [] as [&str; 0]);
        assert_eq!(bench.heard.removals(), [a.id, b.id]);
    }
}

#[tokio::test]
async fn files_belong_to_visible_messages() {
    for bench in benches().await {
        let lan = bench.staff("Lan").await;
        let chat = bench.own_chat(&lan, "a", "m").await;
        let question = bench.say(&chat, "write it").await;
        let answered = bench.append(NewMessage { files: vec![file("a.rs")], ..answer(&question, "```rust") }).await;
        let added = bench.store.add_files(chat.id, question.id, lan.id, vec![file("b.rs"), file("c.rs")], at(2)).await;
        let added = added.unwrap().expect("the message is there");
        let files = bench.store.files(chat.id, FileId(0), 10).await.unwrap();
        let seen: Vec<_> = files.iter().map(|file| (file.file.title.as_str(), file.message_id, file.user_id)).collect();
        assert_eq!(seen, [("a.rs", answered.id, lan.id), ("b.rs", question.id, lan.id), ("c.rs", question.id, lan.id)]);
        assert_eq!(files[1..], added);
        assert_eq!(bench.store.files(chat.id, files[0].id, 1).await.unwrap(), files[1..2]);
        assert_eq!(bench.store.files_of(lan.id, FileId(0), 10).await.unwrap(), files);
        bench.store.delete_message(chat.id, question.id, at(3)).await.unwrap();
        assert_eq!(bench.store.files(chat.id, FileId(0), 10).await.unwrap(), files[..1]);
        let gone = bench.store.add_files(chat.id, question.id, lan.id, vec![file("d.rs")], at(4)).await.unwrap();
        assert!(gone.is_none());
        let elsewhere = bench.chat("live").await;
        let guest = bench.say(&elsewhere, "?").await;
        bench.append(NewMessage { files: vec![file("e.rs")], ..answer(&guest, "!") }).await;
        assert!(
            bench.store.files(elsewhere.id, FileId(0), 10).await.unwrap().is_empty(),
            "only assistant chats keep them"
        );
        assert!(
            bench.store.files(chat.id, FileId(0), 10).await.unwrap().iter().all(|file| file.message_id > EventId(0))
        );
    }
}

#[tokio::test]
async fn a_chat_has_one_share() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("Lan").await, bench.staff("Minh").await);
        let chat = bench.own_chat(&lan, "a", "m").await;
        assert!(bench.store.share_of(chat.id).await.unwrap().is_none());
        let new = NewShare {
            uuid: Uuid::new_v4(),
            conversation_id: chat.id,
            is_shared: true,
            is_protected: true,
            password_hash: Some("a hash".to_owned()),
            at: at(1),
        };
        let share = bench.store.add_share(new.clone()).await.unwrap().expect("the first");
        assert_eq!((share.uuid, share.is_shared, share.is_protected), (new.uuid, true, true));
        assert_eq!((share.password_hash.as_deref(), share.created_at), (Some("a hash"), at(1)));
        let second = bench.store.add_share(NewShare { uuid: Uuid::new_v4(), ..new.clone() }).await.unwrap();
        assert!(second.is_none(), "one a chat");
        assert_eq!(bench.store.share_of(chat.id).await.unwrap(), Some(share.clone()));
        assert_eq!(bench.store.share(new.uuid).await.unwrap(), Some((share.clone(), vec![])));
        let entries = bench.store.add_share_entries(share.id, vec![lan.id, minh.id], at(2)).await.unwrap();
        let again = bench.store.add_share_entries(share.id, vec![minh.id], at(3)).await.unwrap();
        assert_eq!((entries.len(), &again[..]), (2, &entries[1..]));
        assert_eq!(bench.store.share(new.uuid).await.unwrap(), Some((share, vec![lan.id, minh.id])));
        bench.store.set_active(lan.id, false, at(3)).await.unwrap();
        assert!(bench.store.share(new.uuid).await.unwrap().is_none(), "its owner is switched off");
        bench.store.set_active(lan.id, true, at(3)).await.unwrap();
        assert!(bench.store.share(new.uuid).await.unwrap().is_some());
        assert!(bench.store.share(Uuid::new_v4()).await.unwrap().is_none());
        assert!(bench.store.remove_conversation(chat.id).await.unwrap());
        assert!(bench.store.share(new.uuid).await.unwrap().is_none(), "it goes with its chat");
        assert!(bench.store.add_share_entries(ShareId(999), vec![], at(4)).await.unwrap().is_empty());
    }
}
