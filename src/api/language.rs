//! Which language a client would like: `Accept-Language` by its quality values (RFC 9110, section
//! 12.5.4).

use crate::domain::Language;

/// The language of `spoken` that the header asks for most; `None` when it asks for none of them.
pub fn negotiate(header: &str, spoken: &[Language]) -> Option<Language> {
    let wishes = header.split(',').filter_map(|wish| {
        let (tag, parameters) = wish.split_once(';').unwrap_or((wish, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.trim().parse::<f32>().ok())?;
        let language = if tag.trim() == "*" { Language::default() } else { Language::parse(tag)? };
        (quality > 0.0 && spoken.contains(&language)).then_some((quality, language))
    });
    // Of equal wishes the first one counts.
    wishes.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, language)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPOKEN: [Language; 4] = [Language::En, Language::Vi, Language::Ja, Language::Zh];

    #[test]
    fn the_best_supported_wish_wins() {
        for (header, want) in [
            ("vi", Some(Language::Vi)),
            ("fr, vi-VN;q=0.8, en;q=0.9", Some(Language::En)),
            ("en;q=0.5,ja", Some(Language::Ja)),
            ("zh;q=0, *;q=0.1", Some(Language::En)),
            ("fr", None),
            ("es, vi;q=0.1", Some(Language::Vi)),
            ("", None),
            (";;;,q=,vi;q=x", None),
        ] {
            assert_eq!(negotiate(header, &SPOKEN), want, "{header:?}");
        }
    }
}
