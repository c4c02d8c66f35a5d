//! One-time codes: what they prove, and that they are not guessed.

use std::time::Duration;

use roost::domain::{Email, Timestamp, User, UserId};
use roost::store::{CodeCheck, UserEdit};

use super::accounts::token;
use super::{Bench, benches};
use crate::support::store::at;

/// For tests that are not about the pause.
const NO_PAUSE: Duration = Duration::ZERO;
const RIGHT: [u8; 32] = [1; 32];
const WRONG: [u8; 32] = [2; 32];

impl Bench {
    async fn try_code(&self, user: &User, hash: [u8; 32], now: Timestamp) -> CodeCheck {
        self.store.check_code(user.id, hash, 3, now).await.unwrap()
    }

    async fn password(&self, user: &User) -> Option<String> {
        self.store.user_by_email(None, &user.email).await.unwrap().unwrap().1
    }

    async fn is_verified(&self, user: &User) -> bool {
        self.store.user(user.id).await.unwrap().unwrap().is_verified
    }
}

#[tokio::test]
async fn the_right_code_verifies_once() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        assert_eq!(bench.try_code(&minh, RIGHT, at(0)).await, CodeCheck::Refused, "none was set");
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        assert_eq!(bench.try_code(&minh, WRONG, at(1)).await, CodeCheck::Refused);
        assert!(!bench.is_verified(&minh).await);
        assert_eq!(bench.try_code(&minh, RIGHT, at(2)).await, CodeCheck::Verified);
        assert!(bench.is_verified(&minh).await);
        assert_eq!(bench.try_code(&minh, RIGHT, at(3)).await, CodeCheck::Refused, "it is spent");
    }
}

#[tokio::test]
async fn a_code_allows_a_few_tries() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        for _ in 0..3 {
            assert_eq!(bench.try_code(&minh, WRONG, at(1)).await, CodeCheck::Refused);
        }
        assert_eq!(bench.try_code(&minh, RIGHT, at(1)).await, CodeCheck::Refused, "it is void by now");
        bench.store.set_code(minh.id, RIGHT, at(2), NO_PAUSE, at(62)).await.unwrap();
        assert_eq!(bench.try_code(&minh, RIGHT, at(3)).await, CodeCheck::Refused, "a new one brings no new tries");
        bench.store.set_code(minh.id, RIGHT, at(62), NO_PAUSE, at(120)).await.unwrap();
        assert_eq!(bench.try_code(&minh, RIGHT, at(63)).await, CodeCheck::Verified, "unless the old one is over");
    }
}

#[tokio::test]
async fn codes_are_set_with_a_pause_between() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        let pause = Duration::from_secs(60);
        assert!(bench.store.set_code(minh.id, RIGHT, at(0), pause, at(600)).await.unwrap());
        assert!(!bench.store.set_code(minh.id, WRONG, at(59), pause, at(659)).await.unwrap());
        assert_eq!(bench.try_code(&minh, RIGHT, at(59)).await, CodeCheck::Verified, "the first one stayed");
        assert!(bench.store.set_code(minh.id, RIGHT, at(60), pause, at(660)).await.unwrap());
    }
}

#[tokio::test]
async fn a_code_expires_and_a_newer_one_replaces_it() {
    for bench in benches().await {
        let (minh, lan) = (bench.newcomer("minh").await, bench.newcomer("lan").await);
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        assert_eq!(bench.try_code(&lan, RIGHT, at(1)).await, CodeCheck::Refused, "it is another's");
        assert_eq!(bench.try_code(&minh, RIGHT, at(60)).await, CodeCheck::Refused, "too late");
        let newer = [3; 32];
        bench.store.set_code(minh.id, newer, at(60), NO_PAUSE, at(120)).await.unwrap();
        assert_eq!(bench.try_code(&minh, RIGHT, at(61)).await, CodeCheck::Refused);
        assert_eq!(bench.try_code(&minh, newer, at(61)).await, CodeCheck::Verified);
    }
}

/// A guesser may not win tries by asking many times at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tries_are_counted_also_when_they_come_at_once() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (store, user) = (std::sync::Arc::clone(&bench.store), minh.id);
            tries.spawn(async move { store.check_code(user, WRONG, 3, at(1)).await.unwrap() });
        }
        assert!(tries.join_all().await.iter().all(|check| *check == CodeCheck::Refused));
        assert_eq!(bench.try_code(&minh, RIGHT, at(1)).await, CodeCheck::Refused);
    }
}

#[tokio::test]
async fn the_right_code_sets_a_password_and_signs_out_everywhere() {
    for bench in benches().await {
        let (minh, lan) = (bench.newcomer("minh").await, bench.newcomer("lan").await);
        let phone = bench.store.add_token(token(&minh, "phone")).await.unwrap();
        let others = bench.store.add_token(token(&lan, "phone")).await.unwrap();
        let reset = |user: UserId, hash, password: &str, now| {
            bench.store.reset_password(user, hash, 3, password.to_owned(), at(now))
        };
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        assert_eq!(reset(minh.id, WRONG, "wrong", 1).await.unwrap(), CodeCheck::Refused);
        assert_eq!(reset(lan.id, RIGHT, "wrong", 1).await.unwrap(), CodeCheck::Refused, "it is another's");
        assert_eq!(reset(UserId(0), RIGHT, "wrong", 1).await.unwrap(), CodeCheck::Refused, "nobody's");
        assert_eq!(bench.password(&minh).await, None);
        assert!(bench.store.token(phone).await.unwrap().is_some());

        assert_eq!(reset(minh.id, RIGHT, "new", 2).await.unwrap(), CodeCheck::Verified);
        assert_eq!(bench.password(&minh).await.as_deref(), Some("new"));
        assert_eq!(bench.store.user(minh.id).await.unwrap().unwrap().updated_at, at(2));
        assert!(bench.store.token(phone).await.unwrap().is_none());
        assert!(bench.store.token(others).await.unwrap().is_some());
        assert_eq!(reset(minh.id, RIGHT, "again", 3).await.unwrap(), CodeCheck::Refused, "it is spent");
        assert_eq!(bench.password(&minh).await.as_deref(), Some("new"));
    }
}

/// It lies in a mailbox that may be why the address was changed.
#[tokio::test]
async fn a_new_address_or_password_makes_the_code_void() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        let address = UserEdit { email: Email::parse("minh.new@example.test"), ..UserEdit::default() };
        let password = UserEdit { password_hash: Some("new".to_owned()), ..UserEdit::default() };
        for (number, edit) in [(0, address), (1, password)] {
            let begin = number * 100;
            let pause = Duration::from_secs(60);
            assert!(bench.store.set_code(minh.id, RIGHT, at(begin), pause, at(begin + 90)).await.unwrap());
            bench.store.edit_user(minh.id, edit, at(begin + 1)).await.unwrap();
            assert_eq!(bench.try_code(&minh, RIGHT, at(begin + 2)).await, CodeCheck::Refused);
            let again = bench.store.set_code(minh.id, RIGHT, at(begin + 3), pause, at(begin + 90)).await.unwrap();
            assert!(!again, "it brings no letters sooner");
        }
        bench.store.set_code(minh.id, RIGHT, at(200), NO_PAUSE, at(290)).await.unwrap();
        let name = UserEdit { name: Some("Minh".to_owned()), ..UserEdit::default() };
        bench.store.edit_user(minh.id, name, at(201)).await.unwrap();
        assert_eq!(bench.try_code(&minh, RIGHT, at(202)).await, CodeCheck::Verified, "a name is no matter");
    }
}

/// Else a guesser would try half of the codes as the one and half as the other.
#[tokio::test]
async fn tries_to_reset_and_to_verify_count_together() {
    for bench in benches().await {
        let minh = bench.newcomer("minh").await;
        bench.store.set_code(minh.id, RIGHT, at(0), NO_PAUSE, at(60)).await.unwrap();
        assert_eq!(bench.try_code(&minh, WRONG, at(1)).await, CodeCheck::Refused);
        for hash in [WRONG, WRONG, RIGHT] {
            let reset = bench.store.reset_password(minh.id, hash, 3, "new".to_owned(), at(1)).await.unwrap();
            assert_eq!(reset, CodeCheck::Refused);
        }
        assert_eq!(bench.password(&minh).await, None);
    }
}
