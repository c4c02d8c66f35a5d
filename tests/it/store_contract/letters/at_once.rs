//! What two users do to one conversation at the same time.

use std::sync::Arc;

use roost::domain::{EventBody, EventId, INTEGER_MAX, MessageText, Reach, Receipt};
use roost::store::{Mark, NewReaction};
use tokio::task::JoinSet;

use super::receipts;
use crate::store_contract::benches;
use crate::support::store::{assert_dense, at, letter};

/// Both write, edit, read and react at once: what each did is there, once, and the counts agree with it.
#[tokio::test]
async fn what_happens_at_once_is_numbered_densely_and_counted_rightly() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let (ana, ben, direct) = (&pair.ana, &pair.ben, &pair.direct);
        let id = direct.conversation.id;
        let first = bench.writes(direct, ana, ben, "first").await;
        let mut deeds = JoinSet::new();
        for n in 0..12 {
            let (store, letter) = (Arc::clone(&bench.store), letter(direct, ana, ben, &n.to_string()));
            deeds.spawn(async move { drop(store.append(letter).await.unwrap()) });
            let (store, text, author) = (Arc::clone(&bench.store), format!("edited {n}"), ana.id);
            let number = first.id;
            deeds.spawn(async move {
                let text = MessageText::verbatim(text);
                store.edit_message(id, number, author, text, at(2)).await.unwrap().expect("it is hers");
            });
            let reach = if n % 3 == 0 { Reach::One(first.id) } else { Reach::Through(EventId(INTEGER_MAX)) };
            let mark = Mark { reader: ben.id, receipt: Receipt::Read, reach, at: at(3) };
            let store = Arc::clone(&bench.store);
            deeds.spawn(async move {
                store.mark(id, mark).await.unwrap();
            });
            let (store, emoji, user_id) = (Arc::clone(&bench.store), format!("{n}"), ben.id);
            let reaction = NewReaction { message_id: first.id, user_id, emoji, removed: false, at: at(4) };
            deeds.spawn(async move { assert!(store.react(id, reaction).await.unwrap()) });
        }
        deeds.join_all().await;
        let (letters, log) = (bench.letters(direct).await, bench.letter_log(direct).await);
        assert_dense(&log);
        assert_eq!(letters.len(), 13);
        let edits = log.iter().filter(|event| !matches!(event.body, EventBody::MessageAdded(_)));
        assert!(edits.count() > 12 + 12, "every edit and reaction, and at least one receipt");
        let unread = letters.iter().filter(|letter| receipts(letter).1.is_none()).count();
        assert_eq!(bench.unread(&pair).await, (0, unread as u64), "the count is that of the letters");
        assert_eq!(letters[0].letter.as_ref().unwrap().reactions.len(), 12);
        assert_eq!(bench.now(&direct.conversation).await.head.seq, log.len() as u64);
        let heard = bench.heard.events_of(id);
        assert_eq!(heard.len(), log.len(), "each was announced once");
    }
}
