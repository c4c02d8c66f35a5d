//! Forms, wherever JSON is taken: existing clients send them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{issue, issues};
use crate::support::app::{TestApp, answer};
use crate::support::neptun::Member;

#[tokio::test]
async fn a_form_is_read_wherever_json_is() {
    let app = TestApp::start().await;
    let form = |path: &str, body: &str| {
        let request = app.request(Method::POST, path).header("content-type", "application/x-www-form-urlencoded");
        answer(request.body(body.to_owned()))
    };
    let credentials = "email=lan%40example.test&password=Correct-Horse-9";
    let (status, body) = form("/api/auth/sign-up", &format!("{credentials}&confirmPassword=Correct-Horse-9")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(form("/api/auth/login", credentials).await.0, StatusCode::OK);
    let (_, body) = form("/auth/otp", "action=create&email=nobody").await;
    assert_eq!(body["message"], "Invalid email.");
    let tam = app.member("Tam").await;
    let (status, body) = tam.form(Method::POST, &tam.path("/chats"), "name=A+chat&model=google/gemma-2-27b-it").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let chat = body["chat"]["id"].as_i64().unwrap();
    let path = tam.path(&format!("/chats/{chat}"));
    let (_, body) = tam.form(Method::PATCH, &path, "name=Another+name").await;
    assert_eq!(body["chat"]["name"], "Another name");
    let (_, body) = tam.form(Method::PATCH, &tam.path(""), "email=tam.new@example.test").await;
    assert_eq!(body["user"]["primary_email"], "tam.new@example.test");
    everything_in_a_chat(&tam, chat).await;
    let (status, body) = tam.form(Method::POST, "/api/ai/google/gemma-2-27b-it/chat", "messages[][content]=hi").await;
    assert_eq!(
        (status, issues(&body)),
        (StatusCode::BAD_REQUEST, vec![issue("invalid_type", json!(["messages", 0, "role"]), "Required")])
    );
    let (status, _) = tam
        .form(Method::POST, "/api/ai/google/gemma-2-27b-it/chat", "messages[0][content]=hi&messages[0][role]=user")
        .await;
    assert_eq!(status, StatusCode::OK);
}

async fn everything_in_a_chat(tam: &Member<'_>, chat: i64) {
    let (_, body) = tam.form(Method::POST, &tam.messages(chat), "message=%20Xin+ch%C3%A0o%20&actor=user&other=1").await;
    assert_eq!(body["chatMessage"]["message"], "Xin chào");
    let batch = "messages[1][content]=b&messages[1][role]=assistant&messages[0][role]=user&messages[0][content]=a";
    let (_, body) = tam.form(Method::POST, &tam.messages(chat), batch).await;
    let texts: Vec<&Value> =
        body["chatMessages"].as_array().unwrap().iter().map(|message| &message["message"]).collect();
    assert_eq!(texts, ["a", "b"]);
    let message = body["chatMessages"][1]["id"].clone();
    let files = tam.path(&format!("/chats/{chat}/files/{message}"));
    let (_, body) = tam.form(Method::POST, &files, "text=x&title=a.txt").await;
    assert_eq!(body["chatFile"]["title"], "a.txt");
    let (_, body) = tam.form(Method::POST, &files, "files[0][text]=x&files[1][text]=y").await;
    assert_eq!(body["chatFiles"].as_array().unwrap().len(), 2);
    let shares = tam.path(&format!("/chats/{chat}/shares"));
    let (_, body) = tam.form(Method::POST, &shares, "is_shared=true&is_protected=1&hashed_password=sesame").await;
    assert_eq!(body["share"]["is_protected"], json!(true), "{body}");
    let entries = format!("{shares}/{}/whitelist-entries", body["share"]["id"]);
    for form in
        ["emails[]=a@example.test&emails[]=b@example.test", "emails=a@example.test", "emails=a@b.c&emails=d@e.f"]
    {
        let (status, body) = tam.form(Method::POST, &entries, form).await;
        assert_eq!((status, body["shareWhitelistEntries"].as_array().unwrap().len()), (StatusCode::OK, 1), "{form}");
    }
}

#[tokio::test]
async fn numbers_in_forms_are_numbers_in_all_spellings_of_a_list() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    for spell in [
        |[a, b]: [i64; 2]| format!("chat_ids[]={a}&chat_ids[]={b}"),
        |[a, b]: [i64; 2]| format!("chat_ids[1]={a}&chat_ids[0]={b}"),
        |[a, b]: [i64; 2]| format!("chat_ids={a}&chat_ids={b}"),
        |[a, b]: [i64; 2]| format!("chat_ids%5B%5D={a}&chat_ids%5B%5D={b}"),
    ] {
        let ids = [lan.chat("one").await, lan.chat("two").await];
        let form = spell(ids);
        assert_eq!(lan.form(Method::DELETE, &lan.path("/chats"), &form).await, (StatusCode::OK, json!(true)), "{form}");
    }
    assert_eq!(lan.get(&lan.path("/chats")).await.1, json!({"chats": []}));
}

#[tokio::test]
async fn a_hostile_form_is_refused_or_read_as_it_stands() {
    let app = TestApp::start().await;
    let lan = app.member("Lan").await;
    let chat = lan.chat("A chat").await;
    let required = vec![issue("invalid_type", json!(["message"]), "Required")];
    for form in ["", "&&&===", "[]=1", "[message]=x", "a[b", "a]b=1", "x[[[[[=1", "%ff=%fe", "message]=x&[actor=user"] {
        let (status, body) = lan.form(Method::POST, &lan.messages(chat), form).await;
        assert_eq!((status, issues(&body)), (StatusCode::BAD_REQUEST, required.clone()), "{form}");
    }
    let deep = format!("messages{}=1", "[0]".repeat(10_000));
    assert_eq!(lan.form(Method::POST, &lan.messages(chat), &deep).await.0, StatusCode::BAD_REQUEST);
    let wide = "messages[]=1&".repeat(100_000);
    let (status, body) = lan.form(Method::POST, &lan.messages(chat), &wide).await;
    let many = issue("too_big", json!(["messages"]), "Array must contain at most 1000 element(s)");
    assert_eq!((status, issues(&body)), (StatusCode::BAD_REQUEST, vec![many]));
    for (form, want) in [
        (
            "message=a&message=b&actor=user",
            issue("invalid_type", json!(["message"]), "Expected string, received array"),
        ),
        ("message[x]=a&actor=user", issue("invalid_type", json!(["message"]), "Expected string, received object")),
        ("messages=x", issue("invalid_type", json!(["messages", 0]), "Expected object, received string")),
        ("messages[a]=x", issue("invalid_type", json!(["messages"]), "Expected array, received object")),
    ] {
        let (status, body) = lan.form(Method::POST, &lan.messages(chat), form).await;
        assert_eq!((status, issues(&body)), (StatusCode::BAD_REQUEST, vec![want]), "{form}");
    }
    let (status, body) =
        lan.form(Method::DELETE, &lan.path("/chats"), "chat_ids=x&chat_ids=-1&chat_ids=1.5&chat_ids=0x1").await;
    let nan = |at: usize| issue("invalid_type", json!(["chat_ids", at]), "Expected number, received nan");
    let want = vec![
        nan(0),
        issue("too_small", json!(["chat_ids", 1]), "Number must be greater than 0"),
        issue("invalid_type", json!(["chat_ids", 2]), "Expected integer, received float"),
        nan(3),
    ];
    assert_eq!((status, issues(&body)), (StatusCode::BAD_REQUEST, want));
    assert!(lan.reads(chat).await.is_empty());
}
