//! Uploading files, reading them, and removing those that no message holds.
//!
//! The bytes go to the object store as they arrive; the row comes when they are whole. Until then
//! nobody can name the file, and whatever ends the upload early takes its bytes along.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::ready;
use futures_util::stream::{self, Stream, StreamExt, TryStreamExt};
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::Chat;
use crate::domain::{Attachment, UserId, file_name};
use crate::error::{Error, Result, Rule, Subject};
use crate::media;
use crate::objects::{ObjectBytes, Objects, PutError};
use crate::store::attachments::NewAttachment;

/// The rules for uploads that an operator can set.
#[derive(Clone, Debug)]
pub struct AttachmentRules {
    /// Largest file, in bytes.
    pub bytes_max: u64,
    /// Types that are taken, and families of them (`image/*`).
    pub types: Vec<String>,
    /// Uploads at once.
    pub uploads_max: usize,
    /// Uploads of one user at once.
    pub uploads_per_user_max: usize,
    /// How long an upload is kept that no message holds.
    pub keep_loose: Duration,
    /// Longest side of a thumbnail, in pixels.
    pub thumbnail_px: u32,
    /// Images of more pixels have no thumbnail.
    pub image_pixels_max: u64,
}

/// Why there is no attachment. Nothing was stored, whatever the variant says.
#[derive(Debug)]
pub enum UploadError<E> {
    /// The use-case refused.
    Chat(Error),
    /// The client did not send the file whole.
    Source(E),
}

impl<E> From<Error> for UploadError<E> {
    fn from(error: Error) -> Self {
        Self::Chat(error)
    }
}

/// The field that an upload's refusals name.
const FIELD: &str = "file";

/// Images decoded at once: each may take some hundred megabytes for a moment.
const DRAWN_AT_ONCE: usize = 1;

/// How long an upload waits for its turn to be drawn; then it has no thumbnail.
const DRAW_WAIT: Duration = Duration::from_secs(20);

/// A thumbnail that is larger is none of ours.
const THUMBNAIL_BYTES_MAX: u64 = 4 << 20;

/// Rows that the collector looks at in one go.
const COLLECT_AT_ONCE: usize = 100;

/// What attachments stand on besides the store.
pub(super) struct Shelf {
    pub objects: Objects,
    pub places: Arc<Places>,
    drawing: Arc<Semaphore>,
}

impl Shelf {
    pub fn new(objects: Objects, rules: &AttachmentRules) -> Self {
        let places =
            Places { max: rules.uploads_max, per_user_max: rules.uploads_per_user_max, open: Mutex::default() };
        Self { objects, places: Arc::new(places), drawing: Arc::new(Semaphore::new(DRAWN_AT_ONCE)) }
    }
}

impl Chat {
    /// Stores a file as it arrives. `name` is what the client calls it, whatever that is. How long the
    /// stream may take is up to who makes it.
    ///
    /// # Errors
    /// `Source` with what the stream broke off with. `Chat` with `Invalid` (`file`: not blank, file
    /// type, file bytes max), `Busy` when too many uploads are under way in all or by this user, and
    /// `Upstream`, `StorageFull`, `StorageReadOnly`, `Internal`.
    pub async fn upload<E: Send>(
        &self,
        user: UserId,
        name: &str,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Attachment, UploadError<E>> {
        let _place = Places::enter(&self.shelf.places, user).ok_or(Error::Busy)?;
        let head = head(&mut bytes).await.map_err(UploadError::Source)?;
        let mime = self.checked_type(&head)?;
        let uuid = self.clock.uuid();
        let unkept = Unkept { objects: self.shelf.objects.clone(), uuid, is_kept: false };
        let whole = stream::once(ready(Ok(head))).chain(bytes);
        let put = self.shelf.objects.put(&key(uuid), whole, self.rules.attachments.bytes_max).await;
        let size = put.map_err(|error| match error {
            PutError::TooLarge => Error::field(FIELD, Rule::FileBytesMax(self.rules.attachments.bytes_max)).into(),
            PutError::Source(error) => UploadError::Source(error),
            PutError::Store(error) => error.into(),
        })?;
        let has_thumbnail = self.draw(uuid, mime).await;
        let (name, mime, at) = (file_name(name), mime.to_owned(), self.clock.now());
        let new = NewAttachment { uuid, user_id: user, name, mime, size, has_thumbnail, at };
        let attachment = self.store.add_attachment(new).await?;
        unkept.keep();
        Ok(attachment)
    }

    /// A file that the user may see: who uploaded it, and who takes part in a conversation in which it
    /// was sent.
    ///
    /// # Errors
    /// `NotFound(Attachment)`.
    pub async fn attachment(&self, user: UserId, uuid: Uuid) -> Result<Attachment> {
        let found = self.store.attachment_for(user, uuid).await?;
        found.ok_or(Error::NotFound(Subject::Attachment))
    }

    /// The bytes of a file that [`Chat::attachment`] answered, or a part of them that lies within.
    ///
    /// # Errors
    /// `NotFound(Attachment)` when it was collected meanwhile; `Upstream`, `Internal`. The stream too.
    pub async fn read_attachment(&self, attachment: &Attachment, range: Option<Range<u64>>) -> Result<ObjectBytes> {
        let object = self.shelf.objects.get(&key(attachment.uuid), range).await?;
        object.map(|object| object.bytes).ok_or(Error::NotFound(Subject::Attachment))
    }

    /// The small picture of a file that [`Chat::attachment`] answered, of the type
    /// [`THUMBNAIL_TYPE`](media::THUMBNAIL_TYPE).
    ///
    /// # Errors
    /// `NotFound(Attachment)` when it has none; `Upstream`, `Internal`.
    pub async fn read_thumbnail(&self, attachment: &Attachment) -> Result<Bytes> {
        let none = || Error::NotFound(Subject::Attachment);
        if !attachment.has_thumbnail {
            return Err(none());
        }
        let object = self.shelf.objects.get(&thumbnail_key(attachment.uuid), None).await?.ok_or_else(none)?;
        if object.size > THUMBNAIL_BYTES_MAX {
            return Err(Error::internal("a thumbnail is larger than any that Roost makes"));
        }
        collected(object.bytes).await
    }

    /// Removes the files that no message holds and that were uploaded long enough ago; returns how
    /// many. What fails is tried again the next time.
    ///
    /// # Errors
    /// `Upstream`, `StorageReadOnly`, `Busy`, `Internal`.
    pub async fn collect_loose(&self) -> Result<u64> {
        let before = self.clock.now().minus(self.rules.attachments.keep_loose);
        let mut removed = 0;
        loop {
            let loose = self.store.loose_attachments(before, COLLECT_AT_ONCE).await?;
            if loose.is_empty() {
                return Ok(removed);
            }
            for (id, uuid) in loose {
                // A message may have taken it since: then it stays.
                if self.store.condemn_attachment(id).await? {
                    self.shelf.objects.delete(&thumbnail_key(uuid)).await?;
                    self.shelf.objects.delete(&key(uuid)).await?;
                    removed += u64::from(self.store.remove_attachment(id).await?);
                }
            }
        }
    }

    /// Uploads under way.
    pub fn uploads_under_way(&self) -> usize {
        self.shelf.places.len()
    }

    fn checked_type(&self, head: &[u8]) -> Result<&'static str> {
        if head.is_empty() {
            return Err(Error::field(FIELD, Rule::NotBlank));
        }
        let mime = media::sniff(head);
        let is_allowed = self.rules.attachments.types.iter().any(|allowed| matches(allowed, mime));
        if is_allowed { Ok(mime) } else { Err(Error::field(FIELD, Rule::FileType { got: mime })) }
    }

    /// Makes and keeps the thumbnail of an image. Without one the file is as good, so that nothing here
    /// is an error.
    async fn draw(&self, uuid: Uuid, mime: &'static str) -> bool {
        if !media::has_picture(mime) {
            return false;
        }
        let Ok(Ok(permit)) = tokio::time::timeout(DRAW_WAIT, Arc::clone(&self.shelf.drawing).acquire_owned()).await
        else {
            return false;
        };
        let (side, pixels_max) = (self.rules.attachments.thumbnail_px, self.rules.attachments.image_pixels_max);
        let image = match self.shelf.objects.get(&key(uuid), None).await {
            Ok(Some(object)) => collected(object.bytes).await,
            Ok(None) => return false,
            Err(error) => Err(error),
        };
        let drawn = match image {
            Ok(image) => tokio::task::spawn_blocking(move || {
                // The permit goes along: a caller who hangs up does not stop the work.
                let _permit = permit;
                media::thumbnail(&image, mime, side, pixels_max)
            }),
            Err(error) => {
                tracing::warn!(error = %error, "an image could not be read back to be drawn");
                return false;
            }
        };
        // A decoder that panics is as good as one that refuses.
        let Ok(Some(thumbnail)) = drawn.await else { return false };
        let whole = stream::once(ready(Ok::<_, Error>(Bytes::from(thumbnail))));
        let put = self.shelf.objects.put(&thumbnail_key(uuid), whole, THUMBNAIL_BYTES_MAX).await;
        put.inspect_err(|error| tracing::warn!(error = ?error, "a thumbnail could not be kept")).is_ok()
    }
}

/// The first bytes of a stream: as many as tell a type, or a few more, or all.
pub(super) async fn head<E>(bytes: &mut (impl Stream<Item = Result<Bytes, E>> + Send + Unpin)) -> Result<Bytes, E> {
    let mut head = BytesMut::new();
    while head.len() < media::HEAD_BYTES {
        match bytes.next().await {
            Some(chunk) => head.extend_from_slice(&chunk?),
            None => break,
        }
    }
    Ok(head.freeze())
}

pub(super) async fn collected(bytes: ObjectBytes) -> Result<Bytes> {
    let collected = bytes.try_fold(BytesMut::new(), |mut whole, chunk| {
        whole.extend_from_slice(&chunk);
        ready(Ok(whole))
    });
    collected.await.map(BytesMut::freeze)
}

/// Whether a type is the allowed one, or of the allowed family.
fn matches(allowed: &str, mime: &str) -> bool {
    match allowed.strip_suffix('*') {
        Some(family) => mime.starts_with(family),
        None => allowed == mime,
    }
}

/// Where a file's bytes lie. The first two digits keep folders small.
pub(super) fn key(uuid: Uuid) -> String {
    let name = uuid.to_string();
    format!("{}/{name}", &name[..2])
}

fn thumbnail_key(uuid: Uuid) -> String {
    format!("{}.thumbnail", key(uuid))
}

/// The bytes of an upload that has no row yet. Whatever ends it early (a refusal, a client who hangs
/// up) takes them along.
pub(super) struct Unkept {
    pub objects: Objects,
    pub uuid: Uuid,
    pub is_kept: bool,
}

impl Unkept {
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Unkept {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_kept {
            return;
        }
        let (objects, uuid) = (self.objects.clone(), self.uuid);
        runtime.spawn(async move {
            for key in [thumbnail_key(uuid), key(uuid)] {
                if let Err(error) = objects.delete(&key).await {
                    tracing::warn!(error = %error, "what an upload left could not be removed");
                }
            }
        });
    }
}

/// Counts uploads under way.
pub(super) struct Places {
    max: usize,
    per_user_max: usize,
    open: Mutex<HashMap<UserId, usize>>,
}

/// A place among them; given back when dropped.
pub(super) struct Place {
    places: Arc<Places>,
    user: UserId,
}

impl Places {
    pub fn enter(places: &Arc<Self>, user: UserId) -> Option<Place> {
        let mut open = places.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&user).copied().unwrap_or(0);
        if total(&open) >= places.max || own >= places.per_user_max {
            return None;
        }
        open.insert(user, own + 1);
        Some(Place { places: Arc::clone(places), user })
    }

    fn len(&self) -> usize {
        total(&self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn total(open: &HashMap<UserId, usize>) -> usize {
    open.values().sum()
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.user) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_allows_its_types() {
        for (allowed, mime, is_in) in [
            ("image/*", "image/png", true),
            ("image/*", "imagex/png", false),
            ("image/png", "image/png", true),
            ("image/png", "image/pngx", false),
            ("text/plain", "text/html", false),
        ] {
            assert_eq!(matches(allowed, mime), is_in, "{allowed} {mime}");
        }
    }

    #[test]
    fn uploads_at_once_are_bounded_in_all_and_by_user() {
        let places = Arc::new(Places { max: 3, per_user_max: 2, open: Mutex::default() });
        let enter = |user| Places::enter(&places, UserId(user));
        let first = enter(1).unwrap();
        let _second = enter(1).unwrap();
        assert!(enter(1).is_none(), "one user has their own bound");
        let _third = enter(2).unwrap();
        assert!(enter(3).is_none(), "and all share one");
        assert_eq!(places.len(), 3);
        drop(first);
        assert!(enter(3).is_some());
    }
}
