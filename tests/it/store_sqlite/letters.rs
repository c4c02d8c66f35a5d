//! Properties of letters: whatever two users do, in whatever order, what is counted is what is there, and
//! the log folds into it.

use std::sync::Arc;

use proptest::prelude::*;
use roost::domain::{ConversationKind, EventId, Message, MessageText, Platform, Reach, Receipt, User, UserId, fold};
use roost::error::Error;
use roost::store::{
    Accounts, Direct, Mark, NewConversation, NewMessage, NewPlatform, NewReaction, NewUser, SqliteStore, Store,
};
use uuid::Uuid;

use super::{Place, fast};
use crate::support::store::{assert_dense, at, everything, letter, staff, with_key};

/// One thing that one of the two does; numbers choose among the letters that are there.
#[derive(Clone, Debug)]
enum Verb {
    Write(u8),
    Batch(usize),
    ReadOne(usize),
    ReadThrough(usize),
    Deliver(usize),
    React(usize, u8, bool),
    Edit(usize, u8),
    Delete(usize),
}

fn verbs() -> impl Strategy<Value = Vec<(bool, Verb)>> {
    let nth = || any::<prop::sample::Index>().prop_map(|index| index.index(1000));
    let verb = prop_oneof![
        5 => (0..8_u8).prop_map(Verb::Write),
        1 => (1..4_usize).prop_map(Verb::Batch),
        3 => nth().prop_map(Verb::ReadOne),
        1 => nth().prop_map(Verb::ReadThrough),
        2 => nth().prop_map(Verb::Deliver),
        2 => (nth(), 0..3_u8, any::<bool>()).prop_map(|(nth, emoji, removed)| Verb::React(nth, emoji, removed)),
        2 => (nth(), 0..4_u8).prop_map(|(nth, n)| Verb::Edit(nth, n)),
        2 => nth().prop_map(Verb::Delete),
    ];
    prop::collection::vec((any::<bool>(), verb), 0..40)
}

struct World {
    store: SqliteStore,
    platform: Platform,
    users: [User; 2],
}

impl World {
    async fn open(place: &Place) -> Self {
        let store = place.open(&fast());
        let (key, name) = (Uuid::new_v4(), "Acme".to_owned());
        let new = NewPlatform { key, slug: Platform::slug_of(&name), name, secret: "secret".to_owned(), at: at(0) };
        let platform = store.add_platform(new).await.unwrap();
        let user = async |name| {
            let new = NewUser { platform_id: Some(platform.id), is_staff: false, ..staff(name) };
            store.add_user(new).await.unwrap()
        };
        let users = [user("Ana").await, user("Ben").await];
        Self { store, platform, users }
    }

    async fn direct(&self) -> Direct {
        self.between(&self.users[0], &self.users[1]).await
    }

    async fn between(&self, one: &User, other: &User) -> Direct {
        let new = NewConversation {
            platform_id: Some(self.platform.id),
            user_id: Some(one.id),
            peer_id: Some(other.id),
            ..NewConversation::new(Uuid::new_v4(), ConversationKind::Direct, Uuid::new_v4().to_string(), at(0))
        };
        let conversation = self.store.create_conversation(new).await.unwrap();
        self.store.direct(self.platform.id, conversation.uuid).await.unwrap().unwrap()
    }

    async fn letters(&self, direct: &Direct) -> Vec<Arc<Message>> {
        self.store.messages(direct.conversation.id, everything()).await.unwrap()
    }

    async fn apply(&self, direct: &Direct, is_second: bool, verb: &Verb, seconds: i64) {
        let (me, peer) = (&self.users[usize::from(is_second)], &self.users[usize::from(!is_second)]);
        let (id, at) = (direct.conversation.id, at(seconds));
        let letters = self.letters(direct).await;
        let pick = |nth: usize| nth.checked_rem(letters.len()).map_or(EventId(nth as i64), |nth| letters[nth].id);
        let mark = |receipt, reach| self.store.mark(id, Mark { reader: me.id, receipt, reach, at });
        match verb {
            Verb::Write(n) => {
                let new = with_key(&format!("key {n}"), letter(direct, me, peer, &format!("text {n}")));
                self.store.append(NewMessage { at, ..new }).await.map(drop).unwrap();
            }
            Verb::Batch(n) => {
                let new = (0..*n).map(|n| NewMessage { at, ..letter(direct, me, peer, &format!("of a batch {n}")) });
                self.store.append_all(new.collect()).await.map(drop).unwrap();
            }
            Verb::ReadOne(nth) => drop(mark(Receipt::Read, Reach::One(pick(*nth))).await.unwrap()),
            Verb::ReadThrough(nth) => drop(mark(Receipt::Read, Reach::Through(pick(*nth))).await.unwrap()),
            Verb::Deliver(nth) => drop(mark(Receipt::Delivered, Reach::Through(pick(*nth))).await.unwrap()),
            Verb::React(nth, emoji, removed) => {
                let emoji = format!("e{emoji}");
                let new = NewReaction { message_id: pick(*nth), user_id: me.id, emoji, removed: *removed, at };
                let reacted = self.store.react(id, new).await;
                assert!(matches!(reacted, Ok(_) | Err(Error::NotFound(_))), "{reacted:?}");
            }
            Verb::Edit(nth, n) => {
                let text = MessageText::verbatim(format!("edited {n}"));
                self.store.edit_message(id, pick(*nth), me.id, text, at).await.map(drop).unwrap();
            }
            Verb::Delete(nth) => drop(self.store.delete_message(id, pick(*nth), at).await.unwrap()),
        }
    }

    /// What the lists say waits for each of the two, beside what waits for them.
    async fn check_counts(&self, direct: &Direct) {
        let letters = self.letters(direct).await;
        let waits = |user: UserId| {
            let unread = |message: &&Arc<Message>| {
                message.letter.as_ref().is_some_and(|letter| letter.receiver_id == user && letter.read_at.is_none())
            };
            letters.iter().filter(unread).count() as u64
        };
        let now = self.store.direct(self.platform.id, direct.conversation.uuid).await.unwrap().unwrap();
        for member in now.members {
            assert_eq!(member.unread, waits(member.user.id), "{}", member.user.name);
        }
        let devices = self.store.letter_devices(self.users[0].id).await.unwrap();
        assert!(devices.iter().map(|(_, total)| total).sum::<u64>() >= letters.len() as u64);
    }

    async fn play(&self, verbs: &[(bool, Verb)]) {
        let direct = self.direct().await;
        let id = direct.conversation.id;
        let mut snapshots = Vec::new();
        for (step, (is_second, verb)) in verbs.iter().enumerate() {
            let tail = self.store.tail(id, 0).await.unwrap().unwrap();
            snapshots.push((tail.conversation.head.event_id, self.letters(&direct).await));
            self.apply(&direct, *is_second, verb, step as i64).await;
            self.check_counts(&direct).await;
        }
        let now = self.letters(&direct).await;
        for (cursor, mut folded) in snapshots {
            let events = self.store.events(id, cursor, 1000).await.unwrap();
            fold(&mut folded, &events);
            assert_eq!(folded, now, "after {cursor}");
            fold(&mut folded, &events);
            assert_eq!(folded, now, "twice is harmless");
        }
        assert_dense(&self.store.events(id, EventId::START, 1000).await.unwrap());
    }
}

#[test]
fn counts_and_logs_of_letters_hold_whatever_happens() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::open(&place));
    let cases = std::env::var("SUITE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(verbs in verbs())| runtime.block_on(world.play(&verbs)));
    world.store.close();
    let audit = place.audit();
    assert!(audit.is_sound() && audit.messages > 100, "{audit}");
}

/// A search for a beginning reads every word that begins so: were the words shared, it would read everybody's.
#[tokio::test]
async fn each_users_words_stand_apart() {
    let place = Place::new();
    let world = World::open(&place).await;
    let (direct, [ana, ben]) = (world.direct().await, &world.users);
    for text in ["Hello, हिन्दी", "hello"] {
        world.store.append(letter(&direct, ana, ben, text)).await.unwrap();
    }
    // A circled letter is one to us and none to the index, so what follows it looks like a word of its own.
    let forged = ["b", "c", "d"].map(|digit| format!("\u{24b6}{digit}zhello"));
    world.store.append(letter(&direct, ana, ben, &forged.join(" "))).await.unwrap();
    let conn = place.sql();
    conn.execute_batch("create virtual table temp.words using fts5vocab (main, letter_search, row)").unwrap();
    let mut words = conn.prepare("select term, doc from words where term like '%hello' order by term").unwrap();
    let words = words.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u64>(1)?))).unwrap();
    let words: Vec<_> = words.map(Result::unwrap).filter(|(_, letters)| *letters > 1).collect();
    assert_eq!(words.len(), 2, "one of each user: {words:?}");
    let found = async |user: &User, word: &str| {
        let found = world.store.search_letters(user.id, vec![word.to_owned()], None, 10).await.unwrap();
        found.len()
    };
    assert_eq!((found(ana, "HEL").await, found(ben, "hello").await, found(ben, "हिन्दी").await), (3, 3, 1));
    let eva = NewUser { platform_id: Some(world.platform.id), is_staff: false, ..staff("Eva") };
    let eva = world.store.add_user(eva).await.unwrap();
    assert_eq!((found(&eva, "hello").await, eva.id), (0, UserId(3)), "whatever others write");
    world.store.close();
}

/// Some letters end a word for the index and not for us, so that what follows carries whichever mark its
/// writer liked. Nobody finds it, and nobody's own letters are hidden behind it.
#[tokio::test]
async fn words_under_a_forged_mark_hide_nothing() {
    let place = Place::new();
    let world = World::open(&place).await;
    let (store, platform) = (&world.store, &world.platform);
    let [ana, ben] = &world.users;
    let eva = store.add_user(NewUser { platform_id: Some(platform.id), ..staff("Eva") }).await.unwrap();
    let own = world.between(ana, ben).await;
    let others = world.between(ben, &eva).await;
    let mut mine = Vec::new();
    for _ in 0..3 {
        mine.push(store.append(letter(&own, ana, ben, "hello")).await.unwrap().message.id);
    }
    let mark: String = ana.id.0.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    for _ in 0..5 {
        store.append(letter(&others, ben, &eva, &format!("Ⓐ{mark}zhello"))).await.unwrap();
    }
    let found = store.search_letters(ana.id, vec!["hello".to_owned()], None, 2).await.unwrap();
    assert_eq!(found.iter().map(|found| found.message.id).collect::<Vec<_>>(), [mine[2], mine[1]]);
}
