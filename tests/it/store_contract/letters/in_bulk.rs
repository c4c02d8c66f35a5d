//! What is read of many conversations together.

use std::collections::HashMap;

use roost::domain::{ConversationId, INTEGER_MAX};
use roost::store::Direct;

use crate::store_contract::benches;
use crate::support::store::at;

#[tokio::test]
async fn what_is_told_of_many_conversations_is_read_at_once() {
    for bench in benches().await {
        let pair = bench.pair().await;
        let cleo = bench.user_of(&pair.platform, "Cleo").await;
        let dan = bench.user_of(&pair.platform, "Dan").await;
        let mut directs = vec![pair.direct.clone()];
        directs.push(bench.between(&pair.platform, &pair.ana, &cleo).await);
        directs.push(bench.between(&pair.platform, &pair.ana, &dan).await);
        let taken_back = bench.writes(&directs[0], &pair.ana, &pair.ben, "to Ben").await;
        bench.writes(&directs[2], &pair.ana, &dan, "to Dan").await;
        assert!(bench.store.delete_message(directs[0].conversation.id, taken_back.id, at(5)).await.unwrap());

        let mut ids: Vec<_> = directs.iter().map(|direct| direct.conversation.id).collect();
        ids.push(ConversationId(INTEGER_MAX));
        let named = bench.store.directs(ids.clone()).await.unwrap();
        let by_name: HashMap<_, _> = named.iter().map(|named| (named.conversation.id, named)).collect();
        assert_eq!((named.len(), by_name.len()), (3, 3), "each once, and those that are there");
        let members = |direct: &Direct| direct.members.iter().map(|one| (one.user.id, one.unread)).collect::<Vec<_>>();
        assert_eq!(members(by_name[&ids[0]]), [(pair.ana.id, 0), (pair.ben.id, 0)]);
        assert_eq!(members(by_name[&ids[2]]), [(pair.ana.id, 0), (dan.id, 1)], "as they stand");
        let shown = bench.store.last_letters(ids.clone()).await.unwrap();
        let shown: Vec<_> = shown.iter().map(|letter| (letter.conversation_id, letter.text.as_str())).collect();
        assert_eq!(shown, [(ids[2], "to Dan")], "a deleted letter is not shown");
    }
}
