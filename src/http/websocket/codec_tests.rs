//! What the decoder makes of frames, right and wrong.

use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;

use proptest::prelude::*;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use super::super::frame;
use super::*;

const MAX: usize = 1000;

/// What came out, in words.
fn read(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<String>, Option<u16>) {
    let mut said = Vec::new();
    let fed = decoder.feed(&mut bytes.to_vec(), &mut |incoming| {
        said.push(match incoming {
            Incoming::Text(text) => format!("text {text}"),
            Incoming::Binary(bytes) => format!("binary {bytes:?}"),
            Incoming::Part => "part".to_owned(),
            Incoming::Ping(payload) => format!("ping {payload:?}"),
            Incoming::Pong => "pong".to_owned(),
            Incoming::Close(code) => format!("close {code:?}"),
        });
        ControlFlow::Continue(())
    });
    (said, fed.err().map(|violation| violation.code))
}

/// A masked frame: first byte, payload.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        long => {
            bytes.push(0x80 | 126);
            bytes.extend((long as u16).to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // Section 5.7: a masked "Hello", and a masked ping.
    let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(read(&mut Decoder::new(MAX), &hello), (vec!["text Hello".to_owned()], None));
    let unmasked = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(read(&mut Decoder::new(MAX), &unmasked), (vec![], Some(1002)));
    assert_eq!(frame::text("Hello"), unmasked.as_slice());
    assert_eq!(frame::ping(b"Hello"), [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f].as_slice());
    assert_eq!(frame::text(&"x".repeat(256))[..4], [0x81, 0x7e, 0x01, 0x00]);
    assert_eq!(frame::text(&"x".repeat(65536))[..10], [0x81, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
}

#[test]
fn a_message_in_parts_is_put_together_around_a_ping() {
    let bytes = [masked(0x01, b"Hel"), masked(0x89, b"!"), masked(0x00, b""), masked(0x80, b"lo")].concat();
    let said = ["part", "ping [33]", "part", "text Hello"].map(str::to_owned).to_vec();
    assert_eq!(read(&mut Decoder::new(MAX), &bytes), (said, None));
}

#[test]
fn what_a_client_must_not_send_is_refused_with_its_code() {
    let big = vec![b'x'; MAX + 1];
    let cases: [(&str, Vec<u8>, u16); 14] = [
        ("reserved bits", masked(0xc1, b"x"), 1002),
        ("an unknown opcode", masked(0x83, b"x"), 1002),
        ("an unknown control opcode", masked(0x8b, b"x"), 1002),
        ("a ping in parts", masked(0x09, b"x"), 1002),
        ("a long ping", masked(0x89, &[0; 126]), 1002),
        ("a continuation of nothing", masked(0x80, b"x"), 1002),
        ("a message within a message", [masked(0x01, b"x"), masked(0x81, b"x")].concat(), 1002),
        ("a length in a longer form than it needs", vec![0x81, 0xfe, 0x00, 0x05, 0, 0, 0, 0], 1002),
        ("a length beyond 63 bits", [vec![0x81, 0xff], vec![0xff; 12]].concat(), 1002),
        ("text that is not UTF-8", masked(0x81, b"\xff"), 1007),
        ("a reason that is not UTF-8", masked(0x88, b"\x03\xe8\xff"), 1007),
        ("half a close code", masked(0x88, b"\x03"), 1002),
        ("a close code that is never sent", masked(0x88, &1006u16.to_be_bytes()), 1002),
        ("a message that is too big", masked(0x81, &big), 1009),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(read(&mut Decoder::new(MAX), &bytes).1, Some(code), "{what}");
    }
}

#[test]
fn a_message_that_is_too_big_is_refused_before_it_is_here() {
    let mut decoder = Decoder::new(MAX);
    let head = [vec![0x82, 0xff], (1u64 << 40).to_be_bytes().to_vec(), vec![0; 4]].concat();
    assert_eq!(read(&mut decoder, &head).1, Some(1009));
    let mut decoder = Decoder::new(MAX);
    let (first, second) = (masked(0x01, &[b'x'; 600]), masked(0x80, &[b'x'; 600]));
    assert_eq!(read(&mut decoder, &first).1, None);
    assert_eq!(read(&mut decoder, &second[..8]).1, Some(1009), "its parts count together");
    assert_eq!(decoder.kept(), 0, "and nothing is kept after that");
}

#[test]
fn an_announcement_takes_no_memory() {
    let mut decoder = Decoder::new(1 << 20);
    let mut frame = masked(0x81, &[b'x'; 60_000]);
    frame.truncate(20);
    read(&mut decoder, &frame);
    assert!(decoder.kept() < 100, "{} bytes for 12", decoder.kept());
}

#[test]
fn nothing_comes_after_a_close() {
    let bytes = [masked(0x88, b"\x0f\xa0bye"), masked(0x81, b"more")].concat();
    let mut decoder = Decoder::new(MAX);
    assert_eq!(read(&mut decoder, &bytes), (vec!["close Some(4000)".to_owned()], None));
    assert_eq!(read(&mut decoder, &masked(0x81, b"more")), (vec![], None));
}

/// What a stock client writes is kept; it has nothing to read.
#[derive(Default)]
struct Wire(Cursor<Vec<u8>>);

impl Read for Wire {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::WouldBlock.into())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<String>().prop_map(|text| Message::text(text.chars().take(200).collect::<String>())),
        prop::collection::vec(any::<u8>(), 0..MAX).prop_map(Message::binary),
        prop::collection::vec(any::<u8>(), 0..125).prop_map(|payload| Message::Ping(payload.into())),
        Just(Message::Pong(vec![1].into())),
    ]
}

fn told(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("text {text}"),
        Message::Binary(bytes) => format!("binary {:?}", bytes.as_ref()),
        Message::Ping(payload) => format!("ping {:?}", payload.as_ref()),
        _ => "pong".to_owned(),
    }
}

/// Feeds bytes in pieces of those sizes, over and over.
fn read_cut(bytes: &[u8], cuts: &[usize]) -> (Vec<String>, Option<u16>) {
    let (mut decoder, mut said, mut rest) = (Decoder::new(MAX), Vec::new(), bytes);
    for cut in cuts.iter().cycle() {
        let (piece, after) = rest.split_at((*cut).min(rest.len()));
        let (more, violation) = read(&mut decoder, piece);
        said.extend(more);
        assert!(decoder.kept() <= MAX + 256, "{} bytes are kept", decoder.kept());
        if violation.is_some() || after.is_empty() {
            return (said, violation);
        }
        rest = after;
    }
    (said, None)
}

proptest! {
    #[test]
    fn what_another_writes_is_read_however_it_is_cut(
        messages in prop::collection::vec(any_message(), 1..8),
        cuts in prop::collection::vec(1usize..300, 1..8),
    ) {
        let mut client = WebSocket::from_raw_socket(Wire::default(), Role::Client, None);
        for message in &messages {
            client.send(message.clone()).unwrap();
        }
        let bytes = client.get_ref().0.get_ref();
        let want: Vec<_> = messages.iter().map(told).collect();
        prop_assert_eq!(read_cut(bytes, &cuts), (want, None));
    }

    #[test]
    fn nothing_that_arrives_does_harm(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        cuts in prop::collection::vec(1usize..40, 1..6),
    ) {
        prop_assert_eq!(read_cut(&bytes, &cuts), read_cut(&bytes, &[400]));
    }

    #[test]
    fn nor_do_frames_in_any_order(
        frames in prop::collection::vec((any::<u8>(), prop::collection::vec(any::<u8>(), 0..300)), 1..12),
        cuts in prop::collection::vec(1usize..200, 1..6),
    ) {
        // Rarely anything reserved: most would end there.
        let bytes = frames.iter().flat_map(|(first, payload)| {
            let first = if *first < 8 { *first } else { first & 0x81 };
            masked(first, payload)
        });
        let bytes: Vec<u8> = bytes.collect();
        prop_assert_eq!(read_cut(&bytes, &cuts), read_cut(&bytes, &[bytes.len()]));
    }

    #[test]
    fn another_reads_what_we_write(text in any::<String>(), code in 3000u16..5000) {
        let bytes = [frame::text(&text), frame::ping(b"p"), frame::close(code, &text)].concat();
        let mut other = WebSocket::from_partially_read(Wire::default(), bytes, Role::Client, None);
        prop_assert_eq!(other.read().unwrap(), Message::text(text.clone()));
        prop_assert_eq!(other.read().unwrap(), Message::Ping(b"p".as_slice().into()));
        let Ok(Message::Close(Some(close))) = other.read() else { panic!("no close") };
        prop_assert_eq!(u16::from(close.code), code);
        prop_assert!(text.starts_with(close.reason.as_str()));
    }
}
