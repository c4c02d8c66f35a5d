//! One object on its way into the store: in parts when it is large, and gone again when it does not
//! get whole.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;

use super::Objects;
use crate::error::{Error, Result};

/// The longest that one step (a part, the end, the abort) may take: a store that hangs must not hold
/// an upload for ever.
const STEP_WAIT: Duration = Duration::from_secs(120);

/// An object that is not whole yet.
pub(super) struct Upload<'a> {
    objects: &'a Objects,
    path: Path,
    /// What has arrived of the next part. Copied together: the pieces of a slow client would each keep
    /// the buffer alive in which they were read.
    buffer: BytesMut,
    /// `None` until the first part is full: what fits into one is put in one go.
    parts: Option<Box<dyn MultipartUpload>>,
}

impl<'a> Upload<'a> {
    pub fn new(objects: &'a Objects, path: Path) -> Self {
        Self { objects, path, buffer: BytesMut::new(), parts: None }
    }

    /// Takes more of the object; waits while a full part is sent, so that no more than one is held.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        while !bytes.is_empty() {
            let room = self.objects.part_bytes - self.buffer.len();
            let fitting = bytes.split_to(room.min(bytes.len()));
            self.buffer.extend_from_slice(&fitting);
            if self.buffer.len() == self.objects.part_bytes {
                self.send_part().await?;
            }
        }
        Ok(())
    }

    /// Makes the object appear.
    pub async fn finish(&mut self) -> Result<()> {
        if self.parts.is_none() {
            let whole = std::mem::take(&mut self.buffer).freeze();
            let store = Arc::clone(&self.objects.store);
            step(self.objects, store.put(&self.path, whole.into())).await?;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.send_part().await?;
        }
        // They stay in place until the end is known, so that a failure is cleaned up.
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        let completed = step(self.objects, parts.complete()).await;
        if completed.is_err() {
            self.parts = Some(parts);
        }
        completed.map(|_| ())
    }

    /// Removes what was sent. When that fails too, the store's own rules have to: the caller has a
    /// better error to report.
    pub async fn abort(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        if let Err(error) = step(self.objects, parts.abort()).await {
            tracing::warn!(error = %error, "the parts of a broken-off upload could not be removed");
        }
    }

    async fn send_part(&mut self) -> Result<()> {
        let part = self.buffer.split().freeze();
        if self.parts.is_none() {
            let store: Arc<dyn ObjectStore> = Arc::clone(&self.objects.store);
            let begun = step(self.objects, store.put_multipart(&self.path)).await?;
            self.parts = Some(begun);
        }
        let Some(parts) = &mut self.parts else { return Ok(()) };
        let sent = parts.put_part(part.into());
        step(self.objects, sent).await
    }
}

/// One step, which has to end in time.
async fn step<T>(objects: &Objects, step: impl Future<Output = object_store::Result<T>>) -> Result<T> {
    match tokio::time::timeout(STEP_WAIT, step).await {
        Ok(done) => done.map_err(|error| objects.error(error)),
        Err(_) => Err(Error::Upstream("the object store did not answer in time".into())),
    }
}

/// A caller who hangs up drops the upload wherever it stands.
impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let Some(mut parts) = self.parts.take() else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(STEP_WAIT, parts.abort()).await;
            });
        }
    }
}
