//! Uploading, reading and collecting, through the use-cases.

use std::time::Duration;

use ::bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use roost::chat::UploadError;
use roost::domain::{Attachment, User};
use roost::error::{Error, FieldError, Rule, Subject};
use roost::store::NewConversation;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{HungUp, arriving, files, in_s3, png, user};
use crate::support::app::{PATIENCE, TestApp};
use crate::support::s3::S3;
use crate::support::store::{from_guest, live_chat};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn upload(app: &TestApp, user: &User, name: &str, content: &[u8]) -> Result<Attachment, UploadError<HungUp>> {
    app.app.chat.upload(user.id, name, arriving(content)).await
}

async fn uploaded(app: &TestApp, user: &User, name: &str, content: &[u8]) -> Attachment {
    upload(app, user, name, content).await.unwrap()
}

async fn read(app: &TestApp, user: &User, uuid: Uuid) -> Option<Vec<u8>> {
    match app.app.chat.attachment(user.id, uuid).await {
        Ok(attachment) => {
            let bytes = app.app.chat.read_attachment(&attachment, None).await.unwrap();
            let chunks: Vec<Bytes> = bytes.try_collect().await.unwrap();
            Some(chunks.concat())
        }
        Err(Error::NotFound(Subject::Attachment)) => None,
        Err(other) => panic!("{other:?}"),
    }
}

/// Sends a file in a conversation that somebody takes part in.
async fn send(app: &TestApp, file: &Attachment, to: &User) {
    let store = &app.app.store;
    let key = Uuid::new_v4().to_string();
    let chat = NewConversation { user_id: Some(to.id), ..live_chat(&key) };
    let chat = store.create_conversation(chat).await.unwrap();
    let message = store.append(from_guest(chat.id, "see this")).await.unwrap().message;
    store.hold_attachments(file.user_id, vec![file.uuid], message.id).await.unwrap();
}

/// Waits until no file is left: what is dropped is cleaned up behind the caller's back.
async fn becomes_empty(app: &TestApp) {
    let emptied = async {
        while !files(app).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, emptied).await.expect("everything is cleaned up");
}

fn refused(answer: Result<Attachment, UploadError<HungUp>>) -> Rule {
    match answer {
        Err(UploadError::Chat(Error::Invalid(mut fields))) => {
            let FieldError { field, rule } = fields.remove(0);
            assert!(field == "file" && fields.is_empty());
            rule
        }
        other => panic!("{other:?}"),
    }
}

async fn a_file_goes_its_way(app: &TestApp) {
    let (lan, minh, eve) = (user(app, "lan").await, user(app, "minh").await, user(app, "eve").await);
    let text = "Xin chào\n".repeat(1_000_000);
    let file = uploaded(app, &lan, "../notes/ghi chú.txt", text.as_bytes()).await;
    assert_eq!((file.name.as_str(), file.mime.as_str()), ("ghi chú.txt", "text/plain"));
    assert_eq!((file.size, file.has_thumbnail), (text.len() as u64, false));
    assert!(read(app, &lan, file.uuid).await.unwrap() == text.as_bytes());
    assert!(read(app, &minh, file.uuid).await.is_none());
    send(app, &file, &minh).await;
    assert!(read(app, &minh, file.uuid).await.unwrap() == text.as_bytes());
    assert!(read(app, &eve, file.uuid).await.is_none() && read(app, &lan, Uuid::new_v4()).await.is_none());
    let some = app.app.chat.read_attachment(&file, Some(4..8)).await.unwrap();
    assert_eq!(some.try_collect::<Vec<_>>().await.unwrap().concat(), &text.as_bytes()[4..8]);
}

async fn an_image_has_a_thumbnail(app: &TestApp) {
    let ann = user(app, "ann").await;
    let image = uploaded(app, &ann, "photo.png", &png(640, 480)).await;
    assert!(image.has_thumbnail);
    let thumbnail = app.app.chat.read_thumbnail(&image).await.unwrap();
    let thumbnail = image::load_from_memory(&thumbnail).unwrap();
    assert_eq!((thumbnail.width(), thumbnail.height()), (320, 240));
    // Cut in its middle it is as good a file as any, without a picture.
    let cut = uploaded(app, &ann, "cut.png", &png(640, 480)[..2000]).await;
    assert_eq!((cut.mime.as_str(), cut.has_thumbnail), ("image/png", false));
    let none = app.app.chat.read_thumbnail(&cut).await;
    assert!(matches!(none, Err(Error::NotFound(Subject::Attachment))), "{none:?}");
}

async fn what_nobody_sent_is_collected_after_a_day(app: &TestApp) {
    let (tom, kim) = (user(app, "tom").await, user(app, "kim").await);
    let loose = uploaded(app, &tom, "loose.png", &png(400, 400)).await;
    let sent = uploaded(app, &tom, "sent.png", &png(400, 400)).await;
    send(app, &sent, &kim).await;
    app.clock.advance(DAY - Duration::from_secs(60));
    let late = uploaded(app, &tom, "late.txt", b"late").await;
    let before = app.app.chat.collect_loose().await.unwrap();
    app.clock.advance(Duration::from_secs(61));
    assert!(app.app.chat.collect_loose().await.unwrap() > before, "its day is over");
    assert_eq!(app.app.chat.collect_loose().await.unwrap(), 0);
    assert!(read(app, &tom, loose.uuid).await.is_none());
    for key in [loose.uuid.to_string(), format!("{}.thumbnail", loose.uuid)] {
        assert!(!files(app).contains(&key), "its bytes are gone too");
    }
    assert!(read(app, &kim, sent.uuid).await.is_some());
    assert!(app.app.chat.read_thumbnail(&sent).await.is_ok());
    assert_eq!(read(app, &tom, late.uuid).await.unwrap(), b"late");
}

async fn everything_holds(app: &TestApp) {
    a_file_goes_its_way(app).await;
    an_image_has_a_thumbnail(app).await;
    what_nobody_sent_is_collected_after_a_day(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_live_in_a_folder() {
    everything_holds(&TestApp::start().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_live_in_s3() {
    let Some(service) = S3::start().await else { return };
    let app = TestApp::with(|config| in_s3(&service, &mut config.attachments)).await;
    // Made beside it, so that it can be seen to stay empty.
    std::fs::create_dir(app.config.data.join("objects")).unwrap();
    everything_holds(&app).await;
    assert!(files(&app).is_empty());
    assert_eq!(service.unfinished_uploads().await, 0);
}

#[tokio::test]
async fn only_allowed_content_is_taken_whatever_its_name() {
    let app = TestApp::with(|config| config.attachments.types = vec!["image/*".to_owned()]).await;
    let lan = user(&app, "lan").await;
    for (content, got) in [
        (&b"<html><script>alert(1)</script>"[..], "text/html"),
        (b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
        (b"plain", "text/plain"),
        (b"\0\x01\x02", "application/octet-stream"),
    ] {
        assert_eq!(refused(upload(&app, &lan, "photo.png", content).await), Rule::FileType { got });
    }
    assert_eq!(refused(upload(&app, &lan, "empty.png", b"").await), Rule::NotBlank);
    assert!(files(&app).is_empty(), "nothing of them was stored");
    assert_eq!(uploaded(&app, &lan, "page.html", &png(8, 8)).await.mime, "image/png");
}

#[tokio::test]
async fn the_defaults_take_no_page_and_no_program() {
    let app = TestApp::start().await;
    let lan = user(&app, "lan").await;
    for content in [&b"<svg xmlns='http://www.w3.org/2000/svg' onload='a()'/>"[..], b"#!/bin/sh\n", b"\x7FELF\x02\x01"]
    {
        assert!(matches!(refused(upload(&app, &lan, "a.txt", content).await), Rule::FileType { .. }));
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_and_leaves_nothing() {
    let app = TestApp::with(|config| config.attachments.bytes_max = 3_000_000).await;
    let lan = user(&app, "lan").await;
    let large = vec![b'a'; 3_000_001];
    assert_eq!(refused(upload(&app, &lan, "large.txt", &large).await), Rule::FileBytesMax(3_000_000));
    becomes_empty(&app).await;
    assert_eq!(uploaded(&app, &lan, "fits.txt", &large[1..]).await.size, 3_000_000);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let app = TestApp::start().await;
    let lan = user(&app, "lan").await;
    for sent in [10, 3_000_000] {
        let broken = arriving(&vec![b'a'; sent]).chain(stream::iter([Err(HungUp)]));
        let answer = app.app.chat.upload(lan.id, "broken.txt", broken).await;
        assert!(matches!(answer, Err(UploadError::Source(HungUp))), "{answer:?}");
        becomes_empty(&app).await;
    }
}

/// An upload that sends this much and then neither more nor an end; tells when it has.
fn stuck(sent: usize) -> (impl stream::Stream<Item = Result<Bytes, HungUp>> + Send + Unpin, oneshot::Receiver<()>) {
    let (tell, told) = oneshot::channel();
    let silence = stream::once(async move {
        let _ = tell.send(());
        std::future::pending().await
    });
    (arriving(&vec![b'a'; sent]).chain(silence.boxed()), told)
}

#[tokio::test]
async fn uploads_at_once_are_bounded_and_who_hangs_up_makes_room() {
    let app = TestApp::with(|config| config.attachments.uploads_per_user_max = 1).await;
    let (lan, minh) = (user(&app, "lan").await, user(&app, "minh").await);
    let (bytes, told) = stuck(3_000_000);
    let (chat, id) = (app.app.chat.clone(), lan.id);
    let uploading = tokio::spawn(async move { chat.upload(id, "stuck.txt", bytes).await });
    tokio::time::timeout(PATIENCE, told).await.expect("it reads on").unwrap();
    assert_eq!(files(&app).len(), 1, "it is on its way");
    app.await_figure("uploads", 1.0).await;
    let busy = upload(&app, &lan, "second.txt", b"second").await;
    assert!(matches!(busy, Err(UploadError::Chat(Error::Busy))), "{busy:?}");
    assert_eq!(uploaded(&app, &minh, "other.txt", b"other").await.size, 5);
    uploading.abort();
    assert!(uploading.await.unwrap_err().is_cancelled());
    assert_eq!(uploaded(&app, &lan, "second.txt", b"second").await.size, 6);
    let only_these = async {
        while files(&app).len() > 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, only_these).await.expect("what was on its way is cleaned up");
    app.await_figure("uploads", 0.0).await;
}

#[tokio::test]
async fn bytes_that_cannot_be_deleted_are_deleted_the_next_time() {
    let app = TestApp::start().await;
    let lan = user(&app, "lan").await;
    let file = uploaded(&app, &lan, "a.txt", b"a").await;
    let path = app.config.data.join("objects").join(&file.uuid.to_string()[..2]).join(file.uuid.to_string());
    // A folder in its place, which is no file that could be deleted.
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    app.clock.advance(DAY + Duration::from_secs(1));
    assert!(app.app.chat.collect_loose().await.is_err());
    assert!(read(&app, &lan, file.uuid).await.is_none(), "nobody sees it any more");
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(app.app.chat.collect_loose().await.unwrap(), 1);
}
