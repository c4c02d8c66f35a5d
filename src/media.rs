//! What a file is, by its content and never by its name; and small pictures of images.
//!
//! Everything here is handed by strangers. What it costs is bounded before it is begun: the type is
//! found in the first bytes, and an image is decoded only when its head says that it is small enough.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

/// How much of a file's beginning tells its type.
pub const HEAD_BYTES: usize = 16 << 10;

/// The type of every thumbnail.
pub const THUMBNAIL_TYPE: &str = "image/jpeg";

const THUMBNAIL_QUALITY: u8 = 80;

/// Bytes a pixel that decoding may take: four channels of 16 bits.
const PIXEL_BYTES_MAX: u64 = 8;

/// What Microsoft's older documents are, and installers too: which of them stands somewhere in the
/// file's middle.
const OLE: &[u8] = &[0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1];
const OLE_TYPE: &str = "application/x-ole-storage";

/// The media type of a file that begins with `head` ([`HEAD_BYTES`] of it, or all).
///
/// Text that could be taken for a page, a drawing or a script is called that and not plain, so that
/// the list of allowed types decides about it.
pub fn sniff(head: &[u8]) -> &'static str {
    let known = infer::get(head).map(|kind| kind.mime_type());
    if is_text(head) {
        // Some signatures are two letters long: a text is not an image because it begins with "BM".
        return match known {
            Some(known @ ("application/pdf" | "application/rtf" | "application/postscript" | "text/x-shellscript")) => {
                known
            }
            _ => markup(head).unwrap_or("text/plain"),
        };
    }
    match known {
        _ if head.starts_with(OLE) => OLE_TYPE,
        Some("audio/x-wav") => "audio/wav",
        Some("audio/m4a") => "audio/mp4",
        Some("audio/opus") => "audio/ogg",
        Some("audio/x-flac") => "audio/flac",
        Some("video/x-m4v") => "video/mp4",
        // Pages and drawings in other encodings than UTF-8 end here as well.
        Some(known) => known,
        None => "application/octet-stream",
    }
}

/// UTF-8, perhaps cut in its last character, without the control characters that no text has.
fn is_text(head: &[u8]) -> bool {
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() > 0,
    };
    let is_control = |byte: &u8| (*byte < 0x20 && !b"\t\n\r\x0C".contains(byte)) || *byte == 0x7F;
    is_utf8 && !head.is_empty() && !head.iter().any(is_control)
}

/// Whether a text begins as markup does: what a browser might show as a page when nobody forbids it.
fn markup(head: &[u8]) -> Option<&'static str> {
    let text = head.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(head).trim_ascii_start();
    let rest = text.strip_prefix(b"<")?;
    let begins = |word: &[u8]| rest.len() >= word.len() && rest[..word.len()].eq_ignore_ascii_case(word);
    let has = |word: &[u8]| head.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    match rest.first()? {
        _ if begins(b"svg") || has(b"<svg") => Some("image/svg+xml"),
        b'?' => Some("text/xml"),
        first if first.is_ascii_alphabetic() || b"!/".contains(first) => Some("text/html"),
        _ => None,
    }
}

/// Whether there can be a thumbnail of that type.
pub fn has_picture(mime: &str) -> bool {
    format(mime).is_some()
}

/// A small picture of an image, as JPEG, upright, at most `side` pixels long and high; `None` when the
/// image is broken, or has more than `pixels_max` pixels. Takes a core for as long as that many pixels
/// take, and about ten bytes of memory for each: not for an async thread.
pub fn thumbnail(bytes: &[u8], mime: &str, side: u32, pixels_max: u64) -> Option<Vec<u8>> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(pixels_max.saturating_mul(PIXEL_BYTES_MAX));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format(mime)?);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels_max {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).ok()?;
    let mut small = if width > side || height > side { image.thumbnail(side, side) } else { image };
    small.apply_orientation(orientation);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, THUMBNAIL_QUALITY).encode_image(&on_white(&small)).ok()?;
    Some(jpeg)
}

/// JPEG has no transparency: what shines through is white, as on paper.
fn on_white(image: &DynamicImage) -> RgbImage {
    let image = image.to_rgba8();
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        let [red, green, blue, alpha] = image.get_pixel(x, y).0.map(u32::from);
        // At most 255 · 255 / 255.
        let over = |channel: u32| ((channel * alpha + 255 * (255 - alpha)) / 255) as u8;
        Rgb([over(red), over(green), over(blue)])
    })
}

fn format(mime: &str) -> Option<ImageFormat> {
    match mime {
        "image/png" => Some(ImageFormat::Png),
        "image/jpeg" => Some(ImageFormat::Jpeg),
        "image/webp" => Some(ImageFormat::WebP),
        "image/gif" => Some(ImageFormat::Gif),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    const PIXELS_MAX: u64 = 1_000_000;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let image = RgbaImage::from_fn(width, height, |x, _| Rgba([x as u8, 0, 0, if x % 2 == 0 { 255 } else { 0 }]));
        let image = DynamicImage::from(image);
        let image = if format == ImageFormat::Jpeg { DynamicImage::from(image.to_rgb8()) } else { image };
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn size(thumbnail: &[u8]) -> (u32, u32) {
        let image = image::load_from_memory_with_format(thumbnail, ImageFormat::Jpeg).unwrap();
        (image.width(), image.height())
    }

    #[test]
    fn content_tells_the_type() {
        for (head, want) in [
            (&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], "image/png"),
            (b"\xFF\xD8\xFF\xE0\0\x10JFIF", "image/jpeg"),
            (b"%PDF-1.7\n1 0 obj", "application/pdf"),
            (b"PK\x03\x04\x14\0\0\0", "application/zip"),
            (b"\0\0\0\x18ftypmp42\0\0\0\0mp42", "video/mp4"),
            (b"\0\0\0\x18ftypM4A \0\0\0\0M4A ", "audio/mp4"),
            (b"RIFF\x24\0\0\0WAVEfmt ", "audio/wav"),
            (b"OggS\0\x02\0\0", "audio/ogg"),
            (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0\0", OLE_TYPE),
            (b"MZ\x90\0\x03\0\0\0", "application/vnd.microsoft.portable-executable"),
            (b"\x7FELF\x02\x01\x01\0".as_slice(), "application/octet-stream"),
            ("Xin chào, BM".as_bytes(), "text/plain"),
            (b"BMW is a car", "text/plain"),
            (b"GIF89a=1;/* not an image, not yet a script */", "text/plain"),
            (b"a < b and b > c", "text/plain"),
            (b"<3 you", "text/plain"),
            (b"one\0two", "application/octet-stream"),
            (b"\xFF\xFEa\0", "application/octet-stream"),
            (b"", "application/octet-stream"),
        ] {
            let found = sniff(head);
            // Which executable it is does not matter: none of them is text, or allowed.
            let is_same = found == want || (head.starts_with(b"\x7FELF") && found.starts_with("application/"));
            assert!(is_same, "{:?} is {found}, not {want}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn what_a_browser_might_run_is_not_plain() {
        for (head, want) in [
            (&b"<!DOCTYPE html><p>"[..], "text/html"),
            (b"\xEF\xBB\xBF \n<script>alert(1)</script>", "text/html"),
            (b"<x onclick=alert(1)>", "text/html"),
            (b"</p>", "text/html"),
            (b"<!-- --><svg onload=alert(1)>", "image/svg+xml"),
            (b"<?xml version='1.0'?><svg xmlns='x'>", "image/svg+xml"),
            (b"<SVG>", "image/svg+xml"),
            (b"<?xml version='1.0'?><a/>", "text/xml"),
            (b"#!/bin/sh\nrm", "text/x-shellscript"),
        ] {
            assert_eq!(sniff(head), want, "{:?}", String::from_utf8_lossy(head));
        }
    }

    #[test]
    fn a_text_may_be_cut_within_a_character() {
        let text = "é".repeat(HEAD_BYTES);
        assert_eq!(sniff(&text.as_bytes()[..HEAD_BYTES - 1]), "text/plain");
        assert_eq!(sniff(b"caf\xE9 au lait"), "application/octet-stream");
    }

    #[test]
    fn a_thumbnail_keeps_the_shape_and_never_grows() {
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
            let bytes = encoded(800, 400, format);
            let mime = sniff(&bytes);
            assert_eq!(mime, format.to_mime_type());
            assert_eq!(size(&thumbnail(&bytes, mime, 320, PIXELS_MAX).unwrap()), (320, 160), "{mime}");
            let small = encoded(20, 10, format);
            assert_eq!(size(&thumbnail(&small, mime, 320, PIXELS_MAX).unwrap()), (20, 10), "{mime}");
        }
        let line = encoded(2000, 1, ImageFormat::Png);
        assert_eq!(size(&thumbnail(&line, "image/png", 320, PIXELS_MAX).unwrap()), (320, 1));
    }

    #[test]
    fn a_photograph_is_turned_upright() {
        // The camera's note (EXIF, big-endian, tag 0x0112) that the image lies on its side.
        let mut note = b"\xFF\xE1\0\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0".to_vec();
        note.extend_from_slice(&[0, 0, 0, 0]);
        let jpeg = encoded(80, 40, ImageFormat::Jpeg);
        let turned = [&jpeg[..2], &note, &jpeg[2..]].concat();
        assert_eq!(size(&thumbnail(&turned, "image/jpeg", 320, PIXELS_MAX).unwrap()), (40, 80));
    }

    #[test]
    fn a_hostile_image_has_no_thumbnail() {
        let png = encoded(800, 400, ImageFormat::Png);
        assert!(thumbnail(&png, "image/png", 320, 800 * 400 - 1).is_none(), "more pixels than allowed");
        assert!(thumbnail(&png[..png.len() / 2], "image/png", 320, PIXELS_MAX).is_none(), "cut");
        assert!(thumbnail(&png, "image/gif", 320, PIXELS_MAX).is_none(), "of another type");
        assert!(thumbnail(&png, "image/svg+xml", 320, PIXELS_MAX).is_none(), "not an image to us");
        assert!(thumbnail(b"", "image/webp", 320, PIXELS_MAX).is_none());
        // A head that promises 65535 by 65535 pixels costs nothing.
        let mut gif = encoded(8, 8, ImageFormat::Gif);
        gif[6..10].fill(0xFF);
        assert!(thumbnail(&gif, "image/gif", 320, PIXELS_MAX).is_none());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(
            start in prop::sample::select(vec![
                &b"PK\x03\x04"[..], b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF\0\0\0\0\x13\0\0\0[Content_Types].xml",
                b"\x1A\x45\xDF\xA3", b"RIFF", b"\0\0\0\x18ftyp", b"<", b"",
            ]),
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            sniff(&[start, &rest].concat());
        }

        #[test]
        fn a_damaged_image_is_drawn_or_not(at in 0_usize..2000, byte in any::<u8>(), which in 0..4_usize) {
            let format = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif][which];
            let mut bytes = encoded(40, 30, format);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = thumbnail(&bytes, format.to_mime_type(), 16, PIXELS_MAX);
        }
    }
}
