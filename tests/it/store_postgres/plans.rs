//! The plans of the hot statements: none looks at each row of a large table, none sorts or passes over what a page
//! does not hold, and none looks at more in a store that is ten times as large.
//!
//! `SUITE_PLAN_ROWS` is the number of messages in the larger one: 200,000 unless it is set; 10,000,000 is the long form.

use std::collections::BTreeMap;

use roost::domain::{
    ConversationId, ConversationKind, Device, DeviceKind, EventId, Json, LetterKind, PlatformId, Reach, Receipt, Role,
    Scope, UserId,
};
use roost::store::postgres::PostgresStore;
use roost::store::{
    Accounts, Desk, FEED_SPAN, Idempotency, InboxFilter, InboxPlace, Locator, Mark, MessageFilter, NewLetter,
    NewMessage, Store,
};

use super::explained::Plan;
use super::filled::{Filled, Server};
use crate::support::postgres;
use crate::support::store::{at, from_guest, from_staff, live_chat};

/// Blocks that a statement may look at, whatever it is about (a user's feed looks at the heads of all their hundred
/// conversations), and for each row that it is about. A row of a page is a message, its letter and its reactions; one that is written is so in several indexes, each some blocks high.
const BLOCKS: f64 = 400.0;
const BLOCKS_EACH: f64 = 40.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hot_statements_look_at_no_more_than_they_need_however_large_the_store_is() {
    if !postgres::is_there("plans") {
        return;
    }
    let rows = std::env::var("SUITE_PLAN_ROWS").map_or(200_000, |rows| rows.parse().expect("a number"));
    let server = Server::start();
    let (mut small, mut large) = (server.fill(rows / 10).await, server.fill(rows).await);
    // As on a server that never had the time to look at its tables.
    let mut wrong = compared(&explained(&small).await, &explained(&large).await);
    small.analyze().await;
    large.analyze().await;
    wrong.extend(compared(&explained(&small).await, &explained(&large).await));
    assert!(wrong.is_empty(), "{}\n\n{} in all", wrong.join("\n\n"), wrong.len());
}

type Named = BTreeMap<(&'static str, String), Vec<Plan>>;

/// What is wrong with the plans in the larger store.
fn compared(small: &Named, large: &Named) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, plans) in large {
        let (name, sql) = key;
        let mut complain = |what: &str, plan: &Plan| wrong.push(format!("{name}: {what}\n{sql}\n{}", plan.pretty()));
        for plan in plans {
            let scanned: Vec<_> = plan.scanned().into_iter().filter(|table| !SMALL.contains(table)).collect();
            let (blocks, allowed) = (plan.blocks(), BLOCKS + BLOCKS_EACH * plan.rows());
            if !scanned.is_empty() {
                complain(&format!("looks at each row of {scanned:?}"), plan);
            } else if blocks > allowed {
                complain(&format!("{blocks} blocks where {allowed} are enough"), plan);
            } else if plan.most_rows() > 2.0 * FEED_SPAN as f64 {
                complain(&format!("a step passes on {} rows", plan.most_rows()), plan);
            }
        }
        let sum = |plans: &[Plan], of: fn(&Plan) -> f64| plans.iter().map(of).sum::<f64>();
        let (here, rows) = (sum(plans, Plan::blocks), sum(plans, Plan::rows));
        let there =
            small.get(key).map_or(0.0, |small| sum(small, Plan::blocks) * (rows / sum(small, Plan::rows)).max(1.0));
        // An index over ten times as many rows may be one level higher.
        if let Some(plan) = plans.first().filter(|_| here > 2.0 * there + 32.0) {
            complain(&format!("{here} blocks, and {there} for as many rows in a store of a tenth of the size"), plan);
        }
    }
    wrong
}

/// Tables that stay small however many messages there are: nothing is lost by looking at all of them.
const SMALL: &[&str] = &["conversation_counts", "event_ids", "nodes", "platforms", "pg_database"];

const FUNCTIONS: &[&str] = &["select event_horizon()", "select next_event_id()", "SELECT hold_horizon()"];

/// Does everything that is hot, and takes each statement's plans by what it was done for.
async fn explained(filled: &Filled<'_>) -> Named {
    let mut named = Named::new();
    let layout = Layout::of(filled.rows);
    for (name, work) in WORK {
        // What a function does is seen in its own statements. Of the call itself, the first on each connection has to
        // read what the function is.
        let is_call = |plan: &Plan| FUNCTIONS.iter().any(|function| plan.sql.contains(function));
        for plan in
            filled.explain(async |store| work(store, &layout).await).await.into_iter().filter(|plan| !is_call(plan))
        {
            named.entry((name, plan.sql.clone())).or_default().push(plan);
        }
    }
    named
}

/// Where `fill.sql` put what.
struct Layout {
    rows: i64,
    sessions: i64,
    directs: i64,
}

impl Layout {
    fn of(rows: i64) -> Self {
        Self { rows, sessions: rows / 50, directs: (rows * 3 / 200).max(100) }
    }

    /// The long chat.
    fn long(&self) -> ConversationId {
        ConversationId(1)
    }

    /// A live chat among many.
    fn chat(&self) -> ConversationId {
        ConversationId(self.sessions / 4 * 2 + 1)
    }

    /// A direct conversation of the users [`Layout::ana`] and [`Layout::ben`].
    fn direct(&self) -> ConversationId {
        ConversationId(2 + self.sessions + 7)
    }

    fn ana(&self) -> UserId {
        UserId(1)
    }

    fn ben(&self) -> UserId {
        UserId(self.directs / 100 + 8)
    }

    /// The number of a message in the middle.
    fn middle(&self) -> EventId {
        EventId(self.rows / 2)
    }
}

type Work = for<'a> fn(&'a PostgresStore, &'a Layout) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

macro_rules! work {
    ($($name:literal: |$store:ident, $at:ident| $work:block)*) => {
        const WORK: &[(&str, Work)] = &[$(($name, |$store, $at| Box::pin(async move { $work }))),*];
    };
}

fn letter(at: &Layout, key: Option<&str>) -> NewMessage {
    let device = Device { kind: DeviceKind::Web, details: Json("{}".to_owned()) };
    let letter = NewLetter {
        receiver_id: at.ben(),
        kind: LetterKind::Text,
        attachments: Json("[]".to_owned()),
        uploads: Vec::new(),
        device,
    };
    let idempotency = key.map(|key| Idempotency { key: key.to_owned(), fingerprint: [0; 16] });
    let said = from_guest(at.direct(), "Good morning to you");
    NewMessage { user_id: Some(at.ana()), letter: Some(letter), idempotency, ..said }
}

fn keyed(chat: ConversationId, key: &str) -> NewMessage {
    let idempotency = Some(Idempotency { key: key.to_owned(), fingerprint: [0; 16] });
    NewMessage { idempotency, ..from_guest(chat, "Good morning") }
}

fn page(limit: usize) -> MessageFilter {
    MessageFilter { limit, ..MessageFilter::default() }
}

work! {
    "a send": |store, at| {
        store.append(from_guest(at.chat(), "Good morning")).await.expect("it is sent");
        store.append(from_guest(at.long(), "Good morning")).await.expect("it is sent");
        store.append(from_staff(at.long(), UserId(3), "Good morning")).await.expect("it is sent");
        store.append(keyed(at.chat(), "new")).await.expect("it is sent");
    }
    "a send again": |store, at| {
        assert!(store.append(keyed(at.chat(), "new")).await.expect("it is found").replayed);
        store.sent_before(keyed(at.chat(), "new")).await.expect("it is found").expect("it is there");
    }
    "a batch": |store, at| {
        let sends = (0..64).map(|nth| store.append(from_guest(ConversationId(3 + 2 * nth % at.sessions), "Hello")));
        futures_util::future::try_join_all(sends).await.expect("they are sent");
        let all = (0..10).map(|nth| keyed(at.chat(), &nth.to_string())).collect();
        store.append_all(all).await.expect("they are sent");
    }
    "a letter": |store, at| {
        store.append(letter(at, None)).await.expect("it is sent");
        store.append(letter(at, Some("letter"))).await.expect("it is sent");
        assert!(store.append(letter(at, Some("letter"))).await.expect("it is found").replayed);
    }
    "a receipt": |store, at| {
        let reach = Reach::Through(EventId(i64::MAX));
        let mark = Mark { reader: at.ben(), receipt: Receipt::Read, reach, at: at_end() };
        assert!(store.mark(at.direct(), mark).await.expect("it is noted") > 0);
    }
    "a conversation": |store, at| {
        let key = format!("k{}", at.chat().0);
        let kind = ConversationKind::LiveChat;
        let found = store.conversation(kind, Locator::Key(&key)).await.expect("it is read").expect("it is there");
        store.conversation(kind, Locator::Uuid(found.uuid)).await.expect("it is read").expect("it is there");
        store.conversation(kind, Locator::Id(found.id)).await.expect("it is read").expect("it is there");
        store.open_conversation(live_chat(&key)).await.expect("it is there");
        store.open_conversation(live_chat("another")).await.expect("it is opened");
        store.participants(found.id).await.expect("they are read");
    }
    "a page": |store, at| {
        for id in [at.long(), at.direct(), at.chat()] {
            store.messages(id, page(50)).await.expect("it is read");
            let filter = MessageFilter { before: Some(at.middle()), ..page(50) };
            let read = store.messages(id, filter.clone()).await.expect("it is read");
            store.messages(id, MessageFilter { before: None, after: Some(at.middle()), ..filter.clone() }).await.expect("it is read");
            let one = read.first().expect("there are some");
            let kind = if id == at.direct() { ConversationKind::Direct } else { ConversationKind::LiveChat };
            store.message(kind, one.uuid).await.expect("it is read").expect("it is there");
            store.message_id(id, one.uuid).await.expect("it is read").expect("it is there");
        }
        let role = MessageFilter { role: Some(Role::User), before: Some(at.middle()), ..page(50) };
        assert_eq!(store.messages(at.long(), role).await.expect("it is read").len(), 50);
    }
    "a conversation's log": |store, at| {
        for id in [at.long(), at.direct(), at.chat()] {
            store.tail(id, 50).await.expect("it is read").expect("it is there");
            store.events(id, at.middle(), 50).await.expect("they are read");
            store.events(id, EventId(i64::MAX), 50).await.expect("they are read");
            store.feed(Scope::Conversation(id), at.middle(), 50).await.expect("it is read");
        }
        let ids = (1..=100).map(|nth| ConversationId(nth * at.sessions / 100)).collect();
        assert_eq!(store.heads(ids).await.expect("they are read").len(), 100);
    }
    "a wide feed": |store, at| {
        let scopes = [
            Scope::All,
            Scope::Kind(ConversationKind::LiveChat),
            Scope::Kind(ConversationKind::Direct),
            Scope::Kind(ConversationKind::AssistantChat),
            Scope::Platform(PlatformId(1)),
            Scope::Platform(PlatformId(9)),
            Scope::User(at.ana(), ConversationKind::Direct),
            Scope::User(at.ana(), ConversationKind::AssistantChat),
        ];
        let newest = store.newest_event().await.expect("it is read");
        for scope in scopes {
            for after in [EventId(0), at.middle(), EventId(newest.0 - 3)] {
                store.feed(scope, after, 100).await.expect("it is read");
            }
        }
        store.last_event().await.expect("it is read");
    }
    "an inbox": |store, at| {
        let filter = InboxFilter { below: None, above: None, offset: 0, limit: 20 };
        let listed = store.inbox(at.ana(), filter).await.expect("it is read");
        assert_eq!(listed.len(), 20);
        let place: Option<InboxPlace> = listed.last().map(|entry| entry.place);
        store.inbox(at.ana(), InboxFilter { below: place, ..filter }).await.expect("it is read");
        store.inbox(at.ana(), InboxFilter { above: place, ..filter }).await.expect("it is read");
        store.inbox_entries(at.ana(), vec![at.direct()]).await.expect("they are read");
        let (platform, uuid) = (PlatformId(1), listed[0].direct.conversation.uuid);
        store.direct(platform, uuid).await.expect("it is read").expect("it is there");
        let shown: Vec<_> = listed.iter().map(|entry| entry.direct.conversation.id).collect();
        assert_eq!(store.directs(shown.clone()).await.expect("they are read").len(), 20);
        assert!(!store.last_letters(shown).await.expect("they are read").is_empty());
        let letter = listed[0].last.as_ref().expect("it has letters").id;
        store.letter(platform, letter).await.expect("it is read").expect("it is there");
        store.inbox_total(at.ana()).await.expect("it is read");
        store.inbox_numbers(at.ana()).await.expect("they are read");
        store.letter_at(at.direct(), 3).await.expect("it is read");
        let words = vec!["morning".to_owned()];
        assert!(!store.search_letters(at.ana(), words, None, 20).await.expect("they are found").is_empty());
    }
    "the desk": |store, at| {
        for desk in [Desk::All, Desk::Unassigned, Desk::Of(UserId(at.ana().0 + 1))] {
            store.desk(desk, 50).await.expect("it is read");
        }
    }
    "an account": |store, at| {
        store.user(at.ben()).await.expect("it is read").expect("it is there");
    }
}

fn at_end() -> roost::domain::Timestamp {
    at(1000)
}
