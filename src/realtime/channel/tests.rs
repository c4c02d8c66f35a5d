//! What a conversation in memory answers.

use uuid::Uuid;

use super::*;
use crate::domain::{Change, Timestamp};

fn state(metadata: usize) -> ConversationState {
    let metadata = crate::domain::Json(format!("\"{}\"", "x".repeat(metadata)));
    ConversationState { metadata, ..ConversationState::open() }
}

fn event(seq: u64, body: EventBody) -> Event {
    let id = EventId(i64::try_from(seq).unwrap());
    Event { id, conversation_id: ConversationId(1), seq, at: Timestamp(0), body }
}

fn message(text: &str) -> Arc<Message> {
    Arc::new(Message {
        id: EventId(1),
        uuid: Uuid::nil(),
        conversation_id: ConversationId(1),
        seq: 1,
        role: crate::domain::Role::User,
        user_id: None,
        text: text.to_owned(),
        metadata: None,
        reply_to: None,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        edited_at: None,
        letter: None,
    })
}

#[test]
fn what_a_message_said_before_an_edit_is_not_told_again() {
    let channel = Channel::new(ConversationId(1), Keep { events: 100, bytes: 4096 });
    load(&channel, 0);
    channel.announce(event(1, EventBody::MessageAdded(message("my password"))));
    channel.announce(event(2, EventBody::MessageEdited(message("also a password"))));
    channel.announce(event(3, EventBody::MessageEdited(message("nothing"))));
    let Since::Events(events) = channel.since(EventId::START) else { panic!("they are held") };
    let said = |logged: &Logged| match &logged.event.body {
        EventBody::MessageAdded(message) | EventBody::MessageEdited(message) => message.text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(events.iter().map(said).collect::<Vec<_>>(), ["nothing"; 3], "as the store tells it");
    assert_eq!(channel.lock().bytes, events.iter().map(|logged| weight(&logged.event)).sum::<usize>());
}

#[test]
fn a_second_look_at_the_store_does_not_pass_over_what_those_who_follow_were_not_told() {
    let channel = Channel::new(ConversationId(1), Keep { events: 100, bytes: 4096 });
    load(&channel, 0);
    let mut newer = conversation(0);
    (newer.head.seq, newer.head.event_id) = (1, EventId(1));
    let place = Arc::new(Place::new(&newer, Vec::new()));
    let said = event(1, EventBody::MessageAdded(message("said on another node")));
    channel.load(newer, place, vec![said.clone()], EventId::START);
    assert_eq!(channel.head().map(|head| head.seq), Some(0));
    assert_eq!(channel.offer(&said), Offered::Next, "it is told when it is heard of");
    assert_eq!(channel.offer(&said), Offered::Known);
}

#[test]
fn what_was_written_here_is_found_though_the_store_was_read_before() {
    let channel = Channel::new(ConversationId(1), Keep { events: 100, bytes: 4096 });
    load(&channel, 0);
    let own = event(2, EventBody::MessageAdded(message("the second")));
    assert_eq!(channel.offer(&own), Offered::Early);
    channel.forget();
    assert_eq!(channel.offer(&own), Offered::Unloaded);
    load(&channel, 0);
    assert!(!channel.is_loaded(), "what was read is too old");
}

#[test]
fn who_asks_for_what_was_written_here_before_it_can_be_told_is_sent_to_the_store() {
    let channel = Channel::new(ConversationId(1), Keep { events: 100, bytes: 4096 });
    load(&channel, 0);
    channel.expect(2);
    assert!(matches!(channel.since(EventId::START), Since::Older));
    assert_eq!(channel.has_message_after(EventId::START), Some(true));
    assert!(channel.messages_since(EventId::START).is_none());
    assert!(channel.is_loaded() && channel.state().is_some(), "the conversation itself is known");
    channel.offer(&event(1, EventBody::MessageAdded(message("from elsewhere"))));
    assert!(matches!(channel.since(EventId(1)), Since::Older), "it is still missing");
    channel.offer(&event(2, EventBody::MessageAdded(message("from here"))));
    assert!(matches!(channel.since(EventId::START), Since::Events(events) if events.len() == 2));
}

fn load(channel: &Channel, metadata: usize) {
    let conversation = conversation(metadata);
    let place = Arc::new(Place::new(&conversation, Vec::new()));
    channel.load(conversation, place, Vec::new(), EventId::START);
}

fn conversation(metadata: usize) -> Conversation {
    Conversation {
        id: ConversationId(1),
        uuid: Uuid::nil(),
        kind: ConversationKind::AssistantSession,
        key: "a".to_owned(),
        platform_id: None,
        user_id: None,
        tag: crate::domain::Tag::default(),
        state: state(metadata),
        head: Head::default(),
        last_activity_at: Timestamp(0),
        created_at: Timestamp(0),
        edited_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

#[test]
fn what_is_attached_counts_and_is_held_once() {
    let channel = Channel::new(ConversationId(1), Keep { events: 100, bytes: 4096 });
    assert!(!channel.is_loaded());
    load(&channel, 2000);
    assert!(channel.is_loaded());
    for seq in 1..=20 {
        channel.announce(event(seq, EventBody::MessageGone));
    }
    let held = || channel.lock().events.len();
    assert_eq!(held(), 8, "the state takes half of the room");
    let change = EventBody::StateChanged { change: Change::Edited, state: Arc::new(state(0)) };
    channel.announce(event(21, change));
    for seq in 22..=40 {
        channel.announce(event(seq, EventBody::MessageGone));
    }
    assert_eq!(held(), 15, "and gives it back");
}
