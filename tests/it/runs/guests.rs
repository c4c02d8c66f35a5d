//! What answers to guests may cost, and how they make way for further messages.

use roost::config::{OverBudget, WhileAnswering};
use roost::local::scripted::{Script, Step, done, events, finish, text as piece};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{a_cent_each, costly};
use crate::support::app::Guest;
use crate::support::provider::provided_with;

/// What the assistant says to that.
async fn answer_to(guest: &Guest<'_>, said: &str) -> String {
    let asked = guest.says(said).await;
    let answer = guest.follows(asked["id"].as_i64().unwrap()).await.next_of("message").await.unwrap();
    assert_eq!(answer.data["is_bot"], json!(true));
    answer.data["message"].as_str().expect("text").to_owned()
}

#[tokio::test]
async fn guests_behind_one_address_have_one_budget() {
    let (provider, app) = provided_with(
        |_| costly("Paid."),
        |config| {
            a_cent_each(config);
            config.guest.assistant = true;
            (config.budgets.address_money, config.budgets.over) = (0.025, OverBudget::Answer);
            config.budgets.answer = "Come back tomorrow.".to_owned();
        },
    )
    .await;
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(answer_to(&app.guest().await, "hello").await);
    }
    assert_eq!(answers, ["Paid.", "Paid.", "Come back tomorrow.", "Come back tomorrow."]);
    assert_eq!(provider.seen().len(), 2);
}

/// Where a chat has one answer at once, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_who_goes_on_interrupts_the_answer() {
    let never = CancellationToken::new();
    let held = never.clone();
    let (provider, app) = provided_with(
        move |seen| match seen.number {
            0 => Script(vec![events(), piece("Well, "), Step::Until(held.clone()), finish("stop"), done()]),
            _ => Script::chat(&["Both."]),
        },
        |config| {
            config.guest.assistant = true;
            config.assistant.while_answering = WhileAnswering::Interrupt;
            config.assistant.runs_per_conversation_max = 1;
        },
    )
    .await;
    let guest = app.guest().await;
    let first = guest.says("first").await;
    provider.until(|seen| seen.len() == 1).await.unwrap();
    let mut events = guest.follows(first["id"].as_i64().unwrap()).await;
    events.next_of("run_text").await.expect("its first piece");
    guest.says("second").await;
    let mut said = Vec::new();
    while said.len() < 3 {
        said.push(events.next_of("message").await.unwrap().data["message"].clone());
    }
    assert_eq!(said, ["second", "Well, ", "Both."]);
    provider.until(|seen| seen[0].is_left()).await.unwrap();
}
