//! Everything that the fuzz targets have in their corpus goes through the same checks here.

use std::fs;
use std::path::Path;

use proptest::strategy::Strategy;

#[path = "../../fuzz/checks/pusher_session.rs"]
mod pusher_session;
#[path = "../../fuzz/checks/sse_decode.rs"]
mod sse_decode;
#[path = "../../fuzz/checks/websocket.rs"]
mod websocket;

#[test]
fn frames() {
    each("websocket", websocket::check);
}

#[test]
fn sessions() {
    each("pusher_session", pusher_session::check);
}

#[test]
fn events() {
    each("sse_decode", sse_decode::check);
}

proptest::proptest! {
    /// Anything, and what looks like events.
    #[test]
    fn any_stream_of_events_is_borne(
        cut in proptest::num::u8::ANY,
        lines in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::collection::vec(proptest::num::u8::ANY, 0..60),
                "(data|event|id|retry|)(:| |: )?.{0,30}(\n|\r|\r\n)(\n)?".prop_map(String::into_bytes),
                proptest::strategy::Just(vec![b'x'; 300]),
            ],
            0..20,
        )
    ) {
        sse_decode::check(&[vec![cut], lines.concat()].concat());
    }

    /// Anything, and what looks like frames.
    #[test]
    fn any_session_is_borne(
        lines in proptest::collection::vec(
            proptest::prop_oneof![
                ".{0,40}",
                r#"\{"event":"(pusher:(subscribe|unsubscribe|signin|ping)|client-[a-z])","channel":"(private|presence)-[ab]","data":\{"channel":"(private-|presence-|cache-)?[ab]","auth":"\?","channel_data":"\{\\"user_id\\":[0-9]\}","user_data":"\{\\"id\\":[0-9]\}"\}\}"#,
            ],
            0..60,
        )
    ) {
        pusher_session::check(lines.join("\n").as_bytes());
    }
}

fn each(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a folder that can be read").path();
        check(&fs::read(&path).expect("a file that was just listed"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
