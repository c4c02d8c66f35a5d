//! What holds for the reader of a provider's events, whatever it sends: it never panics, keeps no more than it may, and
//! says the same however the bytes are cut. The fuzz target and the test suite both ask this.

use roost::assistant::sse_decode::{Decoder, Violation};

/// The largest event, here.
const EVENT_MAX: usize = 500;

/// Asks it of some bytes; the first says how they are cut.
pub fn check(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    let cut = decode(bytes, usize::from(*cut % 32) + 1);
    assert_eq!(whole, cut, "a cut changed what was read");
}

/// What comes out of bytes that arrive in pieces of `step`.
fn decode(bytes: &[u8], step: usize) -> (Vec<(String, String)>, Option<Violation>) {
    let (mut decoder, mut said) = (Decoder::new(EVENT_MAX), Vec::new());
    for piece in bytes.chunks(step) {
        let fed = decoder.feed(piece, &mut |event| {
            assert!(event.data.len() <= EVENT_MAX && event.kind.len() <= EVENT_MAX);
            assert!(!event.data.contains('\r') && !event.kind.contains(['\r', '\n']));
            said.push((event.kind.to_owned(), event.data.to_owned()));
        });
        assert!(decoder.kept() <= 3 * EVENT_MAX, "{} bytes are kept", decoder.kept());
        if let Err(violation) = fed {
            return (said, Some(violation));
        }
    }
    (said, None)
}
