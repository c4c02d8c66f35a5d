//! Uploaded files, as what is known of them: their bytes are elsewhere.

use uuid::Uuid;

use super::{AttachmentId, Timestamp, UserId, clean_line};

/// The longest name of a file, in characters.
pub const FILE_NAME_CHARS_MAX: usize = 255;

/// An uploaded file. It never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its number.
    pub id: AttachmentId,
    /// Its public identifier, under which its bytes are kept.
    pub uuid: Uuid,
    /// Who uploaded it.
    pub user_id: UserId,
    /// What it is called: one line, as [`file_name`] makes it.
    pub name: String,
    /// Its media type, found in its content.
    pub mime: String,
    /// Its size, in bytes.
    pub size: u64,
    /// Whether there is a small picture of it.
    pub has_thumbnail: bool,
    /// When it was uploaded.
    pub created_at: Timestamp,
}

/// A file's name out of what a client says: without folders, in one line of at most
/// [`FILE_NAME_CHARS_MAX`] characters (its ending is kept), and never empty or hidden.
pub fn file_name(raw: &str) -> String {
    let name = raw.rsplit(['/', '\\']).next().unwrap_or(raw);
    let name = clean_line(name);
    let name = name.trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    if name.is_empty() {
        return "file".to_owned();
    }
    if name.chars().count() <= FILE_NAME_CHARS_MAX {
        return name.to_owned();
    }
    let ending = match name.rsplit_once('.') {
        Some((_, ending)) if (1..=16).contains(&ending.chars().count()) => format!(".{ending}"),
        _ => String::new(),
    };
    let kept = FILE_NAME_CHARS_MAX - ending.chars().count();
    let stem: String = name.chars().take(kept).collect();
    format!("{stem}{ending}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_one_plain_line() {
        for (raw, want) in [
            ("photo.png", "photo.png"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\lan\\ảnh đẹp.jpg", "ảnh đẹp.jpg"),
            ("a\r\nSet-Cookie: b", "a Set-Cookie: b"),
            ("evil\u{202E}gpj.exe", "evilgpj.exe"),
            (".htaccess", "htaccess"),
            ("..", "file"),
            ("dir/", "file"),
            (" \0 ", "file"),
        ] {
            assert_eq!(file_name(raw), want, "{raw:?}");
        }
        let long = file_name(&format!("{}.tar.gz", "é".repeat(400)));
        assert_eq!(long.chars().count(), FILE_NAME_CHARS_MAX);
        assert!(long.ends_with("é.gz"));
    }

    proptest! {
        #[test]
        fn any_name_becomes_one_that_stays(raw in any::<String>()) {
            let name = file_name(&raw);
            prop_assert!(!name.is_empty() && name.chars().count() <= FILE_NAME_CHARS_MAX);
            prop_assert!(!name.contains(['/', '\\', '\n', '\r']) && !name.starts_with('.'));
        }
    }
}
