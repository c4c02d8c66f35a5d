//! The text of a web page, from its tokens: no tree is made, so that nothing is deep and nothing large.

use std::cell::RefCell;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::RawKind;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};

/// Elements whose content nobody reads.
const SILENT: &[&str] =
    &["script", "style", "noscript", "template", "svg", "math", "head", "iframe", "object", "select"];
/// Elements that stand in a line of text.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins",
    "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
    "time", "tt", "u", "var", "wbr",
];
/// Elements that begin a new line, but no paragraph.
const LINES: &[&str] = &["br", "li", "tr", "dt", "dd", "option"];

/// What a reader sees of a page, about.
pub fn text(page: &str) -> String {
    let tokenizer = Tokenizer::new(Sink::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(StrTendril::from_slice(page));
    // It stops early only where the sink asks it to, which this one does not.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner().text
}

#[derive(Default)]
struct Sink(RefCell<Seen>);

#[derive(Default)]
struct Seen {
    text: String,
    /// The silent element that everything is in, and how many of its name are open.
    silent: Option<(&'static str, usize)>,
    is_preformatted: bool,
}

impl TokenSink for Sink {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        let mut seen = self.0.borrow_mut();
        match token {
            Token::CharacterTokens(text) => seen.say(&text),
            Token::TagToken(tag) => return seen.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Seen {
    fn say(&mut self, text: &str) {
        if self.silent.is_some() {
            return;
        }
        if self.is_preformatted {
            self.text.push_str(text);
            return;
        }
        for c in text.chars() {
            if !c.is_whitespace() {
                self.text.push(c);
            } else if !self.text.ends_with(char::is_whitespace) {
                self.text.push(' ');
            }
        }
    }

    fn tag(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        let (name, begins) = (&*tag.name, tag.kind == TagKind::StartTag && !tag.self_closing);
        self.count_silent(name, tag.kind, begins);
        if name == "pre" {
            self.is_preformatted = begins;
        }
        if self.silent.is_none() {
            match name {
                "td" | "th" => self.text.push('\t'),
                line if LINES.contains(&line) => self.text.push('\n'),
                inline if INLINE.contains(&inline) => {}
                _ => self.text.push_str("\n\n"),
            }
        }
        match (begins, name) {
            (true, "script") => TokenSinkResult::RawData(RawKind::ScriptData),
            (true, "style" | "iframe" | "noframes" | "xmp") => TokenSinkResult::RawData(RawKind::Rawtext),
            (true, "title" | "textarea") => TokenSinkResult::RawData(RawKind::Rcdata),
            _ => TokenSinkResult::Continue,
        }
    }

    fn count_silent(&mut self, name: &str, kind: TagKind, begins: bool) {
        match &mut self.silent {
            Some((open, depth)) if *open == name => {
                *depth = if begins {
                    *depth + 1
                } else if kind == TagKind::EndTag {
                    *depth - 1
                } else {
                    *depth
                };
                if *depth == 0 {
                    self.silent = None;
                }
            }
            // A page may leave its head open.
            Some(("head", _)) if name == "body" => self.silent = None,
            Some(_) => {}
            None if begins => self.silent = SILENT.iter().find(|silent| **silent == name).map(|silent| (*silent, 1)),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain::tidy;
    use super::*;

    #[test]
    fn what_is_read_is_kept_and_what_is_run_is_not() {
        let page = "<!doctype html><html><head><title>T</title><style>p{}</style></head><body><h1>Kites &amp; wind</h1>\
                    <p>One <b>two</b>\n three.<br>Four<script>if (1 < 2) alert('</p>')</script></p>\
                    <ul><li>a<li>b</ul><table><tr><td>1<td>2</table><pre>x\n  y</pre><!-- no --></body></html>";
        assert_eq!(tidy(&text(page)), "Kites & wind\n\nOne two three.\nFour\n\na\nb\n\n\t1\t2\n\nx\n  y");
    }

    #[test]
    fn a_page_that_is_none_and_one_that_is_very_deep_are_read() {
        assert_eq!(tidy(&text("just text & more")), "just text & more");
        assert_eq!(tidy(&text("<head><p>lost</p><body>found")), "found");
        let deep = format!("{}x{}", "<div>".repeat(100_000), "</div>".repeat(100_000));
        assert_eq!(tidy(&text(&deep)), "x");
    }
}
