//! What an answer rests on, as its metadata has it: frozen when it was answered.

use serde::Deserialize;

use crate::domain::{Json, Message, Role};

/// A piece of a document that an answer rests on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Cited {
    /// The piece's name.
    pub chunk_id: String,
    /// What people call the document.
    pub document_title: String,
    /// What the piece says.
    pub text: String,
    /// Where the document can be read, by whoever may: a path on this server.
    pub url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    sources: Vec<Cited>,
}

/// What that message rests on; nothing where it is no answer, or somebody attached something else to it.
pub fn of(message: &Message) -> Vec<Cited> {
    let metadata = message.metadata.as_ref().filter(|_| message.role == Role::Assistant);
    metadata.and_then(read).unwrap_or_default()
}

fn read(Json(metadata): &Json) -> Option<Vec<Cited>> {
    serde_json::from_str::<Metadata>(metadata).ok().map(|metadata| metadata.sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_list_of_sources_is_none() {
        let count = |metadata: &str| read(&Json(metadata.to_owned())).map(|sources| sources.len());
        let source =
            r#"{"chunk_id": "c", "document_title": "t", "text": "x", "url": "/", "score": 0.5, "document_id": 1}"#;
        assert_eq!(count(&format!(r#"{{"incomplete": true, "sources": [{source}, {source}]}}"#)), Some(2));
        assert_eq!(count("{}"), Some(0));
        for wrong in [r#"{"sources": 7}"#, r#"{"sources": [{"url": "/"}]}"#, "[1]", "null"] {
            assert_eq!(count(wrong).unwrap_or(0), 0, "{wrong}");
        }
    }
}
