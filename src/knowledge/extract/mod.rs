//! Taking the text out of a stranger's file. Runs in a process of its own ([`super::worker`]), which may be killed, run
//! out of memory or crash in a library without harm: nothing here has to be cheap, only right.

mod docx;
mod html;
mod markdown;
mod pdf;
mod plain;

use crate::domain::DocumentKind;

/// What a text may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of text at the most.
    pub text_bytes: usize,
    /// Pages at the most.
    pub pages: usize,
}

/// Why there is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It wants a password.
    Locked,
    /// It has more pages than are read.
    TooManyPages,
    /// It has more text than is read, or unpacks to more than it may.
    TooLarge,
    /// It is not what it says, or is broken.
    Broken,
    /// There is no text in it: it may be scanned.
    Empty,
    /// It took more time or memory than it may. Never said by the worker itself.
    TooCostly,
}

impl Unreadable {
    const ALL: [Self; 6] =
        [Self::Locked, Self::TooManyPages, Self::TooLarge, Self::Broken, Self::Empty, Self::TooCostly];

    /// What the worker exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Locked => 10,
            Self::TooManyPages => 11,
            Self::TooLarge => 12,
            Self::Broken => 13,
            Self::Empty => 14,
            Self::TooCostly => 15,
        }
    }

    /// What a worker meant that exited with that.
    pub fn of_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|why| i32::from(why.code()) == code)
    }

    /// A sentence for whoever uploaded it.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Locked => "The file is protected by a password: remove it and upload the file again.",
            Self::TooManyPages => "The file has too many pages: divide it and upload the parts.",
            Self::TooLarge => "The file holds too much text: divide it and upload the parts.",
            Self::Broken => "The file is damaged, or is not what its name says.",
            Self::Empty => "There is no text in the file: pages that were scanned have to be recognised first.",
            Self::TooCostly => "The file takes too much time or memory to read.",
        }
    }
}

/// The text of a file, in lines; paragraphs have an empty line between them.
///
/// # Errors
/// As [`Unreadable`] says, but for `TooCostly`.
pub fn extract(kind: DocumentKind, file: &[u8], bounds: Bounds) -> Result<String, Unreadable> {
    let text = match kind {
        DocumentKind::Pdf => pdf::text(file, bounds.pages)?,
        DocumentKind::Docx => docx::text(file, bounds.text_bytes)?,
        DocumentKind::Html => html::text(&plain::text(file)),
        DocumentKind::Md => markdown::text(&plain::text(file)),
        DocumentKind::Txt => plain::text(file),
    };
    let text = plain::tidy(&text);
    match text.len() {
        0 => Err(Unreadable::Empty),
        bytes if bytes > bounds.text_bytes => Err(Unreadable::TooLarge),
        _ => Ok(text),
    }
}
