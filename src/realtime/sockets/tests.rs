//! The keeping of connections, over real ones.

mod holds;

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::*;
use crate::domain::{EventId, TokenId, UserId};

const APP: App = PlatformId(1);
const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

fn rules() -> SocketRules {
    let counter = AtomicU64::new(0);
    SocketRules {
        connections_max: 1000,
        per_app_max: 1000,
        per_address_max: 1000,
        per_user_max: 3,
        channels_per_socket_max: 4,
        members_max: 2,
        outbox_bytes_max: 64 << 10,
        fanout_bytes_max: 1 << 20,
        kept_bytes_max: 1000,
        inbound_bytes_max: 1 << 20,
        fanout_threads: 2,
        ping_after: Duration::from_secs(60),
        pong_wait: Duration::from_secs(30),
        say_close: |code, reason| Frame::from(format!("<{code} {reason}>")),
        draw: Box::new(move || (counter.fetch_add(1, Ordering::Relaxed) * 0x1_0000_0001).to_le_bytes()),
    }
}

fn start(change: impl FnOnce(&mut SocketRules)) -> Arc<Sockets> {
    let mut rules = rules();
    change(&mut rules);
    Sockets::start(rules).unwrap()
}

/// A client and its connection; a task does what a connection's task does.
struct Client {
    stream: TcpStream,
    socket: Socket,
}

async fn connect(sockets: &Arc<Sockets>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (stream, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let place = sockets.admit(APP, ADDRESS).unwrap();
    let socket = sockets.enter(&place, accepted.unwrap().0);
    let (sockets, driven) = (Arc::clone(sockets), socket.clone());
    tokio::spawn(async move {
        loop {
            match driven.turn().await {
                Turn::Readable if driven.read(&mut [0; 64]).is_ok_and(|count| count == 0) => break,
                Turn::Readable | Turn::Ready | Turn::Quiet => {}
                Turn::Over => break,
            }
        }
        sockets.forget(&driven);
        drop(place);
    });
    Client { stream: stream.unwrap(), socket }
}

impl Client {
    /// Reads until the text has arrived; what came with it.
    async fn until(&mut self, end: &str) -> String {
        self.until_any(&[end]).await
    }

    async fn until_any(&mut self, ends: &[&str]) -> String {
        let mut text = Vec::new();
        while !ends.iter().any(|end| text.ends_with(end.as_bytes())) {
            let mut byte = [0; 1];
            let read = tokio::time::timeout(Duration::from_secs(10), self.stream.read_exact(&mut byte)).await;
            assert!(matches!(read, Ok(Ok(_))), "only {:?} came", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    }

    /// Reads to the end.
    async fn rest(&mut self) -> String {
        let mut text = Vec::new();
        // What was not read at the other end resets the connection: what came before it is here.
        let _ = self.stream.read_to_end(&mut text).await;
        String::from_utf8_lossy(&text).into_owned()
    }
}

fn join(channel: &str) -> Join<'_> {
    Join { channel, member: None, owner: None, hold: false }
}

fn says(text: &'static str) -> impl FnOnce(&Joined) -> Answer {
    move |_| Answer { joiner: vec![Frame::from_static(text.as_bytes())], others: None }
}

fn published(text: &str) -> Published {
    Published { frame: Frame::copy_from_slice(text.as_bytes()), ..Published::default() }
}

fn logged(cursor: i64) -> Published {
    Published { cursor: Some(EventId(cursor)), ..published(&format!("{cursor};")) }
}

/// Waits until it is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{what} did not come about");
}

#[tokio::test]
async fn who_subscribes_gets_what_is_published_after() {
    let sockets = start(|_| {});
    let (mut a, mut b) = (connect(&sockets).await, connect(&sockets).await);
    sockets.subscribe(&a.socket, join("x"), says("[a]")).unwrap();
    assert!(sockets.publish(APP, "x", published("1;")));
    sockets.subscribe(&b.socket, join("x"), says("[b]")).unwrap();
    sockets.publish(APP, "x", Published { except: Some(a.socket.id()), ..published("2;") });
    sockets.publish(APP, "x", published("3."));
    assert!(!sockets.publish(APP, "y", published("nobody.")));
    assert!(!sockets.publish(PlatformId(2), "x", published("another app.")));
    assert_eq!(a.until(".").await, "[a]1;3.");
    assert_eq!(b.until(".").await, "[b]2;3.");
    assert!(sockets.unsubscribe(&a.socket, "x", |left| {
        assert_eq!((left.subscriptions, left.is_last), (1, false));
        Some(published("gone."))
    }));
    assert_eq!(b.until(".").await, "gone.");
    assert!(!sockets.unsubscribe(&a.socket, "x", |_| None));
}

#[tokio::test]
async fn what_still_waits_to_be_written_is_not_for_who_comes_now() {
    let sockets = start(|rules| rules.fanout_threads = 1);
    let (gate, mut before, mut now) = (connect(&sockets).await, connect(&sockets).await, connect(&sockets).await);
    sockets.subscribe(&gate.socket, join("gate"), says("")).unwrap();
    sockets.subscribe(&before.socket, join("x"), says("")).unwrap();
    let channel = sockets.channels.find(APP, "gate").unwrap();
    // The thread comes no further than the gate while this looks at its subscriber.
    channel.with(&gate.socket, |_| {
        sockets.publish(APP, "gate", published("closed"));
        sockets.publish(APP, "x", published("1;"));
        sockets.subscribe(&now.socket, join("x"), says("[now]")).unwrap();
        sockets.publish(APP, "x", published("2."));
    });
    assert_eq!(before.until(".").await, "1;2.");
    assert_eq!(now.until(".").await, "[now]2.");
}

#[tokio::test]
async fn a_subscription_is_refused_where_it_is_too_much() {
    let sockets = start(|_| {});
    let client = connect(&sockets).await;
    for channel in ["a", "b", "c", "d"] {
        sockets.subscribe(&client.socket, join(channel), says("")).unwrap();
    }
    let again = |channel| sockets.subscribe(&client.socket, join(channel), says(""));
    assert_eq!(again("a"), Err(JoinRefused::Already));
    assert_eq!(again("e"), Err(JoinRefused::TooManyChannels));
    assert!(sockets.unsubscribe(&client.socket, "a", |left| {
        assert!(left.is_last);
        None
    }));
    assert_eq!(again("e"), Ok(()));
    client.socket.close(4200, "");
    assert_eq!(again("f"), Err(JoinRefused::Closing));
}

#[tokio::test]
async fn a_member_appears_once_and_goes_with_the_last() {
    let sockets = start(|_| {});
    let member = |id: &str| Some(Member { user_id: id.to_owned(), info: None });
    let enter = |client: &Client, id: &str| {
        let join = Join { member: member(id), ..join("presence-x") };
        let mut seen = None;
        let done = sockets.subscribe(&client.socket, join, |joined| {
            seen = Some((joined.is_new_member, joined.members.len(), joined.is_first));
            let others = joined.is_new_member.then(|| published(&format!("+{id};")));
            Answer { joiner: vec![], others }
        });
        done.map(|()| seen.unwrap())
    };
    let (mut a, b, c) = (connect(&sockets).await, connect(&sockets).await, connect(&sockets).await);
    assert_eq!(enter(&a, "1"), Ok((true, 1, true)));
    assert_eq!(enter(&b, "1"), Ok((false, 1, false)));
    assert_eq!(enter(&c, "2"), Ok((true, 2, false)));
    assert_eq!(enter(&connect(&sockets).await, "3"), Err(JoinRefused::TooManyMembers));
    assert_eq!(sockets.members(APP, "presence-x"), ["1", "2"]);
    assert_eq!(sockets.member(&b.socket, "presence-x"), member("1"));
    let figures = sockets.channel(APP, "presence-x").unwrap();
    assert_eq!((figures.subscriptions, figures.users), (3, 2));
    assert!(sockets.unsubscribe(&b.socket, "presence-x", |left| {
        assert_eq!(left.member_gone, None, "there is another connection of theirs");
        None
    }));
    sockets.leave(&c.socket, |channel, left| {
        assert_eq!((channel, &left.member_gone), ("presence-x", &member("2")));
        Some(published("-2."))
    });
    assert_eq!(a.until(".").await, "+2;-2.");
}

#[tokio::test]
async fn who_does_not_read_is_closed_and_costs_no_more() {
    let sockets = start(|_| {});
    let mut client = connect(&sockets).await;
    sockets.subscribe(&client.socket, join("x"), says("")).unwrap();
    let big = Frame::from(vec![b'x'; 32 << 10]);
    for _ in 0..100_000 {
        if client.socket.is_closing() {
            break;
        }
        client.socket.send(big.clone());
        assert!(client.socket.waiting() <= 128 << 10);
    }
    assert!(client.socket.is_closing());
    assert!(client.socket.waiting() <= 64 << 10, "at most the rest of one frame and the close");
    assert_eq!(sockets.stats().slow_total, 1);
    assert!(!client.socket.has_room().await);
    client.until("<4100 too slow: reconnect and resume>").await;
}

#[tokio::test]
async fn what_is_kept_is_told_to_who_comes_later() {
    let sockets = start(|_| {});
    let client = connect(&sockets).await;
    let keep = |text: &str, keep| Published { keep: Some(keep), ..published(text) };
    let minute = Duration::from_secs(60);
    assert!(!sockets.publish(APP, "cache-x", keep("old", minute)));
    assert!(!sockets.publish(APP, "cache-x", keep("new", minute)));
    assert!(!sockets.publish(APP, "cache-y", keep("short", Duration::ZERO)));
    assert!(!sockets.publish(APP, "cache-z", keep(&"x".repeat(1000), minute)), "too much is not kept");
    let kept = |channel| sockets.kept(APP, channel);
    assert_eq!(kept("cache-x"), Some(Frame::from_static(b"new")));
    assert_eq!((kept("cache-y"), kept("cache-z")), (None, None));
    assert!(!sockets.has_subscribers(APP, "cache-x"));
    let mut seen = None;
    let look = |joined: &Joined| {
        seen.clone_from(&joined.kept);
        Answer::default()
    };
    sockets.subscribe(&client.socket, join("cache-x"), look).unwrap();
    assert_eq!(seen, Some(Frame::from_static(b"new")));
    sockets.leave(&client.socket, |_, _| None);
    assert_eq!(kept("cache-x"), Some(Frame::from_static(b"new")), "also when nobody is there");
    (0..SHARDS).for_each(|shard| sockets.clear_kept(shard));
    assert_eq!((sockets.stats().channels, sockets.stats().kept_bytes), (1, 3 + 64));
}

#[tokio::test]
async fn who_watches_hears_of_the_first_and_of_the_last() {
    let sockets = start(|_| {});
    let (watcher, a, b) = (connect(&sockets).await, connect(&sockets).await, connect(&sockets).await);
    let ids = ["1", "2", "1"].map(str::to_owned);
    assert_eq!(sockets.watch(&watcher.socket, &ids), Vec::<String>::new());
    let first = sockets.sign_in(&a.socket, "1").unwrap();
    assert!(first.is_change && first.watchers.len() == 1 && first.watchers[0].id() == watcher.socket.id());
    assert!(!sockets.sign_in(&b.socket, "1").unwrap().is_change);
    assert_eq!(sockets.sign_in(&b.socket, "2").unwrap_err(), SignInRefused::Already);
    assert_eq!(sockets.watch(&watcher.socket, &ids), ["1"]);
    assert_eq!(sockets.sockets_of(APP, "1").len(), 2);
    assert!(!sockets.leave(&a.socket, |_, _| None).unwrap().is_change);
    let last = sockets.leave(&b.socket, |_, _| None).unwrap();
    assert!(last.is_change && last.watchers.len() == 1 && !sockets.is_signed_in(APP, "1"));
    let mut many = Vec::new();
    for _ in 0..4 {
        many.push(connect(&sockets).await);
    }
    let refused: Vec<_> = many.iter().filter_map(|one| sockets.sign_in(&one.socket, "3").err()).collect();
    assert_eq!(refused, [SignInRefused::TooMany]);
}

#[tokio::test]
async fn everything_is_given_back() {
    let sockets = start(|_| {});
    let mut clients = Vec::new();
    for number in 0..50 {
        let client = connect(&sockets).await;
        let member = Some(Member { user_id: (number % 2).to_string(), info: None });
        sockets.subscribe(&client.socket, Join { member, ..join("presence-x") }, says("hi")).unwrap();
        sockets.subscribe(&client.socket, Join { hold: true, ..join(&number.to_string()) }, says("hi")).unwrap();
        sockets.sign_in(&client.socket, &number.to_string()).unwrap();
        sockets.watch(&client.socket, &["0".to_owned(), "nobody".to_owned()]);
        let expected = Expected { since: None, owner: UserId(1), token_id: TokenId(1) };
        assert!(sockets.expect(APP, client.socket.id(), "soon", expected));
        assert!(!sockets.expect(PlatformId(2), client.socket.id(), "soon", expected), "another app's");
        clients.push(client);
    }
    sockets.publish(APP, "presence-x", published("to all"));
    assert_eq!((sockets.stats().subscriptions, sockets.stats().channels), (100, 51));
    assert_eq!(sockets.connections(APP), 50);
    let ids: Vec<_> = clients.iter().map(|client| client.socket.id()).collect();
    let gone = clients[0].socket.clone();
    drop(clients);
    until("the end of all", || sockets.is_empty()).await;
    assert!(gone.is_closing() && !gone.has_room().await, "who has hung up is sent nothing more");
    drop(gone);
    let stats = sockets.stats();
    assert_eq!((stats.subscriptions, stats.channels, sockets.connections(APP)), (0, 0, 0));
    assert!(sockets.users.is_empty() && sockets.channels.of(APP, "").is_empty());
    assert!(ids.iter().all(|id| sockets.find(APP, *id).is_none()));
    until("the last reference", || Arc::strong_count(&sockets.shared) == 1 + 2).await;
}

#[tokio::test]
async fn there_is_room_for_so_many() {
    let sockets = start(|rules| {
        (rules.connections_max, rules.per_app_max, rules.per_address_max) = (3, 2, 1);
    });
    let address = |last: u8| IpAddr::from([10, 0, 0, last]);
    let admit = |app, last| sockets.admit(PlatformId(app), address(last));
    let first = admit(1, 1).unwrap();
    assert_eq!(admit(2, 1).unwrap_err(), Full::Address);
    let _second = admit(1, 2).unwrap();
    assert_eq!(admit(1, 3).unwrap_err(), Full::App);
    let _third = admit(2, 3).unwrap();
    assert_eq!(admit(3, 4).unwrap_err(), Full::Server);
    let brief = sockets.admit_briefly(address(4)).unwrap();
    assert!(sockets.admit_briefly(address(4)).is_none());
    drop((first, brief));
    assert!(sockets.admit_briefly(address(4)).is_some() && admit(1, 1).is_ok());
    assert_eq!(sockets.stats().refused_total, 4);
}

#[tokio::test]
async fn on_the_way_down_everybody_is_told_and_nobody_gets_in() {
    let sockets = start(|_| {});
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(connect(&sockets).await);
    }
    let late = sockets.admit(APP, ADDRESS).unwrap();
    let draining = Arc::clone(&sockets);
    let drain = tokio::spawn(async move { draining.drain(Duration::from_millis(200)).await });
    for client in &mut clients {
        assert_eq!(client.until(">").await, "<4100 the server goes down: reconnect and resume>");
    }
    assert_eq!(sockets.admit(APP, ADDRESS).unwrap_err(), Full::Draining);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_stream, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    assert!(sockets.enter(&late, accepted.unwrap().0).is_closing(), "also who had a place already");
    drop(clients);
    until("the end of those", || sockets.len() == 1).await;
    assert!(!drain.is_finished());
    drop(late);
    drain.await.unwrap();
}

#[tokio::test]
async fn who_falls_silent_is_asked_then_closed_then_let_go() {
    let sockets = start(|_| {});
    let mut client = connect(&sockets).await;
    let visit = |now| sweep::visit(&client.socket, &sockets.shared.rules, now);
    assert_eq!(visit(0), Some(60));
    assert_eq!(visit(59), Some(1));
    assert_eq!(visit(500), Some(30), "asked, however late");
    client.socket.heard();
    assert_eq!(visit(61), Some(30), "asked again");
    assert_eq!(visit(89), Some(1));
    assert_eq!(visit(91), None);
    assert!(client.socket.is_closing());
    assert!(visit(10).is_some_and(|left| left > 0), "the close has its time");
    assert_eq!(visit(1000), None);
    assert_eq!(client.rest().await, "<4201 no pong>");
    until("the end", || sockets.is_empty()).await;
}

/// One writer commits and publishes; many subscribe with what they have, read the log, and are
/// released, over and over. Each gets everything once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn there_is_no_seam() {
    const EVENTS: i64 = 6_000;
    let sockets = start(|rules| rules.outbox_bytes_max = 256 << 10);
    let head = Arc::new(std::sync::atomic::AtomicI64::new(0));
    let mut followers = Vec::new();
    for _ in 0..8 {
        followers.push(tokio::spawn(follow(Arc::clone(&sockets), Arc::clone(&head), EVENTS)));
    }
    let writer = {
        let (sockets, head) = (Arc::clone(&sockets), Arc::clone(&head));
        tokio::task::spawn_blocking(move || {
            // What is committed together is published one after another.
            for batch in 0..EVENTS / 10 {
                head.store(10 * batch + 10, Ordering::SeqCst);
                std::thread::yield_now();
                for cursor in 1..=10 {
                    sockets.publish(APP, "log", logged(10 * batch + cursor));
                }
            }
        })
    };
    writer.await.unwrap();
    for follower in followers {
        follower.await.unwrap();
    }
}

async fn follow(sockets: Arc<Sockets>, head: Arc<std::sync::atomic::AtomicI64>, end: i64) {
    let mut has = 0;
    let mut life = 1;
    while has < end {
        let mut client = connect(&sockets).await;
        sockets.subscribe(&client.socket, Join { hold: true, ..join("log") }, says("")).unwrap();
        let (socket, also, head) = (client.socket.clone(), Arc::clone(&sockets), Arc::clone(&head));
        let catch_up = tokio::spawn(async move {
            let mut sent = has;
            loop {
                // The log, as far as it is committed.
                let upto = head.load(Ordering::SeqCst);
                for cursor in sent + 1..=upto {
                    if cursor % 100 == 0 && !socket.has_room().await {
                        return;
                    }
                    socket.send(logged(cursor).frame);
                }
                sent = upto.max(sent);
                if also.release(&socket, &["log"], EventId(sent)) {
                    return;
                }
            }
        });
        life = (life * 7 + 13) % 3000;
        for _ in 0..life {
            if has == end {
                break;
            }
            let next = client.until_any(&[";", ">"]).await;
            if next.starts_with('<') {
                // The writer was too fast for it, which it is told after the last that it got.
                break;
            }
            assert_eq!(next, format!("{};", has + 1));
            has += 1;
        }
        drop(client);
        catch_up.await.unwrap();
    }
}
