//! What holds for the frame decoder, whatever a client sends: it never panics, keeps no more than it
//! may, and says the same however the bytes are cut. The fuzz target and the test suite both ask this.

use std::ops::ControlFlow;

use roost::http::websocket::codec::{Decoder, Incoming, Violation};

/// The largest message, here.
const MESSAGE_MAX: usize = 1000;

/// Asks it of some bytes; the first says how they are cut.
pub fn check(data: &[u8]) {
    let Some((cut, bytes)) = data.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    let cut = decode(bytes, usize::from(*cut % 32) + 1);
    assert_eq!(whole, cut, "a cut changed what was read");
}

/// What comes out of bytes that arrive in pieces of `step`.
fn decode(bytes: &[u8], step: usize) -> (Vec<String>, Option<Violation>) {
    let (mut decoder, mut said) = (Decoder::new(MESSAGE_MAX), Vec::new());
    for piece in bytes.chunks(step) {
        let fed = decoder.feed(&mut piece.to_vec(), &mut |incoming| {
            said.push(describe(&incoming));
            ControlFlow::Continue(())
        });
        assert!(decoder.kept() <= MESSAGE_MAX + 256, "{} bytes are kept", decoder.kept());
        if let Err(violation) = fed {
            return (said, Some(violation));
        }
    }
    (said, None)
}

fn describe(incoming: &Incoming<'_>) -> String {
    match incoming {
        Incoming::Text(text) => assert!(text.len() <= MESSAGE_MAX),
        Incoming::Binary(bytes) => assert!(bytes.len() <= MESSAGE_MAX),
        Incoming::Ping(payload) => assert!(payload.len() <= 125),
        Incoming::Part | Incoming::Pong | Incoming::Close(_) => {}
    }
    format!("{incoming:?}")
}
