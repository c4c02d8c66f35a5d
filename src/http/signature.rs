//! Signatures as the Pusher protocol has them: HMAC-SHA256 with an app's secret, in hexadecimal digits.

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The signature of what the pieces are together.
pub fn sign(secret: &str, pieces: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("an HMAC takes keys of any length");
    pieces.iter().for_each(|piece| mac.update(piece));
    hex(&mac.finalize().into_bytes())
}

/// Whether that is the signature of what the pieces are together. How long the answer takes tells nothing
/// of how much of it was right.
pub fn is_signed(secret: &str, pieces: &[&[u8]], signature: &str) -> bool {
    sign(secret, pieces).as_bytes().ct_eq(signature.as_bytes()).into()
}

/// The MD5 of a body. It proves nothing by itself; the protocol signs it in the body's place.
pub fn md5(body: &[u8]) -> String {
    hex(&Md5::digest(body))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// What a subscription to a channel is authorised by; `data` says who subscribes to a presence channel.
pub fn subscription(secret: &str, socket: &str, channel: &str, data: Option<&str>) -> String {
    match data {
        Some(data) => {
            let pieces = [socket.as_bytes(), b":", channel.as_bytes(), b":", data.as_bytes()];
            sign(secret, &pieces)
        }
        None => sign(secret, &[socket.as_bytes(), b":", channel.as_bytes()]),
    }
}

/// What a connection's sign-in as a user is authorised by.
pub fn sign_in(secret: &str, socket: &str, user_data: &str) -> String {
    sign(secret, &[socket.as_bytes(), b"::user::", user_data.as_bytes()])
}

/// What vouches, beside the protocol's own signature, for what else was authorised with it. The word before it keeps it
/// apart from everything that the protocol signs.
pub fn voucher(secret: &str, socket: &str, channel: &str, what: &str) -> String {
    let pieces = [b"voucher\n", socket.as_bytes(), b"\n", channel.as_bytes(), b"\n", what.as_bytes()];
    sign(secret, &pieces)
}

/// Whether two signatures are the same; see [`is_signed`].
pub fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "7ad3773142a6692b25b8";
    const SOCKET: &str = "1234.1234";

    /// Published by the protocol's own documents, and computed again. The digest that they print for a
    /// presence channel belongs to a user called "Mr. Pusher"; the one of "Mr. Channels" is this.
    #[test]
    fn signatures_are_those_of_the_protocol() {
        assert_eq!(
            subscription(SECRET, SOCKET, "private-foobar", None),
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
        for (name, start, end) in [("Mr. Pusher", "afaed369", "6304c"), ("Mr. Channels", "31935e7d", "bc80")] {
            let data = format!(r#"{{"user_id":10,"user_info":{{"name":"{name}"}}}}"#);
            let signed = subscription(SECRET, SOCKET, "presence-foobar", Some(&data));
            assert!(signed.starts_with(start) && signed.ends_with(end), "{name}: {signed}");
        }
        assert_eq!(
            sign_in(SECRET, SOCKET, r#"{"id":"12345"}"#),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
        );
    }

    #[test]
    fn pieces_are_signed_as_one_text() {
        assert_eq!(sign(SECRET, &[b"ab", b"c"]), sign(SECRET, &[b"abc"]));
        assert!(is_signed(SECRET, &[b"abc"], &sign(SECRET, &[b"a", b"bc"])));
        for wrong in ["", "00", &sign(SECRET, &[b"abd"]), &sign("other", &[b"abc"])] {
            assert!(!is_signed(SECRET, &[b"abc"], wrong), "{wrong}");
        }
        assert!(is_same("ab", "ab") && !is_same("ab", "ac") && !is_same("ab", "abc"));
    }

    #[test]
    fn a_body_is_hashed() {
        let body = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        assert_eq!(md5(body), "ec365a775a4cd0599faeb73354201b6f");
    }
}
