//! The seal on what a browser keeps for us: it can neither be read nor made elsewhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Longest sealed text that is looked at, in characters.
const CHARS_MAX: usize = 512;

/// Seals with this installation's key. A nonce is 96 random bits: under one key they are safe for some
/// billions of sessions, and a repeated one would still open nothing that its owner could not open.
pub(super) struct Seal(LessSafeKey);

impl Seal {
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the cipher's keys have 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Seals a text, in letters that a cookie may hold.
    pub fn close(&self, text: &str, nonce: [u8; NONCE_LEN]) -> Option<String> {
        let mut sealed = text.as_bytes().to_vec();
        self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    /// The text of a seal that is whole.
    pub fn open(&self, sealed: &str) -> Option<String> {
        if sealed.len() > CHARS_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
        let mut sealed = sealed.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::empty(), &mut sealed).ok()?;
        String::from_utf8(text.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_sealed_is_opened() {
        let (seal, other) = (Seal::new(&[1; 32]), Seal::new(&[2; 32]));
        let sealed = seal.close("12|secret", [3; NONCE_LEN]).unwrap();
        assert_eq!(seal.open(&sealed).as_deref(), Some("12|secret"));
        assert_eq!(other.open(&sealed), None, "another installation's");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(seal.open(&String::from_utf8(changed).unwrap()), None, "letter {at}");
        }
        for wrong in ["", "A", "12|secret", &sealed[1..], &"A".repeat(CHARS_MAX + 1)] {
            assert_eq!(seal.open(wrong), None, "{wrong:?}");
        }
    }
}
