//! Accounts, tokens, and what the installation keeps for itself.

use roost::domain::{Ability, Email, Language, TokenId, User, UserId};
use roost::error::{Error, FieldError, Rule};
use roost::store::{NewToken, NewUser, SESSIONS_MAX, UserEdit, UserFilter};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::{at, staff};

fn abilities(names: &[&str]) -> Vec<Ability> {
    names.iter().map(|name| Ability::parse(name).unwrap()).collect()
}

pub(super) fn token(user: &User, name: &str) -> NewToken {
    NewToken {
        user_id: user.id,
        name: name.to_owned(),
        hash: [7; 32],
        abilities: abilities(&["chat", "staff"]),
        at: at(1),
        expires_at: None,
    }
}

impl Bench {
    /// Somebody who has not proved the address yet.
    pub(super) async fn newcomer(&self, name: &str) -> User {
        self.store.add_user(NewUser { is_verified: false, is_staff: false, ..staff(name) }).await.unwrap()
    }
}

#[tokio::test]
async fn an_account_is_read_back_as_it_was_made() {
    for bench in benches().await {
        let new = NewUser {
            uuid: Uuid::new_v4(),
            platform_id: None,
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
            platform_id: None,
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
            updated_at: at(3),
        };
        assert_eq!(user, want);
        let bench = bench.reopen().await;
        assert_eq!(bench.store.user(user.id).await.unwrap(), Some(want.clone()));
        let email = Email::parse("LAN.nguyen@example.TEST").unwrap();
        assert_eq!(bench.store.user_by_email(None, &email).await.unwrap(), Some((want, new.password_hash)));
    }
}

#[tokio::test]
async fn who_has_no_account_is_not_found() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        assert_eq!(bench.store.user(UserId(lan.id.0 + 1)).await.unwrap(), None);
        let email = Email::parse("minh@example.test").unwrap();
        assert_eq!(bench.store.user_by_email(None, &email).await.unwrap(), None);
        let (_, password) = bench.store.user_by_email(None, &lan.email).await.unwrap().unwrap();
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
async fn of_too_many_sessions_the_oldest_end() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let session = |user, name: &str| NewToken { expires_at: Some(at(1000)), ..token(user, name) };
        let forever = bench.store.add_token(token(&lan, "session")).await.unwrap();
        let other = bench.store.add_token(session(&lan, "other")).await.unwrap();
        let others = bench.store.add_token(session(&minh, "session")).await.unwrap();
        let mut sessions = Vec::new();
        for _ in 0..SESSIONS_MAX + 2 {
            sessions.push(bench.store.add_token(session(&lan, "session")).await.unwrap());
        }
        let left: Vec<_> = bench.store.tokens(lan.id).await.unwrap().iter().map(|token| token.id).collect();
        assert_eq!(left, [&[forever, other], &sessions[2..]].concat());
        assert!(bench.store.token(others).await.unwrap().is_some(), "another's stay");
    }
}

#[tokio::test]
async fn a_token_says_when_it_ends_and_is_cleared_away_after() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let short = NewToken { expires_at: Some(at(10)), ..token(&lan, "short") };
        let (short, forever) = (bench.store.add_token(short).await.unwrap(), token(&lan, "forever"));
        let forever = bench.store.add_token(forever).await.unwrap();
        let listed = bench.store.tokens(lan.id).await.unwrap();
        let seen: Vec<_> = listed.iter().map(|t| (t.id, t.name.as_str(), t.created_at, t.expires_at)).collect();
        assert_eq!(seen, [(short, "short", at(1), Some(at(10))), (forever, "forever", at(1), None)]);
        assert!(listed.iter().all(|token| token.user == lan && token.hash == [7; 32]));
        assert!(bench.store.tokens(minh.id).await.unwrap().is_empty());

        bench.store.add_token(NewToken { at: at(11), ..token(&minh, "other") }).await.unwrap();
        assert!(bench.store.token(short).await.unwrap().is_some(), "only one's own are cleared away");
        bench.store.add_token(NewToken { at: at(9), ..token(&lan, "early") }).await.unwrap();
        assert!(bench.store.token(short).await.unwrap().is_some(), "and not too early");
        bench.store.add_token(NewToken { at: at(10), ..token(&lan, "late") }).await.unwrap();
        assert!(bench.store.token(short).await.unwrap().is_none());
        assert!(bench.store.token(forever).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn one_token_is_revoked_by_its_number() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let (phone, laptop) = (token(&lan, "phone"), token(&lan, "laptop"));
        let phone = bench.store.add_token(phone).await.unwrap();
        let laptop = bench.store.add_token(laptop).await.unwrap();
        assert!(bench.store.revoke_token(phone).await.unwrap());
        assert!(!bench.store.revoke_token(phone).await.unwrap());
        assert!(bench.store.token(laptop).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn an_edit_changes_what_it_names() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let edit =
            UserEdit { name: Some("Lan Anh".to_owned()), phone: Some(Some("+84 2".to_owned())), ..UserEdit::default() };
        let edited = bench.store.edit_user(lan.id, edit, at(5)).await.unwrap().unwrap();
        let want =
            User { name: "Lan Anh".to_owned(), phone: Some("+84 2".to_owned()), updated_at: at(5), ..lan.clone() };
        assert_eq!(edited, want);
        let edit = UserEdit {
            phone: Some(None),
            avatar: Some(Some("https://x.test/a.png".to_owned())),
            language: Some(Some(Language::Pt)),
            email: Email::parse("anh@example.test"),
            ..UserEdit::default()
        };
        bench.store.edit_user(lan.id, edit, at(6)).await.unwrap();
        let want = User {
            phone: None,
            avatar: Some("https://x.test/a.png".to_owned()),
            language: Some(Language::Pt),
            email: Email::parse("anh@example.test").unwrap(),
            updated_at: at(6),
            ..want
        };
        let bench = bench.reopen().await;
        assert_eq!(bench.store.user(lan.id).await.unwrap(), Some(want));
        assert_eq!(bench.store.user_by_email(None, &lan.email).await.unwrap(), None);
        assert_eq!(bench.store.edit_user(UserId(99), UserEdit::default(), at(7)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_edit_takes_nobodys_address() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let edit = UserEdit { name: Some("Minh".to_owned()), email: Some(minh.email), ..UserEdit::default() };
        let taken = bench.store.edit_user(lan.id, edit, at(5)).await;
        let Err(Error::Invalid(fields)) = taken else { panic!("{taken:?}") };
        assert_eq!(fields, [FieldError { field: "email".into(), rule: Rule::Unique }]);
        assert_eq!(bench.store.user(lan.id).await.unwrap(), Some(lan), "nothing is changed");
    }
}

#[tokio::test]
async fn a_new_password_revokes_every_other_token() {
    for bench in benches().await {
        let (lan, minh) = (bench.staff("lan").await, bench.staff("minh").await);
        let (here, there) = (token(&lan, "here"), token(&lan, "there"));
        let here = bench.store.add_token(here).await.unwrap();
        let there = bench.store.add_token(there).await.unwrap();
        let others = bench.store.add_token(token(&minh, "phone")).await.unwrap();
        let edit = UserEdit { name: Some("Lan Anh".to_owned()), keep: Some(here), ..UserEdit::default() };
        bench.store.edit_user(lan.id, edit, at(2)).await.unwrap();
        assert!(bench.store.token(there).await.unwrap().is_some(), "another name revokes nothing");
        let edit = UserEdit { password_hash: Some("new".to_owned()), keep: Some(here), ..UserEdit::default() };
        bench.store.edit_user(lan.id, edit, at(3)).await.unwrap();
        let (_, password) = bench.store.user_by_email(None, &lan.email).await.unwrap().unwrap();
        assert_eq!(password.as_deref(), Some("new"));
        assert!(bench.store.token(there).await.unwrap().is_none());
        assert!(bench.store.token(here).await.unwrap().is_some() && bench.store.token(others).await.unwrap().is_some());
        let edit = UserEdit { password_hash: Some("newer".to_owned()), ..UserEdit::default() };
        bench.store.edit_user(lan.id, edit, at(4)).await.unwrap();
        assert!(bench.store.token(here).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_account_that_is_switched_off_loses_its_tokens() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let phone = bench.store.add_token(token(&lan, "phone")).await.unwrap();
        assert_eq!(bench.store.set_active(lan.id, true, at(2)).await.unwrap(), Some(lan.clone()), "it was on");
        assert!(bench.store.token(phone).await.unwrap().is_some());
        let off = bench.store.set_active(lan.id, false, at(3)).await.unwrap();
        assert_eq!(off, Some(User { is_active: false, updated_at: at(3), ..lan.clone() }));
        assert!(bench.store.token(phone).await.unwrap().is_none());
        let on = bench.store.set_active(lan.id, true, at(4)).await.unwrap().unwrap();
        assert!(on.is_active && bench.store.tokens(lan.id).await.unwrap().is_empty());
        assert_eq!(bench.store.set_active(UserId(99), false, at(5)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn accounts_are_listed_page_by_page() {
    for bench in benches().await {
        let mut all = Vec::new();
        for name in ["lan", "minh", "tam"] {
            all.push(bench.staff(name).await);
        }
        let page = |after, limit| bench.store.users(UserFilter { platform_id: None, after, limit });
        assert_eq!(page(UserId(0), 2).await.unwrap(), all[..2]);
        assert_eq!(page(all[1].id, 2).await.unwrap(), all[2..]);
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
