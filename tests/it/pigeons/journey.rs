//! The story: two users write to each other, and a third sees nothing of it.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::texts;
use crate::chats::keys;
use crate::support::app::TestApp;

#[tokio::test]
async fn a_message_is_sent_delivered_read_and_reacted_to() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;

    let id = ana.says(&conversation, &rui, "Are you on your way?").await;
    let list = ana.lists(&conversation).await;
    assert_eq!(
        list[0]["status"],
        json!({"sent": true, "delivered": false, "read": false}),
        "one's own list reaches nobody"
    );
    assert_eq!(rui.unread(&conversation).await, 1);

    // Rui looks: it is delivered, and read when he says so.
    let seen = rui.lists(&conversation).await;
    assert_eq!(seen[0]["status"], json!({"sent": true, "delivered": true, "read": false}));
    assert_eq!((&seen[0]["message_id"], &seen[0]["id"]), (&json!(id), &json!(id)));
    assert_eq!(rui.unread(&conversation).await, 1, "to list is not to read");
    let (status, told) = rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
    assert_eq!((status, told), (StatusCode::OK, json!({"message": "Message marked as read"})));
    assert_eq!(rui.unread(&conversation).await, 0);
    let seen = ana.lists(&conversation).await;
    assert_eq!(seen[0]["status"], json!({"sent": true, "delivered": true, "read": true}));
    assert!(seen[0]["timestamps"]["delivered_at"].is_string() && seen[0]["timestamps"]["read_at"].is_string());

    // He reacts, twice with the same emoji, and takes one back.
    for emoji in ["🚲", "👍🏽", "🚲"] {
        let (status, told) = rui.post(&format!("messages/{id}/reactions"), json!({"emoji": emoji})).await;
        assert_eq!((status, told), (StatusCode::OK, json!({"message": "Reaction added successfully"})));
    }
    let removed = rui.delete(&format!("messages/{id}/reactions/%F0%9F%9A%B2")).await;
    assert_eq!(removed, (StatusCode::OK, json!({"message": "Reaction removed successfully"})));
    assert_eq!(rui.delete(&format!("messages/{id}/reactions/%F0%9F%9A%B2")).await.0, StatusCode::OK);
    let list = ana.lists(&conversation).await;
    let reactions = list[0]["reactions"].as_array().unwrap();
    assert_eq!(reactions.len(), 1, "{reactions:?}");
    assert_eq!((&reactions[0]["emoji"], &reactions[0]["user_uuid"]), (&json!("👍🏽"), &json!(rui.uuid())));
}

#[tokio::test]
async fn a_message_is_edited_found_and_taken_back() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    ana.says(&conversation, &rui, "Are you on your way?").await;
    let answer = rui.says(&conversation, &ana, "By bicicle").await;
    let edit = json!({"context_text": "By bicycle"});
    let (status, told) = rui.send(Method::PATCH, &format!("messages/{answer}"), edit.clone()).await;
    assert_eq!((status, &told["message"]), (StatusCode::OK, &json!("Message updated successfully")));
    assert_eq!(told["data"]["context"]["text"], "By bicycle");
    assert!(told["data"]["timestamps"]["edited_at"].is_string(), "{told}");
    let (status, found) = ana.get("search?q=bicy").await;
    assert_eq!((status, &found["data"][0]["message_id"]), (StatusCode::OK, &json!(answer)));
    assert_eq!(found["data"][0]["conversation_uuid"], conversation);
    assert_eq!(ana.send(Method::PATCH, &format!("messages/{answer}"), edit).await.0, StatusCode::FORBIDDEN);
    assert_eq!(ana.delete(&format!("messages/{answer}")).await.0, StatusCode::FORBIDDEN);
    let deleted = rui.delete(&format!("messages/{answer}")).await;
    assert_eq!(deleted, (StatusCode::OK, json!({"message": "Message deleted successfully"})));
    assert_eq!(rui.delete(&format!("messages/{answer}")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(texts(&ana.lists(&conversation).await), ["Are you on your way?"]);
    assert_eq!(ana.get("search?q=bicy").await.1["data"], json!([]));
    assert_eq!(ana.unread(&conversation).await, 0, "what was taken back waits for nobody");
    let inbox = ana.inbox().await;
    assert_eq!(inbox[0]["last_message_text"], "Are you on your way?");
}

#[tokio::test]
async fn a_third_sees_nothing_of_it() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let id = ana.says(&conversation, &rui, "Are you on your way?").await;
    // Eve is of the same platform, and none of it is hers.
    let unauthorized = json!({"message": "Unauthorized"});
    let theirs = format!("conversations/{conversation}/messages");
    assert_eq!(eve.get(&theirs).await, (StatusCode::FORBIDDEN, unauthorized.clone()));
    let body = eve.message(&conversation, &rui, "hello");
    assert_eq!(eve.post("messages", body).await, (StatusCode::FORBIDDEN, unauthorized.clone()));
    for (method, path, body) in [
        (Method::PATCH, format!("messages/{id}/read"), Value::Null),
        (Method::POST, format!("messages/{id}/reactions"), json!({"emoji": "🚲"})),
        (Method::DELETE, format!("messages/{id}/reactions/x"), Value::Null),
        (Method::PATCH, format!("messages/{id}"), json!({"context_text": "x"})),
        (Method::DELETE, format!("messages/{id}"), Value::Null),
        (Method::POST, format!("conversations/{conversation}/read"), json!({})),
        (Method::PATCH, format!("conversations/{conversation}"), json!({"is_archived": true})),
    ] {
        assert_eq!(eve.send(method, &path, body).await, (StatusCode::FORBIDDEN, unauthorized.clone()), "{path}");
    }
    assert_eq!(eve.inbox().await, Vec::<Value>::new());
    assert_eq!(eve.get("search?q=way").await.1["data"], json!([]));
    assert_eq!(eve.get("stats/devices").await, (StatusCode::OK, json!({"data": []})));
    // Only the receiver reads.
    let own = ana.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
    assert_eq!(own, (StatusCode::FORBIDDEN, unauthorized));
}

#[tokio::test]
async fn a_list_shows_its_members_in_their_order() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let id = ana.says(&conversation, &rui, "On my way").await;
    rui.post(&format!("messages/{id}/reactions"), json!({"emoji": "🚲"})).await;
    rui.send(Method::PATCH, &format!("messages/{id}/read"), Value::Null).await;
    let path = format!("conversations/{conversation}/messages");
    let text = ana.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    assert_eq!(keys(&text), ["data", "conversation"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    let (message, at) = (&list["data"][0], &list["data"][0]["timestamps"]["sent_at"]);
    let created = &list["conversation"]["created_at"];
    let (pbk, from, to) = (ana.platform.key, ana.uuid(), rui.uuid());
    let (reacted, updated) = (&message["reactions"][0]["created_at"], &list["conversation"]["updated_at"]);
    let (delivered, read) = (&message["timestamps"]["delivered_at"], &message["timestamps"]["read_at"]);
    let want = format!(
        r#"{{"data":[{{"message_id":"{id}","id":"{id}","conversation_uuid":"{conversation}","sender":{{"uuid":"{from}","name":"Ana","avatar":null}},"receiver":{{"uuid":"{to}","name":"Rui","avatar":null}},"context":{{"text":"On my way","type":"text"}},"attachments":[],"metadata":{{}},"reactions":[{{"user_uuid":"{to}","emoji":"🚲","created_at":{reacted}}}],"status":{{"sent":true,"delivered":true,"read":true}},"timestamps":{{"sent_at":{at},"delivered_at":{delivered},"read_at":{read}}},"pbk":"{pbk}","device":{{"type":"web","os":"Linux"}}}}],"conversation":{{"uuid":"{conversation}","taggable_type":null,"last_message_text":"On my way","last_message_at":{at},"is_archived":false,"created_at":{created},"updated_at":{updated},"taggable_info":null}}}}"#
    );
    assert_eq!(text, want);

    let text = rui.request(Method::GET, "conversations").send().await.unwrap().text().await.unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let (first, second) = (&list["data"][0]["participants"][0]["pivot"], &list["data"][0]["participants"][1]["pivot"]);
    let (joined, also) = (&first["joined_at"], &second["joined_at"]);
    let last_read = &second["last_read_at"];
    assert!(last_read.is_string() && joined.is_string());
    let updated = &list["data"][0]["updated_at"];
    let want = format!(
        r#"{{"data":[{{"uuid":"{conversation}","taggable_type":null,"last_message_text":"On my way","last_message_at":{at},"is_archived":false,"created_at":{created},"updated_at":{updated},"taggable_info":null,"participants":[{{"uuid":"{from}","name":"Ana","email":"ana@pigeons.test","avatar":null,"avatar_url":null,"pivot":{{"unread_count":0,"last_read_at":null,"joined_at":{joined}}}}},{{"uuid":"{to}","name":"Rui","email":"rui@pigeons.test","avatar":null,"avatar_url":null,"pivot":{{"unread_count":0,"last_read_at":{last_read},"joined_at":{also}}}}}]}}]}}"#
    );
    assert_eq!(text, want);
}
