//! The text of a PDF.

use pdf_extract::{Document, PlainTextOutput, output_doc};

use super::Unreadable;

/// What a reader sees, page by page, about: a PDF knows where letters stand, not what they say.
pub fn text(file: &[u8], pages_max: usize) -> Result<String, Unreadable> {
    let is_locked = || memchr::memmem::find(file, b"/Encrypt").is_some();
    let broken = || if is_locked() { Unreadable::Locked } else { Unreadable::Broken };
    let mut document = Document::load_mem(file).map_err(|_| broken())?;
    // Many have a password for changing them only.
    if document.is_encrypted() && document.decrypt("").is_err() {
        return Err(Unreadable::Locked);
    }
    match document.get_pages().len() {
        0 => return Err(broken()),
        pages if pages > pages_max => return Err(Unreadable::TooManyPages),
        _ => {}
    }
    let mut text = String::new();
    output_doc(&document, &mut PlainTextOutput::new(&mut text)).map_err(|_| Unreadable::Broken)?;
    Ok(text)
}
