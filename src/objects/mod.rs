//! Where the bytes of attachments lie: in a folder, or in a bucket of an S3-compatible service.
//!
//! An object appears whole or not at all, and is never changed afterwards. Who may see it is not
//! known here: the rows in the store say that.

mod https;
mod upload;

use std::error::Error as _;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, GetOptions, GetRange, ObjectStore, ObjectStoreExt, RetryConfig};

use crate::error::{Error, Result};
use upload::Upload;

/// The smallest part that S3 takes, but for the last.
const S3_PART_BYTES: usize = 5 << 20;
const FOLDER_PART_BYTES: usize = 1 << 20;

/// How long a request to S3 is repeated before it counts as failed.
const S3_PATIENCE: Duration = Duration::from_secs(15);
const S3_RETRIES_MAX: usize = 3;

/// A bucket, and how to get at it.
#[derive(Clone, Default)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The service's address, like `https://s3.example.com`; empty: Amazon's for the region.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The credential; both empty: what Amazon gives to the machine.
    pub access_key: String,
    /// Its secret part.
    pub secret_key: String,
}

/// Without the credential.
impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

/// The object store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    part_bytes: usize,
    is_remote: bool,
}

/// An object that is being read.
pub struct Object {
    /// Its whole size, in bytes.
    pub size: u64,
    /// What was asked for of it.
    pub bytes: ObjectBytes,
}

/// The bytes of an object as they arrive.
pub type ObjectBytes = BoxStream<'static, Result<Bytes>>;

/// Why an object was not put. Nothing is left of it, whatever the variant says.
#[derive(Debug)]
pub enum PutError<E> {
    /// It has more bytes than it may.
    TooLarge,
    /// Its source broke off.
    Source(E),
    /// The store did not take it.
    Store(Error),
}

impl Objects {
    /// Objects as files in a folder, which is made if need be, readable by its owner only. With `fsync`
    /// an object that was put survives a power loss.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn folder(path: &FilePath, fsync: bool) -> Result<Self> {
        let say = |error: &dyn std::fmt::Display| {
            Error::internal(format!("the folder of attachments {} cannot be used: {error}", path.display()))
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| say(&error))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| say(&error))?.with_fsync(fsync);
        Ok(Self { store: Arc::new(store), part_bytes: FOLDER_PART_BYTES, is_remote: false })
    }

    /// Objects in a bucket. It is not spoken to before the first object is.
    ///
    /// # Errors
    /// `Internal` with a sentence for the operator.
    pub fn s3(bucket: &Bucket) -> Result<Self> {
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: S3_RETRIES_MAX, retry_timeout: S3_PATIENCE };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&bucket.name)
            .with_region(&bucket.region)
            .with_retry(retry)
            .with_http_connector(https::Connector);
        if !bucket.endpoint.is_empty() {
            let is_plain = bucket.endpoint.starts_with("http://");
            builder = builder.with_endpoint(bucket.endpoint.trim_end_matches('/')).with_allow_http(is_plain);
        }
        if !bucket.access_key.is_empty() {
            builder = builder.with_access_key_id(&bucket.access_key).with_secret_access_key(&bucket.secret_key);
        }
        let store = builder.build().map_err(|error| Error::internal(format!("attachments.s3_…: {error}")))?;
        Ok(Self { store: Arc::new(store), part_bytes: S3_PART_BYTES, is_remote: true })
    }

    /// Puts an object of at most `max` bytes as they arrive, and returns how many there were. Holds one
    /// part of it in memory. Dropped in its middle, it leaves nothing behind.
    ///
    /// # Errors
    /// As [`PutError`] says; `Store` is `Upstream`, `StorageFull`, `StorageReadOnly` or `Internal`.
    pub async fn put<E>(
        &self,
        key: &str,
        bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
        max: u64,
    ) -> Result<u64, PutError<E>> {
        let mut upload = Upload::new(self, Path::from(key));
        let put = fill(&mut upload, bytes, max).await;
        if put.is_err() {
            upload.abort().await;
        }
        put
    }

    /// Opens an object, or a part of it that lies within; `None` when there is none.
    ///
    /// # Errors
    /// `Upstream`, `StorageReadOnly` or `Internal`; the stream too.
    pub async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Object>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let found = match self.store.get_opts(&Path::from(key), options).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(|error| self.error(error))?,
        };
        let (size, objects) = (found.meta.size, self.clone());
        let bytes = found.into_stream().map(move |chunk| chunk.map_err(|error| objects.error(error))).boxed();
        Ok(Some(Object { size, bytes }))
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// `Upstream`, `StorageReadOnly` or `Internal`.
    pub async fn delete(&self, key: &str) -> Result<()> {
        match self.store.delete(&Path::from(key)).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            other => other.map_err(|error| self.error(error)),
        }
    }

    /// The keys of all objects, for tests and tools.
    ///
    /// # Errors
    /// As [`Objects::delete`].
    pub async fn keys(&self) -> Result<Vec<String>> {
        let mut listed = self.store.list(None);
        let mut keys = Vec::new();
        while let Some(object) = listed.next().await {
            keys.push(object.map_err(|error| self.error(error))?.location.to_string());
        }
        Ok(keys)
    }

    /// What a failure means. Of a remote store it is the store's doing unless told otherwise; of a
    /// folder, the disk's.
    fn error(&self, error: object_store::Error) -> Error {
        match io_kind(&error) {
            Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Error::StorageFull,
            Some(io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) if !self.is_remote => {
                tracing::error!(error = %error, "the folder of attachments cannot be written or read");
                Error::StorageReadOnly
            }
            _ if self.is_remote => Error::Upstream(error.into()),
            _ => Error::internal(error),
        }
    }
}

async fn fill<E>(
    upload: &mut Upload<'_>,
    mut bytes: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    max: u64,
) -> Result<u64, PutError<E>> {
    let mut size = 0_u64;
    while let Some(chunk) = bytes.next().await {
        let chunk = chunk.map_err(PutError::Source)?;
        size += chunk.len() as u64;
        if size > max {
            return Err(PutError::TooLarge);
        }
        upload.write(chunk).await.map_err(PutError::Store)?;
    }
    upload.finish().await.map_err(PutError::Store)?;
    Ok(size)
}

/// Removes what uploads left in a folder when the process ended in their middle. Only for the server
/// that owns the folder, before it takes uploads.
///
/// # Errors
/// What the disk answers.
pub fn clear_remnants(folder: &FilePath) -> io::Result<usize> {
    let mut cleared = 0;
    for entry in fs::read_dir(folder)? {
        let shelf = entry?.path();
        if !shelf.is_dir() {
            continue;
        }
        for file in fs::read_dir(shelf)? {
            let file = file?;
            // The library writes to `<name>#<number>` and renames at the end; no key has a `#`.
            if file.file_name().to_string_lossy().contains('#') {
                fs::remove_file(file.path())?;
                cleared += 1;
            }
        }
    }
    Ok(cleared)
}

/// The kind of the disk's error at the bottom of a failure.
fn io_kind(error: &object_store::Error) -> Option<io::ErrorKind> {
    let mut cause = error.source();
    while let Some(found) = cause {
        if let Some(error) = found.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = found.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_as_what_it_is() {
        let fail = |kind: io::ErrorKind| object_store::Error::Generic {
            store: "test",
            source: Box::new(object_store::Error::Generic { store: "within", source: io::Error::from(kind).into() }),
        };
        let folder = Objects { store: Arc::new(LocalFileSystem::new()), part_bytes: 1, is_remote: false };
        let remote = Objects { is_remote: true, ..folder.clone() };
        for full in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(matches!(folder.error(fail(full)), Error::StorageFull));
            assert!(matches!(remote.error(fail(full)), Error::StorageFull));
        }
        assert!(matches!(folder.error(fail(io::ErrorKind::ReadOnlyFilesystem)), Error::StorageReadOnly));
        assert!(matches!(folder.error(fail(io::ErrorKind::Other)), Error::Internal(_)));
        for down in [io::ErrorKind::ConnectionRefused, io::ErrorKind::PermissionDenied] {
            assert!(matches!(remote.error(fail(down)), Error::Upstream(_)));
        }
    }
}
