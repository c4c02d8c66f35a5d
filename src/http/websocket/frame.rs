//! Frames of a server (RFC 6455, section 5.2): unmasked and whole, so that one serves every receiver.

use bytes::Bytes;

/// A text message.
pub fn text(text: &str) -> Bytes {
    frame(0x1, text.as_bytes())
}

/// A close with a code and a reason, which is cut to the 123 bytes that a control frame has for it.
pub fn close(code: u16, reason: &str) -> Bytes {
    let reason = &reason[..reason.floor_char_boundary(123)];
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(0x8, &payload)
}

/// A ping; at most 125 bytes.
pub fn ping(payload: &[u8]) -> Bytes {
    frame(0x9, &payload[..payload.len().min(125)])
}

/// A pong; at most 125 bytes.
pub fn pong(payload: &[u8]) -> Bytes {
    frame(0xa, &payload[..payload.len().min(125)])
}

/// What one of these frames carries.
pub fn payload(frame: &[u8]) -> &[u8] {
    let head = match frame.get(1) {
        Some(126) => 4,
        Some(127) => 10,
        _ => 2,
    };
    frame.get(head..).unwrap_or_default()
}

fn frame(opcode: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x80 | opcode);
    match payload.len() {
        short @ 0..=125 => frame.push(short as u8),
        middle @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    Bytes::from(frame)
}
