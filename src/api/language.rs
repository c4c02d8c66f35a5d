//! Which language a client would like: `Accept-Language` by its quality values (RFC 9110, section
//! 12.5.4).

use crate::domain::Language;

/// The language of `spoken` that the header asks for most; `None` when it asks for none of them. The star
/// stands for what the header does not name.
pub fn negotiate(header: &str, spoken: &[Language]) -> Option<Language> {
    let wishes: Vec<(&str, f32)> = header.split(',').filter_map(wish).collect();
    let is_named = |language| wishes.iter().any(|(tag, _)| Language::parse(tag) == Some(language));
    let rest = || {
        let mut rest = [Language::default()].into_iter().chain(spoken.iter().copied());
        rest.find(|language| spoken.contains(language) && !is_named(*language))
    };
    let wanted = wishes.iter().filter(|(_, quality)| *quality > 0.0).filter_map(|(tag, quality)| {
        let language = if *tag == "*" { rest()? } else { Language::parse(tag)? };
        spoken.contains(&language).then_some((*quality, language))
    });
    // Of equal wishes the first one counts.
    wanted.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, language)| language)
}

/// A tag and its quality; `None` for a quality that is none.
fn wish(raw: &str) -> Option<(&str, f32)> {
    let mut parts = raw.split(';').map(str::trim);
    let tag = parts.next()?;
    let is_quality =
        |part: &str| part.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("q")).is_some();
    let quality = match parts.find(|part| is_quality(part)).and_then(|part| part.split_once('=')) {
        Some((_, quality)) => quality.trim().parse().ok().filter(|quality| (0.0..=1.0).contains(quality))?,
        None => 1.0,
    };
    Some((tag, quality))
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
            ("vi;Q=0.2, ja;level=1;q=0.3", Some(Language::Ja)),
            ("en;q=0, *", Some(Language::Vi)),
            ("*, ja;q=0.5", Some(Language::En)),
            ("ja;q=7, zh;q=nan, vi;q=0.1", Some(Language::Vi)),
            ("", None),
            (";;;,q=,vi;q=x", None),
        ] {
            assert_eq!(negotiate(header, &SPOKEN), want, "{header:?}");
        }
    }
}
