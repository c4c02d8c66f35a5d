//! Conversations: opened once, listed by their last message, put away.

use reqwest::{Method, StatusCode};
use roost::domain::{Access, TokenId};
use serde_json::{Value, json};

use crate::chats::keys;
use crate::support::app::TestApp;

#[tokio::test]
async fn a_conversation_is_opened_as_documented() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let (ana, rui) = (app.pigeon(&acme, "Ana").await, app.pigeon(&acme, "Rui").await);
    let body = json!({"participant_uuid": rui.uuid(), "taggable_type": "Order", "taggable_id": 7});
    let answer = ana.request(Method::POST, "conversations").json(&body).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let text = answer.text().await.unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let (uuid, created, updated) = (&told["data"]["uuid"], &told["data"]["created_at"], &told["data"]["updated_at"]);
    let (from, to) = (ana.uuid(), rui.uuid());
    let want = format!(
        r#"{{"message":"Conversation created successfully","data":{{"uuid":{uuid},"taggable_type":"Order","taggable_id":7,"last_message_text":null,"last_message_at":null,"is_archived":false,"created_at":{created},"updated_at":{updated},"participants":[{{"uuid":"{from}","name":"Ana","email":"ana@pigeons.test"}},{{"uuid":"{to}","name":"Rui","email":"rui@pigeons.test"}}]}}}}"#
    );
    assert_eq!(text, want);
    let inbox = rui.inbox().await;
    assert_eq!(
        (&inbox[0]["taggable_type"], &inbox[0]["taggable_info"]),
        (&json!("Order"), &json!({"id": 7, "title": null}))
    );
    let pivot = &inbox[0]["participants"][1]["pivot"];
    assert_eq!(
        (&pivot["unread_count"], &pivot["last_read_at"], pivot["joined_at"].is_string()),
        (&json!(0), &Value::Null, true)
    );
}

#[tokio::test]
async fn two_users_have_one_conversation_about_each_thing() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    ana.says(&conversation, &rui, "hello").await;
    let (status, told) = rui.post("conversations", json!({"participant_uuid": ana.uuid()})).await;
    assert_eq!((status, &told["data"]["uuid"]), (StatusCode::CREATED, &json!(conversation)));
    assert_eq!(told["data"]["last_message_text"], "hello");
    assert_eq!(told["data"]["participants"][0]["uuid"], rui.uuid(), "the caller comes first");
    let open = async |body: Value| {
        let (status, told) = ana.post("conversations", body).await;
        assert_eq!(status, StatusCode::CREATED, "{told}");
        told["data"]["uuid"].as_str().unwrap().to_owned()
    };
    let about =
        |kind: Value, id: Value| json!({"participant_uuid": rui.uuid(), "taggable_type": kind, "taggable_id": id});
    let mut all = vec![conversation];
    for (kind, id) in
        [(json!("Order"), json!(7)), (json!("Order"), json!(8)), (json!("Order"), json!(null)), (json!(null), json!(7))]
    {
        let opened = open(about(kind.clone(), id.clone())).await;
        assert_eq!(open(about(kind, id)).await, opened);
        assert!(!all.contains(&opened));
        all.push(opened);
    }
    assert_eq!(rui.inbox().await.len(), 5);
}

#[tokio::test]
async fn the_newest_message_comes_first() {
    let app = TestApp::start().await;
    let acme = app.platform("Acme").await;
    let ana = app.pigeon(&acme, "Ana").await;
    let others = [app.pigeon(&acme, "Bea").await, app.pigeon(&acme, "Cid").await, app.pigeon(&acme, "Dee").await];
    let mut uuids = Vec::new();
    for other in &others {
        uuids.push(ana.opens(other).await);
    }
    ana.says(&uuids[0], &others[0], "first").await;
    others[1].says(&uuids[1], &ana, "second").await;
    ana.says(&uuids[0], &others[0], "third").await;
    let inbox = ana.inbox().await;
    let order: Vec<_> = inbox.iter().map(|entry| entry["uuid"].as_str().unwrap()).collect();
    assert_eq!(order, [&uuids[0], &uuids[1], &uuids[2]]);
    let last: Vec<_> = inbox.iter().map(|entry| &entry["last_message_text"]).collect();
    assert_eq!(last, [&json!("third"), &json!("second"), &json!(null)]);
}

#[tokio::test]
async fn a_conversation_is_put_away_for_both_and_taken_out_again() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let path = format!("conversations/{conversation}");
    for is_archived in [json!(true), json!(true), json!(false), json!(1), json!("0")] {
        let want = is_archived == json!(true) || is_archived == json!(1);
        let (status, told) = ana.send(Method::PATCH, &path, json!({"is_archived": is_archived})).await;
        assert_eq!((status, &told["message"]), (StatusCode::OK, &json!("Conversation updated successfully")));
        assert_eq!(
            (&told["data"]["is_archived"], told["data"]["participants"].as_array().unwrap().len()),
            (&json!(want), 2)
        );
        assert_eq!(rui.inbox().await[0]["is_archived"], want);
    }
}

/// More than the server reads at once.
#[tokio::test]
async fn a_long_inbox_and_a_long_conversation_come_whole() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    for number in 1..=130 {
        let body = json!({"participant_uuid": rui.uuid(), "taggable_id": number});
        assert_eq!(ana.post("conversations", body).await.0, StatusCode::CREATED);
    }
    let inbox = rui.inbox().await;
    let mut uuids: Vec<_> = inbox.iter().map(|entry| entry["uuid"].as_str().unwrap()).collect();
    uuids.sort_unstable();
    uuids.dedup();
    assert_eq!(uuids.len(), 131);
    let said: Vec<_> = (0..120).map(|number| format!("m{number} {}", "x".repeat(2000))).collect();
    for text in &said {
        ana.says(&conversation, &rui, text).await;
    }
    let answer = rui.request(Method::GET, &format!("conversations/{conversation}/messages")).send().await.unwrap();
    let text = answer.text().await.unwrap();
    assert_eq!(keys(&text), ["data", "conversation"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(super::texts(list["data"].as_array().unwrap()), said);
    assert_eq!(list["conversation"]["last_message_text"], said[119].as_str());
}

/// Whoever reads a long list slowly still gets a conversation that moves meanwhile.
#[tokio::test]
async fn a_conversation_that_moves_is_not_left_out() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    for number in 1..=130 {
        ana.post("conversations", json!({"participant_uuid": rui.uuid(), "taggable_id": number})).await;
    }
    let (chat, user) = (&app.app.chat, rui.user.id);
    let access = Access { user: rui.user.clone(), token_id: TokenId(0), abilities: Vec::new() };
    let numbers = chat.inbox_numbers(&access).await.unwrap();
    let (mut entries, left) = chat.inbox_page(user, numbers).await.unwrap();
    assert!(entries.iter().all(|entry| entry.direct.conversation.uuid.to_string() != conversation), "it is the last");
    ana.says(&conversation, &rui, "up").await;
    let (rest, left) = chat.inbox_page(user, left.unwrap()).await.unwrap();
    assert!(left.is_none());
    entries.extend(rest);
    let moved = entries.iter().find(|entry| entry.direct.conversation.uuid.to_string() == conversation).unwrap();
    assert_eq!((entries.len(), moved.last.as_ref().unwrap().text.as_str()), (131, "up"));
}
