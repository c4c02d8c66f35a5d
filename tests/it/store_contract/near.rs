//! Vectors that the store compares itself, where it can: PostgreSQL with pgvector. Elsewhere it says that it cannot.

use roost::domain::{Document, DocumentId, DocumentState, Platform, User};
use roost::store::knowledge::{CHUNKS_AT_ONCE, ChunkKey, DocumentEdit, Near, Shelf, Worked};

use super::knowledge::{everybody, of};
use super::{Bench, Shared, benches};
use crate::support::app::until_async;
use crate::support::postgres;

const MODEL: &str = "model";
const WIDTH: usize = 8;

/// A store on a server with pgvector, if there is one; its database is at that address.
async fn bench(suite: &str) -> Option<(Bench, String)> {
    if !postgres::has_vectors(suite) {
        return None;
    }
    let database = postgres::Database::with_vectors().await;
    let url = database.url.clone();
    let bench = Bench::of(Box::new(Shared { has_vectors: true, database: Some(database), open: None })).await;
    Some((bench, url))
}

/// The vector of length 1 that has the angle, in degrees, to the first axis.
fn at_angle(degrees: f32) -> Vec<f32> {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [cos, sin].into_iter().chain(std::iter::repeat_n(0.0, WIDTH - 2)).collect()
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn near(vector: Vec<f32>, only: Option<DocumentId>, limit: usize) -> Near {
    Near { model: MODEL.to_owned(), vector, only, limit }
}

impl Bench {
    /// A live document whose chunks have these angles.
    async fn angles(&self, user: &User, title: &str, angles: &[f32]) -> Document {
        let chunked = self.chunked(user, title, &vec!["text"; angles.len()]).await;
        let vectors: Vec<_> = angles.iter().map(|angle| bytes(&at_angle(*angle))).collect();
        let vectors: Vec<_> = vectors.iter().map(|vector| Some(vector.as_slice())).collect();
        self.made_live(&chunked, &vectors).await
    }

    /// What is nearest to the first axis.
    async fn nearest(&self, shelf: Shelf, only: Option<DocumentId>) -> Option<Vec<ChunkKey>> {
        self.store.near_chunks(shelf, near(at_angle(0.0), only, 10)).await.unwrap()
    }

    /// Waits until vectors that were there before are copied.
    async fn is_filled(&self) {
        until_async(async || self.nearest(everybody(None), None).await.is_some()).await;
    }
}

#[tokio::test]
async fn a_store_that_cannot_compare_vectors_says_so() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let kites = bench.angles(&lan, "Kites", &[0.0]).await;
        let found = bench.nearest(everybody(None), None).await;
        let is_expected = found.is_none() || (bench.label.0 != "sqlite" && found == Some(vec![(kites.id, 1)]));
        assert!(is_expected, "{found:?}");
    }
}

#[tokio::test]
async fn the_nearest_are_those_of_the_shelf_that_are_live_and_active() {
    let Some((bench, _)) = bench("vectors in the database").await else { return };
    bench.is_filled().await;
    let acme: Platform = bench.platform("Acme").await;
    let (ana, ben) = (bench.user_of(&acme, "ana").await, bench.user_of(&acme, "ben").await);
    let nina = bench.staff("nina").await;
    let kites = bench.angles(&ana, "Kites", &[50.0, 10.0, 30.0]).await;
    let boats = bench.angles(&ben, "Boats", &[20.0]).await;
    let others = bench.angles(&nina, "Others", &[1.0]).await;
    bench.chunked(&ana, "Not live", &["text"]).await;
    let acmes = everybody(Some(acme.id));
    let (k, b) = (|number| (kites.id, number), (boats.id, 1));
    assert_eq!(bench.nearest(acmes, None).await, Some(vec![k(2), b, k(3), k(1)]));
    assert_eq!(bench.nearest(of(&ana), None).await, Some(vec![k(2), k(3), k(1)]));
    assert_eq!(bench.nearest(acmes, Some(boats.id)).await, Some(vec![b]));
    assert_eq!(bench.nearest(of(&ana), Some(boats.id)).await, Some(vec![]));
    assert_eq!(bench.nearest(everybody(None), None).await, Some(vec![(others.id, 1)]));
    let ask = async |near| bench.store.near_chunks(acmes, near).await.unwrap();
    assert_eq!(ask(near(at_angle(0.0), None, 2)).await, Some(vec![k(2), b]));
    assert_eq!(ask(near(vec![1.0, 0.0], None, 10)).await, Some(vec![]), "of another width");
    assert_eq!(ask(Near { model: "other".to_owned(), ..near(at_angle(0.0), None, 10) }).await, Some(vec![]));

    let hidden = DocumentEdit { is_active: Some(false), ..DocumentEdit::default() };
    bench.store.edit_document(acmes, boats.uuid, hidden, crate::support::store::at(9)).await.unwrap();
    assert_eq!(bench.nearest(acmes, None).await, Some(vec![k(2), k(3), k(1)]));
    let retired = bench.store.retire_document(kites.id, crate::support::store::at(10)).await.unwrap().unwrap();
    assert_eq!(bench.nearest(acmes, None).await, Some(vec![]), "before anything is taken out of the table");
    assert_eq!(bench.store.forget_chunks(kites.id).await.unwrap(), 3);
    assert_eq!(bench.nearest(acmes, None).await, Some(vec![]));
    let vectors = [Some(bytes(&at_angle(5.0))), None, Some(bytes(&at_angle(4.0)))];
    let vectors: Vec<_> = vectors.iter().map(Option::as_deref).collect();
    bench.made_live(&retired, &vectors).await;
    assert_eq!(bench.nearest(acmes, None).await, Some(vec![k(3), k(1)]), "as they are now");
}

#[tokio::test]
async fn what_was_live_before_the_extension_came_is_copied_when_the_store_opens() {
    let Some((bench, url)) = bench("vectors that were there before pgvector").await else { return };
    let lan = bench.staff("lan").await;
    let many: Vec<f32> = (0..300).map(|number| 10.0 + number as f32 / 10.0).collect();
    let kites = bench.angles(&lan, "Kites", &many).await;
    let half = bench.angles(&lan, "Half", &[1.0, 2.0, 3.0]).await;
    let gone = bench.angles(&lan, "Gone", &[0.0]).await;
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    // As if nodes that know nothing of it had written since.
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap();
    let half_written = format!("delete from chunk_vectors where document_id = {} and number > 1", half.id.0);
    run(&half_written).await;
    bench.store.retire_document(gone.id, crate::support::store::at(9)).await.unwrap().unwrap();
    let (h, k) = (|number| (half.id, number), |number| (kites.id, number));
    let expected: Vec<_> = (1..=3).map(h).chain((1..=7).map(k)).collect();
    let bench = bench.reopen().await;
    bench.is_filled().await;
    assert_eq!(bench.nearest(everybody(None), None).await, Some(expected.clone()));
    run("drop table chunk_vectors; drop extension vector").await;
    let bench = bench.reopen().await;
    bench.is_filled().await;
    assert_eq!(bench.nearest(everybody(None), None).await, Some(expected));
}

/// Numbers that look drawn, and are the same each time.
struct Drawn(u64);

impl Drawn {
    fn vector(&mut self) -> Vec<f32> {
        let values: Vec<f32> = (0..WIDTH).map(|_| self.number()).collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.into_iter().map(|value| value / length).collect()
    }

    fn number(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }
}

/// A live document of very many chunks, with their vectors.
async fn large(bench: &Bench, user: &User, chunks: usize, drawn: &mut Drawn) -> (Document, Vec<Vec<f32>>) {
    let document = bench.chunked(user, "Large", &[]).await;
    let taken = bench.taken(&document, DocumentState::Chunked, 4).await;
    let vectors: Vec<_> = (0..chunks).map(|_| drawn.vector()).collect();
    for (first, some) in (1..).step_by(CHUNKS_AT_ONCE).zip(vectors.chunks(CHUNKS_AT_ONCE)) {
        assert!(bench.store.add_chunks(taken.id, taken.generation, vec!["a".to_owned(); some.len()]).await.unwrap());
        let ready = (first..).zip(some).map(|(number, vector)| (number, Some(bytes(vector)))).collect();
        assert!(bench.store.index_chunks(taken.id, taken.generation, ready).await.unwrap());
    }
    let live = Worked::Live(Some(MODEL.to_owned()));
    let live = bench.store.end_work(taken.id, taken.generation, live, crate::support::store::at(5)).await.unwrap();
    (live.expect("the claim is held"), vectors)
}

#[tokio::test]
async fn many_vectors_are_found_by_an_index_of_the_tenants_own() {
    let Some((bench, url)) = bench("an index of vectors in the database").await else { return };
    let acme: Platform = bench.platform("Acme").await;
    let (ana, ben) = (bench.user_of(&acme, "ana").await, bench.user_of(&acme, "ben").await);
    let nina = bench.staff("nina").await;
    let mut drawn = Drawn(7);
    let (document, vectors) = large(&bench, &ana, 20_100, &mut drawn).await;
    let bens = bench.angles(&ben, "Bens", &[0.0]).await;
    // Another tenant's are nearer to whatever is looked for.
    let questions: Vec<_> = (0..20).map(|_| drawn.vector()).collect();
    let chunked = bench.chunked(&nina, "Others", &vec!["text"; questions.len()]).await;
    let theirs: Vec<_> = questions.iter().map(|vector| bytes(vector)).collect();
    let theirs: Vec<_> = theirs.iter().map(|vector| Some(vector.as_slice())).collect();
    bench.made_live(&chunked, &theirs).await;
    let acmes = everybody(Some(acme.id));
    bench.is_filled().await;
    until_async(async || bench.nearest(acmes, None).await.is_some()).await;

    let mut right = 0;
    for question in &questions {
        let found = bench.store.near_chunks(acmes, near(question.clone(), None, 10)).await.unwrap().unwrap();
        assert_eq!(found.len(), 10);
        let product = |vector: &[f32]| vector.iter().zip(question).map(|(a, b)| a * b).sum::<f32>();
        let mut all: Vec<(f32, u64)> = (1..).zip(&vectors).map(|(number, vector)| (product(vector), number)).collect();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        let best: Vec<ChunkKey> = all[..10].iter().map(|(_, number)| (document.id, *number)).collect();
        right += best.iter().filter(|key| found.contains(key)).count();
    }
    assert!(right >= 190, "{right} of 200 of the nearest");
    assert_eq!(bench.nearest(of(&ben), None).await, Some(vec![(bens.id, 1)]), "few are compared one by one");
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    until_async(async || {
        let sql = "select coalesce(sum(idx_scan), 0)::bigint from pg_stat_user_indexes \
                   where relname = 'chunk_vectors' and indexrelname <> 'chunk_vectors_pkey'";
        client.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) >= 20
    })
    .await;
    let is_bens = |key: &ChunkKey| key.0 == bens.id;
    assert!(is_bens(&bench.nearest(acmes, None).await.unwrap()[0]), "the index has what came after it");
    let hidden = DocumentEdit { is_active: Some(false), ..DocumentEdit::default() };
    bench.store.edit_document(acmes, bens.uuid, hidden, crate::support::store::at(9)).await.unwrap();
    let found = bench.nearest(acmes, None).await.unwrap();
    assert!(found.len() == 10 && !found.iter().any(is_bens), "what is hidden is not found: {found:?}");
}
