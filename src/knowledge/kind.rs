//! What a document's file is: by its content, and by its name only where contents look alike.

use crate::domain::DocumentKind;

/// The kind of a file whose first bytes are of that media type, and that has that name; `None` for what no text is
/// taken from, and for a name that says something else than the content.
pub fn of(mime: &str, name: &str) -> Option<DocumentKind> {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let named = match ending.as_str() {
        "pdf" => Some(DocumentKind::Pdf),
        "docx" => Some(DocumentKind::Docx),
        "html" | "htm" | "xhtml" => Some(DocumentKind::Html),
        "md" | "markdown" => Some(DocumentKind::Md),
        "txt" | "text" => Some(DocumentKind::Txt),
        _ => None,
    };
    let is_text = mime.starts_with("text/") || matches!(mime, "image/svg+xml");
    match named {
        Some(DocumentKind::Pdf) | None if mime == "application/pdf" => Some(DocumentKind::Pdf),
        // A text that begins with the signature stands for nothing else.
        _ if mime == "application/pdf" => None,
        Some(DocumentKind::Docx) if mime == "application/zip" || mime == DocumentKind::Docx.mime() => named,
        None if mime == DocumentKind::Docx.mime() => Some(DocumentKind::Docx),
        Some(DocumentKind::Pdf | DocumentKind::Docx) => None,
        Some(text) if is_text => Some(text),
        None if mime == "text/html" => Some(DocumentKind::Html),
        None if mime == "text/plain" => Some(DocumentKind::Txt),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_and_the_name_must_not_contradict() {
        use DocumentKind as K;
        for (mime, name, want) in [
            ("application/pdf", "a.pdf", Some(K::Pdf)),
            ("application/pdf", "a", Some(K::Pdf)),
            ("application/pdf", "a.txt", None),
            ("image/png", "a.pdf", None),
            ("image/png", "a.png", None),
            ("text/plain", "a.pdf", None),
            ("text/plain", "a.docx", None),
            ("application/zip", "a.docx", Some(K::Docx)),
            ("application/zip", "a.zip", None),
            (K::Docx.mime(), "a.docx", Some(K::Docx)),
            ("text/html", "a.htm", Some(K::Html)),
            ("text/html", "readme.md", Some(K::Md)),
            ("text/plain", "README.MD", Some(K::Md)),
            ("text/plain", "notes", Some(K::Txt)),
            ("text/plain", "table.csv", Some(K::Txt)),
            ("application/x-ole-storage", "locked.docx", None),
            ("application/octet-stream", "a.txt", None),
        ] {
            assert_eq!(of(mime, name), want, "{mime} {name}");
        }
    }
}
