//! Accounts, tokens, one-time codes, and what the installation keeps for itself.

use std::time::Duration;

use roost::domain::{Ability, Email, Language, Timestamp, TokenId, User, UserId};
use roost::error::{Error, FieldError, Rule};
use roost::store::{CodeCheck, NewToken, NewUser};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{at, staff};

/// For tests that are not about the pause.
const NO_PAUSE: Duration = Duration::ZERO;
const RIGHT: [u8; 32] = [1; 32];
const WRONG: [u8; 32] = [2; 32];

fn abilities(names: &[&str]) -> Vec<Ability> {
    names.iter().map(|name| Ability::parse(name).unwrap()).collect()
}

fn token(user: &User, name: &str) -> NewToken {
    NewToken {
        user_id: user.id,
        name: name.to_owned(),
        hash: [7; 32],
        abilities: abilities(&["chat", "staff"]),
        at: at(1),
    }
}

impl Bench {
    /// Somebody who has not proved the address yet.
    async fn newcomer(&self, name: &str) -> User {
        self.store.add_user(NewUser { is_verified: false, is_staff: false, ..staff(name) }).await.unwrap()
    }

    async fn try_code(&self, user: &User, hash: [u8; 32], now: Timestamp) -> CodeCheck {
        self.store.check_code(user.id, hash, 3, now).await.unwrap()
    }

    async fn is_verified(&self, user: &User) -> bool {
        self.store.user(user.id).await.unwrap().unwrap().is_verified
    }
}

#[tokio::test]
async fn an_account_is_read_back_as_it_was_made() {
    for bench in benches().await {
        let new = NewUser {
            uuid: Uuid::new_v4(),
            email: Email::parse("Lan.Nguyen@Example.test").unwrap(),
            name: "Lan Nguyễn".to_owned(),
            phone: Some("+84 1".to_owned()),
            language: Some(Language::Vi),
            password_hash: Some("$argon2id$…".to_owned()),
            is_staff: false,
            is_verified: false,
            abilities: abilities(&["chat", "read:all"]),
            at: at(3),
        };
        let user = bench.store.add_user(new.clone()).await.unwrap();
        let want = User {
            id: user.id,
            uuid: new.uuid,
            email: new.email,
            name: new.name,
            phone: new.phone,
            avatar: None,
            language: new.language,
            is_staff: false,
            is_active: true,
            is_verified: false,
            abilities: new.abilities,
            created_at: at(3),
        };
        assert_eq!(user, want);
        let bench = bench.reopen().await;
        assert_eq!(bench.store.user(user.id).await.unwrap(), Some(want.clone()));
        let email = Email::parse("LAN.nguyen@example.TEST").unwrap();
        assert_eq!(bench.store.user_by_email(&email).await.unwrap(), Some((want, new.password_hash)));
    }
}

#[tokio::test]
async fn who_has_no_account_is_not_found() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        assert_eq!(bench.store.user(UserId(lan.id.0 + 1)).await.unwrap(), None);
        let email = Email::parse("minh@example.test").unwrap();
        assert_eq!(bench.store.user_by_email(&email).await.unwrap(), None);
        let (_, password) = bench.store.user_by_email(&lan.email).await.unwrap().unwrap();
        assert_eq!(password, None, "who has no password cannot sign in by one");
    }
}

#[tokio::test]
async fn an_address_has_one_account() {
    for bench in benches().await {
        bench.staff("lan").await;
        let twice = bench.store.add_user(staff("LAN")).await;
        let Err(Error::Invalid(fields)) = twice else { panic!("{twice:?}") };
        assert_eq!(fields, [FieldError { field: "email".into(), rule: Rule::Unique }]);
    }
}

#[tokio::test]
async fn a_token_is_found_with_its_owner_until_it_is_revoked() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let phone = bench.store.add_token(token(&lan, "phone")).await.unwrap();
        let laptop = bench.store.add_token(token(&lan, "laptop")).await.unwrap();
        let other = bench.store.add_token(token(&minh, "phone")).await.unwrap();

        let stored = bench.store.token(phone).await.unwrap().unwrap();
        assert_eq!((stored.id, &stored.user, stored.hash), (phone, &lan, [7; 32]));
        assert_eq!(stored.abilities, abilities(&["chat", "staff"]));
        assert!(bench.store.token(TokenId(other.0 + 1)).await.unwrap().is_none());

        assert_eq!(bench.store.revoke_tokens(minh.id, Some(phone)).await.unwrap(), 0, "not another's");
        assert_eq!(bench.store.revoke_tokens(lan.id, Some(phone)).await.unwrap(), 1);
        assert!(bench.store.token(phone).await.unwrap().is_none());
        assert!(bench.store.token(laptop).await.unwrap().is_some());

        bench.store.add_token(token(&lan, "tablet")).await.unwrap();
        assert_eq!(bench.store.revoke_tokens(lan.id, None).await.unwrap(), 2);
        assert!(bench.store.token(laptop).await.unwrap().is_none());
        assert!(bench.store.token(other).await.unwrap().is_some(), "another's stay");
        let fresh = bench.store.add_token(token(&lan, "phone")).await.unwrap();
        assert!(fresh > other, "a revoked token's number is not given out again");
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
async fn a_secret_is_made_once() {
    for bench in benches().await {
        assert_eq!(bench.store.secret("cookies", [1; 32]).await.unwrap(), [1; 32]);
        assert_eq!(bench.store.secret("cookies", [2; 32]).await.unwrap(), [1; 32]);
        assert_eq!(bench.store.secret("hooks", [3; 32]).await.unwrap(), [3; 32]);
        let bench = bench.reopen().await;
        assert_eq!(bench.store.secret("cookies", [4; 32]).await.unwrap(), [1; 32]);
    }
}

#[tokio::test]
async fn a_ping_proves_that_the_store_can_be_written() {
    for bench in benches().await {
        let chat = bench.chat("a").await;
        for _ in 0..5 {
            bench.store.ping().await.unwrap();
        }
        assert_eq!(bench.now(&chat).await, chat, "and changes nothing");
        assert!(bench.heard.events().is_empty());
    }
}
