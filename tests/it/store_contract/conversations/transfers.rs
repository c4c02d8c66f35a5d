//! Conversations that are handed to staff.

use std::sync::Arc;

use roost::domain::{Assignment, Change, Conversation, ConversationId, EventBody, Role, User};
use roost::error::{Error, Subject};
use roost::store::{NewUser, StateChange};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::state_of;
use crate::store_contract::{Bench, benches};
use crate::support::store::{at, staff};

fn greeting(name: &str) -> String {
    format!("Hello, I am {name}.")
}

impl Bench {
    pub(super) async fn transfer(&self, chat: &Conversation, dice: u64) -> Option<User> {
        self.store.transfer(chat.id, dice, greeting, Uuid::new_v4(), at(1)).await.unwrap()
    }
}

#[tokio::test]
async fn a_transfer_assigns_and_greets() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let chat = bench.chat("a").await;
        let line = Uuid::new_v4();
        let joined = bench.store.transfer(chat.id, 0, greeting, line, at(5)).await.unwrap();
        assert_eq!(joined, Some(lan.clone()));
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 2);
        let (why, state) = state_of(&log[0]);
        assert_eq!((why, state.assigned), (Change::Assigned, Some(Assignment { user_id: lan.id, at: at(5) })));
        let EventBody::MessageAdded(said) = &log[1].body else { panic!("{log:?}") };
        assert_eq!((said.uuid, said.role, said.user_id), (line, Role::Staff, Some(lan.id)));
        assert_eq!(said.text, "Hello, I am lan.");
        assert_eq!(bench.heard.events(), log);

        assert_eq!(bench.transfer(&chat, 0).await, Some(lan), "who has it keeps it");
        assert_eq!(bench.log(&chat).await.len(), 2, "and does not greet again");
    }
}

#[tokio::test]
async fn a_transfer_goes_to_somebody_who_is_free() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        bench.store.add_user(NewUser { is_verified: false, ..staff("unverified") }).await.unwrap();
        bench.store.add_user(NewUser { is_staff: false, ..staff("not_staff") }).await.unwrap();
        let (one, two, three) = (bench.chat("1").await, bench.chat("2").await, bench.chat("3").await);
        assert_eq!(bench.transfer(&one, 1).await, Some(minh.clone()), "the dice chose the second of two");
        assert_eq!(bench.transfer(&two, u64::MAX).await, Some(lan), "and now there is one");
        assert_eq!(bench.transfer(&three, 7).await, None);
        assert_eq!(bench.now(&three).await, three, "nobody was free, nothing was written");
        bench.change(&one, StateChange::Close).await;
        assert_eq!(bench.transfer(&three, 7).await, Some(minh), "who closed a chat is free again");
    }
}

#[tokio::test]
async fn a_closed_chat_is_handed_to_nobody_until_its_guest_speaks() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let (free, taken) = (bench.chat("free").await, bench.chat("taken").await);
        bench.change(&taken, StateChange::Assign(lan.id)).await;
        for chat in [&free, &taken] {
            bench.change(chat, StateChange::Close).await;
            let closed = bench.now(chat).await;
            assert_eq!(bench.transfer(chat, 0).await, None, "it would be on nobody's desk");
            assert_eq!(bench.now(chat).await, closed, "nothing was written");
        }
        bench.say(&taken, "Are you there?").await;
        assert_eq!(bench.transfer(&taken, 0).await, Some(lan), "who had it has it again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn transfers_at_once_give_nobody_two_chats() {
    for bench in benches().await {
        bench.staff("lan").await;
        bench.staff("minh").await;
        let mut transfers = JoinSet::new();
        for number in 0..10 {
            let (store, chat) = (Arc::clone(&bench.store), bench.chat(&number.to_string()).await);
            transfers.spawn(async move {
                store.transfer(chat.id, number, greeting, Uuid::new_v4(), at(1)).await.unwrap().map(|user| user.name)
            });
        }
        let mut chosen: Vec<_> = transfers.join_all().await.into_iter().flatten().collect();
        chosen.sort();
        assert_eq!(chosen, ["lan", "minh"]);
    }
}

#[tokio::test]
async fn there_is_no_transfer_of_what_is_not_there() {
    for bench in benches().await {
        bench.staff("lan").await;
        let gone = bench.store.transfer(ConversationId(1), 0, greeting, Uuid::new_v4(), at(1)).await;
        assert!(matches!(gone, Err(Error::NotFound(Subject::Conversation))), "{gone:?}");
    }
}
