//! Who the client is, as an address: what limits count against.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Uri, header};

use crate::config::Network;

/// The client's address: the peer's, or, when the peer is a trusted proxy, the last address in
/// `X-Forwarded-For` that is not one. What an untrusted peer writes there is ignored.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    let peer = peer.to_canonical();
    if trusted.is_empty() || !is_trusted(peer) {
        return peer;
    }
    let listed = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<_> = listed.flat_map(|value| value.split(',')).map(|hop| hop.trim().parse::<IpAddr>()).collect();
    let mut client = peer;
    for hop in hops.into_iter().rev() {
        // Behind something that is no address nothing can be believed.
        let Ok(hop) = hop else { break };
        client = hop.to_canonical();
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// The server's scheme and host as the client sees them, for links in answers; `None` when the
/// request does not say, or says something that is no host. What a trusted proxy says counts first.
pub fn origin(peer: IpAddr, uri: &Uri, headers: &HeaderMap, trusted: &[Network]) -> Option<String> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let is_trusted = trusted.iter().any(|network| network.contains(peer.to_canonical()));
    let said = |name| text(name).filter(|_| is_trusted).map(|list| list.split(',').next().unwrap_or(list).trim());
    let host = said("x-forwarded-host").or_else(|| uri.authority().map(Authority::as_str)).or_else(|| text("host"))?;
    let is_host = !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b));
    let scheme = if is_secure(peer, headers, trusted) { "https" } else { "http" };
    is_host.then(|| format!("{scheme}://{host}"))
}

/// Whether the client came by TLS, as far as anybody knows who is believed: a trusted proxy. The server
/// itself speaks plain HTTP.
pub fn is_secure(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> bool {
    let is_trusted = trusted.iter().any(|network| network.contains(peer.to_canonical()));
    let said = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    is_trusted && said.is_some_and(|list| list.split(',').next().is_some_and(|first| first.trim() == "https"))
}

/// Whether nothing about a request says that it came from elsewhere: through a proxy, under a name
/// that is not this machine's (as a foreign page's that points its own name here), or from a page of
/// another site. That the peer is this machine is not looked at: a proxy's peer may be.
pub fn is_of_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    let is_proxys = |name: &str| name.starts_with("x-forwarded-") || ["forwarded", "via", "x-real-ip"].contains(&name);
    let is_near = |value: &HeaderValue, before: &str| {
        let host = value.to_str().ok().and_then(|text| text.strip_prefix(before)?.parse::<Authority>().ok());
        host.is_some_and(|host| is_this_machine(host.host()))
    };
    headers.keys().all(|name| !is_proxys(name.as_str()))
        && uri.host().is_none_or(is_this_machine)
        && headers.get_all(header::HOST).iter().all(|host| is_near(host, ""))
        && headers.get_all(header::ORIGIN).iter().all(|page| is_near(page, "http://") || is_near(page, "https://"))
}

/// Whether a host's name can only be that of the machine that says it (RFC 6761).
fn is_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.0.0.7".parse().unwrap());
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(client(ip("198.51.100.1"), &headers, &trusted), ip("198.51.100.1"));
        assert_eq!(client(ip("10.0.0.1"), &headers, &trusted), ip("203.0.113.9"));
        assert_eq!(client(ip("10.0.0.1"), &headers, &[]), ip("10.0.0.1"));
        headers.insert("x-forwarded-for", "garbage".parse().unwrap());
        assert_eq!(client(ip("10.0.0.1"), &headers, &trusted), ip("10.0.0.1"));
    }

    #[test]
    fn links_lead_to_where_the_client_came_from() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let (proxy, stranger) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([192, 0, 2, 1]));
        let mut headers = HeaderMap::new();
        let here = Uri::from_static("/a");
        assert_eq!(origin(proxy, &here, &headers, &trusted), None);
        headers.insert("host", "chat.example:8080".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        let seen = |peer| origin(peer, &here, &headers, &trusted);
        assert_eq!(seen(stranger).as_deref(), Some("http://chat.example:8080"));
        assert_eq!(seen(proxy).as_deref(), Some("https://chat.example:8080"));
        headers.insert("host", "evil.example/\">".parse().unwrap());
        assert_eq!(origin(stranger, &here, &headers, &trusted), None);
    }

    #[test]
    fn a_request_of_this_machine_shows_no_sign_of_another() {
        let is_here = |uri: &'static str, lines: &[(&'static str, &str)]| {
            let headers = lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()));
            is_of_this_machine(&Uri::from_static(uri), &headers.collect())
        };
        for host in ["localhost", "LOCALHOST:8080", "app.localhost:1", "127.0.0.1:8080", "127.1.2.3", "[::1]:8080"] {
            assert!(is_here("/", &[("host", host)]), "{host}");
            assert!(is_here("/", &[("host", host), ("origin", &format!("http://{host}"))]), "{host}");
        }
        assert!(is_here("/", &[]) && is_here("http://localhost/", &[]) && !is_here("http://a.test/", &[]));
        for host in ["a.test", "localhost.a.test", "192.0.2.1", "[2001:db8::1]", "", "a b", "localhost@a.test"] {
            assert!(!is_here("/", &[("host", host)]), "{host}");
            assert!(!is_here("/", &[("host", "localhost"), ("origin", &format!("https://{host}"))]), "{host}");
        }
        assert!(!is_here("/", &[("host", "localhost"), ("origin", "null")]));
        for name in ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "via", "x-real-ip"] {
            assert!(!is_here("/", &[("host", "localhost"), (name, "127.0.0.1")]), "{name}");
        }
    }
}
