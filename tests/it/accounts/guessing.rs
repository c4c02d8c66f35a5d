//! Guessing passwords and codes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use roost::error::Error;

use super::{Desk, PASSWORD, email, home};
use crate::support::app::TestApp;
use crate::support::smtp::Smtp;

/// A thousand guesses at once are all let in before the first of them has failed, unless somebody
/// looks again where they wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn guesses_that_come_at_once_are_counted_one_by_one() {
    let desk = Desk::new().await;
    desk.person(None, "lan").await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let chat = Arc::clone(desk.chat());
        tries.spawn(async move { chat.check_sign_in(None, &email("lan"), "a guess".to_owned(), home()).await });
    }
    let mut counts = BTreeMap::new();
    for outcome in tries.join_all().await {
        let kind = match outcome {
            Err(Error::Unauthenticated) => "checked",
            Err(Error::TooMany(_)) => "refused",
            other => panic!("{other:?}"),
        };
        *counts.entry(kind).or_insert(0) += 1;
    }
    let accounts = &desk.app.config.accounts;
    let most = accounts.sign_in_free_tries as usize + accounts.hashes_max - 1;
    assert!(counts["checked"] <= most, "{counts:?}");
    assert!(counts["checked"] >= accounts.sign_in_free_tries as usize, "{counts:?}");
}

#[tokio::test]
async fn a_right_password_has_to_wait_too_and_then_forgets() {
    if crate::support::engine::is_other("waits by the clock of the test") {
        return;
    }
    let desk = Desk::new().await;
    desk.person(None, "lan").await;
    for _ in 0..5 {
        let wrong = desk.signs_in(None, "lan", "a wrong password").await;
        assert!(matches!(wrong, Err(Error::Unauthenticated)), "{wrong:?}");
    }
    let early = desk.signs_in(None, "lan", PASSWORD).await;
    assert!(matches!(early, Err(Error::TooMany(wait)) if wait <= Duration::from_secs(1)), "{early:?}");
    let away = IpAddr::from([198, 51, 100, 1]);
    let lan = email("lan");
    let from_away = |password: &str| desk.chat().check_sign_in(None, &lan, password.to_owned(), away);
    assert!(matches!(from_away(PASSWORD).await.unwrap_err(), Error::TooMany(_)), "from everywhere");
    desk.app.clock.advance(Duration::from_secs(1));
    from_away(PASSWORD).await.unwrap();
    for _ in 0..5 {
        assert!(matches!(from_away("a wrong password").await.unwrap_err(), Error::Unauthenticated), "it began anew");
    }
    desk.app.clock.advance(Duration::from_secs(3600));
    for _ in 0..5 {
        assert!(matches!(from_away("a wrong password").await.unwrap_err(), Error::Unauthenticated), "after an hour");
    }
}

/// Each tenant's account has its own count, so that guesses at one lock nobody out of another.
#[tokio::test]
async fn guesses_count_by_platform_whether_there_is_an_account_or_not() {
    let desk = Desk::new().await;
    let (acme, other) = (desk.platform("Acme").await, desk.platform("Other").await);
    desk.person(Some(&acme), "lan").await;
    for name in ["lan", "nobody"] {
        for number in 0..5 {
            let from = IpAddr::from([198, 51, 100, number]);
            let guess = desk.chat().check_sign_in(Some(&acme), &email(name), "a guess".to_owned(), from).await;
            assert!(matches!(guess, Err(Error::Unauthenticated)), "{guess:?}");
        }
        let early = desk.signs_in(Some(&acme), name, PASSWORD).await;
        assert!(matches!(early, Err(Error::TooMany(_))), "{name}: {early:?}");
        let elsewhere = desk.signs_in(Some(&other), name, PASSWORD).await;
        assert!(matches!(elsewhere, Err(Error::Unauthenticated)), "{name}: {elsewhere:?}");
    }
}

async fn mailing() -> (Desk, Smtp) {
    let smtp = Smtp::start().await;
    let app = TestApp::with(|config| {
        config.mail.smtp_url.clone_from(&smtp.url);
        config.mail.from = "Roost <roost@example.test>".to_owned();
    });
    (Desk { app: app.await }, smtp)
}

impl Desk {
    async fn resets(&self, name: &str, code: &str, password: &str) -> roost::error::Result<bool> {
        self.chat().reset_password(None, &email(name), code, password.to_owned(), home()).await
    }
}

#[tokio::test]
async fn a_mailed_code_sets_a_password_once() {
    let (desk, smtp) = mailing().await;
    let lan = desk.person(None, "lan").await;
    let session = desk.chat().open_session(&lan).await.unwrap();
    desk.chat().send_code(None, &email("nobody"), 5).await.unwrap();
    desk.chat().send_code(None, &email("lan"), 5).await.unwrap();
    let code = smtp.code("lan@example.test", 1).await;
    assert_eq!(code.len(), 5);
    assert!(smtp.to("nobody@example.test").is_empty());

    assert!(!desk.resets("nobody", &code, "a new password").await.unwrap());
    assert!(desk.resets("lan", &code, "a new password").await.unwrap());
    assert!(!desk.resets("lan", &code, "another password").await.unwrap(), "it is spent");
    assert!(desk.chat().authenticate_session(&session).await.is_err(), "who was in is out");
    assert!(desk.signs_in(None, "lan", PASSWORD).await.is_err());
    desk.signs_in(None, "lan", "a new password").await.unwrap();
}

#[tokio::test]
async fn who_is_switched_off_gets_no_letter_and_no_new_password() {
    let (desk, smtp) = mailing().await;
    let (lan, _) = (desk.person(None, "lan").await, desk.person(None, "minh").await);
    desk.chat().send_code(None, &email("lan"), 5).await.unwrap();
    let code = smtp.code("lan@example.test", 1).await;
    desk.chat().set_active(lan.id, false).await.unwrap();
    assert!(!desk.resets("lan", &code, "a new password").await.unwrap());
    desk.app.clock.advance(Duration::from_secs(60));
    for name in ["lan", "minh"] {
        desk.chat().send_code(None, &email(name), 5).await.unwrap();
    }
    smtp.code("minh@example.test", 1).await;
    assert_eq!(smtp.to("lan@example.test").len(), 1, "none after the one from before");
}

#[tokio::test]
async fn guessed_codes_cost_waits_also_for_accounts_that_are_not_there() {
    let desk = Desk::new().await;
    desk.person(None, "lan").await;
    for name in ["lan", "nobody"] {
        let from = |number| IpAddr::from([198, 51, 100, number]);
        let guess = |number| {
            let password = "a new password".to_owned();
            let (chat, email) = (Arc::clone(desk.chat()), email(name));
            async move { chat.reset_password(None, &email, "00000", password, from(number)).await }
        };
        for number in 0..5 {
            assert!(!guess(number).await.unwrap());
        }
        let early = guess(6).await;
        assert!(matches!(early, Err(Error::TooMany(_))), "{name}: {early:?}");
        let early = desk.signs_in(None, name, PASSWORD).await;
        assert!(matches!(early, Err(Error::TooMany(_))), "a code is another password: {early:?}");
    }
}
