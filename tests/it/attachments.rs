//! Uploaded files: their bytes, what may be uploaded, who may read it, and how it is sent.

mod bytes;
mod chores;
mod serving;
mod use_cases;

use ::bytes::Bytes;
use futures_util::stream::{self, Stream};
use image::{DynamicImage, ImageFormat, RgbImage};
use roost::config::{Attachments, ObjectStoreName};
use roost::domain::{Ability, Email, User};

use crate::support::app::TestApp;
use crate::support::s3::{BUCKET, S3};

/// Why a client's upload broke off.
#[derive(Debug, PartialEq, Eq)]
struct HungUp;

/// An upload as it arrives, in pieces of an odd size.
fn arriving(content: &[u8]) -> impl Stream<Item = Result<Bytes, HungUp>> + Send + Unpin + use<> {
    let pieces: Vec<_> = content.chunks(7001).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// A photograph, more or less.
fn png(width: u32, height: u32) -> Vec<u8> {
    let image = RgbImage::from_fn(width, height, |x, y| image::Rgb([x as u8, y as u8, (x * y) as u8]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::from(image).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// What keeps its attachments in that bucket.
fn in_s3(service: &S3, options: &mut Attachments) {
    options.store = ObjectStoreName::S3;
    options.s3_endpoint.clone_from(&service.url);
    options.s3_bucket = BUCKET.to_owned();
    options.s3_access_key = "key".to_owned();
    options.s3_secret_key = "secret".to_owned();
}

async fn user(app: &TestApp, name: &str) -> User {
    let email = Email::parse(&format!("{name}@example.test")).unwrap();
    app.app.chat.add_user(None, email, name.to_owned(), None, false, vec![Ability::any()]).await.unwrap()
}

/// Files in the data folder's object store, whatever they are called.
fn files(app: &TestApp) -> Vec<String> {
    let mut names = Vec::new();
    let shelves = std::fs::read_dir(app.config.data.join("objects")).unwrap();
    for file in shelves.flat_map(|shelf| std::fs::read_dir(shelf.unwrap().path()).unwrap()) {
        names.push(file.unwrap().file_name().to_string_lossy().into_owned());
    }
    names.sort();
    names
}
