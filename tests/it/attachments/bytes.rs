//! The object store: the same tests over a folder and over a real S3 service.

use std::time::Duration;

use ::bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use roost::error::Error;
use roost::objects::{Bucket, Objects, PutError, clear_remnants};
use tokio::sync::oneshot;

use crate::support::app::PATIENCE;
use crate::support::s3::{BUCKET, S3};
use crate::support::temp::TempDir;

const MIB: usize = 1 << 20;
const MAX: u64 = 20 << 20;

/// An object store of some kind, empty.
struct Place {
    objects: Objects,
    folder: TempDir,
    service: Option<S3>,
}

impl Place {
    fn folder() -> Self {
        let folder = TempDir::new();
        Self { objects: Objects::folder(folder.path(), true).unwrap(), folder, service: None }
    }

    async fn s3() -> Option<Self> {
        let service = S3::start().await?;
        let objects = Objects::s3(&bucket(&service.url)).unwrap();
        Some(Self { objects, folder: TempDir::new(), service: Some(service) })
    }

    /// Waits until nothing is left, also not of uploads that were begun: what is dropped is cleaned up
    /// behind the caller's back.
    async fn becomes_empty(&self) {
        let emptied = async {
            loop {
                let unfinished = match &self.service {
                    Some(service) => service.unfinished_uploads().await,
                    None => self.files(),
                };
                if unfinished == 0 && self.objects.keys().await.unwrap().is_empty() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, emptied).await.expect("everything is cleaned up");
    }

    /// Files in the folder, whatever they are called.
    fn files(&self) -> usize {
        let shelves = std::fs::read_dir(self.folder.path()).unwrap();
        shelves.map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap().count()).sum()
    }

    async fn read(&self, key: &str, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
        let object = self.objects.get(key, range).await.unwrap()?;
        let chunks: Vec<Bytes> = object.bytes.try_collect().await.unwrap();
        Some(chunks.concat())
    }
}

fn bucket(url: &str) -> Bucket {
    Bucket {
        name: BUCKET.to_owned(),
        endpoint: url.to_owned(),
        region: "us-east-1".to_owned(),
        access_key: "key".to_owned(),
        secret_key: "secret".to_owned(),
    }
}

/// Bytes that differ from place to place.
fn content(len: usize) -> Vec<u8> {
    let mut seed = 7_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A source that sends that much, in pieces of an odd size.
fn source(content: &[u8]) -> impl Stream<Item = Result<Bytes, Broken>> + Send + Unpin + use<> {
    let pieces: Vec<_> = content.chunks(60_001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// Why a source broke off.
#[derive(Debug)]
struct Broken;

async fn what_is_put_is_read_byte_for_byte(place: &Place) {
    for (key, len) in [("aa/whole", 12 * MIB + 345), ("aa/parts", 10 * MIB), ("ab/small", 3), ("ab/empty", 0)] {
        let content = content(len);
        assert_eq!(place.objects.put(key, source(&content), MAX).await.unwrap(), len as u64);
        assert!(place.read(key, None).await.unwrap() == content, "{key} is read back as it was");
        if len > 0 {
            let (start, end) = (len / 3, len - len / 4);
            let part = place.read(key, Some(start as u64..end as u64)).await.unwrap();
            assert!(part == content[start..end], "{key} in part");
        }
        assert_eq!(place.objects.get(key, None).await.unwrap().unwrap().size, len as u64);
    }
    assert!(place.objects.get("aa/none", None).await.unwrap().is_none());
    for key in ["aa/whole", "aa/parts", "ab/small", "ab/empty", "ab/empty", "aa/none"] {
        place.objects.delete(key).await.unwrap();
        assert!(place.objects.get(key, None).await.unwrap().is_none(), "{key} is gone");
    }
    place.becomes_empty().await;
}

async fn what_breaks_off_leaves_nothing(place: &Place) {
    for sent in [10, 12 * MIB] {
        let broken = source(&content(sent)).chain(stream::iter([Err(Broken)]));
        let put = place.objects.put("aa/broken", broken, MAX).await;
        assert!(matches!(put, Err(PutError::Source(Broken))), "{put:?}");
        place.becomes_empty().await;
    }
}

async fn what_is_too_large_leaves_nothing(place: &Place) {
    for max in [9, 11 * MIB] {
        let put = place.objects.put("aa/large", source(&content(max + 1)), max as u64).await;
        assert!(matches!(put, Err(PutError::TooLarge)), "{put:?}");
        place.becomes_empty().await;
        assert_eq!(place.objects.put("aa/large", source(&content(max)), max as u64).await.unwrap(), max as u64);
        place.objects.delete("aa/large").await.unwrap();
    }
}

async fn who_hangs_up_leaves_nothing(place: &Place) {
    let (asked, at_the_end) = oneshot::channel();
    // More than two parts, then silence.
    let silent = stream::once(async move {
        let _ = asked.send(());
        std::future::pending::<Result<Bytes, Broken>>().await
    });
    let objects = place.objects.clone();
    let bytes = source(&content(12 * MIB)).chain(silent.boxed());
    let putting = tokio::spawn(async move { objects.put("aa/silent", bytes, MAX).await });
    tokio::time::timeout(PATIENCE, at_the_end).await.expect("it reads on").unwrap();
    if let Some(service) = &place.service {
        assert_eq!(service.unfinished_uploads().await, 1, "parts were sent before");
    } else {
        assert_eq!(place.files(), 1);
    }
    putting.abort();
    assert!(putting.await.unwrap_err().is_cancelled());
    place.becomes_empty().await;
}

async fn everything_holds(place: Place) {
    what_is_put_is_read_byte_for_byte(&place).await;
    what_breaks_off_leaves_nothing(&place).await;
    what_is_too_large_leaves_nothing(&place).await;
    who_hangs_up_leaves_nothing(&place).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_objects() {
    everything_holds(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_service_keeps_objects() {
    let Some(place) = Place::s3().await else { return };
    everything_holds(place).await;
}

#[tokio::test]
async fn a_service_that_is_down_is_said_to_be() {
    // A port that was free a moment ago, and that nobody listens on.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let objects = Objects::s3(&bucket(&format!("http://127.0.0.1:{port}"))).unwrap();
    let put = objects.put("aa/a", source(b"a"), MAX);
    let put = tokio::time::timeout(Duration::from_secs(20), put).await.expect("it gives up in time");
    assert!(matches!(put, Err(PutError::Store(Error::Upstream(_)))), "{put:?}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_said_to_be() {
    let place = Place::folder();
    // A file where a folder has to be made: root may write everywhere, so permissions prove nothing.
    std::fs::write(place.folder.path().join("aa"), "in the way").unwrap();
    let put = place.objects.put("aa/a", source(b"a"), MAX).await;
    assert!(matches!(put, Err(PutError::Store(Error::Internal(_)))), "{put:?}");
}

#[tokio::test]
async fn what_a_crash_left_is_cleared() {
    let place = Place::folder();
    place.objects.put("aa/kept", source(b"kept"), MAX).await.unwrap();
    std::fs::write(place.folder.path().join("aa/half#1"), "half").unwrap();
    assert_eq!(clear_remnants(place.folder.path()).unwrap(), 1);
    assert_eq!(place.files(), 1);
    assert_eq!(place.read("aa/kept", None).await.unwrap(), b"kept");
}
