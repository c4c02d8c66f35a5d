//! The readers: few threads for everybody, so that no read may keep one for long.

use futures_util::future::join_all;
use roost::domain::{ConversationId, EventId, Message, Role};
use roost::store::{MessageFilter, SqliteStore, Store};

use super::{Place, fast};
use crate::support::store::{assistant_session, everything, from_guest};

/// Says `m0`, `m1`, …, every hundredth of them with a needle and by the system.
async fn talk(store: &SqliteStore, chat: ConversationId, count: usize) {
    for first in (0..count).step_by(100) {
        let said = (first..first + 100).map(|number| {
            let mut new = from_guest(chat, &format!("m{number}{}", if number % 100 == 99 { " needle" } else { "" }));
            new.role = if number % 100 == 99 { Role::System } else { Role::User };
            store.append(new)
        });
        join_all(said).await.into_iter().for_each(|sent| drop(sent.unwrap()));
    }
}

#[tokio::test]
async fn a_search_through_a_long_log_lets_other_reads_pass() {
    let place = Place::new();
    let store = place.open(&fast());
    let chat = store.create_conversation(assistant_session("long")).await.unwrap().id;
    talk(&store, chat, 1500).await;
    let all = store.messages(chat, everything()).await.unwrap();
    let found: Vec<_> = all.into_iter().filter(|message| message.text.ends_with("needle")).collect();
    let (end, middle) = (EventId(i64::MAX), found[7].id);
    let needle = || MessageFilter { search: Some("Needle".to_owned()), ..everything() };
    let system = || MessageFilter { role: Some(Role::System), ..everything() };
    for filter in [needle(), system()] {
        for (filter, want) in [
            (filter.clone(), &found[..]),
            (MessageFilter { after: Some(middle), ..filter.clone() }, &found[8..]),
            (MessageFilter { before: Some(middle), ..filter.clone() }, &found[..7]),
            (MessageFilter { after: Some(found[1].id), before: Some(middle), ..filter.clone() }, &found[2..7]),
            (MessageFilter { limit: 6, ..filter.clone() }, &found[..6]),
            (MessageFilter { limit: 6, before: Some(end), ..filter.clone() }, &found[9..]),
            (MessageFilter { bytes_max: Some(60), ..filter.clone() }, &found[..6]),
        ] {
            let what = format!("{filter:?}");
            let got = store.messages(chat, filter).await.unwrap();
            assert_eq!(ids(&got), ids(want), "{what}");
        }
        let before = store.reads();
        store.messages(chat, filter).await.unwrap();
        assert!(store.reads() > before + 2, "in one go");
    }
    store.close();
}

fn ids(messages: &[std::sync::Arc<Message>]) -> Vec<EventId> {
    messages.iter().map(|message| message.id).collect()
}
