//! What the subscribers of sockets are told of conversations, and that who comes back is told the rest.

use std::collections::HashMap;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::pigeon::Pigeon;
use crate::support::pusher::Client;

/// A connection of a pigeon that follows a conversation.
async fn follows(pigeon: &Pigeon<'_>, conversation: &str, more: &[(&str, &str)]) -> Client {
    let mut client = Client::connect(pigeon.app, &pigeon.platform).await;
    let channel = format!("private-conversation.{conversation}");
    assert_eq!(pigeon.enters(&mut client, &channel, more).await, StatusCode::OK);
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
    client
}

#[tokio::test]
async fn a_conversation_is_told_as_it_happens() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let mut hears = follows(&ben, &conversation, &[]).await;
    let users = format!("private-users.{}", ben.uuid());
    assert_eq!(ben.enters(&mut hears, &users, &[]).await, StatusCode::OK);
    hears.next().await;

    let message = ana.says(&conversation, &ben, "On my way").await;
    let updated = hears.next().await;
    assert_eq!((&updated["event"], &updated["channel"]), (&json!("conversation.updated"), &json!(users)));
    assert_eq!(updated["data"]["last_message_text"], "On my way");
    assert_eq!(updated["data"]["participants"].as_array().unwrap().len(), 2);
    let sent = hears.next().await;
    assert_eq!(sent["event"], "message.sent");
    assert_eq!(sent["channel"], format!("private-conversation.{conversation}"));
    assert_eq!(sent["data"]["message_id"], message);
    assert_eq!(sent["data"]["context"]["text"], "On my way");
    assert_eq!(sent["data"]["sender"]["uuid"], ana.uuid());
    assert!(
        sent["data"]["cursor"].as_i64() > updated["data"]["cursor"].as_i64(),
        "the state comes again, not the event"
    );

    // Ben's own connection was sent it.
    let delivered = hears.next_of("message.delivered").await;
    assert_eq!(
        (&delivered["data"]["message_id"], &delivered["data"]["receiver_uuid"]),
        (&json!(message), &json!(ben.uuid()))
    );

    let path = format!("/api/v1/pigeons/chat/messages/{message}");
    assert_eq!(ben.send(Method::PATCH, &format!("{path}/read"), json!({})).await.0, StatusCode::OK);
    let read = hears.next_of("message.read").await;
    assert_eq!((&read["data"]["reader_uuid"], &read["data"]["up_to"]), (&json!(ben.uuid()), &json!(false)));
    assert_eq!(ben.post(&format!("{path}/reactions"), json!({"emoji": "🚲"})).await.0, StatusCode::OK);
    let reaction = hears.next_of("message.reaction").await;
    assert_eq!((&reaction["data"]["emoji"], &reaction["data"]["removed"]), (&json!("🚲"), &json!(false)));
    assert_eq!(ana.send(Method::PATCH, &path, json!({"context_text": "Almost there"})).await.0, StatusCode::OK);
    let edited = hears.next_of("message.updated").await;
    assert_eq!(edited["data"]["context"]["text"], "Almost there");
    assert_eq!(ana.delete(&path).await.0, StatusCode::OK);
    let deleted = hears.next_of("message.deleted").await;
    assert_eq!(
        (&deleted["data"]["message_id"], &deleted["data"]["conversation_uuid"]),
        (&json!(message), &json!(conversation))
    );
}

#[tokio::test]
async fn a_sender_is_spared_its_own_echo_and_nobody_else_is() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let (mut own, mut tablet) = (follows(&ana, &conversation, &[]).await, follows(&ana, &conversation, &[]).await);
    let path = "/api/v1/pigeons/chat/messages";
    let body = ana.message(&conversation, &ben, "from the phone");
    let sent = ana.request(Method::POST, path).header("X-Socket-ID", &own.id).json(&body).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    ana.says(&conversation, &ben, "from elsewhere").await;
    let heard = |frame: Value| frame["data"]["context"]["text"].as_str().unwrap().to_owned();
    assert_eq!(heard(own.next_of("message.sent").await), "from elsewhere");
    assert_eq!(heard(tablet.next_of("message.sent").await), "from the phone");
    assert_eq!(heard(tablet.next_of("message.sent").await), "from elsewhere");
}

/// Edits twice: on the phone, and then where no connection is named.
#[tokio::test]
async fn who_was_spared_an_echo_hears_the_same_deed_from_elsewhere() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let (mut phone, mut tablet) = (follows(&ana, &conversation, &[]).await, follows(&ana, &conversation, &[]).await);
    let path = format!("/api/v1/pigeons/chat/messages/{}", ana.says(&conversation, &ben, "first").await);
    let body = |text: &str| json!({"context_text": text});
    let edit = ana.request(Method::PATCH, &path).header("X-Socket-ID", &phone.id).json(&body("second"));
    assert_eq!(edit.send().await.unwrap().status(), StatusCode::OK);
    // Whose deed it was is known until it is told.
    assert_eq!(tablet.next_of("message.updated").await["data"]["context"]["text"], "second");
    assert_eq!(ana.send(Method::PATCH, &path, body("third")).await.0, StatusCode::OK);
    ana.says(&conversation, &ben, "the end").await;
    let mut heard = Vec::new();
    while heard.last().is_none_or(|text| text != "the end") {
        let frame = phone.next().await;
        if let Some(text) = frame["data"]["context"]["text"].as_str() {
            heard.push(text.to_owned());
        }
    }
    assert_eq!(heard, ["first", "third", "the end"]);
}

/// Comes back with the largest cursor that it has seen, for all of its channels, while others write on.
#[tokio::test]
async fn who_comes_back_is_told_what_it_missed_once_and_in_order() {
    let app = TestApp::start().await;
    let (ana, ben, first) = app.pair().await;
    let second = {
        let body = json!({"participant_uuid": ben.uuid(), "taggable_type": "Order", "taggable_id": 9});
        let (status, told) = ana.post("/api/v1/pigeons/chat/conversations", body).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
        told["data"]["uuid"].as_str().unwrap().to_owned()
    };
    const EACH: usize = 60;
    let write = async {
        for number in 0..EACH {
            ana.says(&first, &ben, &format!("a{number}")).await;
            ana.says(&second, &ben, &format!("b{number}")).await;
        }
    };
    let listen = async {
        let (mut since, mut heard) = (0, HashMap::<String, Vec<String>>::new());
        let mut connections = 0;
        while heard.values().map(Vec::len).sum::<usize>() < 2 * EACH {
            connections += 1;
            let mut client = Client::connect(&app, &ben.platform).await;
            for conversation in [&first, &second] {
                let channel = format!("private-conversation.{conversation}");
                let told = ben.enters(&mut client, &channel, &[("since", &since.to_string())]).await;
                assert_eq!(told, StatusCode::OK);
            }
            // Cut off in the middle of catching up as well as after it.
            for _ in 0..7 + connections {
                let frame = client.next().await;
                let Some(cursor) = frame["data"]["cursor"].as_i64() else { continue };
                since = since.max(cursor);
                if frame["event"] == "message.sent" {
                    let text = frame["data"]["context"]["text"].as_str().unwrap().to_owned();
                    heard.entry(frame["channel"].as_str().unwrap().to_owned()).or_default().push(text);
                }
                if heard.values().map(Vec::len).sum::<usize>() == 2 * EACH {
                    break;
                }
            }
        }
        assert!(connections > 4, "it was cut off {connections} times");
        heard
    };
    let ((), heard) = tokio::join!(write, listen);
    for (conversation, letter) in [(&first, "a"), (&second, "b")] {
        let expected: Vec<_> = (0..EACH).map(|number| format!("{letter}{number}")).collect();
        assert_eq!(heard[&format!("private-conversation.{conversation}")], expected);
    }
}

/// Before anything was told on a channel its subscription says from where on to come back.
#[tokio::test]
async fn who_was_told_nothing_yet_comes_back_to_what_it_missed() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let channel = format!("private-conversation.{conversation}");
    for number in 0..2 {
        let mut client = Client::connect(&app, &ben.platform).await;
        assert_eq!(ben.enters(&mut client, &channel, &[]).await, StatusCode::OK);
        let cursor = client.next().await["data"]["since"].as_i64().expect("a cursor");
        drop(client);
        ana.says(&conversation, &ben, &number.to_string()).await;
        let since = json!({ &channel: cursor }).to_string();
        let mut back = Client::connect(&app, &ben.platform).await;
        assert_eq!(ben.enters(&mut back, &channel, &[("since", &since)]).await, StatusCode::OK);
        assert_eq!(back.next().await["data"]["since"], cursor, "not further than it came");
        assert_eq!(back.next_of("message.sent").await["data"]["context"]["text"], number.to_string());
    }
}

/// Each channel may have a cursor of its own.
#[tokio::test]
async fn a_cursor_for_each_channel() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    for number in 0..5 {
        ana.says(&conversation, &ben, &number.to_string()).await;
    }
    let mut whole = follows(&ben, &conversation, &[("since", "0")]).await;
    let mut cursors = Vec::new();
    for number in 0..5 {
        let frame = whole.next_of("message.sent").await;
        assert_eq!(frame["data"]["context"]["text"], number.to_string());
        cursors.push(frame["data"]["cursor"].as_i64().unwrap());
    }
    let since = json!({format!("private-conversation.{conversation}"): cursors[2], "private-users.x": 1}).to_string();
    let mut rest = follows(&ben, &conversation, &[("since", &since)]).await;
    for number in 3..5 {
        assert_eq!(rest.next_of("message.sent").await["data"]["context"]["text"], number.to_string());
    }
    // Nothing missed, and what comes is told.
    let end = cursors[4] + 1_000;
    let mut ahead = follows(&ben, &conversation, &[("since", &end.to_string())]).await;
    let reset = ahead.next().await;
    assert_eq!(reset["event"], "reset", "a cursor that this log never gave out");
    ana.says(&conversation, &ben, "after").await;
    assert_eq!(ahead.next_of("message.sent").await["data"]["context"]["text"], "after");
}

/// One of the cursors is from another history, the other is not.
#[tokio::test]
async fn each_channel_is_reset_by_its_own_cursor() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    ana.says(&conversation, &ben, "hello").await;
    let (one, users) = (format!("private-conversation.{conversation}"), format!("private-users.{}", ben.uuid()));
    let since = json!({&one: 1_i64 << 50, &users: 0}).to_string();
    let mut client = Client::connect(&app, &ben.platform).await;
    for channel in [&users, &one] {
        assert_eq!(ben.enters(&mut client, channel, &[("since", &since)]).await, StatusCode::OK);
    }
    assert_eq!(client.next_of("reset").await["channel"], one);
    let updated = client.next_of("conversation.updated").await;
    assert_eq!((&updated["channel"], &updated["data"]["last_message_text"]), (&json!(users), &json!("hello")));
    ana.says(&conversation, &ben, "again").await;
    assert_eq!(client.next_of("message.sent").await["data"]["context"]["text"], "again");
}

/// Two accounts share a connection: a browser in which one signs out and the other in.
#[tokio::test]
async fn each_subscription_catches_up_as_who_authorised_it() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let hers = ana.opens(&eve).await;
    ana.says(&conversation, &ben, "to Ben").await;
    ana.says(&hers, &eve, "to Eve").await;
    let mut client = Client::connect(&app, &ana.platform).await;
    for (who, conversation) in [(&ben, &conversation), (&eve, &hers)] {
        let channel = format!("private-conversation.{conversation}");
        assert_eq!(who.enters(&mut client, &channel, &[("since", "0")]).await, StatusCode::OK);
    }
    let mut heard = Vec::new();
    for _ in 0..2 {
        heard.push(client.next_of("message.sent").await["data"]["context"]["text"].as_str().unwrap().to_owned());
    }
    heard.sort_unstable();
    assert_eq!(heard, ["to Ben", "to Eve"]);
}

/// Whoever has revoked a token, because it was stolen, say, has ended the connections that it authorised.
#[tokio::test]
async fn a_connection_ends_with_the_token_that_authorised_it() {
    let app = TestApp::with(|config| config.http.streams_recheck_s = 1).await;
    let (ana, ben, conversation) = app.pair().await;
    let (mut stays, mut ends) = (follows(&ana, &conversation, &[]).await, follows(&ben, &conversation, &[]).await);
    let token = app.app.chat.authenticate(&ben.token).await.unwrap().token_id;
    app.app.chat.revoke_token(token).await.unwrap();
    assert_eq!(ends.closed().await, 4100);
    ana.says(&conversation, &ben, "still here").await;
    assert_eq!(stays.next_of("message.sent").await["data"]["context"]["text"], "still here");
}

#[tokio::test]
async fn a_conversation_of_others_is_told_to_nobody_else() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let mut client = Client::connect(&app, &eve.platform).await;
    let channel = format!("private-conversation.{conversation}");
    assert_eq!(eve.enters(&mut client, &channel, &[("since", "0")]).await, StatusCode::FORBIDDEN);
    let own = format!("private-users.{}", eve.uuid());
    assert_eq!(eve.enters(&mut client, &own, &[("since", "0")]).await, StatusCode::OK);
    assert_eq!(client.next().await["event"], "pusher_internal:subscription_succeeded");
    ana.says(&conversation, &ben, "between us").await;
    let hers = eve.opens(&ana).await;
    eve.says(&hers, &ana, "to Ana").await;
    let told = client.next().await;
    assert_eq!((&told["event"], &told["data"]["uuid"]), (&json!("conversation.updated"), &json!(hers)));
}

/// What is told next of somebody's presence.
async fn of_user(client: &mut Client, uuid: &str) -> Value {
    loop {
        let frame = client.next_of("user.presence").await;
        if frame["data"]["uuid"] == uuid {
            return frame["data"].clone();
        }
    }
}

#[tokio::test]
async fn who_is_there_is_told_and_can_be_asked() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let eve = {
        let other = app.platform("Other").await;
        app.pigeon(&other, "Eve").await
    };
    let asked = format!("/api/v1/pigeons/presence?users={},{},{}", ana.uuid(), ben.uuid(), eve.uuid());
    let presence = |told: (StatusCode, Value)| {
        assert_eq!(told.0, StatusCode::OK, "{}", told.1);
        let of = |one: &Value| {
            (one["uuid"].as_str().unwrap().to_owned(), (one["online"].clone(), one["last_seen_at"].is_string()))
        };
        told.1["data"].as_array().unwrap().iter().map(of).collect::<HashMap<_, _>>()
    };
    let before = presence(ana.get(&asked).await);
    assert_eq!(before.len(), 2, "nobody of another tenant");
    assert_eq!(before[&ben.uuid()], (json!(false), false), "he never had a connection");

    let mut watches = Client::connect(&app, &ana.platform).await;
    let channel = format!("private-platform.{}", ana.platform.key);
    assert_eq!(ana.enters(&mut watches, &channel, &[]).await, StatusCode::OK);
    watches.next_of("pusher_internal:subscription_succeeded").await;
    let connection = follows(&ben, &conversation, &[]).await;
    assert_eq!(of_user(&mut watches, &ben.uuid()).await["online"], true);
    assert_eq!(presence(ana.get(&asked).await)[&ben.uuid()], (json!(true), true));
    drop(connection);
    assert_eq!(of_user(&mut watches, &ben.uuid()).await["online"], false);
    assert_eq!(presence(ana.get(&asked).await)[&ben.uuid()], (json!(false), true), "and when he was seen last");
    for wrong in ["", "?users=", "?users=x", &format!("?users={}", vec![ben.uuid(); 101].join(","))] {
        assert_eq!(
            ana.get(&format!("/api/v1/pigeons/presence{wrong}")).await.0,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn the_back_office_hears_that_somebody_wrote_and_not_what() {
    let app = TestApp::start().await;
    let (ana, ben, conversation) = app.pair().await;
    let staff = app.pigeon_of_staff(&ana.platform, "Stefan").await;
    let mut hears = Client::connect(&app, &ana.platform).await;
    assert_eq!(ana.enters(&mut hears, "private-backoffice", &[]).await, StatusCode::FORBIDDEN);
    assert_eq!(staff.enters(&mut hears, "private-backoffice", &[]).await, StatusCode::OK);
    hears.next_of("pusher_internal:subscription_succeeded").await;
    ana.says(&conversation, &ben, "between us").await;
    let told = hears.next_of("conversation.activity").await;
    assert_eq!(told["data"]["conversation_uuid"], conversation);
    assert!(!told.to_string().contains("between us"));
}

/// More clients than catch up at once, who ask for much and read nothing of it.
#[tokio::test]
async fn who_does_not_read_holds_up_nobody_who_catches_up() {
    let app = TestApp::with(|config| config.sockets.outbox_bytes_max = 64 << 10).await;
    let (ana, ben, conversation) = app.pair().await;
    for _ in 0..200 {
        ana.says(&conversation, &ben, &"🚲".repeat(5000)).await;
    }
    let mut deaf = Vec::new();
    for _ in 0..70 {
        deaf.push(follows(&ben, &conversation, &[("since", "0")]).await);
    }
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let theirs = ana.opens(&eve).await;
    ana.says(&theirs, &eve, "hello").await;
    let mut client = follows(&eve, &theirs, &[("since", "0")]).await;
    assert_eq!(client.next_of("message.sent").await["data"]["context"]["text"], "hello");
}
