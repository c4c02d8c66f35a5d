//! The assistant that needs nothing: it says what was said.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::{Answer, Ask, Part, Provider};

/// Answers `Echo: <message>`, word by word. The production default, and the tests' double.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// How long it thinks before each word.
    pub pause: Duration,
}

impl Provider for Echo {
    fn name(&self) -> &str {
        "echo"
    }

    fn answer(&self, ask: Ask) -> Answer {
        let asked = ask.lines.last().map_or("", |line| line.text.as_str());
        let pause = self.pause;
        let words = stream::iter(words(&format!("Echo: {asked}")));
        Box::pin(words.then(move |word| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(Part::Text(word))
        }))
    }
}

/// Cuts behind each run of white space, so that the pieces joined are the text.
fn words(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(space) = rest.find(char::is_whitespace) {
        let end = rest[space..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |next| space + next);
        pieces.push(rest[..end].to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        pieces.push(rest.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::words;

    #[test]
    fn a_piece_is_a_word_with_the_space_behind_it() {
        assert_eq!(words("Echo: Xin  chào\nbạn"), ["Echo: ", "Xin  ", "chào\n", "bạn"]);
    }

    proptest! {
        #[test]
        fn pieces_joined_are_the_text(text in any::<String>()) {
            prop_assert_eq!(words(&text).concat(), text);
        }
    }
}
