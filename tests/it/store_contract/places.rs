//! Letters by their place in a conversation: what numbered pages begin with.

use super::benches;
use super::letters::Pair;
use crate::support::store::at;

#[tokio::test]
async fn a_letter_is_found_by_how_many_stand_before_it() {
    for bench in benches().await {
        let Pair { ana, ben, direct, .. } = bench.pair().await;
        let id = direct.conversation.id;
        let at_offset = async |offset| bench.store.letter_at(id, offset).await.unwrap();
        assert_eq!(at_offset(0).await, (0, None));
        let mut written = Vec::new();
        for number in 0..7 {
            written.push(bench.writes(&direct, &ana, &ben, &format!("m{number}")).await.id);
        }
        for gone in [written.remove(5), written.remove(0)] {
            assert!(bench.store.delete_message(id, gone, at(9)).await.unwrap());
        }
        for (offset, message) in written.iter().enumerate() {
            assert_eq!(at_offset(offset as u64).await, (5, Some(*message)), "{offset}");
        }
        for beyond in [5, 6, u64::MAX] {
            assert_eq!(at_offset(beyond).await, (5, None));
        }
    }
}
