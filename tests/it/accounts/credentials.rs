//! Tokens that end, and sessions that are sealed.

use std::time::Duration;

use roost::chat::{AccountEdit, Registration};
use roost::domain::Ability;
use roost::error::{Error, Refusal};
use uuid::Uuid;

use super::{Desk, PASSWORD, email};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_platform_is_named_by_its_key_only() {
    let desk = Desk::new().await;
    let acme = desk.platform("  Acme\nShop ").await;
    assert_eq!((acme.name.as_str(), acme.slug.as_str(), acme.secret.len()), ("Acme Shop", "acme-shop", 48));
    assert_eq!(desk.chat().platform(acme.key).await.unwrap(), acme);
    assert_eq!(desk.chat().platform_numbered(acme.id).await.unwrap(), Some(acme));
    let unknown = desk.chat().platform(Uuid::new_v4()).await;
    assert!(matches!(unknown, Err(Error::Forbidden(Refusal::UnknownPlatform))), "{unknown:?}");
}

/// With `*` who registered could list every visitor's session.
#[tokio::test]
async fn who_signs_up_is_in_at_once_and_may_do_what_people_do() {
    let desk = Desk::new().await;
    let (acme, other) = (desk.platform("Acme").await, desk.platform("Other").await);
    let lan = desk.person(Some(&acme), "lan").await;
    let access = desk.signs_in(Some(&acme), "lan", PASSWORD).await.unwrap();
    assert_eq!(access.user, lan);
    assert!(access.belongs_to(&acme) && !access.belongs_to(&other));
    assert!(access.can("backoffice") && access.can("assistant"));
    assert!(!access.can("chats") && !access.can("staff") && !access.is_staff());
    for platform in [Some(&other), None] {
        let elsewhere = desk.signs_in(platform, "lan", PASSWORD).await;
        let is_in = platform.is_none();
        assert_eq!(elsewhere.is_ok(), is_in, "only a door that knows no tenant takes any: {elsewhere:?}");
    }
    let again = desk.person(Some(&other), "lan").await;
    assert_ne!(again.id, lan.id);
    assert_eq!(desk.signs_in(Some(&other), "lan", PASSWORD).await.unwrap().user.id, again.id);
}

#[tokio::test]
async fn who_registers_proves_the_address_and_may_do_no_more() {
    let desk = Desk::new().await;
    let registration = Registration {
        platform_id: None,
        email: email("lan"),
        name: "Lan".to_owned(),
        password: PASSWORD.to_owned(),
        phone: None,
        language: None,
    };
    let lan = desk.chat().register(registration).await.unwrap();
    assert_eq!(lan.abilities.iter().map(Ability::as_str).collect::<Vec<_>>(), ["backoffice", "assistant"]);
    let early = desk.signs_in(None, "lan", PASSWORD).await;
    assert!(matches!(early, Err(Error::Forbidden(Refusal::AccountUnverified))), "{early:?}");
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let make = |lifetime| desk.chat().make_token(lan.clone(), "test".to_owned(), vec![Ability::any()], lifetime);
    let (short, endless) = (make(Some(HOUR)).await.unwrap().token, make(None).await.unwrap().token);
    desk.app.clock.advance(HOUR - Duration::from_secs(60));
    desk.chat().authenticate(&short).await.unwrap();
    desk.app.clock.advance(Duration::from_secs(60));
    let over = desk.chat().authenticate(&short).await;
    assert!(matches!(over, Err(Error::Unauthenticated)), "{over:?}");
    desk.chat().authenticate(&endless).await.unwrap();
}

#[tokio::test]
async fn a_session_lasts_over_a_restart_until_its_time_is_over() {
    let mut desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let sealed = desk.chat().open_session(&lan).await.unwrap();
    assert!(!sealed.contains('|') && sealed.len() < 200, "{sealed}");
    assert!(sealed.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "a cookie may hold it: {sealed}");
    desk.app.restart().await;
    let access = desk.chat().authenticate_session(&sealed).await.unwrap();
    assert_eq!((access.user.id, &access.abilities), (lan.id, &lan.abilities));
    desk.app.clock.advance(HOUR * 168);
    let over = desk.chat().authenticate_session(&sealed).await;
    assert!(matches!(over, Err(Error::Unauthenticated)), "{over:?}");
    assert!(!desk.chat().close_session(&sealed).await.unwrap());
}

/// Checking a password takes its time: meanwhile another one may be set, which ends what there is.
#[tokio::test]
async fn who_was_signing_in_while_the_account_changed_is_not_in() {
    let desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let access = desk.signs_in(None, "lan", PASSWORD).await.unwrap();
    desk.app.clock.advance(HOUR);
    let edit = AccountEdit { password: Some("another password".to_owned()), ..AccountEdit::default() };
    let changed = desk.chat().edit_account(&access, edit).await.unwrap();
    let late = desk.chat().open_session(&lan).await;
    assert!(matches!(late, Err(Error::Unauthenticated)), "{late:?}");
    let late = desk.chat().make_token(lan.clone(), "late".to_owned(), vec![Ability::any()], None).await;
    assert!(matches!(late, Err(Error::Unauthenticated)), "{late:?}");
    assert_eq!(desk.chat().tokens(lan.id).await.unwrap().len(), 1, "only the one that changed it");
    desk.chat().open_session(&changed).await.unwrap();
}

#[tokio::test]
async fn a_session_is_closed_once() {
    let desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let (here, there) = (desk.chat().open_session(&lan).await.unwrap(), desk.chat().open_session(&lan).await.unwrap());
    assert_ne!(here, there);
    assert!(desk.chat().close_session(&here).await.unwrap());
    assert!(!desk.chat().close_session(&here).await.unwrap());
    assert!(desk.chat().authenticate_session(&here).await.is_err());
    desk.chat().authenticate_session(&there).await.unwrap();
    desk.chat().set_active(lan.id, false).await.unwrap();
    desk.chat().set_active(lan.id, true).await.unwrap();
    assert!(desk.chat().authenticate_session(&there).await.is_err(), "what was switched off was signed out");
}

#[tokio::test]
async fn a_session_is_no_bearer_and_a_bearer_no_session() {
    let desk = Desk::new().await;
    let lan = desk.person(None, "lan").await;
    let sealed = desk.chat().open_session(&lan).await.unwrap();
    let bearer = desk.chat().make_token(lan, "test".to_owned(), vec![Ability::any()], None).await.unwrap().token;
    let own = desk.chat().authenticate_session(&sealed).await.unwrap().token_id;
    for wrong in [&sealed, &format!("{own}|{sealed}"), &format!("{own}|")] {
        let refused = desk.chat().authenticate(wrong).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{wrong}: {refused:?}");
    }
    let refused = desk.chat().authenticate_session(&bearer).await;
    assert!(matches!(refused, Err(Error::Unauthenticated)), "{refused:?}");
}

/// What anybody can send without an account may not cost a look at the store.
#[tokio::test]
async fn a_broken_seal_is_refused_without_a_look_at_the_store() {
    let (desk, elsewhere) = (Desk::new().await, Desk::new().await);
    let foreign = elsewhere.person(None, "lan").await;
    desk.person(None, "lan").await;
    let foreign = elsewhere.chat().open_session(&foreign).await.unwrap();
    let reads = desk.app.app.engine.reads();
    for sealed in [foreign.as_str(), "", "1|secret", &"A".repeat(100), "é"] {
        let refused = desk.chat().authenticate_session(sealed).await;
        assert!(matches!(refused, Err(Error::Unauthenticated)), "{sealed}: {refused:?}");
        assert!(!desk.chat().close_session(sealed).await.unwrap());
    }
    assert_eq!(desk.app.app.engine.reads(), reads);
}
