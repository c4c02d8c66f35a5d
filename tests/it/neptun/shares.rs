//! Shares: who may open what.

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::chats::keys;
use crate::support::app::{TestApp, answer, whole_answer};
use crate::support::neptun::Member;

/// A chat with a message in it, shared like that: the chat, the share and its link.
async fn shared(member: &Member<'_>, fields: Value) -> (i64, Value, String) {
    let chat = member.chat("A chat").await;
    member.says(chat, "user", "Hello").await;
    let (status, body) = member.post(&member.path(&format!("/chats/{chat}/shares")), fields).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let link = format!("/api/shared/chats/{}", body["share"]["share_uuid"].as_str().expect("a link"));
    (chat, body["share"].clone(), link)
}

fn with_password(request: RequestBuilder, name: &str, password: &str) -> RequestBuilder {
    request.basic_auth(name, Some(password))
}

fn info(flags: [bool; 5]) -> Value {
    let [exists, active, private, password, whitelist] = flags;
    json!({"shareExists": exists, "shareIsActive": active, "shareIsPrivate": private, "shareHasPassword": password,
        "shareHasWhitelist": whitelist})
}

#[tokio::test]
async fn who_has_the_link_sees_the_chat() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (chat, share, link) = shared(&lan, json!({})).await;
    let flags = (&share["is_shared"], &share["is_protected"], &share["hashed_password"]);
    assert_eq!(flags, (&json!(true), &json!(false), &json!(null)));
    assert_eq!(share["chat_conversation_id"], json!(chat));
    let text = app.request(Method::GET, &link).send().await.unwrap().text().await.unwrap();
    assert_eq!(keys(&text), ["chatMessages", "shareInfo"]);
    let body: Value = serde_json::from_str(&text).unwrap();
    let own = &lan.reads(chat).await[0];
    let want = json!({"id": own["id"], "message": "Hello", "actor": "user", "created_at": own["created_at"],
        "updated_at": own["updated_at"], "chat_conversation": {"id": chat, "chat_conversation_shares": [{
            "id": share["id"], "is_shared": true, "is_protected": false, "created_at": share["created_at"],
            "updated_at": share["updated_at"]}]}});
    assert_eq!(body["chatMessages"], json!([want]));
    let want = json!({"shareExists": true, "shareIsActive": true, "shareIsPrivate": false, "shareHasPassword": false});
    assert_eq!(body["shareInfo"], want);
}

#[tokio::test]
async fn a_chat_has_one_share() {
    let app = TestApp::start().await;
    let (lan, tam) = (app.member("Lan").await, app.member("Tam").await);
    let chat = lan.chat("A chat").await;
    let path = lan.path(&format!("/chats/{chat}/shares"));
    assert_eq!(lan.get(&path).await, (StatusCode::OK, Value::Null), "null");
    let (_, first) = lan.post(&path, json!({})).await;
    assert_eq!(lan.post(&path, json!({})).await, (StatusCode::OK, json!({"share": null})));
    assert_eq!(lan.get(&path).await, (StatusCode::OK, json!({"uuid": first["share"]["share_uuid"]})));
    for path in [tam.path(&format!("/chats/{chat}/shares")), path] {
        assert_eq!(tam.get(&path).await.0, StatusCode::NOT_FOUND);
        assert_eq!(tam.post(&path, json!({})).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_protected_share_wants_its_password() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let fields = json!({"is_protected": true, "hashed_password": "open: sesame"});
    let (_, share, link) = shared(&lan, fields).await;
    assert_eq!(share["hashed_password"], "(set, not shown)");
    let get = || app.request(Method::GET, &link);
    let wrong = || app.request(Method::GET, &link).header("authorization", "Basic !!!");
    let bearer = || get().bearer_auth("open: sesame");
    for request in
        [get(), wrong(), bearer(), with_password(get(), "", "sesame"), with_password(get(), "lan", "open: sesame")]
    {
        let (status, headers, body) = whole_answer(request).await;
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (StatusCode::UNAUTHORIZED, &"Basic realm=\"neptun.shared.chat\"".parse().unwrap())
        );
        assert_eq!(body["statusMessage"], "Unauthorized (incorrect credentials)");
        assert_eq!(body["data"], json!({"shareInfo": info([true, true, true, true, false])}));
    }
    let (status, body) = answer(with_password(get(), "", "open: sesame")).await;
    assert_eq!((status, body["chatMessages"].as_array().unwrap().len()), (StatusCode::OK, 1));
    assert_eq!(body["shareInfo"]["shareIsPrivate"], json!(true));
    assert_eq!(
        answer(lan.request(Method::GET, &link)).await.0,
        StatusCode::UNAUTHORIZED,
        "the owner has the chat itself"
    );
}

#[tokio::test]
async fn who_guesses_a_shares_password_has_to_wait() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (_, _, link) = shared(&lan, json!({"is_protected": true, "hashed_password": "sesame"})).await;
    for _ in 0..5 {
        let request = with_password(app.request(Method::GET, &link), "", "wrong");
        assert_eq!(answer(request).await.0, StatusCode::UNAUTHORIZED);
    }
    let (status, headers, _) = whole_answer(with_password(app.request(Method::GET, &link), "", "sesame")).await;
    assert_eq!((status, headers.contains_key("retry-after")), (StatusCode::TOO_MANY_REQUESTS, true));
}

#[tokio::test]
async fn only_who_is_listed_may_open_a_listed_share() {
    let app = TestApp::start().await;
    let (lan, tam, mai) = (app.member("Lan").await, app.member("Tam").await, app.member("Mai").await);
    let (chat, share, link) = shared(&lan, json!({})).await;
    let id = share["id"].as_i64().unwrap();
    let path = lan.path(&format!("/chats/{chat}/shares/{id}/whitelist-entries"));
    let (status, body) = lan.post(&path, json!([tam.email.to_uppercase(), "nobody@example.test", tam.email])).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let entries = body["shareWhitelistEntries"].as_array().unwrap();
    let users: Vec<_> = entries.iter().map(|entry| entry["whitelisted_neptun_user_id"].as_i64().unwrap()).collect();
    assert_eq!(users, [lan.id, tam.id], "the owner, too");
    assert_eq!(
        (&entries[0]["chat_conversation_share_id"], &entries[0]["updated_at"]),
        (&json!(id), &entries[0]["created_at"])
    );
    for member in [&lan, &tam] {
        assert_eq!(member.get(&link).await.0, StatusCode::OK);
    }
    let (status, body) = mai.get(&link).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::FORBIDDEN, &json!("Forbidden (not on whitelist)")));
    assert_eq!(body["data"], json!({"shareInfo": info([true, true, false, false, true])}));
    let (status, body) = app.get(&link).await;
    assert_eq!((status, &body["data"]["shareInfo"]["shareHasWhitelist"]), (StatusCode::UNAUTHORIZED, &json!(true)));
    let by_link =
        lan.path(&format!("/chats/{chat}/shares/{}/whitelist-entries", share["share_uuid"].as_str().unwrap()));
    let (status, body) = lan.post(&by_link, json!({"emails": [mai.email]})).await;
    assert_eq!((status, body["shareWhitelistEntries"].as_array().unwrap().len()), (StatusCode::OK, 2));
    assert_eq!(mai.get(&link).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_password_and_a_list_are_both_asked_for() {
    let app = TestApp::start().await;
    let (lan, tam, mai) = (app.member("Lan").await, app.member("Tam").await, app.member("Mai").await);
    let (chat, share, link) = shared(&lan, json!({"is_protected": true, "hashed_password": "sesame"})).await;
    let path = lan.path(&format!("/chats/{chat}/shares/{}/whitelist-entries", share["id"]));
    assert_eq!(lan.post(&path, json!([tam.email])).await.0, StatusCode::OK);
    let get = |member: &Member<'_>| member.request(Method::GET, &link);
    assert_eq!(answer(get(&tam)).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(with_password(get(&tam), "", "sesame")).await.0, StatusCode::OK);
    assert_eq!(answer(with_password(get(&mai), "", "sesame")).await.0, StatusCode::FORBIDDEN);
    let (status, body) = answer(with_password(app.request(Method::GET, &link), "", "sesame")).await;
    assert_eq!(
        (status, &body["data"]),
        (StatusCode::UNAUTHORIZED, &json!({"shareInfo": info([true, true, true, true, true])}))
    );
}

#[tokio::test]
async fn a_link_that_is_switched_off_leads_nowhere() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let fields = json!({"is_shared": false, "is_protected": true, "hashed_password": "sesame"});
    let (_, _, link) = shared(&lan, fields).await;
    let (status, body) = answer(with_password(app.request(Method::GET, &link), "", "sesame")).await;
    assert_eq!((status, &body["statusMessage"]), (StatusCode::NOT_FOUND, &json!("Not Found (share not found)")));
    assert_eq!(body["data"], json!({"shareInfo": info([true, false, true, true, false])}));
    let nowhere = json!({"shareInfo": info([false; 5])});
    for link in ["abc", "00000000-0000-4000-8000-000000000000", "%ff", "1"] {
        let (status, body) = app.get(&format!("/api/shared/chats/{link}")).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{link}");
        assert!(link == "%ff" || body["data"] == nowhere, "{link}: {body}");
    }
}

#[tokio::test]
async fn a_share_shows_the_chat_as_it_is_now_and_goes_with_it() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let (chat, _, link) = shared(&lan, json!({"hashed_password": ""})).await;
    let messages: Vec<_> = (0..600).map(|n| json!({"content": format!("m{n}"), "role": "user"})).collect();
    lan.post(&lan.messages(chat), json!({"messages": messages})).await;
    let (_, body) = app.get(&link).await;
    assert_eq!(body["chatMessages"].as_array().unwrap().len(), 601, "every page of it");
    assert_eq!(body["shareInfo"]["shareExists"], json!(true));
    lan.delete(&lan.path(&format!("/chats/{chat}"))).await;
    assert_eq!(app.get(&link).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_field_of_a_share_is_judged() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let path = lan.path(&format!("/chats/{chat}/shares"));
    let message = "Bad Request. Invalid body({ is_shared?(true), is_protected?(false), hashed_password?(null) }).";
    let boolean =
        |field: &str, got: &str| issue("invalid_type", json!([field]), &format!("Expected boolean, received {got}"));
    for (body, want) in [
        (json!({"is_shared": "true"}), boolean("is_shared", "string")),
        (json!({"is_protected": null}), boolean("is_protected", "null")),
        (
            json!({"hashed_password": 1}),
            issue("invalid_type", json!(["hashed_password"]), "Expected string, received number"),
        ),
        (json!({"is_protected": true}), issue("invalid_type", json!(["hashed_password"]), "Required")),
        (
            json!({"is_protected": true, "hashed_password": ""}),
            issue("too_small", json!(["hashed_password"]), "String must contain at least 1 character(s)"),
        ),
        (
            json!({"hashed_password": "x".repeat(257)}),
            issue("too_big", json!(["hashed_password"]), "String must contain at most 256 character(s)"),
        ),
        (json!([]), issue("invalid_type", json!([]), "Expected object, received array")),
    ] {
        let (status, refused) = lan.post(&path, body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![want]), "{body}");
        assert_eq!(refused["statusMessage"], message);
    }
    let (_, made) = lan.post(&path, json!({})).await;
    let entries = format!("{path}/{}/whitelist-entries", made["share"]["id"]);
    for (body, want) in [
        (json!({}), issue("invalid_type", json!(["emails"]), "Required")),
        (
            json!({"emails": "a@example.test"}),
            issue("invalid_type", json!(["emails"]), "Expected array, received string"),
        ),
        (json!({"emails": [1]}), issue("invalid_type", json!(["emails", 0]), "Expected string, received number")),
        (json!([]), issue("too_small", json!([]), "Array must contain at least 1 element(s)")),
        (json!(["a@example.test", "nobody"]), issue("invalid_string", json!([1]), "Invalid email")),
    ] {
        let (status, refused) = lan.post(&entries, body.clone()).await;
        assert_eq!((status, issues(&refused)), (StatusCode::BAD_REQUEST, vec![want]), "{body}");
        assert_eq!(refused["statusMessage"], "Bad Request. Invalid body(emails).");
    }
    for share in ["999", "00000000-0000-4000-8000-000000000000"] {
        let (status, body) = lan.post(&format!("{path}/{share}/whitelist-entries"), json!(["a@example.test"])).await;
        assert_eq!((status, &body["data"]["message"]), (StatusCode::NOT_FOUND, &json!("Share not found")), "{share}");
    }
}
