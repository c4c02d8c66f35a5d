//! Addresses of other pages of a list: the request's own, with parameters of its query changed.

use axum::http::Uri;

/// The address of a request, with these parameters of the query instead (or, where there is no value,
/// without them); whole when the origin is known. The parameters are in the order of their names, so
/// that a page has one address.
pub fn changed(origin: Option<String>, uri: &Uri, changes: &[(&str, Option<String>)]) -> String {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(uri.query().unwrap_or_default()).unwrap_or_default();
    let kept = pairs.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let new = changes.iter().filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)));
    let mut pairs: Vec<_> = kept.chain(new).collect();
    pairs.sort();
    let query = serde_urlencoded::to_string(pairs).unwrap_or_default();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{}{}{mark}{query}", origin.unwrap_or_default(), uri.path())
}
