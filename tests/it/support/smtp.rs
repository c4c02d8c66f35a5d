//! A mail server that keeps what it is given: so that letters really leave by SMTP.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::app::PATIENCE;

/// A running mail server.
pub struct Smtp {
    pub url: String,
    letters: Arc<Mutex<Vec<String>>>,
}

impl Smtp {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let letters = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(talk(stream, Arc::clone(&kept)));
            }
        });
        Self { url, letters }
    }

    /// The letters to an address, oldest first, headers and all.
    pub fn to(&self, address: &str) -> Vec<String> {
        let letters = self.letters.lock().expect("no test panics while it holds this");
        letters.iter().filter(|letter| letter.contains(address)).cloned().collect()
    }

    /// The code in the newest letter to an address, of which there have to be so many by now.
    pub async fn code(&self, address: &str, letters: usize) -> String {
        let began = Instant::now();
        while self.to(address).len() < letters {
            assert!(began.elapsed() < PATIENCE, "no letter to {address}");
            tokio::task::yield_now().await;
        }
        let newest = self.to(address).pop().expect("a letter");
        let code = newest.split("Your code is ").nth(1).expect("a code");
        code.chars().take_while(char::is_ascii_digit).collect()
    }
}

async fn talk(stream: TcpStream, letters: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 test\r\n").await?;
    let mut envelope = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        envelope.push_str(&line);
        envelope.push('\n');
        let reply: &[u8] = match verb.as_str() {
            "QUIT" => b"221 bye\r\n",
            "DATA" => {
                writing.write_all(b"354 go on\r\n").await?;
                let mut letter = std::mem::take(&mut envelope);
                while let Some(line) = lines.next_line().await? {
                    if line == "." {
                        break;
                    }
                    letter.push_str(&line);
                    letter.push('\n');
                }
                letters.lock().expect("no test panics while it holds this").push(letter);
                b"250 kept\r\n"
            }
            _ => b"250 fine\r\n",
        };
        writing.write_all(reply).await?;
    }
    Ok(())
}
