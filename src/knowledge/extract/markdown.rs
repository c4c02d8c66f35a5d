//! The text of Markdown: without its marks, so that they are neither found nor weighed.

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// What a reader sees.
pub fn text(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut is_meta = false;
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
        match event {
            Event::Start(Tag::MetadataBlock(_)) => is_meta = true,
            Event::End(TagEnd::MetadataBlock(_)) => is_meta = false,
            Event::Text(said) | Event::Code(said) if !is_meta => text.push_str(&said),
            // What is HTML in it is read as such.
            Event::Html(html) | Event::InlineHtml(html) => text.push_str(&super::html::text(&html)),
            Event::SoftBreak | Event::HardBreak => text.push('\n'),
            Event::End(TagEnd::TableCell) => text.push('\t'),
            Event::End(TagEnd::Item | TagEnd::TableRow | TagEnd::TableHead) => text.push('\n'),
            Event::End(
                TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::CodeBlock | TagEnd::List(_) | TagEnd::Table,
            ) => {
                text.push_str("\n\n");
            }
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::plain::tidy;
    use super::*;

    #[test]
    fn marks_are_left_out() {
        let text = text(
            "# Kites\n\nA *red* [kite](https://example.test).\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\n",
        );
        assert_eq!(tidy(&text), "Kites\n\nA red kite.\n\none\ntwo\n\na\tb\n1\t2\n\ncode");
    }
}
