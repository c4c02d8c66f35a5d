//! Budgets as an operator sets them: who pays for an answer, what is left, and what becomes of one that costs too much.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use roost::chat::{Budgeted, Estimate, Granted, Instead, Over, Payer, SharedChat};
use roost::config::{Budgets, OverBudget, TenantBudget};
use roost::domain::{ConversationId, Day, Left, Money, PurseKind, Usage, UserId};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::support::app::TestApp;

async fn app(change: impl FnOnce(&mut Budgets)) -> TestApp {
    TestApp::with(|config| change(&mut config.budgets)).await
}

fn takes(tokens: u64, money: i64) -> Usage {
    Usage { prompt_tokens: tokens / 2, completion_tokens: tokens - tokens / 2, cost: Money(money), is_estimated: true }
}

/// Somebody whom nobody knows, in a session of their own.
fn stranger(number: u32) -> Payer {
    Payer {
        session: Some(ConversationId(i64::from(number))),
        address: Some(IpAddr::from(u32::to_be_bytes(0xc000_0200 + number % 7))),
        ..Payer::default()
    }
}

async fn ask(chat: &SharedChat, payer: &Payer, most: impl Into<Estimate>) -> (Uuid, Budgeted) {
    let run = Uuid::new_v4();
    (run, chat.reserve_budget(payer, most, run).await.expect("the store answers"))
}

fn granted(budgeted: Budgeted) -> Granted {
    match budgeted {
        Budgeted::Granted(granted) => granted,
        Budgeted::Over(over) => panic!("{over:?}"),
    }
}

fn over(budgeted: Budgeted) -> Over {
    match budgeted {
        Budgeted::Over(over) => over,
        Budgeted::Granted(granted) => panic!("{granted:?}"),
    }
}

#[tokio::test]
async fn without_limits_everything_is_granted() {
    let app = app(|_| {}).await;
    let (run, first) = ask(&app.app.chat, &stranger(1), takes(u64::MAX, i64::MAX)).await;
    assert_eq!(granted(first), Granted::default());
    assert_eq!(app.app.chat.budget_told(Left::default()), None);
    app.app.chat.settle_budget(run, takes(100, 2_500_000)).await.unwrap();
    assert!((app.figure("budget_tokens_total").await - 100.0).abs() < 0.5, "it is counted all the same");
    assert!((app.figure("budget_money_total").await - 2.5).abs() < 1e-6);
}

#[tokio::test]
async fn what_is_left_is_told() {
    let app = app(|budgets| {
        (budgets.tenant_money, budgets.session_tokens) = (2.0, 1000);
        budgets.currency = "EUR".to_owned();
    })
    .await;
    let chat = &app.app.chat;
    let (run, first) = ask(chat, &stranger(1), takes(400, 500_000)).await;
    let told = |granted: Granted| chat.budget_told(granted.left);
    assert_eq!(told(granted(first)).as_deref(), Some("tokens=600, money=1.5;currency=EUR"));
    chat.settle_budget(run, takes(10, 1000)).await.unwrap();
    chat.settle_budget(run, takes(10, 1000)).await.unwrap();
    let (_, other) = ask(chat, &stranger(2), takes(1, 0)).await;
    assert_eq!(told(granted(other)).as_deref(), Some("tokens=999, money=1.999;currency=EUR"), "another session's");
    let (_, none) = ask(chat, &stranger(1), takes(991, 0)).await;
    let none = over(none);
    assert_eq!(
        (none.whose, chat.budget_told(none.left).as_deref()),
        (PurseKind::Session, Some("tokens=990, money=1.999;currency=EUR"))
    );
    assert!((app.figure("budget_tokens_total").await - 10.0).abs() < 0.5, "settled once");
    assert!((app.figure("budget_refusals_total").await - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn a_day_brings_new_money() {
    let app = app(|budgets| budgets.address_tokens = 100).await;
    let chat = &app.app.chat;
    let there = |address: &str| Payer { address: Some(address.parse().unwrap()), ..Payer::default() };
    granted(ask(chat, &there("2001:db8::1"), takes(100, 0)).await.1);
    let refused = over(ask(chat, &there("2001:db8::2"), takes(1, 0)).await.1);
    assert_eq!(refused.whose, PurseKind::Address, "one customer has many addresses");
    granted(ask(chat, &there("2001:db8:0:1::1"), takes(100, 0)).await.1);
    app.clock.advance(Duration::from_secs(24 * 3600));
    granted(ask(chat, &there("2001:db8::1"), takes(100, 0)).await.1);
}

#[tokio::test]
async fn over_budget_becomes_what_the_operator_chose() {
    let expensive = Estimate { asked: takes(101, 0), cheaper: None };
    let choose = |over| app(move |budgets| (budgets.user_tokens, budgets.over) = (100, over));
    let user = Payer { user: Some(UserId(1)), ..Payer::default() };
    let text: Arc<str> = Budgets::default().answer.into();
    for (chosen, instead) in [
        (OverBudget::Answer, Instead::Answer(Arc::clone(&text))),
        (OverBudget::Cheaper, Instead::Answer(Arc::clone(&text))),
        (OverBudget::Person, Instead::Person(Arc::clone(&text))),
        (OverBudget::Refuse, Instead::Refuse),
    ] {
        let app = choose(chosen).await;
        let refused = over(ask(&app.app.chat, &user, expensive).await.1);
        assert_eq!(
            (refused.whose, refused.instead, refused.full_in),
            (PurseKind::User, instead, None),
            "it never fits"
        );
        granted(ask(&app.app.chat, &user, takes(100, 0)).await.1);
        let refused = over(ask(&app.app.chat, &user, takes(1, 0)).await.1);
        let full_in = refused.full_in.expect("there is more tomorrow");
        app.clock.advance(full_in - Duration::from_millis(1));
        over(ask(&app.app.chat, &user, takes(1, 0)).await.1);
        app.clock.advance(Duration::from_millis(1));
        granted(ask(&app.app.chat, &user, takes(1, 0)).await.1);
    }
}

#[tokio::test]
async fn a_cheaper_model_answers_while_there_is_room_for_it() {
    let app = app(|budgets| (budgets.tenant_money, budgets.over) = (1.0, OverBudget::Cheaper)).await;
    let chat = &app.app.chat;
    let most = Estimate { asked: takes(10, 600_000), cheaper: Some(takes(10, 150_000)) };
    let mut cheaper = Vec::new();
    for _ in 0..3 {
        cheaper.push(granted(ask(chat, &stranger(1), most).await.1).is_cheaper);
    }
    assert_eq!(cheaper, [false, true, true], "0.6, 0.15, 0.15");
    assert!(matches!(over(ask(chat, &stranger(1), most).await.1).instead, Instead::Answer(_)));
    let free = Estimate { asked: takes(10, 600_000), cheaper: Some(takes(10, 0)) };
    assert!(granted(ask(chat, &stranger(1), free).await.1).is_cheaper, "what costs nothing has room");
    assert!((app.figure("budget_cheaper_total").await - 3.0).abs() < 0.5);
}

#[tokio::test]
async fn a_tenant_may_have_other_limits() {
    let app = app(|budgets| {
        (budgets.tenant_tokens, budgets.user_tokens) = (100, 50);
        let acme = TenantBudget { tenant_tokens: Some(1000), user_tokens: Some(0), ..TenantBudget::default() };
        budgets.tenants.insert("acme".to_owned(), acme);
    })
    .await;
    let (acme, other) = (app.platform("Acme").await, app.platform("Other").await);
    let of = |tenant| Payer { tenant, user: Some(UserId(1)), ..Payer::default() };
    let chat = &app.app.chat;
    let tokens = async |payer: Payer, tokens| granted(ask(chat, &payer, takes(tokens, 0)).await.1).left.tokens;
    assert_eq!(tokens(of(Some(acme.id)), 900).await, Some(100), "its user has no limit");
    assert_eq!(tokens(of(Some(other.id)), 20).await, Some(30));
    assert_eq!(tokens(Payer { user: None, ..of(Some(other.id)) }, 80).await, Some(0), "each tenant has its own purse");
    assert_eq!(tokens(Payer { user: None, ..of(None) }, 100).await, Some(0), "and so has who belongs to none");
}

#[tokio::test]
async fn what_a_dead_node_put_aside_is_spent() {
    let mut app = app(|budgets| budgets.tenant_tokens = 100).await;
    // Not in the last hour of a day: the next one has a purse of its own.
    app.clock.advance(Day::rest(app.app.chat.now()));
    let (run, first) = ask(&app.app.chat, &stranger(1), takes(60, 0)).await;
    granted(first);
    app.restart().await;
    let left = async |app: &TestApp| {
        let refused = over(ask(&app.app.chat, &stranger(1), takes(1000, 0)).await.1);
        refused.left.tokens.expect("a limit")
    };
    assert_eq!(left(&app).await, 40, "put aside or spent, it is not there");
    app.clock.advance(Duration::from_secs(3600));
    app.app.chat.tend_budgets().await.unwrap();
    app.await_figure("budget_lapsed_total", 1.0).await;
    assert_eq!(left(&app).await, 40);
    app.app.chat.settle_budget(run, takes(10, 0)).await.unwrap();
    assert_eq!(left(&app).await, 90, "it was not dead");
}

/// What the issue asks to be shown.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_hundred_strangers_cannot_spend_a_call_too_much() {
    let app = app(|budgets| budgets.tenant_money = 1.0).await;
    let chat = &app.app.chat;
    let come: JoinSet<_> = (0..200)
        .map(|number| {
            let chat = Arc::clone(chat);
            async move {
                let (run, budgeted) = ask(&chat, &stranger(number), takes(100, 30_000)).await;
                if matches!(budgeted, Budgeted::Over(_)) {
                    return 0;
                }
                chat.settle_budget(run, takes(90, 30_000)).await.expect("the store answers");
                30_000
            }
        })
        .collect();
    let spent: i64 = come.join_all().await.into_iter().sum();
    assert_eq!(spent, 990_000, "33 of them, and then no more");
    assert!((app.figure("budget_money_total").await - 0.99).abs() < 1e-6);
    assert!((app.figure("budget_refusals_total").await - 167.0).abs() < 0.5);
}
