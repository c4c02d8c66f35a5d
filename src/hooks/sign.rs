//! Signatures: those of Standard Webhooks (<https://www.standardwebhooks.com>) and Pusher's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::{HookKey, Timestamp};

/// What a key looks like to who configures it at the receiver.
pub fn key_text(key: &HookKey) -> String {
    format!("whsec_{}", STANDARD.encode(key.0))
}

/// The value of `webhook-signature`: a signature of each key over the id, the second and the body, so that a receiver
/// who knows any of them can check.
pub fn standard_signature(keys: &[HookKey], id: &str, at: Timestamp, body: &[u8]) -> String {
    let head = format!("{id}.{}.", at.0 / 1_000_000);
    let each = keys.iter().map(|key| format!("v1,{}", STANDARD.encode(mac(&key.0, &[head.as_bytes(), body]))));
    each.collect::<Vec<_>>().join(" ")
}

/// The value of `X-Pusher-Signature`: over the body alone.
pub fn hex_hmac(secret: &[u8], body: &[u8]) -> String {
    mac(secret, &[body]).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vector of the reference libraries' tests; its key has 24 bytes, ours have 32.
    #[test]
    fn the_reference_vector_is_reproduced() {
        let key = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        assert_eq!(STANDARD.encode(mac(&key, &[signed])), "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_key_signs_the_id_the_second_and_the_body() {
        let (one, two) = (HookKey([1; 32]), HookKey([2; 32]));
        let sign = |keys: &[HookKey], id, at, body| standard_signature(keys, id, Timestamp(at), body);
        let both = sign(&[one, two], "evt_1", 1_999_999, b"{}");
        let want = |key: &HookKey| format!("v1,{}", STANDARD.encode(mac(&key.0, &[b"evt_1.1.{}"])));
        assert_eq!(both, format!("{} {}", want(&one), want(&two)));
        for other in [sign(&[one], "evt_2", 1_999_999, b"{}"), sign(&[one], "evt_1", 2_000_000, b"{}")] {
            assert_ne!(other, want(&one));
        }
        assert_eq!(key_text(&HookKey([0; 32])), format!("whsec_{}=", "A".repeat(43)));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn a_pusher_signature_is_a_plain_hmac_in_hex() {
        let want = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex_hmac(b"Jefe", b"what do ya want for nothing?"), want);
    }
}
