//! A server of the Pusher protocol that is only as good as a load generator's test needs it, and on demand
//! worse.

use std::collections::HashMap;
use std::io::Result;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// What the server does wrong with its tenth message.
#[derive(Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    Loses,
    Doubles,
    Closes,
}

#[derive(Default)]
struct State {
    followers: HashMap<String, Vec<UnboundedSender<Vec<u8>>>>,
    published: usize,
    connected: usize,
}

type Shared = Arc<Mutex<State>>;

/// Serves on a port of its own until the test's process ends.
pub fn serve(fault: Fault) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (listener, state) = (TcpListener::from_std(listener).unwrap(), Shared::default());
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve_one(stream, Arc::clone(&state), fault));
            }
        });
    });
    url
}

async fn serve_one(stream: TcpStream, state: Shared, fault: Fault) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            head.push(char::from(stream.read_u8().await?));
        }
        if head.starts_with("GET /app/key?protocol=7") {
            return follow(stream, state).await;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).await?;
        let is_signed = head.starts_with("POST /apps/7/") && head.contains("&auth_signature=");
        if is_signed {
            publish(&serde_json::from_slice(&body).unwrap(), &state, fault);
        }
        let answer = if head.starts_with("GET /livez") || is_signed { "200 OK" } else { "404 Not Found" };
        stream.write_all(format!("HTTP/1.1 {answer}\r\ncontent-length: 2\r\n\r\n{{}}").as_bytes()).await?;
    }
}

fn publish(body: &Value, state: &Shared, fault: Fault) {
    let events = body["batch"].as_array().cloned().unwrap_or_else(|| vec![body.clone()]);
    let mut state = state.lock().unwrap();
    for event in events {
        let channel = event["channel"].as_str().or(event["channels"][0].as_str()).unwrap();
        let message = json!({"event": event["name"], "channel": channel, "data": event["data"]}).to_string();
        state.published += 1;
        let frames = match fault {
            Fault::Loses if state.published == 10 => vec![],
            Fault::Doubles if state.published == 10 => vec![text(&message); 2],
            Fault::Closes if state.published == 10 => vec![vec![0x88, 2, 0x10, 0x04]],
            _ => vec![text(&message)],
        };
        for follower in state.followers.get(channel).into_iter().flatten() {
            frames.iter().for_each(|frame| drop(follower.send(frame.clone())));
        }
    }
}

async fn follow(mut stream: BufReader<TcpStream>, state: Shared) -> Result<()> {
    let number = {
        let mut state = state.lock().unwrap();
        state.connected += 1;
        state.connected
    };
    let accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let head = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {accept}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    let data = json!({"socket_id": format!("1.{number}"), "activity_timeout": 1}).to_string();
    let established = json!({"event": "pusher:connection_established", "data": data}).to_string();
    stream.write_all(&text(&established)).await?;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (say, mut said) = unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(frame) = said.recv().await {
            writer.write_all(&frame).await?;
        }
        Result::Ok(())
    });
    loop {
        let message = read_frame(&mut reader).await?;
        let answer = match message["event"].as_str() {
            Some("pusher:subscribe") => {
                let channel = message["data"]["channel"].as_str().unwrap();
                assert!(message["data"]["auth"].as_str().unwrap().starts_with("key:"));
                state.lock().unwrap().followers.entry(channel.to_owned()).or_default().push(say.clone());
                json!({"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": "{}"})
            }
            Some("pusher:ping") => json!({"event": "pusher:pong"}),
            other => panic!("{other:?}"),
        };
        let _ = say.send(text(&answer.to_string()));
    }
}

/// A client's frame, which is short and masked.
async fn read_frame(reader: &mut (impl tokio::io::AsyncRead + Unpin)) -> Result<Value> {
    let [_, length] = [reader.read_u8().await?, reader.read_u8().await?];
    assert!(length & 0x80 != 0, "it is masked");
    let length = match length & 0x7f {
        126 => reader.read_u16().await?,
        short => u16::from(short),
    };
    let mut bytes = vec![0; 4 + usize::from(length)];
    reader.read_exact(&mut bytes).await?;
    let (mask, payload) = bytes.split_at(4);
    let payload: Vec<_> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Ok(serde_json::from_slice(&payload).unwrap())
}

/// A server's frame.
fn text(message: &str) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    let mut frame = vec![0x81, 126];
    frame.extend(length.to_be_bytes());
    frame.extend(message.as_bytes());
    frame
}
