//! Holds: what a subscriber hears once it has caught up.

use super::*;

#[tokio::test]
async fn what_is_held_follows_what_was_read() {
    let sockets = start(|_| {});
    let mut client = connect(&sockets).await;
    sockets.publish(APP, "x", logged(1));
    sockets.subscribe(&client.socket, Join { hold: true, ..join("x") }, says("[in]")).unwrap();
    for cursor in 2..5 {
        sockets.publish(APP, "x", logged(cursor));
    }
    sockets.publish(APP, "x", published("typing;"));
    client.socket.send(Frame::from_static(b"1;2;3;"));
    assert!(sockets.release(&client.socket, &["x"], EventId(3)));
    sockets.publish(APP, "x", logged(3));
    sockets.publish(APP, "x", logged(5));
    sockets.publish(APP, "x", published("."));
    assert_eq!(client.until(".").await, "[in]1;2;3;4;typing;5;.");
    assert!(sockets.release(&client.socket, &["x"], EventId(9)), "there is no hold any more");
    assert!(sockets.release(&client.socket, &["y"], EventId(9)), "nor a subscription");
}

#[tokio::test]
async fn what_is_held_on_several_channels_comes_in_one_order() {
    let sockets = start(|rules| rules.fanout_threads = 1);
    let (mut client, mut other) = (connect(&sockets).await, connect(&sockets).await);
    sockets.subscribe(&other.socket, join("c"), says("")).unwrap();
    for channel in ["a", "b", "c"] {
        sockets.subscribe(&client.socket, Join { hold: true, ..join(channel) }, says("")).unwrap();
    }
    for (cursor, channel) in [(1, "c"), (2, "b"), (3, "a"), (4, "c"), (5, "b"), (6, "a"), (6, "b")] {
        sockets.publish(APP, channel, logged(cursor));
    }
    sockets.publish(APP, "b", published("typing;"));
    sockets.publish(APP, "c", logged(7));
    other.until("7;").await;
    assert!(sockets.release(&client.socket, &["b", "a", "none", "c"], EventId(2)));
    for (cursor, channel) in [(2, "a"), (8, "a"), (9, "c")] {
        sockets.publish(APP, channel, logged(cursor));
    }
    sockets.publish(APP, "a", published("."));
    assert_eq!(client.until(".").await, "3;4;5;6;typing;6;7;8;9;.");
}

#[tokio::test]
async fn one_channel_that_is_behind_holds_all_of_them() {
    let sockets = start(|rules| rules.fanout_threads = 1);
    let (mut client, mut other) = (connect(&sockets).await, connect(&sockets).await);
    for channel in ["a", "b"] {
        sockets.subscribe(&client.socket, Join { hold: true, ..join(channel) }, says("")).unwrap();
    }
    sockets.subscribe(&other.socket, join("a"), says("")).unwrap();
    sockets.publish(APP, "b", logged(1));
    for end in [";", "."] {
        sockets.publish(APP, "a", published(&format!("{}{end}", "x".repeat(10_000))));
    }
    other.until(".").await;
    assert!(!sockets.release(&client.socket, &["a", "b"], EventId(0)));
    sockets.publish(APP, "a", logged(2));
    sockets.publish(APP, "b", logged(3));
    assert!(sockets.release(&client.socket, &["a", "b"], EventId(0)));
    sockets.publish(APP, "b", published("."));
    assert_eq!(client.until(".").await, "1;2;3;.");
}

#[tokio::test]
async fn more_than_can_be_held_is_read_again() {
    let sockets = start(|rules| rules.fanout_threads = 1);
    let (mut client, mut other) = (connect(&sockets).await, connect(&sockets).await);
    sockets.subscribe(&client.socket, Join { hold: true, ..join("x") }, says("")).unwrap();
    sockets.subscribe(&other.socket, join("x"), says("")).unwrap();
    let big = |end| published(&format!("{}{end}", "x".repeat(10_000)));
    sockets.publish(APP, "x", big(";"));
    sockets.publish(APP, "x", big("."));
    other.until(".").await;
    assert!(!sockets.release(&client.socket, &["x"], EventId(0)));
    sockets.publish(APP, "x", logged(7));
    assert!(sockets.release(&client.socket, &["x"], EventId(6)));
    assert_eq!(client.until(";").await, "7;", "and nothing of what was forgotten");
}

#[tokio::test]
async fn nobody_goes_on_past_a_hole() {
    let sockets = start(|rules| (rules.fanout_bytes_max, rules.fanout_threads) = (0, 1));
    let (mut live, held) = (connect(&sockets).await, connect(&sockets).await);
    sockets.subscribe(&live.socket, join("x"), says("")).unwrap();
    sockets.subscribe(&held.socket, Join { hold: true, ..join("x") }, says("")).unwrap();
    assert!(sockets.publish(APP, "x", logged(1)));
    assert_eq!(live.until(">").await, "<4100 too slow: reconnect and resume>");
    assert!(!sockets.release(&held.socket, &["x"], EventId(0)));
    assert!(!held.socket.is_closing());
}
