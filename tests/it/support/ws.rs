//! A WebSocket client that sends any frame, also those that no library would.

use super::raw::{Answer, Raw, request};

/// The headers of a handshake as browsers send them.
pub const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "keep-alive, Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// A connection after its handshake.
pub struct Ws {
    raw: Raw,
}

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Close(u16, String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// The connection is gone.
    End,
}

impl Ws {
    /// Shakes hands, or fails.
    pub async fn connect(url: &str, path: &str) -> Self {
        match Self::try_connect(url, path).await {
            Ok(ws) => ws,
            Err(answer) => panic!("no handshake: {answer:?}"),
        }
    }

    /// Shakes hands; the answer when it is refused.
    pub async fn try_connect(url: &str, path: &str) -> Result<Self, Option<Answer>> {
        Self::over(Raw::connect(url).await, path, b"").await
    }

    /// Shakes hands over that connection, and sends the first bytes with the handshake.
    pub async fn over(mut raw: Raw, path: &str, first: &[u8]) -> Result<Self, Option<Answer>> {
        raw.send([request("GET", path, &HANDSHAKE, b""), first.to_vec()].concat()).await;
        match raw.answer().await {
            Some(answer) if answer.status == 101 => {
                assert_eq!(answer.header("sec-websocket-accept"), Some("s3pplmbitxaq9kygzzhzrbk+xoo="));
                Ok(Self { raw })
            }
            other => Err(other),
        }
    }

    /// Sends a text message.
    pub async fn says(&mut self, text: &str) -> bool {
        self.raw.send(frame(0x81, text.as_bytes())).await
    }

    /// Sends bytes as they are.
    pub async fn sends(&mut self, bytes: &[u8]) -> bool {
        self.raw.send(bytes).await
    }

    /// The next frame.
    pub async fn hears(&mut self) -> Got {
        self.next().await.unwrap_or(Got::End)
    }

    async fn next(&mut self) -> Option<Got> {
        let head = self.raw.exactly(2).await?;
        assert_eq!(head[0] & 0xf0, 0x80, "whole frames only");
        let length = match head[1] {
            126 => u16::from_be_bytes(self.raw.exactly(2).await?.try_into().expect("two bytes")).into(),
            127 => u64::from_be_bytes(self.raw.exactly(8).await?.try_into().expect("eight bytes")),
            short => u64::from(short),
        };
        assert!(length < 1 << 30, "unmasked frames only");
        let payload = self.raw.exactly(length as usize).await?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
        Some(match head[0] & 0x0f {
            0x1 => Got::Text(text(&payload)),
            0x8 => Got::Close(u16::from_be_bytes([payload[0], payload[1]]), text(&payload[2..])),
            0x9 => Got::Ping(payload),
            0xa => Got::Pong(payload),
            other => panic!("opcode {other}"),
        })
    }
}

/// A masked frame with that first byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}
