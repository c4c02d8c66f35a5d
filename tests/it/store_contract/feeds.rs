//! The log over more than one conversation: what a scope holds, in which order, and page by page.

use roost::domain::{ConversationKind, EventId, Logged, Receipt, Scope};
use roost::store::{FEED_SPAN, StateChange};

use super::{Bench, benches};
use crate::support::store::{at, from_guest};

impl Bench {
    /// Everything in a scope, read in pages of that many; each page has to begin after the one before.
    async fn walk(&self, scope: Scope, after: EventId, limit: usize) -> Vec<Logged> {
        let (mut all, mut cursor) = (Vec::new(), after);
        loop {
            let page = self.store.feed(scope, cursor, limit).await.unwrap();
            assert!(page.events.len() <= limit, "{} of {limit}", page.events.len());
            assert!(page.events.iter().all(|logged| logged.event.id > cursor && logged.event.id <= page.through));
            assert!(page.is_end || page.through > cursor, "a page gets on");
            all.extend(page.events);
            cursor = page.through;
            if page.is_end {
                return all;
            }
        }
    }
}

#[tokio::test]
async fn a_scope_holds_what_was_announced_in_it() {
    for bench in benches().await {
        let (one, other) = (bench.pair().await, bench.pair().await);
        let guest = bench.chat("guest-1").await;
        for round in 0..4 {
            bench.say(&guest, &format!("guest {round}")).await;
            bench.writes(&one.direct, &one.ana, &one.ben, "to Ben").await;
            bench.writes(&other.direct, &other.ben, &other.ana, "to the other Ana").await;
        }
        let read = roost::store::Mark {
            reader: one.ben.id,
            receipt: Receipt::Read,
            reach: roost::domain::Reach::Through(EventId(i64::MAX)),
            at: at(9),
        };
        bench.store.mark(one.direct.conversation.id, read).await.unwrap();
        bench.store.change_state(guest.id, StateChange::Close, at(10)).await.unwrap();
        let heard = bench.heard.logged();
        assert_eq!(heard.len(), 14);
        assert_eq!(bench.store.last_event().await.unwrap(), heard.last().unwrap().event.id);
        let direct = ConversationKind::Direct;
        let scopes = [
            (Scope::All, 14),
            (Scope::Kind(ConversationKind::LiveChat), 5),
            (Scope::Kind(direct), 9),
            (Scope::Conversation(guest.id), 5),
            (Scope::Platform(one.platform.id), 5),
            (Scope::Platform(other.platform.id), 4),
            (Scope::User(one.ana.id, direct), 5),
            (Scope::User(one.ben.id, direct), 5),
            (Scope::User(other.ana.id, direct), 4),
            (Scope::User(one.ana.id, ConversationKind::AssistantChat), 0),
        ];
        for (scope, count) in scopes {
            let announced: Vec<_> =
                heard.iter().filter(|logged| logged.place.scopes().any(|held| held == scope)).cloned().collect();
            assert_eq!(announced.len(), count, "{scope:?}");
            let ids = |logged: &[Logged]| logged.iter().map(|one| (one.event.id, one.event.seq)).collect::<Vec<_>>();
            for limit in [1, 3, 100] {
                let walked = bench.walk(scope, EventId::START, limit).await;
                assert_eq!(ids(&walked), ids(&announced), "{scope:?} by {limit}");
                assert!(walked.iter().zip(&announced).all(|(one, other)| one.place == other.place), "{scope:?}");
            }
            if let Some(middle) = announced.get(count / 2) {
                let walked = bench.walk(scope, middle.event.id, 100).await;
                assert_eq!(ids(&walked), ids(&announced[count / 2 + 1..]), "{scope:?} after its middle");
            }
        }
    }
}

#[tokio::test]
async fn past_the_end_there_is_nothing() {
    for bench in benches().await {
        assert_eq!(bench.store.last_event().await.unwrap(), EventId::START);
        let guest = bench.chat("guest-1").await;
        bench.say(&guest, "hello").await;
        for after in [1, 2, i64::MAX] {
            let page = bench.store.feed(Scope::All, EventId(after), 10).await.unwrap();
            assert_eq!((page.events.len(), page.through, page.is_end), (0, EventId(after), true));
        }
    }
}

/// A read looks through no more than so much of what others did, and says how far it came.
#[tokio::test]
async fn what_others_did_is_walked_in_pieces() {
    for bench in benches().await {
        let (busy, quiet) = (bench.chat("busy").await, bench.pair().await);
        let first = bench.writes(&quiet.direct, &quiet.ana, &quiet.ben, "first").await;
        let noise = FEED_SPAN + 100;
        for piece in (0..noise).collect::<Vec<_>>().chunks(4096) {
            let batch = piece.iter().map(|number| from_guest(busy.id, &number.to_string())).collect();
            bench.store.append_all(batch).await.unwrap();
        }
        let last = bench.writes(&quiet.direct, &quiet.ben, &quiet.ana, "last").await;
        let scope = Scope::Platform(quiet.platform.id);
        let page = bench.store.feed(scope, first.id, 10).await.unwrap();
        assert!(page.events.is_empty() && !page.is_end, "{page:?}");
        let walked = bench.walk(scope, EventId::START, 10).await;
        assert_eq!(walked.iter().map(|logged| logged.event.id).collect::<Vec<_>>(), [first.id, last.id]);
    }
}

#[tokio::test]
async fn a_removed_conversation_is_in_no_feed() {
    for bench in benches().await {
        let (gone, stays) = (bench.chat("gone").await, bench.chat("stays").await);
        bench.say(&gone, "one").await;
        let kept = bench.say(&stays, "two").await;
        bench.store.remove_conversation(gone.id).await.unwrap();
        let walked = bench.walk(Scope::All, EventId::START, 10).await;
        assert_eq!(walked.iter().map(|logged| logged.event.id).collect::<Vec<_>>(), [kept.id]);
    }
}

#[tokio::test]
async fn the_ends_of_logs_are_told() {
    for bench in benches().await {
        let (one, two) = (bench.chat("one").await, bench.chat("two").await);
        assert_eq!(bench.store.newest_event().await.unwrap(), EventId::START);
        bench.say(&one, "hello").await;
        let last = bench.say(&one, "again").await;
        assert_eq!(bench.store.newest_event().await.unwrap(), last.id);
        assert_eq!(bench.store.last_event().await.unwrap(), last.id);
        let nowhere = roost::domain::ConversationId(two.id.0 + 1);
        let mut heads = bench.store.heads(vec![two.id, nowhere, one.id]).await.unwrap();
        heads.sort_by_key(|(id, _)| *id);
        let told: Vec<_> = heads.iter().map(|(id, head)| (*id, head.seq, head.event_id)).collect();
        assert_eq!(told, [(one.id, 2, last.id), (two.id, 0, EventId::START)]);
        assert_eq!(bench.store.heads(Vec::new()).await.unwrap(), []);
    }
}
