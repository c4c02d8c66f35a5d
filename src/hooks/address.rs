//! Which addresses may be posted to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;

/// Why an address cannot be an endpoint's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// It is no `http` or `https` address with a host, or it holds a name and password.
    Malformed,
    /// It leads into a private network.
    Private,
}

/// Checks what can be seen without resolving a name; where the name leads is checked at each connection.
///
/// # Errors
/// See [`AddressError`].
pub fn check_url(url: &str, allow_private: bool) -> Result<(), AddressError> {
    let is_plain = url.bytes().all(|byte| byte.is_ascii_graphic()) && !url.contains('#');
    let uri: Uri = url.parse().map_err(|_| AddressError::Malformed)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = uri.host().unwrap_or_default();
    // A port that is no number reads as none.
    let is_port_good = uri.port().is_some() == authority.strip_prefix(host).is_some_and(|rest| rest.starts_with(':'));
    if !is_plain || !["http", "https"].contains(&scheme) || host.is_empty() || authority.contains('@') || !is_port_good
    {
        return Err(AddressError::Malformed);
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let leads_home = bare.eq_ignore_ascii_case("localhost") || bare.to_ascii_lowercase().ends_with(".localhost");
    let is_private = bare.parse::<IpAddr>().is_ok_and(|address| !is_public(address)) || leads_home;
    if is_private && !allow_private { Err(AddressError::Private) } else { Ok(()) }
}

/// Whether an address is one of the public Internet's hosts: none of this machine, of a private or provider's
/// network, of a link, of many, or set aside (IANA's special-purpose registries, RFC 6890 and its updates).
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    const SPECIAL: [(Ipv4Addr, u32); 15] = [
        (Ipv4Addr::new(0, 0, 0, 0), 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
    ];
    let is_in = |network: Ipv4Addr, bits: u32| (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits;
    !SPECIAL.iter().any(|(network, bits)| is_in(*network, *bits))
}

/// Public IPv6 is `2000::/3` without what is set aside in it; an address that carries one of IPv4 is judged by that.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(four) = address.to_ipv4_mapped() {
        return is_public_v4(four);
    }
    let within = |network: Ipv6Addr, bits: u32| (network.to_bits() ^ address.to_bits()).leading_zeros() >= bits;
    // Where a network has no IPv4 but a translator (RFC 6052), every IPv4 host is named like that.
    if within(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96) {
        return is_public_v4(Ipv4Addr::from_bits(address.to_bits() as u32));
    }
    const SPECIAL: [(Ipv6Addr, u32); 4] = [
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    within(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3)
        && !SPECIAL.iter().any(|(network, bits)| within(*network, *bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for private in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "192.0.0.8",
            "198.19.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "100::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in [
            "1.1.1.1",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:1.1.1.1",
            "64:ff9b::101:101",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn an_endpoint_has_an_address_of_the_web() {
        for good in
            ["https://example.com/hook?a=b", "http://example.com:8080", "https://1.1.1.1/", "https://[2a00::1]/"]
        {
            assert_eq!(check_url(good, false), Ok(()), "{good}");
        }
        for wrong in [
            "",
            "example.com",
            "/hook",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://",
            "https://a:b@example.com/",
            "https://example.com/a b",
            "https://example.com/#a",
            "https://exa\u{301}mple.com/",
            "https://example.com:99999/",
            "javascript:alert(1)",
            "https://example.com:/",
            "*",
        ] {
            assert_eq!(check_url(wrong, true), Err(AddressError::Malformed), "{wrong}");
        }
        for private in [
            "http://127.0.0.1:9/",
            "http://[::1]/",
            "https://10.0.0.1/",
            "http://localhost/",
            "http://a.LOCALHOST/",
            "http://[::ffff:192.168.0.1]/",
            "http://169.254.169.254/latest/meta-data",
        ] {
            assert_eq!(check_url(private, false), Err(AddressError::Private), "{private}");
            assert_eq!(check_url(private, true), Ok(()), "{private}");
        }
    }
}
