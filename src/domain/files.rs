//! What hangs on an assistant chat: the files in its answers, and its share.

use std::fmt;

use uuid::Uuid;

use super::{ConversationId, FileId, MessageId, ShareId, Timestamp, UserId};

/// A file to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name.
    pub title: String,
    /// What it holds.
    pub text: String,
    /// The language it is written in: `text` when unknown.
    pub language: String,
    /// What its name would end with, without the dot: `txt` when unknown.
    pub extension: String,
}

/// A file that belongs to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatFile {
    /// Its number.
    pub id: FileId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The message.
    pub message_id: MessageId,
    /// Whose it is.
    pub user_id: UserId,
    /// What it is.
    pub file: NewFile,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// The link by which a conversation's owner shows it to others.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    /// Its number.
    pub id: ShareId,
    /// What the link holds.
    pub uuid: Uuid,
    /// What is shown.
    pub conversation_id: ConversationId,
    /// Whether the link works.
    pub is_shared: bool,
    /// Whether it wants a password.
    pub is_protected: bool,
    /// The password's PHC string.
    pub password_hash: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// Without the link, which is a key, and without the password's hash.
impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share")
            .field("id", &self.id)
            .field("conversation_id", &self.conversation_id)
            .field("is_shared", &self.is_shared)
            .field("is_protected", &self.is_protected)
            .finish_non_exhaustive()
    }
}

/// Somebody who may open a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShareEntry {
    /// Its number.
    pub id: i64,
    /// The share.
    pub share_id: ShareId,
    /// Who.
    pub user_id: UserId,
    /// Since when.
    pub created_at: Timestamp,
}

/// What is longer behind a title's last dot is no extension.
const EXTENSION_BYTES_MAX: usize = 16;

/// At most this many files are made of one answer.
const BLOCKS_MAX: usize = 100;

/// The fenced code blocks of a text that name their language (```` ```lang ```` or
/// ```` ```lang:title ````), as files. A block that is not closed is none: it was cut off.
///
/// The form is Neptun's; fences follow the `CommonMark` specification: three or more backticks or tildes, closed by at
/// least as many of the same.
pub fn code_blocks(text: &str) -> Vec<NewFile> {
    let mut blocks = Vec::new();
    let mut open: Option<(char, usize, &str, String)> = None;
    for line in text.lines() {
        let trimmed = line.trim_start();
        let fence = trimmed.chars().next().filter(|c| matches!(c, '`' | '~'));
        let width = fence.map_or(0, |mark| trimmed.chars().take_while(|c| *c == mark).count());
        match &mut open {
            Some((mark, opened, info, inner)) => {
                if fence == Some(*mark) && width >= *opened && trimmed[width..].trim().is_empty() {
                    blocks.extend(file(info, inner));
                    open = None;
                } else {
                    inner.push_str(line);
                    inner.push('\n');
                }
            }
            None => {
                if let Some(mark) = fence.filter(|_| width >= 3) {
                    open = Some((mark, width, trimmed[width..].trim(), String::new()));
                }
            }
        }
        if blocks.len() == BLOCKS_MAX {
            break;
        }
    }
    blocks
}

fn file(info: &str, inner: &str) -> Option<NewFile> {
    let tag = info.split_whitespace().next()?;
    let (language, title) = tag.split_once(':').unwrap_or((tag, ""));
    let is_word = |c: char| c.is_alphanumeric() || "+#-_.".contains(c);
    if language.is_empty() || language.chars().count() > 64 || !language.chars().all(is_word) {
        return None;
    }
    let language = language.to_lowercase();
    let ending = title.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().all(is_word));
    let ending = ending.filter(|ending| !ending.is_empty() && ending.len() <= EXTENSION_BYTES_MAX);
    let extension = ending.unwrap_or_else(|| extension(&language)).to_owned();
    let title = if title.is_empty() { format!("{language}-file") } else { title.chars().take(255).collect() };
    Some(NewFile { title, text: inner.to_owned(), language, extension })
}

/// What files of a language usually end with; the language itself where nothing shorter is usual.
fn extension(language: &str) -> &str {
    match language {
        "bash" | "shell" | "sh" | "zsh" => "sh",
        "c++" | "cpp" => "cpp",
        "c#" | "csharp" => "cs",
        "golang" => "go",
        "javascript" | "js" => "js",
        "kotlin" => "kt",
        "markdown" | "md" => "md",
        "perl" => "pl",
        "plaintext" | "text" | "txt" => "txt",
        "powershell" => "ps1",
        "python" | "py" => "py",
        "ruby" => "rb",
        "rust" => "rs",
        "typescript" | "ts" => "ts",
        "yaml" | "yml" => "yml",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_that_name_their_language_become_files() {
        let text = "Here:\n```rust\nfn main() {}\n```\nand\n~~~~yaml:compose.yaml\na: 1\n~~~\n~~~~\n```\nplain\n```\n\
                    ```python\nnever closed";
        let files: Vec<_> =
            code_blocks(text).into_iter().map(|file| (file.title, file.language, file.extension, file.text)).collect();
        let file = |title: &str, language: &str, extension: &str, text: &str| {
            (title.to_owned(), language.to_owned(), extension.to_owned(), text.to_owned())
        };
        assert_eq!(
            files,
            [file("rust-file", "rust", "rs", "fn main() {}\n"), file("compose.yaml", "yaml", "yaml", "a: 1\n~~~\n"),]
        );
    }
}
