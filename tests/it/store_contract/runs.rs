//! An answer outlives its connection: runs, from question to end.

use std::sync::Arc;

use roost::domain::{
    ConversationId, Event, EventBody, EventId, Message, Money, OpenRun, Run, RunId, RunOutcome, RunReason, RunState,
    RunText, Timestamp, fold_runs,
};
use roost::error::{Error, Subject};
use roost::store::{NewRun, RunEnd, SharedStore};
use uuid::Uuid;

use super::benches;
use crate::support::store::{answer, assistant_session, at, new_run, run_end, run_text, texts};

/// Who makes the answers.
const NODE: Uuid = Uuid::from_u128(1);

fn new(question: &Message, n: u128) -> NewRun {
    NewRun { uuid: Uuid::from_u128(n), ..new_run(question, NODE) }
}

async fn begun(store: &SharedStore, question: &Message, n: u128) -> Arc<Run> {
    Arc::new(store.begin_run(new(question, n)).await.unwrap())
}

/// Tells pieces of one answer, the first at that place.
async fn tell(store: &SharedStore, run: &Run, mut start: u64, pieces: &[&str]) -> Vec<bool> {
    let mut texts = Vec::new();
    for piece in pieces {
        texts.push(run_text(run, start, piece));
        start += piece.len() as u64;
    }
    store.tell_runs(texts).await.unwrap()
}

async fn open(store: &SharedStore) -> Vec<OpenRun> {
    store.open_runs(Timestamp(i64::MAX)).await.unwrap()
}

/// What an event says of runs, in short.
fn said(event: &Event) -> String {
    match &event.body {
        EventBody::RunChanged { state, .. } => state.as_str().to_owned(),
        EventBody::RunTold(RunText { start, text, .. }) => format!("{start}:{text}"),
        EventBody::MessageAdded(message) => format!("+{}", message.text),
        EventBody::MessageGone => "gone".to_owned(),
        EventBody::MessageDeleted { .. } => "-".to_owned(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_run_is_in_the_log_piece_by_piece_and_becomes_an_answer() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = begun(&bench.store, &question, 7).await;
        assert_eq!((run.uuid, run.question_uuid, run.state), (Uuid::from_u128(7), question.uuid, RunState::Running));
        assert_eq!((run.event_id, run.outcome(), run.answer_id), (question.id, None, None));
        assert_eq!(tell(&bench.store, &run, 0, &["Forty", "-"]).await, [true, true]);
        assert_eq!(tell(&bench.store, &run, 6, &["two"]).await, [true]);
        let under_way = bench.store.runs_under_way(session.id).await.unwrap();
        assert_eq!(under_way, [OpenRun { run: Run::clone(&run), text: "Forty-two".to_owned() }]);
        assert_eq!(open(&bench.store).await, under_way);

        let stored =
            bench.store.end_run(run.id, run_end(RunOutcome::Completed, Some(answer(&question, "Forty-two")))).await;
        let stored = stored.unwrap().unwrap();
        assert_eq!(bench.store.answer_to(session.id, question.id).await.unwrap(), Some(stored.clone()));
        let ended = bench.store.run_for(session.id, question.id).await.unwrap().unwrap();
        assert_eq!((ended.outcome(), ended.reason), (Some(RunOutcome::Completed), Some(RunReason::Asked)));
        assert_eq!((ended.answer_id, ended.answer_uuid), (Some(stored.id), Some(stored.uuid)));
        assert_eq!(ended.by, Some(("house".into(), "small".into())));
        assert_eq!((ended.usage.tokens(), ended.usage.cost, ended.usage.is_estimated), (5, Money(70), true));
        assert!(ended.ended_at.is_some());
        assert_eq!(open(&bench.store).await, []);

        let log = bench.store.events(session.id, EventId::START, 100).await.unwrap();
        let told: Vec<_> = log.iter().map(said).collect();
        assert_eq!(told, ["+?", "running", "0:Forty", "5:-", "6:two", "+Forty-two", "completed"]);
        assert_eq!(log.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
        let heard = bench.heard.events();
        assert_eq!(heard.iter().map(said).collect::<Vec<_>>(), told, "and as it was told");
        assert_eq!(heard.last(), log.last());
    }
}

/// Whoever has a snapshot and the events after it has the snapshot now.
#[tokio::test]
async fn the_fold_of_the_events_is_the_answers_under_way() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let (one, two) = (bench.say(&session, "1?").await, bench.say(&session, "2?").await);
        let first = begun(&bench.store, &one, 1).await;
        tell(&bench.store, &first, 0, &["Xin ", "chào"]).await;
        let cursor = bench.store.events(session.id, EventId::START, 100).await.unwrap().pop().unwrap().id;
        let mut folded = bench.store.runs_under_way(session.id).await.unwrap();
        let waiting = bench.store.begin_run(NewRun { is_queued: true, ..new(&two, 2) }).await.unwrap();
        assert_eq!(waiting.state, RunState::Queued);
        tell(&bench.store, &first, 9, &["!"]).await;
        let started = bench.store.start_run(waiting.id, at(2)).await.unwrap().unwrap();
        assert_eq!(started.state, RunState::Running);
        assert_eq!(bench.store.start_run(waiting.id, at(2)).await.unwrap(), None, "it does not wait any more");
        tell(&bench.store, &started, 0, &["Hello"]).await;
        bench.store.end_run(first.id, run_end(RunOutcome::Stopped, Some(answer(&one, "Xin chào!")))).await.unwrap();
        let all = bench.store.events(session.id, EventId::START, 100).await.unwrap();
        let later: Vec<_> = all.iter().filter(|event| event.id > cursor).collect();
        fold_runs(&mut folded, later);
        assert_eq!(folded, bench.store.runs_under_way(session.id).await.unwrap());
        let mut from_nothing = Vec::new();
        fold_runs(&mut from_nothing, &all);
        fold_runs(&mut from_nothing, &all);
        assert_eq!(from_nothing, folded, "also twice");
    }
}

#[tokio::test]
async fn a_run_ends_once() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = begun(&bench.store, &question, 1).await;
        let finish = |outcome, text| bench.store.end_run(run.id, run_end(outcome, Some(answer(&question, text))));
        let first = finish(RunOutcome::Stopped, "Forty").await.unwrap();
        let again = finish(RunOutcome::Completed, "Forty-two").await.unwrap();
        assert_eq!(again, first, "the answer that it ended with");
        let count = bench.heard.events().len();
        assert_eq!(tell(&bench.store, &run, 5, &["too late"]).await, [false]);
        assert_eq!(bench.heard.events().len(), count, "nothing is added to what has ended");
        let kept = bench.store.run_for(session.id, question.id).await.unwrap().unwrap();
        assert_eq!(kept.outcome(), Some(RunOutcome::Stopped));
        assert_eq!(texts(&bench.messages(session.id).await), ["?", "Forty"]);
    }
}

/// A question that is asked again has two runs: each has its own answer, or none.
#[tokio::test]
async fn an_ended_run_answers_for_itself_only() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let mut runs = Vec::new();
        for (n, text) in [(1, Some("first")), (2, None), (3, Some("third"))] {
            let run = begun(&bench.store, &question, n).await;
            let said = text.map(|text| answer(&question, text));
            let ended = bench.store.end_run(run.id, run_end(RunOutcome::Failed, said)).await.unwrap();
            assert_eq!(ended.as_ref().map(|message| message.text.as_str()), text);
            runs.push((run.id, ended));
        }
        assert_eq!(bench.store.run_for(session.id, question.id).await.unwrap().unwrap().id, runs[2].0);
        for (run, ended) in &runs {
            let again = bench.store.end_run(*run, run_end(RunOutcome::Completed, None)).await.unwrap();
            assert_eq!(again, *ended);
        }
        let first = runs[0].1.clone().unwrap();
        bench.store.delete_message(session.id, first.id, at(2)).await.unwrap();
        let gone = bench.store.end_run(runs[0].0, run_end(RunOutcome::Completed, None)).await.unwrap();
        assert_eq!(gone, None, "what was deleted is not handed out again");
    }
}

#[tokio::test]
async fn an_answer_can_take_the_place_of_another() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let first = begun(&bench.store, &question, 1).await;
        let bad = bench.store.end_run(first.id, run_end(RunOutcome::Failed, Some(answer(&question, "no")))).await;
        let bad = bad.unwrap().unwrap();
        let replaces = Some(bad.id);
        let second = begun(&bench.store, &question, 2).await;
        let nothing = RunEnd { replaces, ..run_end(RunOutcome::Failed, None) };
        bench.store.end_run(second.id, nothing).await.unwrap();
        assert_eq!(texts(&bench.messages(session.id).await), ["?", "no"], "nothing takes no place");
        let third = begun(&bench.store, &question, 3).await;
        let better = RunEnd { replaces, ..run_end(RunOutcome::Completed, Some(answer(&question, "yes"))) };
        bench.store.end_run(third.id, better).await.unwrap();
        assert_eq!(texts(&bench.messages(session.id).await), ["?", "yes"]);
    }
}

/// What somebody deletes is told to nobody any more: neither whole nor as it was made.
#[tokio::test]
async fn the_pieces_of_a_deleted_answer_are_forgotten() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let (run, other) = (begun(&bench.store, &question, 1).await, begun(&bench.store, &question, 2).await);
        tell(&bench.store, &run, 0, &["secret"]).await;
        tell(&bench.store, &other, 0, &["kept"]).await;
        let told = bench.store.end_run(run.id, run_end(RunOutcome::Completed, Some(answer(&question, "secret")))).await;
        let told = told.unwrap().unwrap();
        assert!(bench.store.delete_message(session.id, told.id, at(4)).await.unwrap());
        let log = bench.store.events(session.id, EventId::START, 100).await.unwrap();
        let told: Vec<_> = log.iter().map(said).collect();
        assert_eq!(told, ["+?", "running", "running", "0:", "0:kept", "gone", "completed", "-"]);
        assert_eq!(bench.store.runs_under_way(session.id).await.unwrap()[0].text, "kept");
    }
}

#[tokio::test]
async fn an_end_that_is_refused_leaves_the_run_open() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = begun(&bench.store, &question, 1).await;
        let mut lost = answer(&question, "nowhere");
        lost.conversation_id = ConversationId(session.id.0 + 1);
        let refused = bench.store.end_run(run.id, run_end(RunOutcome::Completed, Some(lost))).await;
        assert!(matches!(refused, Err(Error::NotFound(Subject::Conversation))), "{refused:?}");
        assert_eq!(open(&bench.store).await.len(), 1, "both or neither");
        assert_eq!(bench.heard.events().len(), 2, "and nothing is told");
    }
}

#[tokio::test]
async fn what_a_crash_cut_off_is_found_after_the_start() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let (one, two) = (bench.say(&session, "1?").await, bench.say(&session, "2?").await);
        let cut = begun(&bench.store, &one, 1).await;
        let ended = begun(&bench.store, &two, 2).await;
        tell(&bench.store, &cut, 0, &["what had ", "arrived"]).await;
        let nothing = bench.store.end_run(ended.id, run_end(RunOutcome::Failed, None)).await.unwrap();
        assert_eq!(nothing, None);
        let bench = bench.reopen().await;
        let open = open(&bench.store).await;
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].run.id, open[0].text.as_str()), (cut.id, "what had arrived"));
    }
}

#[tokio::test]
async fn runs_belong_to_their_conversation() {
    for bench in benches().await {
        let (session, other) = (bench.add(assistant_session("a")).await, bench.add(assistant_session("b")).await);
        let question = bench.say(&session, "?").await;
        let run = begun(&bench.store, &question, 1).await;
        assert_eq!(bench.store.run_for(other.id, question.id).await.unwrap(), None);
        assert_eq!(bench.store.runs_under_way(other.id).await.unwrap(), []);
        let nowhere = NewRun { conversation_id: ConversationId(other.id.0 + 1), ..new(&question, 2) };
        let nowhere = bench.store.begin_run(nowhere).await;
        assert!(matches!(nowhere, Err(Error::NotFound(Subject::Conversation))), "{nowhere:?}");
        let foreign = NewRun { conversation_id: other.id, ..new(&question, 3) };
        let foreign = bench.store.begin_run(foreign).await;
        assert!(matches!(foreign, Err(Error::NotFound(Subject::Message))), "{foreign:?}");
        let unknown = RunId(run.id.0 + 1);
        assert_eq!(bench.store.end_run(unknown, run_end(RunOutcome::Completed, None)).await.unwrap(), None);
        assert_eq!(bench.store.start_run(unknown, at(2)).await.unwrap(), None);
        assert!(bench.store.remove_conversation(session.id).await.unwrap());
        assert_eq!(tell(&bench.store, &run, 0, &["lost"]).await, [false]);
        assert_eq!(open(&bench.store).await, [], "they go with it");
    }
}
