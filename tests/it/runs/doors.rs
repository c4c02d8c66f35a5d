//! Answers that nothing is kept of cost as much as others.

use reqwest::{Method, StatusCode};
use roost::config::TenantBudget;
use roost::local::scripted::{Script, Step, events, text};
use serde_json::json;

use super::{a_cent_each, costly};
use crate::support::app::{TestApp, until_async, whole_answer};
use crate::support::openai::user;
use crate::support::provider::provided_with;

const MODEL: &str = "openrouter/deepseek-chat";
const COMPLETIONS: &str = "/v1/chat/completions";

/// Waits until so much was spent: that is noted when such an answer has ended, in the background.
async fn await_spent(app: &TestApp, want: f64) {
    until_async(async || (app.figure("budget_money_total").await - want).abs() < 1e-9).await;
}

#[tokio::test]
async fn an_answer_that_is_kept_nowhere_is_paid_for() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            a_cent_each(config);
            config.budgets.tenant_money = 0.025;
            config.budgets.answer = "Come back tomorrow.".to_owned();
        },
    )
    .await;
    let (lan, mai) = (app.key_holder("Lan").await, app.member("Mai").await);
    let completion = json!({"model": "default", "messages": user("hello")});
    let told = async || {
        let request = lan.request(Method::POST, COMPLETIONS).json(&completion);
        let (status, headers, body) = whole_answer(request).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body["choices"][0]["message"]["content"].clone(), headers["x-budget-remaining"].to_str().unwrap().to_owned())
    };
    assert_eq!(told().await, (json!("Paid."), "money=0.015".to_owned()));
    await_spent(&app, 0.01).await;

    let asked = mai.asks(MODEL, None, json!([{"role": "user", "content": "hello"}])).await;
    assert_eq!(asked.headers()["x-budget-remaining"], "money=0.005");
    assert!(asked.text().await.unwrap().contains("Paid."));
    await_spent(&app, 0.02).await;

    assert_eq!(told().await, (json!("Come back tomorrow."), "money=0.005".to_owned()));
    let asked = mai.asks(MODEL, None, json!([{"role": "user", "content": "hello"}])).await;
    assert!(asked.text().await.unwrap().contains("Come back tomorrow."));
    assert_eq!(provider.seen().len(), 2);
    await_spent(&app, 0.02).await;
}

/// Who asks for a stream and goes away pays for what was made until then.
#[tokio::test]
async fn who_goes_away_has_paid() {
    let plan = |_: &_| Script(vec![events(), text("Half an answer "), Step::Hang]);
    let (provider, app) = provided_with(plan, |config| {
        a_cent_each(config);
        config.budgets.tenant_money = 1.0;
    })
    .await;
    let lan = app.key_holder("Lan").await;
    let mut stream = lan.hears(COMPLETIONS, json!({"model": "default", "messages": user("hi"), "stream": true})).await;
    while stream.next().await.unwrap().data["choices"][0]["delta"]["content"] != "Half an answer " {}
    drop(stream);
    provider.until(|seen| seen[0].is_left()).await.unwrap();
    until_async(async || app.figure("budget_money_total").await > 0.0).await;
    assert!(app.figure("budget_money_total").await < 0.01, "not all that was put aside");
}

/// A tenant's budget is that of its people, also in conversations that belong to them alone.
#[tokio::test]
async fn a_tenants_people_pay_from_its_purse() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            a_cent_each(config);
            config.budgets.answer = "Come back tomorrow.".to_owned();
            let acme = TenantBudget { tenant_money: Some(0.01), ..TenantBudget::default() };
            config.budgets.tenants.insert("acme".to_owned(), acme);
        },
    )
    .await;
    let acme = app.platform("Acme").await;
    let (ana, lan) = (app.key_holder_of(Some(&acme), "Ana").await, app.key_holder("Lan").await);
    let body = json!({"model": "default", "messages": user("hello"), "conversation": "c"});
    for (holder, want) in [(&ana, "Paid."), (&ana, "Come back tomorrow."), (&lan, "Paid."), (&lan, "Paid.")] {
        let answer = holder.asks(COMPLETIONS, body.clone()).await;
        assert_eq!(answer["choices"][0]["message"]["content"], want);
    }
    assert_eq!(provider.seen().len(), 3);
}
