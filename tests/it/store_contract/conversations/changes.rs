//! Conversations that change: closed, assigned, edited, renamed.

use roost::domain::{Assignment, Change, ConversationId, ConversationState, Json, WhileAnswering};
use roost::store::{Locator, StateChange, StateEdit};

use super::{SESSIONS, assert_key_is_taken, state_of, visited_by};
use crate::store_contract::benches;
use crate::support::store::{assistant_session, at};

#[tokio::test]
async fn closing_is_one_event_however_often_it_is_asked() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        let closed = bench.store.change_state(chat.id, StateChange::Close, at(3)).await.unwrap().unwrap();
        assert!(!closed.state.is_active);
        assert_eq!((closed.head.seq, closed.updated_at), (1, at(3)));
        let again = bench.store.change_state(chat.id, StateChange::Close, at(4)).await.unwrap().unwrap();
        assert_eq!(again, closed);
        assert_eq!(bench.now(&chat).await, closed);
        let log = bench.log(&chat).await;
        assert_eq!((log.len(), log[0].at), (1, at(3)));
        assert_eq!(state_of(&log[0]), (Change::Closed, &closed.state));
        assert_eq!(bench.heard.events(), log);
        let nowhere = bench.store.change_state(ConversationId(chat.id.0 + 1), StateChange::Close, at(1)).await;
        assert_eq!(nowhere.unwrap(), None);
    }
}

#[tokio::test]
async fn who_was_assigned_first_keeps_it() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let chat = bench.chat("a").await;
        let assigned = bench.change(&chat, StateChange::Assign(lan.id)).await;
        assert_eq!(assigned.state.assigned, Some(Assignment { user_id: lan.id, at: at(1) }));
        for other in [minh.id, lan.id] {
            assert_eq!(bench.change(&chat, StateChange::Assign(other)).await, assigned);
        }
        let log = bench.log(&chat).await;
        assert_eq!(log.len(), 1);
        assert_eq!(state_of(&log[0]), (Change::Assigned, &assigned.state));
        let who: Vec<_> = bench.store.participants(chat.id).await.unwrap().iter().map(|one| one.user_id).collect();
        assert_eq!(who, [None, Some(lan.id)], "who was not assigned does not take part");
    }
}

#[tokio::test]
async fn an_edit_replaces_what_it_names() {
    for bench in benches().await {
        let session = bench.add(visited_by("u-1", assistant_session("a"))).await;
        let edit = StateEdit {
            key: Some("b".to_owned()),
            is_active: Some(false),
            expires_at: Some(at(90)),
            external_user_id: Some(Some("u-2".to_owned())),
            metadata: Some(Json(r#"{"a":1}"#.to_owned())),
            title: Some("Rooms".to_owned()),
            is_archived: Some(true),
            while_answering: Some(Some(WhileAnswering::Queue)),
        };
        let edited = bench.change(&session, StateChange::Edit(edit.clone())).await;
        let want = ConversationState {
            is_active: false,
            expires_at: Some(at(90)),
            external_user_id: Some("u-2".to_owned()),
            metadata: Json(r#"{"a":1}"#.to_owned()),
            title: Some("Rooms".to_owned()),
            is_archived: true,
            while_answering: Some(WhileAnswering::Queue),
            ..session.state.clone()
        };
        assert_eq!((edited.key.as_str(), &edited.state), ("b", &want));
        assert_eq!(bench.find(SESSIONS, Locator::Key("b")).await, Some(session.id));
        assert_eq!(bench.find(SESSIONS, Locator::Key("a")).await, None);

        assert_eq!(bench.change(&session, StateChange::Edit(edit)).await, edited, "the same again is no change");
        let nobody = StateEdit { external_user_id: Some(None), while_answering: Some(None), ..StateEdit::default() };
        let cleared = bench.change(&session, StateChange::Edit(nobody)).await;
        assert_eq!(cleared.state, ConversationState { external_user_id: None, while_answering: None, ..want.clone() });
        let log = bench.log(&session).await;
        assert_eq!(
            log.iter().map(state_of).collect::<Vec<_>>(),
            [(Change::Edited, &want), (Change::Edited, &cleared.state)]
        );
    }
}

/// The key is not part of the state that events carry, but it is part of the conversation, and who
/// follows has to hear that it changed.
#[tokio::test]
async fn a_new_key_alone_is_a_change_too() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let rename = StateChange::Edit(StateEdit { key: Some("b".to_owned()), ..StateEdit::default() });
        let renamed = bench.store.change_state(session.id, rename, at(3)).await.unwrap().unwrap();
        assert_eq!((renamed.key.as_str(), renamed.updated_at), ("b", at(3)));
        assert_eq!((&renamed.state, renamed.created_at), (&session.state, at(0)));
        assert_eq!(bench.log(&renamed).await.len(), 1);
        assert_eq!(bench.now(&session).await, renamed);
    }
}

#[tokio::test]
async fn an_edit_to_anothers_key_changes_nothing() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        bench.add(assistant_session("b")).await;
        bench.chat("c").await;
        let rename = |key: &str| {
            StateChange::Edit(StateEdit { key: Some(key.to_owned()), is_active: Some(false), ..StateEdit::default() })
        };
        assert_key_is_taken(bench.store.change_state(session.id, rename("b"), at(1)).await);
        assert_eq!(bench.now(&session).await, session);
        assert!(bench.heard.events().is_empty());
        assert_eq!(bench.change(&session, rename("c")).await.key, "c", "another kind's key is free");
    }
}
