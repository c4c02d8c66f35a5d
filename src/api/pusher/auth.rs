//! What is signed with an app's secret, and by whom: subscriptions, sign-ins, and the requests of the app's
//! backend.

use axum::http::Method;
use uuid::Uuid;

use crate::domain::{Platform, Timestamp};
use crate::http::signature;
use crate::realtime::sockets::Expected;

/// How far the time of a signed request may be off, in seconds.
const WINDOW_S: i64 = 600;

/// Whether `key:signature` lets that socket subscribe to that channel.
pub fn is_subscription(app: &Platform, auth: &str, socket: &str, channel: &str, data: Option<&str>) -> bool {
    let want = || signature::subscription(&app.secret, socket, channel, data);
    signed(app, auth).is_some_and(|sent| signature::is_same(&want(), sent))
}

/// Whether `key:signature` lets that socket be that user.
pub fn is_sign_in(app: &Platform, auth: &str, socket: &str, user_data: &str) -> bool {
    signed(app, auth).is_some_and(|sent| signature::is_same(&signature::sign_in(&app.secret, socket, user_data), sent))
}

/// The signature of `key:signature`, when the key is the app's. What may follow it is [`expected`].
fn signed<'a>(app: &Platform, auth: &'a str) -> Option<&'a str> {
    let (key, signed) = auth.split_once(':')?;
    let signature = signed.split_once(':').map_or(signed, |(signature, _)| signature);
    is_key(app, key).then_some(signature)
}

/// What another node said of the subscription when it authorised it: `key:signature:what:signature`.
pub fn expected(app: &Platform, auth: &str, socket: &str, channel: &str) -> Option<Expected> {
    let (what, sent) = auth.splitn(3, ':').nth(2)?.split_once(':')?;
    let is_ours = signature::is_same(&signature::voucher(&app.secret, socket, channel, what), sent);
    if is_ours { Expected::parse(what) } else { None }
}

fn is_key(app: &Platform, key: &str) -> bool {
    Uuid::try_parse(key).is_ok_and(|key| key == app.key)
}

/// A request of an app's backend, as far as it is signed.
pub struct Signed<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Its path.
    pub path: &'a str,
    /// Its query, as it came.
    pub query: Option<&'a str>,
    /// Its body.
    pub body: &'a [u8],
}

/// Why a request's signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsigned {
    /// Something that every signed request has is missing.
    Missing(&'static str),
    /// The key is another app's.
    Key,
    /// The version of signing is not known.
    Version,
    /// The time is no number.
    Timestamp,
    /// The time is too far from the present.
    Expired,
    /// The body is not the one that was signed.
    Body,
    /// The signature is another.
    Signature,
}

impl Signed<'_> {
    /// Checks that the app's backend sent this, a short while ago at the most.
    ///
    /// # Errors
    /// Why it did not.
    pub fn check(&self, app: &Platform, now: Timestamp) -> Result<(), Unsigned> {
        let pairs = self.pairs();
        let get = |name: &'static str| {
            let found = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            found.ok_or(Unsigned::Missing(name))
        };
        if !is_key(app, get("auth_key")?) {
            return Err(Unsigned::Key);
        }
        if get("auth_version")? != "1.0" {
            return Err(Unsigned::Version);
        }
        let (at, sent) = (get("auth_timestamp")?, get("auth_signature")?);
        // The signature first: what is not signed is told nothing of the server's clock.
        if !signature::is_signed(&app.secret, &[self.text(&pairs).as_bytes()], sent) {
            return Err(Unsigned::Signature);
        }
        self.check_body(get("body_md5"))?;
        let at: i64 = at.parse().map_err(|_| Unsigned::Timestamp)?;
        let is_fresh = (now.0.div_euclid(1_000_000)).abs_diff(at) <= WINDOW_S.unsigned_abs();
        if is_fresh { Ok(()) } else { Err(Unsigned::Expired) }
    }

    /// The hash is made of the body again: trusting the one in the query would sign no body at all.
    fn check_body(&self, sent: Result<&str, Unsigned>) -> Result<(), Unsigned> {
        match sent {
            Ok(sent) if signature::is_same(&signature::md5(self.body), &sent.to_ascii_lowercase()) => Ok(()),
            Ok(_) => Err(Unsigned::Body),
            // A request without a body has no hash of one.
            Err(_) if self.body.is_empty() => Ok(()),
            Err(missing) => Err(missing),
        }
    }

    /// The query's pairs, decoded, their names in lower case, in the order of the names.
    fn pairs(&self) -> Vec<(String, String)> {
        let pairs = form_urlencoded::parse(self.query.unwrap_or_default().as_bytes());
        let mut pairs: Vec<_> = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned())).collect();
        pairs.sort();
        pairs
    }

    /// What is signed: method, path, and every pair but the signature, none of it escaped.
    fn text(&self, pairs: &[(String, String)]) -> String {
        let query: Vec<_> = pairs
            .iter()
            .filter(|(name, _)| name != "auth_signature")
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{}\n{}\n{}", self.method, self.path, query.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::PlatformId;

    const NOW: Timestamp = Timestamp(1_353_088_179_000_000);
    const BODY: &[u8] = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
    const KEY: &str = "278d425b-df16-4c73-9803-000000000000";

    fn app() -> Platform {
        Platform {
            id: PlatformId(3),
            key: Uuid::try_parse(KEY).unwrap(),
            name: "Acme".to_owned(),
            slug: "acme".to_owned(),
            secret: "7ad3773142a6692b25b8".to_owned(),
            created_at: NOW,
        }
    }

    /// A query that is signed as a stock library signs it.
    fn query(method: &Method, path: &str, more: &str, body: &[u8], at: i64) -> String {
        let md5 = if body.is_empty() { String::new() } else { format!("&body_md5={}", signature::md5(body)) };
        let query = format!("auth_key={KEY}&auth_timestamp={at}&auth_version=1.0{md5}{more}");
        let text = format!("{method}\n{path}\n{query}");
        format!("{query}&auth_signature={}", signature::sign(&app().secret, &[text.as_bytes()]))
    }

    fn check(method: &Method, path: &str, query: &str, body: &[u8]) -> Result<(), Unsigned> {
        Signed { method, path, query: Some(query), body }.check(&app(), NOW)
    }

    /// The example of the protocol's documents, with its own key; the digest was computed again.
    #[test]
    fn the_text_is_that_of_the_protocol() {
        let query = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
                     &body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=x";
        let request = Signed { method: &Method::POST, path: "/apps/3/events", query: Some(query), body: BODY };
        let text = request.text(&request.pairs());
        let signed = signature::sign(&app().secret, &[text.as_bytes()]);
        assert!(signed.starts_with("da454824") && signed.ends_with("457e6c"), "{signed}");
    }

    #[test]
    fn what_is_signed_is_let_in() {
        let at = 1_353_088_179;
        let post = query(&Method::POST, "/apps/3/events", "", BODY, at);
        assert_eq!(check(&Method::POST, "/apps/3/events", &post, BODY), Ok(()));
        let get = query(&Method::GET, "/apps/3/channels", "&filter_by_prefix=presence-&info=user_count", b"", at);
        let mixed = get.replace("auth_key", "AUTH_KEY").replace("presence-", "presence%2D");
        assert_eq!(check(&Method::GET, "/apps/3/channels", &mixed, b""), Ok(()));
        for off in [-600, 600] {
            let query = query(&Method::GET, "/apps/3/channels", "", b"", at + off);
            assert_eq!(check(&Method::GET, "/apps/3/channels", &query, b""), Ok(()));
        }
    }

    #[test]
    fn what_is_signed_otherwise_is_refused() {
        let (post, path, at) = (&Method::POST, "/apps/3/events", 1_353_088_179);
        let good = query(post, path, "", BODY, at);
        assert_eq!(check(&Method::GET, path, &good, BODY), Err(Unsigned::Signature));
        assert_eq!(check(post, "/apps/3/batch_events", &good, BODY), Err(Unsigned::Signature));
        assert_eq!(check(post, path, &format!("{good}&info=user_count"), BODY), Err(Unsigned::Signature));
        assert_eq!(check(post, path, &good, b"{}"), Err(Unsigned::Body));
        assert_eq!(check(post, path, &query(post, path, "", b"", at), BODY), Err(Unsigned::Missing("body_md5")));
        for off in [-601, 601, i64::MAX - at, i64::MIN] {
            let query = query(post, path, "", BODY, at.wrapping_add(off));
            assert_eq!(check(post, path, &query, BODY), Err(Unsigned::Expired), "{off}");
        }
        assert_eq!(check(post, path, &good.replace(KEY, &Uuid::nil().to_string()), BODY), Err(Unsigned::Key));
        assert_eq!(check(post, path, &good.replace("=1.0", "=2.0"), BODY), Err(Unsigned::Version));
        for name in ["auth_key", "auth_timestamp", "auth_version", "auth_signature"] {
            assert_eq!(check(post, path, &good.replace(name, "x"), BODY), Err(Unsigned::Missing(name)));
        }
        assert_eq!(check(post, path, "", b""), Err(Unsigned::Missing("auth_key")));
    }

    #[test]
    fn a_subscription_is_signed_with_the_apps_key() {
        let signed = signature::subscription(&app().secret, "1.1", "private-a", None);
        let is = |auth: &str| is_subscription(&app(), auth, "1.1", "private-a", None);
        assert!(is(&format!("{KEY}:{signed}")));
        for wrong in ["", ":", KEY, &format!("{KEY}:"), &format!("{}:{signed}", Uuid::nil()), &format!(":{signed}")] {
            assert!(!is(wrong), "{wrong}");
        }
    }
}
