//! Over HTTP: a small door of the test's own, over the plumbing that every door shares.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use reqwest::{Method, RequestBuilder};
use roost::app::App;
use roost::chat::UploadError;
use roost::domain::UserId;
use roost::error::{Error, Rule};
use roost::http::body::BodyError;
use roost::http::download::{self, Download};
use roost::http::multipart::{Form, FormLimits};
use roost::http::server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{files, png, user};
use crate::support::app::{PATIENCE, TestApp};
use crate::support::raw::Raw;

/// A server with the test's door beside it.
struct Door {
    app: TestApp,
    url: String,
    user: i64,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Parts {
    app: Arc<App>,
    limits: FormLimits,
}

impl Door {
    async fn open(limits: FormLimits) -> Self {
        let app = TestApp::with(|config| config.attachments.bytes_max = limits.file_bytes_max).await;
        let user = user(&app, "lan").await.id.0;
        let parts = Parts { app: Arc::clone(&app.app), limits };
        let router =
            Router::new().route("/files/{user}", post(take)).route("/files/{user}/{file}", get(give)).with_state(parts);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(server::serve(listener, router, Arc::clone(&app.app.web), stop.clone(), stop.clone()));
        Self { app, url, user, stop }
    }

    async fn usual() -> Self {
        Self::open(FormLimits { file_bytes_max: 5 << 20, time: PATIENCE }).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.app.client.request(method, format!("{}/files/{}{path}", self.url, self.user)).timeout(PATIENCE)
    }

    async fn sends(&self, body: Vec<u8>) -> (u16, String) {
        let request = self.request(Method::POST, "").header("content-type", "multipart/form-data; boundary=b-o");
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    async fn uploads(&self, name: &str, content: &[u8]) -> String {
        let (status, said) = self.sends(form(&[("caption", None, b"hello"), ("file", Some(name), content)])).await;
        assert_eq!(status, 201, "{said}");
        said.split(' ').next().unwrap().to_owned()
    }

    async fn downloads(&self, file: &str, headers: &[(&str, &str)]) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
        let request = self.request(Method::GET, &format!("/{file}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        (status, headers, answer.bytes().await.unwrap().to_vec())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Answers with what became of the file: its identifier and the text field before and after it.
async fn take(State(parts): State<Parts>, Path(user): Path<i64>, headers: HeaderMap, body: Body) -> Response {
    match taken(&parts, UserId(user), &headers, body).await {
        Ok(said) => (StatusCode::CREATED, said).into_response(),
        Err((status, why)) => (status, why).into_response(),
    }
}

async fn taken(parts: &Parts, user: UserId, headers: &HeaderMap, body: Body) -> Result<String, (StatusCode, String)> {
    let mut form = Form::read(headers, body, parts.limits).map_err(broken)?;
    let Some(file) = form.file("file").await.map_err(broken)? else {
        return Err((StatusCode::UNPROCESSABLE_ENTITY, "no file".to_owned()));
    };
    let name = file.name.clone();
    let attachment = parts.app.chat.upload(user, &name, file).await.map_err(|error| match error {
        UploadError::Source(error) => broken(error),
        UploadError::Chat(Error::Invalid(fields)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, format!("{:?}", fields[0].rule))
        }
        UploadError::Chat(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")),
    })?;
    form.end().await.map_err(broken)?;
    let text = |field| form.text(field).unwrap_or("-").to_owned();
    Ok(format!("{} {} {}", attachment.uuid, text("caption"), text("after")))
}

fn broken(error: BodyError) -> (StatusCode, String) {
    let status = match &error {
        BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TooSlow => StatusCode::REQUEST_TIMEOUT,
        BodyError::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, format!("{error:?}"))
}

async fn give(State(parts): State<Parts>, Path((user, file)): Path<(i64, Uuid)>, headers: HeaderMap) -> Response {
    let chat = &parts.app.chat;
    let Ok(attachment) = chat.attachment(UserId(user), file).await else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let tag = attachment.uuid.to_string();
    let file = Download { name: &attachment.name, mime: &attachment.mime, size: attachment.size, tag: &tag };
    let answer = download::respond(&headers, &file, |range| chat.read_attachment(&attachment, range)).await;
    answer.unwrap_or_else(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:?}")).into_response())
}

/// A form of fields: name, file name, content.
fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
        body.extend_from_slice(b"--b-o\r\n");
        body.extend_from_slice(format!("Content-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b-o--\r\n");
    body
}

#[tokio::test]
async fn a_file_is_sent_back_byte_for_byte_and_harmless() {
    let door = Door::usual().await;
    let image = png(1200, 900);
    assert!(image.len() > 1 << 20, "several parts");
    let file = door.uploads("ảnh đẹp.png", &image).await;
    let (status, headers, bytes) = door.downloads(&file, &[]).await;
    assert_eq!((status, bytes == image), (200, true));
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("content-length"), image.len().to_string());
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("cache-control"), "private");
    assert_eq!(header("accept-ranges"), "bytes");
    assert_eq!(header("etag"), format!("\"{file}\""));
    assert!(header("content-disposition").starts_with("inline; filename=\"_nh "), "{headers:?}");
    let text = door.uploads("notes.txt", b"just text").await;
    let (_, headers, _) = door.downloads(&text, &[]).await;
    assert_eq!(headers["content-disposition"], "attachment; filename=\"notes.txt\"; filename*=UTF-8''notes.txt");
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(door.downloads(&Uuid::new_v4().to_string(), &[]).await.0, 404);
}

#[tokio::test]
async fn a_part_can_be_asked_for_and_what_is_known_is_not_sent_again() {
    let door = Door::usual().await;
    let file = door.uploads("a.txt", b"0123456789").await;
    let tag = format!("\"{file}\"");
    let (status, headers, bytes) = door.downloads(&file, &[("range", "bytes=2-4")]).await;
    assert_eq!((status, bytes.as_slice()), (206, &b"234"[..]));
    assert_eq!(
        (&headers["content-range"], &headers["content-length"]),
        (&"bytes 2-4/10".parse().unwrap(), &"3".parse().unwrap())
    );
    assert_eq!(door.downloads(&file, &[("range", "bytes=-3")]).await.2, b"789");
    let (status, headers, bytes) = door.downloads(&file, &[("range", "bytes=10-")]).await;
    assert_eq!((status, bytes.len()), (416, 0));
    assert_eq!(headers["content-range"], "bytes */10");
    assert_eq!(door.downloads(&file, &[("range", "bytes=0-1,3-4")]).await.2, b"0123456789");
    assert_eq!(door.downloads(&file, &[("range", "bytes=2-4"), ("if-range", &tag)]).await.0, 206);
    assert_eq!(door.downloads(&file, &[("range", "bytes=2-4"), ("if-range", "\"other\"")]).await.0, 200);
    let (status, headers, bytes) = door.downloads(&file, &[("if-none-match", &format!("\"x\", W/{tag}"))]).await;
    assert_eq!((status, bytes.len()), (304, 0));
    assert_eq!(headers["etag"], tag.as_str());
    assert_eq!(door.downloads(&file, &[("if-none-match", "\"x\"")]).await.0, 200);
}

#[tokio::test]
async fn fields_around_the_file_are_read() {
    let door = Door::usual().await;
    let body =
        form(&[("caption", None, b"before"), ("file", Some("a.txt"), b"text"), ("after", None, "sau".as_bytes())]);
    let (status, said) = door.sends(body).await;
    assert_eq!(status, 201, "{said}");
    assert!(said.ends_with(" before sau"), "{said}");
    // What looks like the end is content unless it is.
    let tricky = b"a --b-o\r\n--b-\r\n\r\n--b-p--\r\n \r\r\n--b";
    let file = door.uploads("tricky.txt", tricky).await;
    assert_eq!(door.downloads(&file, &[]).await.2, tricky);
}

#[tokio::test]
async fn a_form_that_is_none_is_refused_and_leaves_nothing() {
    let door = Door::usual().await;
    let file = form(&[("file", Some("a.txt"), b"text")]);
    let many: Vec<_> = (0..20).map(|_| ("x", None, &b"y"[..])).collect();
    let long = vec![b'x'; 9 << 10];
    let head = [b"--b-o\r\nX: ", vec![b'x'; 64 << 10].as_slice()].concat();
    for (body, want) in [
        (b"no form".to_vec(), 400),
        (Vec::new(), 400),
        (file[..file.len() - 8].to_vec(), 400),
        (file[..20].to_vec(), 400),
        (b"--b-o\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b-o--\r\n".to_vec(), 400),
        (b"--b-o\r\nno header at all\r\n\r\nx\r\n--b-o--\r\n".to_vec(), 400),
        (form(&[("other", Some("a.txt"), b"text")]), 400),
        (form(&[("caption", None, b"\xFF\xFE"), ("file", Some("a.txt"), b"text")]), 400),
        (form(&many), 400),
        (form(&[("caption", None, &long)]), 413),
        (head, 413),
        (form(&[("caption", None, b"alone")]), 422),
        (form(&[("file", Some(""), b"")]), 422),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(80)]).into_owned();
        let (status, said) = door.sends(body).await;
        assert_eq!(status, want, "{shown:?}: {said}");
    }
    for other in
        ["application/json", "multipart/form-data", "multipart/mixed; boundary=b-o", "multipart/form-data; x=y"]
    {
        let request = door.request(Method::POST, "").header("content-type", other).body("{}");
        assert_eq!(request.send().await.unwrap().status(), 415, "{other}");
    }
    let emptied = async {
        while !files(&door.app).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.expect("nothing is left");
}

#[tokio::test]
async fn a_file_above_the_limit_is_refused_by_its_size() {
    let door = Door::open(FormLimits { file_bytes_max: 1 << 20, time: PATIENCE }).await;
    let slightly = vec![b'a'; (1 << 20) + 1];
    let (status, said) = door.sends(form(&[("file", Some("a.txt"), &slightly)])).await;
    assert_eq!((status, said), (422, format!("{:?}", Rule::FileBytesMax(1 << 20))));
    // Far above, it is refused by what it says of itself, before it is read.
    let (status, said) = door.sends(form(&[("file", Some("a.txt"), &vec![b'a'; 2 << 20])])).await;
    assert_eq!(status, 413, "{said}");
}

#[tokio::test]
async fn who_sends_too_slowly_is_refused() {
    let door = Door::open(FormLimits { file_bytes_max: 1 << 20, time: Duration::from_millis(200) }).await;
    let begun = form(&[("file", Some("a.txt"), b"begun")]);
    let begun: Result<_, Infallible> = Ok(begun[..begun.len() - 10].to_vec());
    use futures_util::StreamExt as _;
    let endless = futures_util::stream::iter([begun]).chain(futures_util::stream::pending());
    let request = door.request(Method::POST, "").header("content-type", "multipart/form-data; boundary=b-o");
    let answer = request.body(reqwest::Body::wrap_stream(endless)).send().await.unwrap();
    assert_eq!(answer.status(), 408);
}

#[tokio::test]
async fn who_hangs_up_in_the_middle_leaves_nothing() {
    let door = Door::usual().await;
    let body = form(&[("file", Some("a.txt"), &vec![b'a'; 4 << 20])]);
    let mut connection = Raw::connect(&door.url).await;
    let head = format!(
        "POST /files/{} HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=b-o\r\nContent-Length: {}\r\n\r\n",
        door.user,
        body.len()
    );
    connection.send(head.as_bytes()).await;
    connection.send(&body[..3 << 20]).await;
    let begun = async {
        while files(&door.app).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("it is on its way");
    drop(connection);
    let emptied = async {
        while !files(&door.app).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.expect("nothing is left");
}
