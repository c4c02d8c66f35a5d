//! An answer outlives its connection: runs, from question to end.

use roost::domain::{ConversationId, Run, RunId, RunOutcome, Timestamp};
use roost::error::{Error, Subject};
use uuid::Uuid;

use super::benches;
use crate::support::store::{answer, assistant_session, at, texts};

/// Who makes the answers.
const NODE: Uuid = Uuid::from_u128(1);

#[tokio::test]
async fn a_run_collects_its_text_and_becomes_an_answer() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = bench.store.begin_run(session.id, question.id, NODE, at(1)).await.unwrap();
        for piece in ["Forty", "-", "two"] {
            bench.store.checkpoint_run(run, piece.to_owned()).await.unwrap();
        }
        let begun = Run {
            id: run,
            conversation_id: session.id,
            question_id: question.id,
            text: "Forty-two".to_owned(),
            outcome: None,
            answer_id: None,
        };
        assert_eq!(bench.store.run_for(session.id, question.id).await.unwrap(), Some(begun.clone()));
        assert_eq!(bench.heard.events().len(), 1, "the log holds messages, not pieces of them");

        let new = answer(&question, "Forty-two");
        let stored = bench.store.end_run(run, RunOutcome::Done, Some(new)).await.unwrap().unwrap();
        assert_eq!(bench.store.answer_to(session.id, question.id).await.unwrap(), Some(stored.clone()));
        assert!(bench.heard.has_heard(stored.id));
        let ended = Run { text: String::new(), outcome: Some(RunOutcome::Done), answer_id: Some(stored.id), ..begun };
        assert_eq!(bench.store.run_for(session.id, question.id).await.unwrap(), Some(ended));
        assert_eq!(bench.store.open_runs(Timestamp(i64::MAX)).await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_run_ends_once() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = bench.store.begin_run(session.id, question.id, NODE, at(1)).await.unwrap();
        let end = |outcome, text| bench.store.end_run(run, outcome, Some(answer(&question, text)));
        let first = end(RunOutcome::Stopped, "Forty").await.unwrap();
        let again = end(RunOutcome::Done, "Forty-two").await.unwrap();
        assert_eq!(again, first, "the answer that it ended with");
        bench.store.checkpoint_run(run, "too late".to_owned()).await.unwrap();
        let kept = bench.store.run_for(session.id, question.id).await.unwrap().unwrap();
        assert_eq!((kept.outcome, kept.text.as_str()), (Some(RunOutcome::Stopped), ""));
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
        for text in [Some("first"), None, Some("third")] {
            let run = bench.store.begin_run(session.id, question.id, NODE, at(1)).await.unwrap();
            let new = text.map(|text| answer(&question, text));
            let ended = bench.store.end_run(run, RunOutcome::Failed, new).await.unwrap();
            assert_eq!(ended.as_ref().map(|message| message.text.as_str()), text);
            runs.push((run, ended));
        }
        assert_eq!(bench.store.run_for(session.id, question.id).await.unwrap().unwrap().id, runs[2].0);
        for (run, ended) in &runs {
            let again = bench.store.end_run(*run, RunOutcome::Done, None).await.unwrap();
            assert_eq!(again, *ended);
        }
        let first = runs[0].1.clone().unwrap();
        bench.store.delete_message(session.id, first.id, at(2)).await.unwrap();
        let gone = bench.store.end_run(runs[0].0, RunOutcome::Done, None).await.unwrap();
        assert_eq!(gone, None, "what was deleted is not handed out again");
    }
}

#[tokio::test]
async fn an_end_that_is_refused_leaves_the_run_open() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let question = bench.say(&session, "?").await;
        let run = bench.store.begin_run(session.id, question.id, NODE, at(1)).await.unwrap();
        let mut lost = answer(&question, "nowhere");
        lost.conversation_id = ConversationId(session.id.0 + 1);
        let refused = bench.store.end_run(run, RunOutcome::Done, Some(lost)).await;
        assert!(matches!(refused, Err(Error::NotFound(Subject::Conversation))), "{refused:?}");
        assert_eq!(bench.store.open_runs(Timestamp(i64::MAX)).await.unwrap().len(), 1, "both or neither");
    }
}

#[tokio::test]
async fn what_a_crash_cut_off_is_found_after_the_start() {
    for bench in benches().await {
        let session = bench.add(assistant_session("a")).await;
        let (one, two) = (bench.say(&session, "1?").await, bench.say(&session, "2?").await);
        let cut = bench.store.begin_run(session.id, one.id, NODE, at(1)).await.unwrap();
        let ended = bench.store.begin_run(session.id, two.id, NODE, at(1)).await.unwrap();
        bench.store.checkpoint_run(cut, "what had arrived".to_owned()).await.unwrap();
        assert_eq!(bench.store.end_run(ended, RunOutcome::Failed, None).await.unwrap(), None);
        let bench = bench.reopen().await;
        let open = bench.store.open_runs(Timestamp(i64::MAX)).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!((open[0].id, open[0].text.as_str()), (cut, "what had arrived"));
    }
}

#[tokio::test]
async fn runs_belong_to_their_conversation() {
    for bench in benches().await {
        let (session, other) = (bench.add(assistant_session("a")).await, bench.add(assistant_session("b")).await);
        let question = bench.say(&session, "?").await;
        let run = bench.store.begin_run(session.id, question.id, NODE, at(1)).await.unwrap();
        assert_eq!(bench.store.run_for(other.id, question.id).await.unwrap(), None);
        let nowhere = bench.store.begin_run(ConversationId(other.id.0 + 1), question.id, NODE, at(1)).await;
        assert!(matches!(nowhere, Err(Error::NotFound(Subject::Conversation))), "{nowhere:?}");
        let unknown = bench.store.end_run(RunId(run.0 + 1), RunOutcome::Done, None).await.unwrap();
        assert_eq!(unknown, None);
        bench.store.checkpoint_run(RunId(run.0 + 1), "lost".to_owned()).await.unwrap();
        assert!(bench.store.remove_conversation(session.id).await.unwrap());
        assert_eq!(bench.store.open_runs(Timestamp(i64::MAX)).await.unwrap(), [], "they go with it");
    }
}
