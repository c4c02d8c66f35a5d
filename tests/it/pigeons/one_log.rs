//! One log behind this door, too: what happened after a cursor, applied to the list at that cursor, is the
//! list now, for every verb of the door.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::{Method, StatusCode};
use roost::domain::{Event, EventBody, EventId, Message, Reach, Receipt, Timestamp, UserId};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;

#[derive(Clone, Copy, Debug)]
enum Verb {
    AnaSays,
    RuiSays,
    RuiLists,
    RuiReads(usize),
    RuiReadsUpTo(usize),
    AnaReadsAll,
    React(usize, usize),
    TakeBack(usize, usize),
    Edit(usize),
    Delete(usize),
    Archive(bool),
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        4 => Just(Verb::AnaSays),
        2 => Just(Verb::RuiSays),
        1 => Just(Verb::RuiLists),
        2 => (0..6usize).prop_map(Verb::RuiReads),
        1 => (0..6usize).prop_map(Verb::RuiReadsUpTo),
        1 => Just(Verb::AnaReadsAll),
        2 => (0..6usize, 0..2usize).prop_map(|(message, emoji)| Verb::React(message, emoji)),
        1 => (0..6usize, 0..2usize).prop_map(|(message, emoji)| Verb::TakeBack(message, emoji)),
        2 => (0..6usize).prop_map(Verb::Edit),
        1 => (0..6usize).prop_map(Verb::Delete),
        1 => any::<bool>().prop_map(Verb::Archive),
    ]
}

const EMOJIS: [&str; 2] = ["🚲", "👍🏽"];

/// What a client knows of a message.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    id: i64,
    text: String,
    edited_at: Option<String>,
    delivered_at: Option<String>,
    read_at: Option<String>,
    receiver: String,
    reactions: Vec<(String, String, String)>,
}

/// What a client knows of a conversation.
#[derive(Clone, Debug, PartialEq)]
struct Snapshot {
    messages: Vec<Known>,
    is_archived: bool,
}

struct Stage<'a> {
    ana: Pigeon<'a>,
    rui: Pigeon<'a>,
    conversation: String,
    sent: Vec<String>,
}

fn shown(at: Timestamp) -> String {
    at.with_seconds().replace('Z', "+00:00")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no string")).to_owned()
}

fn known(message: &Value) -> Known {
    let (times, optional) = (&message["timestamps"], |at: &Value| at.as_str().map(str::to_owned));
    let reactions = message["reactions"].as_array().unwrap().iter();
    Known {
        id: text(&message["id"]).trim_start_matches("msg_").parse().unwrap(),
        text: text(&message["context"]["text"]),
        edited_at: optional(&times["edited_at"]),
        delivered_at: optional(&times["delivered_at"]),
        read_at: optional(&times["read_at"]),
        receiver: text(&message["receiver"]["uuid"]),
        reactions: reactions.map(|r| (text(&r["user_uuid"]), text(&r["emoji"]), text(&r["created_at"]))).collect(),
    }
}

impl Stage<'_> {
    fn uuid(&self, user: UserId) -> String {
        if user == self.ana.user.id { self.ana.uuid() } else { self.rui.uuid() }
    }

    async fn snapshot(&self) -> Snapshot {
        let (status, list) = self.ana.get(&format!("conversations/{}/messages", self.conversation)).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let messages = list["data"].as_array().unwrap().iter().map(known).collect();
        Snapshot { messages, is_archived: list["conversation"]["is_archived"] == true }
    }

    async fn events(&self, after: EventId) -> Vec<Event> {
        let uuid = self.conversation.parse().unwrap();
        let direct = self.ana.app.app.store.direct(self.ana.platform.id, uuid).await.unwrap().unwrap();
        self.ana.app.app.store.events(direct.conversation.id, after, 100_000).await.unwrap()
    }

    async fn perform(&mut self, verb: Verb) {
        let (ana, rui, conversation) = (&self.ana, &self.rui, &self.conversation);
        let at = |number: usize| self.sent.get(number).cloned().unwrap_or_else(|| "msg_0".to_owned());
        let read_up_to = format!("conversations/{conversation}/read");
        let (status, told) = match verb {
            Verb::AnaSays => {
                let id = ana.says(conversation, rui, "hello").await;
                self.sent.push(id);
                return;
            }
            Verb::RuiSays => {
                rui.says(conversation, ana, "hello back").await;
                return;
            }
            Verb::RuiLists => rui.get(&format!("conversations/{conversation}/messages")).await,
            Verb::RuiReads(n) => rui.send(Method::PATCH, &format!("messages/{}/read", at(n)), Value::Null).await,
            Verb::RuiReadsUpTo(n) => rui.post(&read_up_to, json!({"message_id": at(n)})).await,
            Verb::AnaReadsAll => ana.post(&read_up_to, json!({})).await,
            Verb::React(n, emoji) => {
                rui.post(&format!("messages/{}/reactions", at(n)), json!({"emoji": EMOJIS[emoji]})).await
            }
            Verb::TakeBack(n, emoji) => rui.delete(&format!("messages/{}/reactions/{}", at(n), EMOJIS[emoji])).await,
            Verb::Edit(n) => {
                ana.send(Method::PATCH, &format!("messages/{}", at(n)), json!({"context_text": format!("edit {n}")}))
                    .await
            }
            Verb::Delete(n) => ana.delete(&format!("messages/{}", at(n))).await,
            Verb::Archive(is_archived) => {
                let path = format!("conversations/{conversation}");
                ana.send(Method::PATCH, &path, json!({"is_archived": is_archived})).await
            }
        };
        // What was deleted, or never sent, is not there.
        assert!(status.is_success() || status == StatusCode::NOT_FOUND, "{verb:?} {status} {told}");
    }

    /// Applies what happened, as a client would.
    fn fold(&self, over: &mut Snapshot, event: &Event) {
        let messages = &mut over.messages;
        let find = |messages: &[Known], id: EventId| messages.iter().position(|message| message.id == id.0);
        match &event.body {
            EventBody::MessageAdded(message) => {
                let id = message.id;
                assert!(find(messages, id).is_none(), "nothing after the cursor is in the snapshot");
                messages.push(self.known(message));
            }
            EventBody::MessageEdited(message) => {
                if let Some(at) = find(messages, message.id) {
                    messages[at].text.clone_from(&message.text);
                    messages[at].edited_at = message.edited_at.map(shown);
                }
            }
            EventBody::MessageDeleted { message_id, .. } => messages.retain(|message| message.id != message_id.0),
            EventBody::Reacted { message_id, reaction, removed } => {
                let Some(at) = find(messages, *message_id) else { return };
                let (user, reactions) = (self.uuid(reaction.user_id), &mut messages[at].reactions);
                let same = |held: &(String, String, String)| held.0 == user && held.1 == reaction.emoji;
                if *removed {
                    reactions.retain(|held| !same(held));
                } else if !reactions.iter().any(same) {
                    reactions.push((user, reaction.emoji.clone(), shown(reaction.at)));
                }
            }
            EventBody::Received { reader, receipt, reach } => {
                let reader = self.uuid(*reader);
                for message in messages.iter_mut().filter(|message| message.receiver == reader) {
                    let is_meant = match reach {
                        Reach::One(one) => message.id == one.0,
                        Reach::Through(last) => message.id <= last.0,
                    };
                    if is_meant {
                        message.delivered_at.get_or_insert_with(|| shown(event.at));
                        if *receipt == Receipt::Read {
                            message.read_at.get_or_insert_with(|| shown(event.at));
                        }
                    }
                }
            }
            EventBody::StateChanged { state, .. } => over.is_archived = state.is_archived,
            EventBody::MessageGone | EventBody::Void | EventBody::RunChanged { .. } | EventBody::RunTold(_) => {}
        }
    }

    fn known(&self, message: &Message) -> Known {
        let letter = message.letter.as_ref().expect("a letter");
        let reactions = letter.reactions.iter();
        Known {
            id: message.id.0,
            text: message.text.clone(),
            edited_at: message.edited_at.map(shown),
            delivered_at: letter.delivered_at.map(shown),
            read_at: letter.read_at.map(shown),
            receiver: self.uuid(letter.receiver_id),
            reactions: reactions.map(|r| (self.uuid(r.user_id), r.emoji.clone(), shown(r.at))).collect(),
        }
    }
}

async fn story(app: &TestApp, verbs: &[Verb]) {
    let (ana, rui, conversation) = app.pair_named(&uuid::Uuid::new_v4().to_string()).await;
    let mut stage = Stage { ana, rui, conversation, sent: Vec::new() };
    let end =
        async |stage: &Stage<'_>| stage.events(EventId::START).await.last().map_or(EventId::START, |last| last.id);
    let mut taken = vec![(EventId::START, stage.snapshot().await)];
    for verb in verbs {
        stage.perform(*verb).await;
        let snapshot = stage.snapshot().await;
        taken.push((end(&stage).await, snapshot));
        app.clock.advance(std::time::Duration::from_secs(7));
    }
    let now = stage.snapshot().await;
    for (cursor, mut folded) in taken {
        for event in stage.events(cursor).await {
            stage.fold(&mut folded, &event);
        }
        assert_eq!(folded, now, "after {cursor}");
    }
}

#[test]
fn what_happened_after_a_list_applied_to_it_is_the_list_now() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let app = runtime.block_on(TestApp::start());
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let stories = proptest::collection::vec(verb(), 1..16);
    let told = runner.run(&stories, |verbs| {
        runtime.block_on(story(&app, &verbs));
        Ok(())
    });
    told.unwrap();
}
