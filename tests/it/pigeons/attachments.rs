//! Files: uploaded, sent with a message, downloaded by who may read it.

use image::{DynamicImage, ImageFormat, RgbImage};
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::app::{TestApp, answer};
use crate::support::pigeon::Pigeon;

fn png(side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(RgbImage::new(side, side)).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

impl Pigeon<'_> {
    async fn posts_file(&self, field: &str, name: &str, content: &[u8]) -> (StatusCode, Value) {
        let head = format!("--b-o\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{name}\"\r\n\r\n");
        let body = [head.as_bytes(), content, b"\r\n--b-o--\r\n"].concat();
        let request = self.request(Method::POST, "attachments");
        answer(request.header("content-type", "multipart/form-data; boundary=b-o").body(body)).await
    }

    async fn uploads(&self, name: &str, content: &[u8]) -> Value {
        let (status, told) = self.posts_file("file", name, content).await;
        assert_eq!(
            (status, &told["message"]),
            (StatusCode::CREATED, &json!("Attachment uploaded successfully")),
            "{told}"
        );
        told["data"].clone()
    }

    async fn downloads(&self, path: &str) -> (u16, HeaderMap, Vec<u8>) {
        let answer = self.request(Method::GET, path).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await.unwrap().to_vec())
    }
}

#[tokio::test]
async fn a_file_travels_with_a_message() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let eve = app.pigeon(&ana.platform, "Eve").await;
    let image = png(400);
    let file = ana.uploads("../praia.png", &image).await;
    let (id, url) = (file["id"].as_str().unwrap(), file["url"].as_str().unwrap());
    assert_eq!(
        (&file["name"], &file["mime"], &file["size"]),
        (&json!("praia.png"), &json!("image/png"), &json!(image.len()))
    );
    assert_eq!(url, format!("/api/v1/pigeons/chat/attachments/{id}"));
    // Until it is sent it is Ana's alone.
    assert_eq!((ana.downloads(url).await.0, rui.downloads(url).await.0), (200, 404));
    let mut body = ana.message(&conversation, &rui, "look");
    body["attachments"] =
        json!([{"id": id, "name": "a lie", "size": 1}, {"note": "my own"}, {"id": id.replace('-', ""), "mime": "lie"}]);
    let (status, told) = ana.post("messages", body).await;
    assert_eq!(status, StatusCode::CREATED, "{told}");
    assert_eq!(told["data"]["attachments"], json!([file, {"note": "my own"}, file]));
    assert_eq!(rui.lists(&conversation).await[0]["attachments"], told["data"]["attachments"]);
    let (status, headers, bytes) = rui.downloads(url).await;
    assert_eq!((status, bytes == image), (200, true));
    assert_eq!(
        (&headers["content-type"], &headers["x-content-type-options"]),
        (&"image/png".parse().unwrap(), &"nosniff".parse().unwrap())
    );
    let (status, headers, small) = rui.downloads(&format!("{url}?thumbnail=1")).await;
    assert_eq!((status, &headers["content-type"]), (200, &"image/jpeg".parse().unwrap()));
    assert!(!small.is_empty());
    assert_eq!(eve.downloads(url).await.0, 404);
    // With the message it goes out of sight.
    let sent = told["data"]["message_id"].as_str().unwrap();
    ana.delete(&format!("messages/{sent}")).await;
    assert_eq!(rui.downloads(url).await.0, 404);
}

#[tokio::test]
async fn nobody_sends_what_is_not_theirs() {
    let app = TestApp::start().await;
    let (ana, rui, conversation) = app.pair().await;
    let file = ana.uploads("notes.txt", b"just text").await;
    let send = async |user: &Pigeon<'_>, to: &Pigeon<'_>, entry: Value| {
        let mut body = user.message(&conversation, to, "x");
        body["attachments"] = json!([{}, entry]);
        user.post("messages", body).await
    };
    let nobody = "00000000-0000-4000-8000-000000000000";
    for entry in [
        json!({"id": file["id"]}),
        json!({"id": nobody}),
        json!({"id": nobody, "url": format!("/api/v1/pigeons/chat/attachments/{nobody}")}),
    ] {
        let (status, told) = send(&rui, &ana, entry).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(told["errors"], json!({"attachments.1": ["The selected attachments.1 is invalid."]}));
    }
    let elsewhere = json!({"id": nobody, "url": "https://cdn.example/a.png"});
    let (status, told) = send(&rui, &ana, elsewhere.clone()).await;
    assert_eq!((status, &told["data"]["attachments"][1]), (StatusCode::CREATED, &elsewhere));
    assert_eq!(rui.downloads(file["url"].as_str().unwrap()).await.0, 404);
}

#[tokio::test]
async fn what_is_no_file_is_refused() {
    let app = TestApp::with(|config| config.attachments.bytes_max = 10_000).await;
    let (ana, ..) = app.pair().await;
    for (field, content, status, want) in [
        ("other", &b"text"[..], 400, None),
        ("file", b"", 422, Some("The file field is required.")),
        ("file", b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00", 422, Some("of an allowed type")),
        ("file", &[b'x'; 20_000], 422, Some("The file field must not be greater than 10000 bytes.")),
    ] {
        let (got, told) = ana.posts_file(field, "a.txt", content).await;
        assert_eq!(got.as_u16(), status, "{told}");
        let said = told["errors"]["file"][0].as_str();
        assert_eq!(said.is_some(), want.is_some(), "{told}");
        assert!(want.is_none_or(|want| said.unwrap().contains(want)), "{told}");
    }
    let empty = ana.request(Method::POST, "attachments").header("content-type", "multipart/form-data; boundary=b-o");
    let (status, told) = answer(empty.body("--b-o--\r\n")).await;
    assert_eq!((status.as_u16(), &told["errors"]["file"][0]), (422, &json!("The file field is required.")));
    let (_, told) = ana.posts_file("other", "a.txt", b"text").await;
    assert!(told["message"].as_str().unwrap().starts_with("The form cannot be read: "), "{told}");
    let (status, told) = ana.post("attachments", json!({})).await;
    assert_eq!((status.as_u16(), told), (415, json!({"message": "Send the file as multipart/form-data."})));
    let small = ana.uploads("notes.txt", b"just text").await;
    let path = format!("{}?thumbnail=1", small["url"].as_str().unwrap());
    assert_eq!(ana.downloads(&path).await.0, 404, "text has no picture");
}
