//! What answers may cost, as whoever asks sees it: by the provider's own count and the operator's prices.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use roost::config::{Config, ModelRoute, OverBudget, Price};
use roost::local::scripted::{Script, Seen, Step, done, events, finish, text as piece, usage};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{TOKENS, a_cent_each, costly};
use crate::chats::{Visitor, text};
use crate::support::app::{TestApp, until, whole_answer};
use crate::support::provider::{asked, provided_with};

const ASK: &str = "/api/chats/messages/chat/";

/// A tenant's limit, and what becomes of what would cost more.
fn limited(money: f64, over: OverBudget) -> impl FnOnce(&mut Config) {
    move |config| {
        a_cent_each(config);
        (config.budgets.tenant_money, config.budgets.over) = (money, over);
        config.budgets.answer = "Come back tomorrow.".to_owned();
    }
}

/// Asks: status, headers and body.
async fn ask(visitor: &Visitor<'_>, question: &str) -> (StatusCode, HeaderMap, Value) {
    whole_answer(visitor.app.request(Method::POST, ASK).json(&visitor.question(question))).await
}

/// What a header says is left.
fn left(headers: &HeaderMap) -> &str {
    headers["x-budget-remaining"].to_str().expect("text")
}

async fn spent(app: &TestApp) -> f64 {
    app.figure("budget_money_total").await
}

fn is(one: f64, other: f64) -> bool {
    (one - other).abs() < 1e-9
}

/// Seven answers fit in, and all are asked for at once. The provider keeps those that it gets until everybody else has been
/// told: so nobody gets in because somebody's answer has ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_who_ask_at_once_spend_no_more_than_there_is() {
    const ASKING: usize = 200;
    const FIT: usize = 7;
    let all_are_told = CancellationToken::new();
    let held = all_are_told.clone();
    let steps = move |_: &Seen| {
        Script(vec![
            Step::Until(held.clone()),
            events(),
            piece("Paid."),
            finish("stop"),
            usage(7, TOKENS as usize),
            done(),
        ])
    };
    let (provider, app) = provided_with(steps, limited(0.075, OverBudget::Answer)).await;
    let visitors = futures_util::future::join_all((0..ASKING).map(|_| app.visitor())).await;
    let told = Arc::new(AtomicUsize::new(0));
    let asking = visitors.iter().map(|visitor| async {
        let (status, headers, body) = ask(visitor, "hello").await;
        assert_eq!(status, StatusCode::OK, "{body}");
        told.fetch_add(1, Ordering::Relaxed);
        let answer = text(&body["response"]).to_owned();
        assert_eq!(text(&visitor.lists().await[1]["message"]), answer, "it is stored as it was said");
        (answer, left(&headers).to_owned())
    });
    let release = async {
        until(|| told.load(Ordering::Relaxed) == ASKING - FIT).await;
        assert_eq!(provider.seen().len(), FIT, "no more reach the provider");
        assert!(is(spent(&app).await, 0.0), "nothing is spent before it is taken");
        all_are_told.cancel();
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), release);
    let count = |said: &str| answers.iter().filter(|(answer, _)| answer == said).count();
    assert_eq!((count("Paid."), count("Come back tomorrow.")), (FIT, ASKING - FIT));
    assert!(answers.iter().filter(|(answer, _)| answer != "Paid.").all(|(_, left)| left == "money=0.005"));
    assert_eq!(provider.seen().len(), FIT);
    assert!(is(spent(&app).await, 0.07), "{}", spent(&app).await);
    assert!(is(app.figure("budget_refusals_total").await, (ASKING - FIT) as f64));
}

/// Answers that take less than they may leave room for more of them, and for none too many.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_did_not_take_is_there_for_others() {
    let plan = |_: &Seen| Script(vec![events(), piece("Paid."), finish("stop"), usage(7, 4), done()]);
    let (provider, app) = provided_with(plan, limited(0.075, OverBudget::Answer)).await;
    let visitors = futures_util::future::join_all((0..200).map(|_| app.visitor())).await;
    let answers = futures_util::future::join_all(visitors.iter().map(|visitor| visitor.asks("hello"))).await;
    let paid = answers.iter().filter(|answer| answer["response"] == "Paid.").count();
    assert!((7..=18).contains(&paid), "0.075 in answers of 0.004, for which 0.01 is put aside: {paid}");
    assert_eq!(provider.seen().len(), paid);
    assert!(is(spent(&app).await, paid as f64 * 0.004));
    // What is left is enough for one more only where 0.01 of it is.
    let mut more = 0;
    while app.visitor().await.asks("hello").await["response"] == "Paid." {
        more += 1;
    }
    assert_eq!(paid + more, 17, "after 0.068 there is no room for what may take 0.01");
}

#[tokio::test]
async fn what_is_left_is_told_and_goes_down() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            limited(0.035, OverBudget::Answer)(config);
            (config.budgets.session_tokens, config.budgets.currency) = (100_000, "EUR".to_owned());
        },
    )
    .await;
    let visitor = app.visitor().await;
    let (mut money, mut tokens) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (_, headers, _) = ask(&visitor, "hello").await;
        let (some, rest) = left(&headers).split_once(", ").expect("both kinds");
        tokens.push(some.strip_prefix("tokens=").expect("tokens").parse::<u64>().unwrap());
        money.push(rest.to_owned());
    }
    assert_eq!(money, ["money=0.025;currency=EUR", "money=0.015;currency=EUR", "money=0.005;currency=EUR"]);
    assert!(tokens.is_sorted_by(|one, next| one > next), "{tokens:?}");
    let (_, headers, _) = ask(&visitor, "hello").await;
    let told = left(&headers).to_owned();
    let (some, rest) = told.split_once(", ").expect("both kinds, also where only one has no room");
    assert!(some.strip_prefix("tokens=").expect("tokens").parse::<u64>().unwrap() >= tokens[2], "{told}");
    assert_eq!(rest, "money=0.005;currency=EUR", "nothing was put aside for what was not asked");
    let url = format!("{}/api/chats/messages/chat/stream/", app.url);
    let streamed = app.client.post(url).json(&visitor.question("hello")).send().await.unwrap();
    assert_eq!(left(streamed.headers()), told);
    assert_eq!(provider.seen().len(), 3);
}

#[tokio::test]
async fn a_cheaper_model_is_asked_while_there_is_room_for_it() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            limited(0.0122, OverBudget::Cheaper)(config);
            config.assistant.cheaper_model = "little".to_owned();
            let little = ModelRoute { provider: "openai".to_owned(), model: "little-one".to_owned() };
            config.assistant.models.insert("little".to_owned(), little);
            config.assistant.prices.insert("little-one".to_owned(), Price { prompt: 0.0, completion: 100.0 });
        },
    )
    .await;
    let visitor = app.visitor().await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(visitor.asks("hello").await["response"].clone());
    }
    assert_eq!(answers, ["Paid.", "Paid.", "Paid.", "Come back tomorrow."]);
    let models: Vec<_> = provider.seen().iter().map(|seen| asked(seen)["model"].clone()).collect();
    assert_eq!(models, ["scripted", "little-one", "little-one"]);
    assert!(is(spent(&app).await, 0.012), "{}", spent(&app).await);
}

/// In a guest's chat a member of staff gets it; whoever asks the assistant itself is told that a person has it.
#[tokio::test]
async fn a_person_gets_the_chat_where_one_is_free() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            limited(0.01, OverBudget::Person)(config);
            config.guest.assistant = true;
        },
    )
    .await;
    let (first, second, third) = (app.guest().await, app.guest().await, app.guest().await);
    let asked = first.says("hello").await;
    let answer = first.follows(asked["id"].as_i64().unwrap()).await.next_of("message").await.unwrap();
    assert_eq!(answer.data["message"], "Paid.");

    // Nobody is there: the text is the answer.
    let asked = second.says("hello").await;
    let answer = second.follows(asked["id"].as_i64().unwrap()).await.next_of("message").await.unwrap();
    assert_eq!((&answer.data["message"], &answer.data["is_bot"]), (&json!("Come back tomorrow."), &json!(true)));

    let mai = app.staff("Mai").await;
    let asked = third.says("hello").await;
    let mut events = third.follows(asked["id"].as_i64().unwrap()).await;
    let taken = events.next_of("session").await.unwrap();
    assert_eq!((&taken.data["change"], &taken.data["assigned_user_id"]), (&json!("assigned"), &json!(mai.id)));
    assert_eq!(third.session().await["assigned_user_id"], mai.id);

    let (fourth, nam) = (app.guest().await, app.staff("Nam").await);
    let (status, body) = app.post("/api/v1/chatbot", json!({"message": "hello", "session_key": fourth.key})).await;
    assert_eq!((status, &body["error"]["code"]), (StatusCode::FORBIDDEN, &json!("FORBIDDEN")), "{body}");
    assert_eq!(fourth.session().await["assigned_user_id"], nam.id);
    assert_eq!(provider.seen().len(), 1);
}
