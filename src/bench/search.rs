//! `search`: what it takes to find something among very many chunks, by words and by vectors.
//!
//! The chunks are made of invented words, some common and most rare, as in a language; their vectors point anywhere. Who
//! makes the vectors of the queries is this process: what a real model would take is not measured.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Options;
use super::client::Client;
use super::live::{Live, Wanted, cell, goal, megabytes, memory, row, say};
use super::load::{Dice, Latencies, latencies};
use super::server::Server;
use crate::app;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Ability, DocumentKind, DocumentState, Email};
use crate::error::{Error, Result};
use crate::knowledge::vectors::{normal, to_bytes};
use crate::store::knowledge::{CHUNKS_AT_ONCE, Knowledge, NewDocument, Take, Worked};
use crate::store::sqlite::{DataDir, SqliteOptions};
use crate::store::{Listener, SqliteStore};

const NAME: &str = "search";
/// Chunks unless it is said otherwise.
const CHUNKS: usize = 100_000;
const CHUNKS_OF_DOCUMENT: usize = 100;
/// Numbers of a vector, as small models make them.
const WIDTH: usize = 384;
const WORDS_OF_CHUNK: usize = 120;
const WORDS_OF_QUERY: usize = 8;
/// Different words.
const VOCABULARY: usize = 40_000;
/// Searches at once, of each measurement.
const AT_ONCE: [usize; 2] = [1, 4];

/// Measures.
///
/// # Errors
/// The first thing that goes wrong.
pub async fn measure(options: &Options, folder: &Path, clock: &Clock) -> Result<Live> {
    let data = folder.join(NAME);
    let chunks = options.preload.map_or(CHUNKS, |chunks| chunks as usize);
    let token = account(&data, clock).await?;
    say(&format!("{NAME}: storing {chunks} chunks"));
    let began = Instant::now();
    fill(&data, clock, chunks).await?;
    let stored = began.elapsed();
    let model = Model::serve().await?;
    let mut live =
        Live { table: vec![row(["search", "at once", "searches", "p50 ms", "p99 ms", "RSS MB"])], ..Live::default() };
    for (kind, environment) in [("words", &[][..]), ("words and vectors", &model.environment()[..])] {
        measure_kind(options, &data, &token, (kind, environment), &mut live).await?;
    }
    let rate = chunks as f64 / stored.as_secs_f64();
    live.notes.push(format!(
        "{NAME}: {chunks} chunks of {WORDS_OF_CHUNK} words and {WIDTH} numbers were stored before, {rate:.0} a second"
    ));
    live.notes.push(format!(
        "{NAME}: the queries' vectors were made by this process; a real model's time is not in the figures"
    ));
    Ok(live)
}

async fn measure_kind(
    options: &Options,
    data: &Path,
    token: &str,
    (kind, environment): (&str, &[(&str, &str)]),
    live: &mut Live,
) -> Result<()> {
    let server = Server::spawn_with(data, options.config.as_deref(), environment)?;
    let began = Instant::now();
    searches(&server, token, 1, Duration::ZERO, 7).await?;
    live.notes.push(format!(
        "{NAME}: the first search by {kind} after a start took {:.1} ms",
        began.elapsed().as_secs_f64() * 1000.0
    ));
    for at_once in AT_ONCE {
        say(&format!("{NAME}: measuring {kind}, {at_once} at once"));
        let span = Duration::from_secs(options.seconds.into()) * options.rounds;
        let (found, took) = searches(&server, token, at_once, span, at_once).await?;
        let at = |quantile| Some(took.value_at_quantile(quantile) as f64 / 1000.0);
        let resident = megabytes(memory(&server)?);
        live.table.push(row([
            kind,
            &at_once.to_string(),
            &found.to_string(),
            &cell(at(0.5), 2),
            &cell(at(0.99), 2),
            &resident,
        ]));
        if at_once == 1 {
            live.goals.push(goal(NAME, &format!("p99 ms, {kind}"), at(0.99), Wanted::AtMost(50.0)));
        }
    }
    server.stop()
}

/// Searches one after another on some connections, for a time and at least once each; how many, and what each took in
/// microseconds.
async fn searches(
    server: &Server,
    token: &str,
    at_once: usize,
    span: Duration,
    seed: usize,
) -> Result<(u64, Latencies)> {
    let mut all = (0..at_once).map(|n| one_after_another(server, token, span, seed * 100 + n)).collect::<Vec<_>>();
    let mut took = latencies();
    for each in futures_util::future::try_join_all(all.drain(..)).await? {
        // Both histograms have the same bounds.
        let _ = took.add(&each);
    }
    Ok((took.len(), took))
}

async fn one_after_another(server: &Server, token: &str, span: Duration, seed: usize) -> Result<Latencies> {
    let mut client = Client::connect(server.address).await.map_err(Error::internal)?;
    let (mut dice, mut took, end) = (Dice::new(seed), latencies(), Instant::now() + span);
    loop {
        let body = json!({"query": words(&mut dice, WORDS_OF_QUERY), "top_k": 5}).to_string();
        let request = format!(
            "POST /api/knowledgebase/documents/search/ HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            server.host,
            body.len()
        );
        let began = Instant::now();
        let answer = client.call(request.as_bytes()).await.map_err(Error::internal)?;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        if answer.status != 200 || memchr::memmem::find(answer.body, b"-chunk-").is_none() {
            return Err(Error::internal(format!("a search was answered with {} and found nothing", answer.status)));
        }
        let _ = took.record(micros);
        if Instant::now() >= end {
            return Ok(took);
        }
    }
}

/// Who searches: staff of the default tenant. Their token.
async fn account(data: &Path, clock: &Clock) -> Result<String> {
    let config = Config { data: data.to_owned(), ..Config::default() };
    let chat = app::open_chat(&config, clock.clone()).await?;
    let email = Email::parse("me@example.com").ok_or_else(|| Error::internal("no address"))?;
    let me = chat.add_user(None, email, "me".to_owned(), None, true, vec![Ability::any()]).await?;
    Ok(chat.make_token(me, "bench".to_owned(), vec![Ability::any()], None).await?.token)
}

/// Hears nothing: nobody follows a store that is filled.
struct Nobody;

impl Listener for Nobody {
    fn committed(&self, _: &[crate::domain::Logged]) {}
    fn removed(&self, _: crate::domain::ConversationId) {}
}

async fn fill(data: &Path, clock: &Clock, chunks: usize) -> Result<()> {
    let dir = DataDir::prepare(data)?;
    let options = SqliteOptions { fsync: false, ..SqliteOptions::default() };
    let store = SqliteStore::open(&dir, &options, Arc::new(Nobody), clock.now())?;
    let mut dice = Dice::new(1);
    let mut left = chunks;
    while left > 0 {
        let some = left.min(CHUNKS_OF_DOCUMENT);
        document(&store, clock, &mut dice, some).await?;
        left -= some;
    }
    store.close();
    super::preload::flush(&dir)
}

async fn document(store: &SqliteStore, clock: &Clock, dice: &mut Dice, chunks: usize) -> Result<()> {
    let lost = || Error::internal("a document that was just made cannot be worked on");
    let at = clock.now();
    let new = NewDocument {
        uuid: clock.uuid(),
        platform_id: None,
        user_id: crate::domain::UserId(1),
        title: "A document".to_owned(),
        name: "document.txt".to_owned(),
        kind: DocumentKind::Txt,
        size: 1,
        count_max: u64::MAX,
        goes_on: false,
        at,
    };
    let id = store.add_document(new).await?.id;
    let take = Take { now: at, until: at.plus(Duration::from_secs(600)), is_processing: true, is_alone: false };
    let taken = store.take_document(id, vec![DocumentState::Uploaded], take).await?.ok_or_else(lost)?;
    let texts: Vec<String> = (0..chunks).map(|_| words(dice, WORDS_OF_CHUNK)).collect();
    for some in texts.chunks(CHUNKS_AT_ONCE) {
        store.add_chunks(id, taken.generation, some.to_vec()).await?;
    }
    let ready: Vec<_> = (1..=chunks as u64).map(|number| (number, Some(to_bytes(&vector(dice))))).collect();
    for some in ready.chunks(CHUNKS_AT_ONCE) {
        store.index_chunks(id, taken.generation, some.to_vec()).await?;
    }
    store.end_work(id, taken.generation, Worked::Live(Some(NAME.to_owned())), at).await?.ok_or_else(lost)?;
    Ok(())
}

/// Invented words, the first of the vocabulary much more often than the last (about as Zipf found it).
fn words(dice: &mut Dice, count: usize) -> String {
    let mut text = String::new();
    for _ in 0..count {
        let rank = (VOCABULARY as f64).powf(dice.below(1_000_000) as f64 / 1_000_000.0);
        text.push_str(&word(rank as usize));
        text.push(' ');
    }
    text
}

fn word(mut number: usize) -> String {
    const SYLLABLES: [&str; 16] =
        ["ba", "de", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va", "we", "xi", "yo", "zu", "qa"];
    let mut word = String::new();
    loop {
        word.push_str(SYLLABLES[number % SYLLABLES.len()]);
        number /= SYLLABLES.len();
        if number == 0 {
            return word;
        }
    }
}

/// A direction.
fn vector(dice: &mut Dice) -> Vec<f32> {
    let values = (0..WIDTH).map(|_| dice.below(2001) as f32 / 1000.0 - 1.0).collect();
    normal(values).unwrap_or_else(|| vec![1.0; WIDTH])
}

/// Makes vectors for queries, at once.
struct Model {
    url: String,
}

impl Model {
    async fn serve() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Error::internal)?;
        let url = format!("http://{}/v1", listener.local_addr().map_err(Error::internal)?);
        let embed = async |Json(asked): Json<Value>| {
            let seed = asked.to_string().bytes().fold(7_usize, |seed, byte| seed.wrapping_mul(31) ^ usize::from(byte));
            Json(json!({"data": [{"index": 0, "embedding": vector(&mut Dice::new(seed))}]}))
        };
        let router = Router::new().route("/v1/embeddings", post(embed));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Self { url })
    }

    fn environment(&self) -> [(&str, &str); 2] {
        [("ROOST_KNOWLEDGE_EMBEDDINGS_URL", &self.url), ("ROOST_KNOWLEDGE_EMBEDDINGS_MODEL", NAME)]
    }
}
