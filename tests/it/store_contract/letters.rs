//! Letters: who gets them, what becomes of them, and what lists and searches show of them.

mod at_once;
mod in_bulk;

use std::sync::Arc;

use roost::domain::{
    ConversationId, ConversationKind, Device, DeviceKind, Event, EventBody, EventId, INTEGER_MAX, Json, LetterKind,
    Message, MessageText, Platform, Reach, Reaction, Receipt, Role, Tag, Timestamp, User, UserId, fold,
};
use roost::error::{Error, Rule, Subject};
use roost::store::{
    Direct, InboxEntry, InboxFilter, MARKS_MAX, Mark, NewConversation, NewReaction, REACTIONS_MAX, StateChange,
    StateEdit,
};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{assert_dense, at, everything, letter, with_key};

/// Two users of one platform, with a conversation.
pub(super) struct Pair {
    pub(super) platform: Platform,
    pub(super) ana: User,
    pub(super) ben: User,
    pub(super) direct: Direct,
}

impl Bench {
    pub(super) async fn pair(&self) -> Pair {
        let platform = self.platform(&Uuid::new_v4().to_string()).await;
        let (ana, ben) = (self.user_of(&platform, "Ana").await, self.user_of(&platform, "Ben").await);
        let direct = self.between(&platform, &ana, &ben).await;
        Pair { platform, ana, ben, direct }
    }

    async fn between(&self, platform: &Platform, one: &User, other: &User) -> Direct {
        let key = Uuid::new_v4().to_string();
        let new = NewConversation {
            platform_id: Some(platform.id),
            user_id: Some(one.id),
            peer_id: Some(other.id),
            tag: Tag { kind: Some("Order".to_owned()), id: Some(7) },
            ..NewConversation::new(Uuid::new_v4(), ConversationKind::Direct, key, at(0))
        };
        let conversation = self.add(new).await;
        self.store.direct(platform.id, conversation.uuid).await.unwrap().expect("a new conversation is there")
    }

    pub(super) async fn writes(&self, direct: &Direct, from: &User, to: &User, text: &str) -> Arc<Message> {
        self.append(letter(direct, from, to, text)).await
    }

    async fn marks(&self, direct: &Direct, reader: &User, receipt: Receipt, reach: Reach, seconds: i64) -> usize {
        let mark = Mark { reader: reader.id, receipt, reach, at: at(seconds) };
        self.store.mark(direct.conversation.id, mark).await.unwrap()
    }

    async fn reacts(&self, message: &Message, user: &User, emoji: &str, removed: bool) -> Result<bool, Error> {
        let reaction =
            NewReaction { message_id: message.id, user_id: user.id, emoji: emoji.to_owned(), removed, at: at(3) };
        self.store.react(message.conversation_id, reaction).await
    }

    pub(super) async fn unread(&self, pair: &Pair) -> (u64, u64) {
        let direct = self.store.direct(pair.platform.id, pair.direct.conversation.uuid).await.unwrap().unwrap();
        (direct.members[0].unread, direct.members[1].unread)
    }

    async fn letters(&self, direct: &Direct) -> Vec<Arc<Message>> {
        self.store.messages(direct.conversation.id, everything()).await.unwrap()
    }

    async fn letter_log(&self, direct: &Direct) -> Vec<Event> {
        self.store.events(direct.conversation.id, EventId::START, 100_000).await.unwrap()
    }
}

fn receipts(message: &Message) -> (Option<Timestamp>, Option<Timestamp>) {
    let letter = message.letter.as_ref().expect("a letter");
    (letter.delivered_at, letter.read_at)
}

fn names(entries: &[InboxEntry], me: UserId) -> Vec<String> {
    let peer =
        |entry: &InboxEntry| entry.direct.members.iter().find(|member| member.user.id != me).unwrap().user.name.clone();
    entries.iter().map(peer).collect()
}

#[tokio::test]
async fn a_direct_conversation_is_its_platforms() {
    for bench in benches().await {
        let Pair { platform, ana, ben, direct } = bench.pair().await;
        let members: Vec<_> =
            direct.members.iter().map(|member| (member.user.id, member.unread, member.last_read_at)).collect();
        assert_eq!(members, [(ana.id, 0, None), (ben.id, 0, None)]);
        let conversation = &direct.conversation;
        assert_eq!((conversation.platform_id, conversation.user_id), (Some(platform.id), Some(ana.id)));
        assert_eq!(conversation.tag, Tag { kind: Some("Order".to_owned()), id: Some(7) });
        let other = bench.platform("other").await;
        assert!(bench.store.direct(other.id, conversation.uuid).await.unwrap().is_none());
        let sent = bench.writes(&direct, &ana, &ben, "hello").await;
        assert!(bench.store.letter(other.id, sent.id).await.unwrap().is_none());
        let (found, its) =
            bench.store.letter(platform.id, sent.id).await.unwrap().expect("on its platform it is there");
        assert_eq!((found, its.conversation.id), (sent, conversation.id));
        let chat = bench.chat("a").await;
        assert!(bench.store.direct(platform.id, chat.uuid).await.unwrap().is_none(), "no other kind");
    }
}

#[tokio::test]
async fn a_letter_is_kept_as_it_was_sent() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let sent = bench.writes(&pair.direct, &pair.ana, &pair.ben, "On my way").await;
        let kept = sent.letter.as_ref().expect("a letter");
        assert_eq!((kept.receiver_id, kept.kind, &kept.attachments.0[..]), (pair.ben.id, LetterKind::Text, "[]"));
        assert_eq!((kept.device.kind, &kept.device.details.0[..]), (DeviceKind::Web, r#"{"type":"web","os":"Linux"}"#));
        assert_eq!((receipts(&sent), sent.role, sent.user_id), ((None, None), Role::User, Some(pair.ana.id)));
        assert_eq!(bench.letters(&pair.direct).await, [Arc::clone(&sent)], "read back it is the same");
        assert_eq!(bench.unread(&pair).await, (0, 1));
        let again = with_key("k", letter(&pair.direct, &pair.ana, &pair.ben, "once"));
        bench.append(again.clone()).await;
        let replayed = bench.store.append(again).await.unwrap();
        assert!(replayed.replayed && replayed.message.letter.is_some());
        assert_eq!(bench.unread(&pair).await, (0, 2), "a retry is counted once");
    }
}

#[tokio::test]
async fn receipts_come_once_and_stay() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (ana, ben, direct) = (&pair.ana, &pair.ben, &pair.direct);
        let mut sent = Vec::new();
        for text in ["one", "two", "three"] {
            sent.push(bench.writes(direct, ana, ben, text).await.id);
        }
        let back = bench.writes(direct, ben, ana, "back").await.id;
        assert_eq!(bench.marks(direct, ben, Receipt::Read, Reach::One(sent[1]), 5).await, 1);
        assert_eq!(bench.unread(&pair).await, (1, 2));
        assert_eq!(bench.marks(direct, ben, Receipt::Delivered, Reach::Through(back), 6).await, 2);
        assert_eq!(bench.marks(direct, ben, Receipt::Read, Reach::Through(sent[0]), 7).await, 1);
        for _ in 0..2 {
            let log = bench.letter_log(direct).await.len();
            assert_eq!(bench.marks(direct, ben, Receipt::Read, Reach::One(sent[1]), 9).await, 0);
            assert_eq!(bench.marks(direct, ana, Receipt::Read, Reach::One(sent[2]), 9).await, 0, "it was sent to Ben");
            assert_eq!(bench.marks(direct, ben, Receipt::Delivered, Reach::Through(back), 9).await, 0);
            assert_eq!(bench.letter_log(direct).await.len(), log, "what changes nothing is no event");
        }
        let letters = bench.letters(direct).await;
        let seen: Vec<_> = letters.iter().map(|letter| receipts(letter)).collect();
        let (five, six, seven) = (Some(at(5)), Some(at(6)), Some(at(7)));
        assert_eq!(seen, [(six, seven), (five, five), (six, None), (None, None)]);
        assert_eq!(bench.unread(&pair).await, (1, 1));
        let members = bench.store.direct(pair.platform.id, direct.conversation.uuid).await.unwrap().unwrap().members;
        assert_eq!((members[0].last_read_at, members[1].last_read_at), (None, seven));
    }
}

#[tokio::test]
async fn many_letters_are_marked_in_steps() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let new: Vec<_> =
            (0..MARKS_MAX + 10).map(|n| letter(&pair.direct, &pair.ana, &pair.ben, &n.to_string())).collect();
        let sent = bench.store.append_all(new).await.unwrap();
        let end = Reach::Through(sent.last().unwrap().message.id);
        assert_eq!(bench.marks(&pair.direct, &pair.ben, Receipt::Read, end, 5).await, MARKS_MAX);
        assert_eq!(bench.unread(&pair).await, (0, 10));
        assert_eq!(bench.marks(&pair.direct, &pair.ben, Receipt::Read, end, 6).await, 10);
        assert_eq!(bench.unread(&pair).await, (0, 0));
        let log = bench.letter_log(&pair.direct).await;
        let mut folded = Vec::new();
        fold(&mut folded, &log);
        assert_eq!(folded, bench.letters(&pair.direct).await);
    }
}

#[tokio::test]
async fn reactions_are_each_there_once() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let sent = bench.writes(&pair.direct, &pair.ana, &pair.ben, "hello").await;
        for (user, emoji, removed, changes) in [
            (&pair.ben, "🚲", false, true),
            (&pair.ben, "🚲", false, false),
            (&pair.ana, "🚲", false, true),
            (&pair.ben, "❤️", false, true),
            (&pair.ben, "🚲", true, true),
            (&pair.ben, "🚲", true, false),
        ] {
            assert_eq!(bench.reacts(&sent, user, emoji, removed).await.unwrap(), changes, "{emoji} {removed}");
        }
        let letters = bench.letters(&pair.direct).await;
        let reaction = |user: &User, emoji: &str| Reaction { user_id: user.id, emoji: emoji.to_owned(), at: at(3) };
        let left = &letters[0].letter.as_ref().unwrap().reactions;
        assert_eq!(left, &[reaction(&pair.ana, "🚲"), reaction(&pair.ben, "❤️")]);
        for n in 1..REACTIONS_MAX {
            assert!(bench.reacts(&sent, &pair.ben, &format!("e{n}"), false).await.unwrap());
        }
        let refused = bench.reacts(&sent, &pair.ben, "more", false).await;
        assert!(
            matches!(&refused, Err(Error::Invalid(fields)) if fields[0].rule == Rule::CountMax(REACTIONS_MAX)),
            "{refused:?}"
        );
        assert!(bench.reacts(&sent, &pair.ana, "more", false).await.unwrap(), "Ana has put fewer");
        let chat = bench.chat("a").await;
        let plain = bench.say(&chat, "no letter").await;
        let gone = bench.writes(&pair.direct, &pair.ana, &pair.ben, "a slip").await;
        assert!(bench.reacts(&gone, &pair.ben, "🚲", false).await.unwrap());
        bench.store.delete_message(gone.conversation_id, gone.id, at(4)).await.unwrap();
        for (message, removed) in [(&plain, false), (&gone, false), (&gone, true)] {
            let refused = bench.reacts(message, &pair.ben, "🚲", removed).await;
            assert!(matches!(refused, Err(Error::NotFound(Subject::Message))), "{refused:?}");
        }
    }
}

/// Read back later a letter comes with the reactions of by then, and their events still follow.
#[tokio::test]
async fn reactions_that_came_again_fold_into_their_order() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (id, ana) = (pair.direct.conversation.id, pair.ana.id);
        for instants in [[1, 2, 3, 4, 5], [1, 1, 1, 1, 1]] {
            let sent = bench.writes(&pair.direct, &pair.ana, &pair.ben, "hello").await;
            for (n, (emoji, removed)) in
                [("c", false), ("b", false), ("b", true), ("b", false), ("a", false)].into_iter().enumerate()
            {
                let (emoji, at) = (emoji.to_owned(), at(instants[n]));
                let new = NewReaction { message_id: sent.id, user_id: ana, emoji, removed, at };
                assert!(bench.store.react(id, new).await.unwrap());
            }
        }
        let mut folded = Vec::new();
        fold(&mut folded, &bench.letter_log(&pair.direct).await);
        assert_eq!(folded, bench.letters(&pair.direct).await);
        let order = |letter: &Message| {
            let reactions = letter.letter.as_ref().unwrap().reactions.iter();
            reactions.map(|reaction| reaction.emoji.clone()).collect::<String>()
        };
        assert_eq!(order(&folded[0]), "cba", "in the order of reacting");
    }
}

/// A batch that is refused has written letters before, and their words.
#[tokio::test]
async fn the_words_of_a_refused_batch_are_not_found() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let new = |text| letter(&pair.direct, &pair.ana, &pair.ben, text);
        bench.append(with_key("k", new("before"))).await;
        let refused = bench.store.append_all(vec![new("hasty words"), with_key("k", new("other"))]).await;
        assert!(matches!(refused, Err(Error::Conflict(_))), "{refused:?}");
        let again = bench.writes(&pair.direct, &pair.ana, &pair.ben, "after").await;
        for (word, want) in [("hasty", vec![]), ("other", vec![]), ("after", vec![again.id])] {
            let found = bench.store.search_letters(pair.ben.id, vec![word.to_owned()], None, 10).await.unwrap();
            assert_eq!(found.iter().map(|found| found.message.id).collect::<Vec<_>>(), want, "{word}");
        }
    }
}

#[tokio::test]
async fn only_its_author_edits_a_message() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let sent = bench.writes(&pair.direct, &pair.ana, &pair.ben, "helo").await;
        let id = pair.direct.conversation.id;
        let text = |text: &str| MessageText::verbatim(text.to_owned());
        let edit = |author: &User, new: &str, seconds| {
            bench.store.edit_message(id, sent.id, author.id, text(new), at(seconds))
        };
        assert!(edit(&pair.ben, "evil", 1).await.unwrap().is_none());
        let edited = edit(&pair.ana, "hello", 2).await.unwrap().expect("hers");
        assert_eq!((&edited.text[..], edited.edited_at, edited.updated_at), ("hello", Some(at(2)), at(2)));
        assert_eq!((edited.id, edited.created_at), (sent.id, sent.created_at));
        let log = bench.letter_log(&pair.direct).await;
        assert_eq!(log.last().unwrap().body, EventBody::MessageEdited(Arc::clone(&edited)));
        assert_eq!(edit(&pair.ana, "hello", 3).await.unwrap().expect("still hers"), edited);
        assert_eq!(bench.letter_log(&pair.direct).await.len(), log.len(), "the same text is no event");
        bench.store.delete_message(id, sent.id, at(4)).await.unwrap();
        assert!(edit(&pair.ana, "again", 5).await.unwrap().is_none());
        let log = bench.letter_log(&pair.direct).await;
        assert_eq!(
            log.iter().map(|event| &event.body).collect::<Vec<_>>()[..2],
            [&EventBody::MessageGone, &EventBody::Void]
        );
        assert_dense(&log);
    }
}

#[tokio::test]
async fn a_deleted_letter_leaves_every_count_and_the_search() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let sent = bench.writes(&pair.direct, &pair.ana, &pair.ben, "secret words").await;
        bench.writes(&pair.direct, &pair.ana, &pair.ben, "other").await;
        assert!(bench.store.delete_message(pair.direct.conversation.id, sent.id, at(2)).await.unwrap());
        assert_eq!(bench.unread(&pair).await, (0, 1));
        assert_eq!(bench.store.letter_devices(pair.ben.id).await.unwrap(), [(DeviceKind::Web, 1)]);
        let words = vec!["secret".to_owned()];
        assert!(bench.store.search_letters(pair.ana.id, words, None, 10).await.unwrap().is_empty());
        assert!(bench.store.letter(pair.platform.id, sent.id).await.unwrap().is_none());
        assert_eq!(bench.marks(&pair.direct, &pair.ben, Receipt::Read, Reach::One(sent.id), 3).await, 0);
    }
}

#[tokio::test]
async fn an_inbox_shows_the_newest_first_in_pages() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (platform, ana) = (&pair.platform, &pair.ana);
        let mut directs = vec![pair.direct.clone()];
        for name in ["Cleo", "Dan", "Eva"] {
            let peer = bench.user_of(platform, name).await;
            directs.push(bench.between(platform, ana, &peer).await);
        }
        let peer = |direct: &Direct| direct.members[1].user.clone();
        bench.writes(&directs[2], ana, &peer(&directs[2]), "to Dan").await;
        bench.writes(&directs[0], &peer(&directs[0]), ana, "from Ben").await;
        let all = bench.store.inbox(ana.id, InboxFilter { limit: 10, ..InboxFilter::default() }).await.unwrap();
        assert_eq!(names(&all, ana.id), ["Ben", "Dan", "Eva", "Cleo"], "those without a message come last");
        assert_eq!(bench.store.inbox_total(ana.id).await.unwrap(), 4);
        let last = |entry: &InboxEntry| entry.last.as_ref().map(|message| message.text.clone());
        assert_eq!(
            all.iter().map(last).collect::<Vec<_>>()[..3],
            [Some("from Ben".into()), Some("to Dan".into()), None]
        );
        assert_eq!(all[0].direct.members.iter().map(|member| member.unread).collect::<Vec<_>>(), [1, 0]);
        let page = |filter: InboxFilter| bench.store.inbox(ana.id, filter);
        let below = page(InboxFilter { below: Some(all[0].place), limit: 2, ..InboxFilter::default() }).await.unwrap();
        assert_eq!(names(&below, ana.id), ["Dan", "Eva"]);
        let above = page(InboxFilter { above: Some(all[3].place), limit: 2, ..InboxFilter::default() }).await.unwrap();
        assert_eq!(names(&above, ana.id), ["Dan", "Eva"], "the nearest, from the top down");
        let skipped = page(InboxFilter { offset: 3, limit: 9, ..InboxFilter::default() }).await.unwrap();
        assert_eq!(names(&skipped, ana.id), ["Cleo"]);
        assert_eq!(bench.store.inbox_total(peer(&directs[1]).id).await.unwrap(), 1, "each sees their own");
        let hidden = all[0].last.as_ref().unwrap();
        bench.store.delete_message(directs[0].conversation.id, hidden.id, at(5)).await.unwrap();
        let now = bench.store.inbox(ana.id, InboxFilter { limit: 1, ..InboxFilter::default() }).await.unwrap();
        assert_eq!((names(&now, ana.id), now[0].last.is_none()), (vec!["Ben".to_owned()], true));
        let (top, end) = (all[0].place, all[3].place);
        let between = page(InboxFilter { below: Some(top), above: Some(end), limit: 1, offset: 0 }).await.unwrap();
        assert_eq!(names(&between, ana.id), ["Dan"], "both bounds count");

        let numbers = bench.store.inbox_numbers(ana.id).await.unwrap();
        assert_eq!(numbers, all.iter().map(|entry| entry.direct.conversation.id).collect::<Vec<_>>());
        bench.writes(&directs[1], &peer(&directs[1]), ana, "moves to the top").await;
        let mut asked = numbers.clone();
        asked.insert(1, ConversationId(INTEGER_MAX));
        let named = bench.store.inbox_entries(ana.id, asked).await.unwrap();
        assert_eq!(names(&named, ana.id), ["Ben", "Dan", "Eva", "Cleo"], "as they are named, not as they stand");
        assert_eq!(last(&named[3]), Some("moves to the top".into()), "as it is now");
        let cleo = peer(&directs[1]);
        assert_eq!(bench.store.inbox_entries(cleo.id, numbers).await.unwrap().len(), 1, "each sees their own");
    }
}

#[tokio::test]
async fn a_search_finds_words_in_what_one_may_read() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let eva = bench.user_of(&pair.platform, "Eva").await;
        let others = bench.between(&pair.platform, &pair.ben, &eva).await;
        let id = pair.direct.conversation.id;
        bench.writes(&pair.direct, &pair.ana, &pair.ben, "The Café opens at nine").await;
        let later = bench.writes(&pair.direct, &pair.ben, &pair.ana, "cafe au lait, please").await;
        bench.writes(&others, &pair.ben, &eva, "our secret cafe").await;
        let found = async |user: &User, words: &[&str], before| {
            let words = words.iter().map(|word| (*word).to_owned()).collect();
            let found = bench.store.search_letters(user.id, words, before, 10).await.unwrap();
            found.iter().map(|found| found.message.text.clone()).collect::<Vec<_>>()
        };
        assert_eq!(found(&pair.ana, &["CAFÉ"], None).await, ["cafe au lait, please", "The Café opens at nine"]);
        assert_eq!(found(&pair.ana, &["caf"], Some(later.id)).await, ["The Café opens at nine"], "beginnings count");
        assert_eq!(found(&pair.ana, &["opens", "caf"], None).await, ["The Café opens at nine"]);
        assert_eq!(found(&pair.ana, &["secret"], None).await, [] as [&str; 0]);
        assert_eq!(found(&eva, &["cafe"], None).await, ["our secret cafe"]);
        for hostile in ["\"", "NOT", "u1 OR readers:", "*", "text : x) OR (readers : u1", "-", "^a", "a\0b", "\0"] {
            found(&pair.ana, &[hostile], None).await;
        }
        bench
            .store
            .edit_message(id, later.id, pair.ben.id, MessageText::verbatim("tea".to_owned()), at(2))
            .await
            .unwrap();
        assert_eq!(found(&pair.ana, &["lait"], None).await, [] as [&str; 0]);
        assert_eq!(found(&pair.ana, &["tea"], None).await, ["tea"]);
        let entry =
            bench.store.search_letters(eva.id, vec!["secret".to_owned()], None, 1).await.unwrap().pop().unwrap();
        assert_eq!(entry.direct.conversation.id, others.conversation.id);
        assert!(bench.store.remove_conversation(others.conversation.id).await.unwrap());
        assert_eq!(found(&eva, &["secret"], None).await, [] as [&str; 0]);
    }
}

#[tokio::test]
async fn letters_are_counted_by_device() {
    for bench in benches().await {
        let pair = bench.pair().await;
        assert_eq!(bench.store.letter_devices(pair.ana.id).await.unwrap(), []);
        let mobile = Device { kind: DeviceKind::Mobile, details: Json("{}".to_owned()) };
        for n in 0..3 {
            let mut new = letter(&pair.direct, &pair.ana, &pair.ben, "hello");
            if n > 0 {
                new.letter.as_mut().unwrap().device = mobile.clone();
            }
            bench.append(new).await;
        }
        let counted = [(DeviceKind::Mobile, 2), (DeviceKind::Web, 1)];
        assert_eq!(bench.store.letter_devices(pair.ana.id).await.unwrap(), counted);
        assert_eq!(bench.store.letter_devices(pair.ben.id).await.unwrap(), counted, "whoever sent them");
        let eva = bench.user_of(&pair.platform, "Eva").await;
        assert_eq!(bench.store.letter_devices(eva.id).await.unwrap(), []);
    }
}

#[tokio::test]
async fn the_log_of_letters_folds_into_what_is_there() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (ana, ben, direct) = (&pair.ana, &pair.ben, &pair.direct);
        let id = direct.conversation.id;
        let first = bench.writes(direct, ana, ben, "one").await;
        let mut snapshots = vec![(EventId::START, Vec::new())];
        for step in 0..12 {
            let cursor = bench.now(&direct.conversation).await.head.event_id;
            snapshots.push((cursor, bench.letters(direct).await));
            match step {
                0 | 4 => drop(bench.writes(direct, ben, ana, "more").await),
                1 | 7 => assert!(bench.reacts(&first, ben, "🚲", step == 7).await.unwrap()),
                2 => drop(bench.marks(direct, ben, Receipt::Delivered, Reach::Through(first.id), 4).await),
                3 | 8 => {
                    let text = MessageText::verbatim(format!("edited {step}"));
                    bench.store.edit_message(id, first.id, ana.id, text, at(5)).await.unwrap();
                }
                5 => drop(bench.marks(direct, ben, Receipt::Read, Reach::One(first.id), 6).await),
                6 => drop(bench.marks(direct, ana, Receipt::Read, Reach::Through(EventId(i64::MAX)), 7).await),
                9 => {
                    let edit = StateEdit { is_archived: Some(true), ..StateEdit::default() };
                    bench.change(&direct.conversation, StateChange::Edit(edit)).await;
                }
                10 => assert!(bench.reacts(&first, ben, "🚲", false).await.unwrap()),
                _ => {
                    let last = bench.letters(direct).await.pop().unwrap();
                    assert!(bench.store.delete_message(id, last.id, at(8)).await.unwrap());
                }
            }
        }
        let (now, log) = (bench.letters(direct).await, bench.letter_log(direct).await);
        let heard = bench.heard.events_of(id);
        assert_dense(&log);
        assert_eq!(heard.len(), log.len(), "each event was announced once");
        for (cursor, snapshot) in snapshots {
            for events in [&log, &heard] {
                let mut folded = snapshot.clone();
                fold(&mut folded, events.iter().filter(|event| event.id > cursor));
                assert_eq!(folded, now, "after {cursor}");
                fold(&mut folded, events.iter().filter(|event| event.id > cursor));
                assert_eq!(folded, now, "twice is harmless");
            }
        }
    }
}

#[tokio::test]
async fn a_letter_holds_its_authors_uploads_only() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (hers, his) = (bench.uploaded(&pair.ana, 1).await, bench.uploaded(&pair.ben, 1).await);
        let with = |uploads: &[Uuid]| {
            let mut new = letter(&pair.direct, &pair.ana, &pair.ben, "see this");
            new.letter.as_mut().unwrap().uploads = uploads.to_vec();
            new
        };
        for wrong in [vec![his.uuid], vec![hers.uuid, his.uuid], vec![Uuid::new_v4()]] {
            let refused = bench.store.append(with(&wrong)).await;
            assert!(matches!(&refused, Err(Error::Invalid(fields)) if fields[0].field == "attachments"), "{refused:?}");
        }
        assert!(bench.letters(&pair.direct).await.is_empty(), "nothing is stored");
        assert!(!bench.sees(&pair.ben, &hers).await);
        let new = with_key("k", with(&[hers.uuid]));
        let sent = bench.append(new.clone()).await;
        assert!(bench.sees(&pair.ben, &hers).await && bench.loose(99).await == [his.id]);
        assert!(bench.store.append(new).await.unwrap().replayed);
        assert!(bench.store.delete_message(pair.direct.conversation.id, sent.id, at(2)).await.unwrap());
        assert!(!bench.sees(&pair.ben, &hers).await && bench.sees(&pair.ana, &hers).await);
    }
}
