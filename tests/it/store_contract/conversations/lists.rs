//! Conversations in lists: in which order, of whom, how many, and on the desk.

use roost::domain::UserId;
use roost::store::{ConversationFilter, Desk, NewMessage, StateChange, StateEdit};

use super::{CHATS, SESSIONS, visited_by};
use crate::store_contract::{Bench, benches};
use crate::support::store::{assistant_session, at, from_guest, keys};

impl Bench {
    async fn list(&self, filter: ConversationFilter) -> (u64, Vec<String>) {
        let page = self.store.conversations(SESSIONS, filter).await.unwrap();
        (page.total, keys(&page.items).into_iter().map(str::to_owned).collect())
    }

    async fn on_desk(&self, desk: Desk, limit: usize) -> Vec<String> {
        let listed = self.store.desk(desk, limit).await.unwrap();
        keys(&listed).into_iter().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn lists_are_newest_first_with_the_number_of_all() {
    for bench in benches().await {
        bench.chat("a live chat").await;
        for key in ["1", "2", "3", "4"] {
            let session = bench.add(assistant_session(key)).await;
            if key == "2" {
                bench.change(&session, StateChange::Close).await;
            }
        }
        let all = ConversationFilter { limit: 9, ..ConversationFilter::default() };
        let active = |is_active| ConversationFilter { is_active: Some(is_active), ..all.clone() };
        for (filter, total, want) in [
            (all.clone(), 4, vec!["4", "3", "2", "1"]),
            (ConversationFilter { limit: 2, ..all.clone() }, 4, vec!["4", "3"]),
            (ConversationFilter { limit: 2, offset: 3, ..all.clone() }, 4, vec!["1"]),
            (ConversationFilter { offset: 4, ..all.clone() }, 4, vec![]),
            (ConversationFilter { limit: 0, ..all.clone() }, 4, vec![]),
            (active(true), 3, vec!["4", "3", "1"]),
            (active(false), 1, vec!["2"]),
        ] {
            let said = format!("{filter:?}");
            assert_eq!(bench.list(filter).await, (total, want.into_iter().map(str::to_owned).collect()), "{said}");
        }
    }
}

#[tokio::test]
async fn totals_follow_every_change() {
    for bench in benches().await {
        let (one, two) = (bench.chat("1").await, bench.chat("2").await);
        let totals = async || {
            let mut totals = Vec::new();
            for is_active in [None, Some(true), Some(false)] {
                let filter = ConversationFilter { is_active, ..ConversationFilter::default() };
                totals.push(bench.store.conversations(CHATS, filter).await.unwrap().total);
            }
            totals
        };
        assert_eq!(totals().await, [2, 2, 0]);
        for _ in 0..2 {
            bench.change(&one, StateChange::Close).await;
            assert_eq!(totals().await, [2, 1, 1]);
        }
        bench.say(&one, "back").await;
        assert_eq!(totals().await, [2, 2, 0]);
        bench.change(&two, StateChange::Edit(StateEdit { is_active: Some(false), ..StateEdit::default() })).await;
        bench.store.remove_conversation(two.id).await.unwrap();
        assert_eq!(totals().await, [1, 1, 0]);
    }
}

#[tokio::test]
async fn lists_are_filtered_by_visitor_and_searched() {
    for bench in benches().await {
        bench.add(visited_by("u-1", assistant_session("Order_1"))).await;
        bench.add(visited_by("U%2", assistant_session("orderX1"))).await;
        bench.add(assistant_session("GIỎ HÀNG")).await;
        let all = ConversationFilter { limit: 9, ..ConversationFilter::default() };
        let visitor = ConversationFilter { external_user_id: Some("u-1".to_owned()), ..all.clone() };
        assert_eq!(bench.list(visitor.clone()).await, (1, vec!["Order_1".to_owned()]));
        let both = ConversationFilter { search: Some("orderx".to_owned()), ..visitor };
        assert_eq!(bench.list(both).await, (0, vec![]));
        for (part, want) in [
            ("ORDER", vec!["orderX1", "Order_1"]),
            ("order_", vec!["Order_1"]),
            ("%", vec!["orderX1"]),
            ("u", vec!["orderX1", "Order_1"]),
            ("giỏ", vec!["GIỎ HÀNG"]),
            ("nowhere", vec![]),
        ] {
            let filter = ConversationFilter { search: Some(part.to_owned()), limit: 1, ..all.clone() };
            let (total, page) = bench.list(filter).await;
            assert_eq!(total, want.len() as u64, "{part}: all are counted, not the page");
            assert_eq!(page, want[..want.len().min(1)], "{part}");
        }
    }
}

#[tokio::test]
async fn a_desk_shows_open_chats_the_most_recently_active_first() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        bench.add(assistant_session("not a live chat")).await;
        let mut chats = Vec::new();
        for key in ["1", "2", "3", "4"] {
            chats.push(bench.chat(key).await);
        }
        // Some of the instants are close together, some far apart: a list may group by time.
        for (chat, seconds) in [(0, 1), (1, 2), (2, 500), (3, 501), (0, 502), (1, 1000)] {
            bench.append(NewMessage { at: at(seconds), ..from_guest(chats[chat].id, "hello") }).await;
        }
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["2", "1", "4", "3"]);
        assert_eq!(bench.on_desk(Desk::All, 2).await, ["2", "1"]);
        bench.change(&chats[0], StateChange::Assign(lan.id)).await;
        bench.change(&chats[3], StateChange::Close).await;
        assert_eq!(bench.on_desk(Desk::Unassigned, 9).await, ["2", "3"]);
        assert_eq!(bench.on_desk(Desk::Of(lan.id), 9).await, ["1"]);
        assert_eq!(bench.on_desk(Desk::Of(UserId(lan.id.0 + 1)), 9).await, [""; 0]);
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["2", "1", "3"]);
        bench.append(NewMessage { at: at(2000), ..from_guest(chats[3].id, "back") }).await;
        assert_eq!(bench.on_desk(Desk::All, 9).await, ["4", "2", "1", "3"]);
    }
}
