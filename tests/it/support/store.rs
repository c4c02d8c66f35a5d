//! Things to put into a store, and a listener that remembers what it was told.

use std::sync::{Arc, Mutex};

use roost::domain::{
    Conversation, ConversationId, ConversationKind, Device, DeviceKind, Email, Event, EventId, Json, LetterKind,
    Logged, Message, MessageText, Money, Role, Run, RunOutcome, RunReason, Timestamp, Usage, User, UserId,
};
use roost::store::{
    Direct, Idempotency, Listener, MessageFilter, NewConversation, NewLetter, NewMessage, NewRun, NewRunText, NewUser,
    RunEnd,
};
use uuid::Uuid;

/// An instant, in seconds after an arbitrary beginning. A store takes the time from its callers, so
/// the tests never need the clock.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(1_767_323_045_000_000 + seconds * 1_000_000)
}

fn conversation(kind: ConversationKind, key: &str) -> NewConversation {
    NewConversation::new(Uuid::new_v4(), kind, key.to_owned(), at(0))
}

/// A website's guest with staff.
pub fn live_chat(key: &str) -> NewConversation {
    conversation(ConversationKind::LiveChat, key)
}

/// A visitor with the assistant.
pub fn assistant_session(key: &str) -> NewConversation {
    conversation(ConversationKind::AssistantSession, key)
}

/// A guest's message.
pub fn from_guest(chat: ConversationId, text: &str) -> NewMessage {
    NewMessage {
        conversation_id: chat,
        uuid: Uuid::new_v4(),
        role: Role::User,
        user_id: None,
        text: MessageText::verbatim(text.to_owned()),
        metadata: None,
        reply_to: None,
        letter: None,
        files: Vec::new(),
        idempotency: None,
        at: at(0),
    }
}

/// A letter from one user to the other, written in a browser.
pub fn letter(direct: &Direct, from: &User, to: &User, text: &str) -> NewMessage {
    let device = Device { kind: DeviceKind::Web, details: Json(r#"{"type":"web","os":"Linux"}"#.to_owned()) };
    let letter = NewLetter {
        receiver_id: to.id,
        kind: LetterKind::Text,
        attachments: Json("[]".to_owned()),
        uploads: Vec::new(),
        device,
    };
    NewMessage { user_id: Some(from.id), letter: Some(letter), ..from_guest(direct.conversation.id, text) }
}

/// A message of a member of staff.
pub fn from_staff(chat: ConversationId, staff: UserId, text: &str) -> NewMessage {
    NewMessage { role: Role::Staff, user_id: Some(staff), ..from_guest(chat, text) }
}

/// The assistant's answer.
pub fn answer(question: &Message, text: &str) -> NewMessage {
    NewMessage { role: Role::Assistant, reply_to: Some(question.id), ..from_guest(question.conversation_id, text) }
}

/// An answer that a node has begun to make.
pub fn new_run(question: &Message, node: Uuid) -> NewRun {
    let (conversation_id, question) = (question.conversation_id, question.id);
    NewRun { uuid: Uuid::new_v4(), conversation_id, question, node, is_queued: false, at: at(1) }
}

/// A piece of an answer, at that place in it.
pub fn run_text(run: &Run, start: u64, text: &str) -> NewRunText {
    NewRunText { run: Arc::new(run.clone()), start, text: text.into(), at: at(2) }
}

/// The end of a run that some provider has made.
pub fn run_end(outcome: RunOutcome, answer: Option<NewMessage>) -> RunEnd {
    let usage = Usage { prompt_tokens: 3, completion_tokens: 2, cost: Money(70), is_estimated: true };
    let by = Some(("house".into(), "small".into()));
    RunEnd { outcome, reason: Some(RunReason::Asked), by, usage, answer, replaces: None, at: at(3) }
}

/// The same message, sent with a key. The fingerprint stands for the text, as a door's would.
pub fn with_key(key: &str, message: NewMessage) -> NewMessage {
    let mut fingerprint = [0; 16];
    for (at, byte) in message.text.as_str().bytes().enumerate() {
        fingerprint[at % 16] ^= byte;
    }
    NewMessage { idempotency: Some(Idempotency { key: key.to_owned(), fingerprint }), ..message }
}

/// A verified member of staff.
pub fn staff(name: &str) -> NewUser {
    NewUser {
        uuid: Uuid::new_v4(),
        platform_id: None,
        email: Email::parse(&format!("{name}@example.test")).expect("the name makes an address"),
        name: name.to_owned(),
        phone: None,
        language: None,
        password_hash: None,
        is_staff: true,
        is_verified: true,
        abilities: Vec::new(),
        at: at(0),
    }
}

/// Every message, up to a number that no test reaches.
pub fn everything() -> MessageFilter {
    MessageFilter { limit: 100_000, ..MessageFilter::default() }
}

/// What was said, in order.
pub fn texts(messages: &[Arc<Message>]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}

/// The dense numbers, in order.
pub fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

/// Fails unless the numbers are 1, 2, 3, … and ids and instants grow with them.
pub fn assert_dense(events: &[Event]) {
    assert_eq!(numbers(events), (1..=events.len() as u64).collect::<Vec<_>>());
    for pair in events.windows(2) {
        assert!(pair[0].id < pair[1].id, "ids do not grow: {pair:?}");
        assert!(pair[0].at <= pair[1].at, "instants go back: {pair:?}");
    }
}

/// Conversations by their keys, in order.
pub fn keys(conversations: &[Conversation]) -> Vec<&str> {
    conversations.iter().map(|conversation| conversation.key.as_str()).collect()
}

/// Remembers what the store announced.
#[derive(Default)]
pub struct Recorder {
    logged: Mutex<Vec<Logged>>,
    removed: Mutex<Vec<ConversationId>>,
}

impl Recorder {
    /// Everything that was announced, in the order of announcing.
    pub fn events(&self) -> Vec<Event> {
        self.logged().into_iter().map(|logged| logged.event).collect()
    }

    /// The same, each with its place.
    pub fn logged(&self) -> Vec<Logged> {
        self.logged.lock().expect("no test panics while it holds this").clone()
    }

    /// What was announced of one conversation.
    pub fn events_of(&self, id: ConversationId) -> Vec<Event> {
        self.events().into_iter().filter(|event| event.conversation_id == id).collect()
    }

    /// Whether that event was announced.
    pub fn has_heard(&self, id: EventId) -> bool {
        self.events().iter().any(|event| event.id == id)
    }

    /// The conversations whose removal was announced.
    pub fn removals(&self) -> Vec<ConversationId> {
        self.removed.lock().expect("no test panics while it holds this").clone()
    }
}

impl Listener for Recorder {
    fn committed(&self, events: &[Logged]) {
        self.logged.lock().expect("no test panics while it holds this").extend_from_slice(events);
    }

    fn removed(&self, conversation: ConversationId) {
        self.removed.lock().expect("no test panics while it holds this").push(conversation);
    }
}
