//! Documents: whose they are, how they go live and are found, and how they go.

use std::time::Duration;

use roost::domain::{Document, DocumentId, DocumentKind, DocumentState, Platform, PlatformId, Timestamp, User};
use roost::error::{Error, FieldError, Rule};
use roost::store::knowledge::{
    CHUNKS_AT_ONCE, ChunkKey, DocumentEdit, DocumentFilter, NewDocument, Shelf, Take, Worked,
};
use uuid::Uuid;

use super::{Bench, benches};
use crate::support::store::at;

use DocumentState::{Chunked, Live, Processing, Removed, Uploaded};

fn upload(user: &User, title: &str) -> NewDocument {
    NewDocument {
        uuid: Uuid::new_v4(),
        platform_id: user.platform_id,
        user_id: user.id,
        title: title.to_owned(),
        name: format!("{title}.txt"),
        kind: DocumentKind::Txt,
        size: 5_000_000_000,
        count_max: 100,
        goes_on: false,
        at: at(1),
    }
}

pub(super) fn of(user: &User) -> Shelf {
    Shelf { platform_id: user.platform_id, user_id: Some(user.id) }
}

pub(super) fn everybody(platform: Option<PlatformId>) -> Shelf {
    Shelf { platform_id: platform, user_id: None }
}

fn take(second: i64) -> Take {
    Take { now: at(second), until: at(second).plus(Duration::from_secs(60)), is_processing: false, is_alone: false }
}

fn failed(state: DocumentState, why: &str, again_at: Option<Timestamp>) -> Worked {
    Worked::Failed { state, why: why.to_owned(), again_at }
}

fn page() -> DocumentFilter {
    DocumentFilter { limit: 100, ..DocumentFilter::default() }
}

impl Bench {
    async fn uploaded_document(&self, user: &User, title: &str) -> Document {
        self.store.add_document(upload(user, title)).await.unwrap()
    }

    pub(super) async fn taken(&self, document: &Document, from: DocumentState, second: i64) -> Document {
        self.store.take_document(document.id, vec![from], take(second)).await.unwrap().expect("it can be taken")
    }

    pub(super) async fn chunked(&self, user: &User, title: &str, texts: &[&str]) -> Document {
        let document = self.uploaded_document(user, title).await;
        let taken = self.taken(&document, Uploaded, 2).await;
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        assert!(self.store.add_chunks(taken.id, taken.generation, texts).await.unwrap());
        let ended = self.store.end_work(taken.id, taken.generation, Worked::Chunked, at(3)).await.unwrap();
        ended.expect("the claim is held")
    }

    pub(super) async fn made_live(&self, document: &Document, vectors: &[Option<&[u8]>]) -> Document {
        let taken = self.taken(document, document.state, 4).await;
        let ready = (1..).zip(vectors).map(|(number, vector)| (number, vector.map(<[u8]>::to_vec))).collect();
        assert!(self.store.index_chunks(taken.id, taken.generation, ready).await.unwrap());
        let model = vectors.iter().any(Option::is_some).then(|| "model".to_owned());
        let live = self.store.end_work(taken.id, taken.generation, Worked::Live(model), at(5)).await.unwrap();
        live.expect("the claim is held")
    }

    async fn live(&self, user: &User, title: &str, texts: &[&str]) -> Document {
        let chunked = self.chunked(user, title, texts).await;
        self.made_live(&chunked, &vec![None; texts.len()]).await
    }

    async fn finds(&self, shelf: Shelf, text: &str, only: Option<DocumentId>) -> Vec<ChunkKey> {
        let found = self.store.search_chunks(shelf, text.to_owned(), only, 10).await.unwrap();
        found.into_iter().map(|(key, _)| key).collect()
    }
}

#[tokio::test]
async fn a_document_is_read_back_as_it_was_stored() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let new = upload(&lan, "Kites");
        let stored = bench.store.add_document(new.clone()).await.unwrap();
        assert_eq!((stored.uuid, stored.kind, stored.size), (new.uuid, new.kind, new.size));
        assert_eq!((&stored.title, &stored.name, stored.state), (&new.title, &new.name, Uploaded));
        assert_eq!((stored.uploader.uuid, stored.uploader.id, stored.is_active), (lan.uuid, lan.id, true));
        let bench = bench.reopen().await;
        assert_eq!(bench.store.document(of(&lan), new.uuid).await.unwrap(), Some(stored));
        assert_eq!(bench.store.document(of(&lan), Uuid::new_v4()).await.unwrap(), None);
        let full = NewDocument { count_max: 1, ..upload(&lan, "Second") };
        match bench.store.add_document(full).await {
            Err(Error::Invalid(fields)) => {
                assert_eq!(fields, [FieldError { field: "file".into(), rule: Rule::CountMax(1) }]);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn documents_stand_on_their_tenants_and_their_owners_shelves() {
    for bench in benches().await {
        let acme: Platform = bench.platform("Acme").await;
        let (ana, ben) = (bench.user_of(&acme, "ana").await, bench.user_of(&acme, "ben").await);
        let nina = bench.staff("nina").await;
        let (a, b) = (bench.uploaded_document(&ana, "Ärger").await, bench.uploaded_document(&ben, "Boats").await);
        let n = bench.uploaded_document(&nina, "Nuts").await;
        let titles = async |shelf, filter| -> Vec<String> {
            let page = bench.store.documents(shelf, filter).await.unwrap();
            page.items.into_iter().map(|document| document.title).collect()
        };
        assert_eq!(titles(of(&ana), page()).await, ["Ärger"]);
        assert_eq!(titles(everybody(Some(acme.id)), page()).await, ["Boats", "Ärger"]);
        assert_eq!(titles(everybody(None), page()).await, ["Nuts"]);
        assert_eq!(bench.store.document(everybody(None), a.uuid).await.unwrap(), None);
        assert_eq!(bench.store.document(of(&ben), a.uuid).await.unwrap(), None);
        assert_eq!(bench.store.document(everybody(Some(acme.id)), n.uuid).await.unwrap(), None);
        let acmes = everybody(Some(acme.id));
        let filter = |search: &str| DocumentFilter { search: Some(search.to_owned()), ..page() };
        assert_eq!(titles(acmes, filter("äRG")).await, ["Ärger"]);
        assert_eq!(titles(acmes, filter("boats.TXT")).await, ["Boats"]);
        assert_eq!(titles(acmes, DocumentFilter { offset: 1, ..page() }).await, ["Ärger"]);
        assert_eq!(titles(acmes, DocumentFilter { state: Some(Live), ..page() }).await, Vec::<String>::new());
        assert_eq!(
            titles(acmes, DocumentFilter { kind: Some(DocumentKind::Txt), limit: 1, ..page() }).await,
            ["Boats"]
        );
        assert_eq!(bench.store.documents(acmes, DocumentFilter { limit: 1, ..page() }).await.unwrap().total, 2);
        let edit = DocumentEdit { title: Some("Ships".to_owned()), is_active: Some(false) };
        assert_eq!(bench.store.edit_document(of(&ana), b.uuid, edit.clone(), at(9)).await.unwrap(), None);
        let edited = bench.store.edit_document(of(&ben), b.uuid, edit, at(9)).await.unwrap().unwrap();
        assert_eq!((edited.title.as_str(), edited.is_active, edited.updated_at), ("Ships", false, at(9)));
        let stats = bench.store.document_stats(acmes).await.unwrap();
        assert_eq!((stats.total, stats.active, stats.live), (2, 1, 0));
        assert_eq!(stats.by_kind, [(DocumentKind::Txt, 2)]);
    }
}

#[tokio::test]
async fn only_one_works_on_a_document_and_a_claim_lapses() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let document = bench.uploaded_document(&lan, "Kites").await;
        let first = bench.taken(&document, Uploaded, 10).await;
        assert_eq!(
            bench.store.take_document(document.id, vec![Uploaded], take(20)).await.unwrap(),
            None,
            "it is taken"
        );
        assert!(!bench.store.condemn_document(document.id, at(20)).await.unwrap(), "somebody works on it");
        let second = bench.taken(&document, Uploaded, 71).await;
        assert!(second.generation > first.generation);
        let text = || vec!["late".to_owned()];
        assert!(!bench.store.add_chunks(first.id, first.generation, text()).await.unwrap(), "the claim has lapsed");
        assert!(!bench.store.index_chunks(first.id, first.generation, vec![(1, None)]).await.unwrap());
        assert_eq!(bench.store.end_work(first.id, first.generation, Worked::Chunked, at(72)).await.unwrap(), None);
        assert!(bench.store.add_chunks(second.id, second.generation, text()).await.unwrap());
        let failed = failed(Uploaded, "It is torn.", None);
        let ended = bench.store.end_work(second.id, second.generation, failed, at(73)).await.unwrap().unwrap();
        assert_eq!((ended.state, ended.failure.as_deref()), (Uploaded, Some("It is torn.")));
        assert_eq!(bench.store.take_document(document.id, vec![Live], take(80)).await.unwrap(), None, "it is not live");
        let processing = Take { is_processing: true, ..take(80) };
        let shown = bench.store.take_document(document.id, vec![Uploaded], processing).await.unwrap().unwrap();
        assert_eq!((shown.state, shown.failure), (Processing, None));
    }
}

#[tokio::test]
async fn a_claim_is_held_on_to_until_it_is_lost() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let document = bench.uploaded_document(&lan, "Kites").await;
        let first = bench.taken(&document, Uploaded, 10).await;
        assert!(bench.store.hold_document(first.id, first.generation, at(200)).await.unwrap());
        assert_eq!(bench.store.take_document(document.id, vec![Uploaded], take(199)).await.unwrap(), None);
        let second = bench.taken(&document, Uploaded, 200).await;
        assert!(!bench.store.hold_document(first.id, first.generation, at(900)).await.unwrap(), "it was lost");
        let ended = bench.store.end_work(second.id, second.generation, Worked::Chunked, at(201)).await.unwrap();
        assert!(ended.is_some());
        assert!(!bench.store.hold_document(second.id, second.generation, at(900)).await.unwrap(), "it was given up");
    }
}

#[tokio::test]
async fn what_is_to_go_live_by_itself_waits_until_it_is_live_or_fails_for_a_reason_of_its_own() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let waiting = async |second| -> Vec<DocumentId> {
            let found = bench.store.waiting_documents(at(second), 10).await.unwrap();
            found.into_iter().map(|document| document.id).collect()
        };
        let alone = |second| Take { is_alone: true, ..take(second) };
        let taken = async |id, second| {
            let states = vec![Uploaded, Chunked, Processing];
            bench.store.take_document(id, states, alone(second)).await.unwrap()
        };
        bench.uploaded_document(&lan, "By hand").await;
        let mut waits = Vec::new();
        for title in ["Kites", "Torn"] {
            let new = NewDocument { goes_on: true, ..upload(&lan, title) };
            waits.push(bench.store.add_document(new).await.unwrap().id);
        }
        let (kites, torn) = (waits[0], waits[1]);
        assert_eq!(waiting(2).await, [kites, torn]);
        assert_eq!(bench.store.waiting_documents(at(2), 1).await.unwrap().len(), 1);

        let claim = taken(kites, 2).await.unwrap();
        assert_eq!(taken(kites, 3).await, None, "another node has it");
        assert_eq!(waiting(3).await, [torn]);
        assert_eq!(waiting(62).await, [kites, torn], "its node died");
        bench.store.end_work(kites, claim.generation, Worked::Chunked, at(5)).await.unwrap().unwrap();
        assert_eq!(waiting(5).await, [kites, torn], "it is not live yet");
        let claim = taken(kites, 6).await.unwrap();
        let later = failed(Chunked, "Nobody answered.", Some(at(100)));
        bench.store.end_work(kites, claim.generation, later, at(7)).await.unwrap().unwrap();
        assert_eq!(waiting(99).await, [torn]);
        assert_eq!(taken(kites, 99).await, None, "it is too early");
        assert_eq!(waiting(100).await, [torn, kites], "who has waited longest comes first");
        let claim = taken(kites, 100).await.unwrap();
        bench.store.end_work(kites, claim.generation, Worked::Live(None), at(101)).await.unwrap().unwrap();
        bench.store.retire_document(kites, at(102)).await.unwrap().unwrap();
        assert_eq!(waiting(900).await, [torn], "a person took it from the searches");
        let by_hand = bench.store.take_document(kites, vec![Removed], take(903)).await.unwrap().unwrap();
        bench.store.end_work(kites, by_hand.generation, Worked::Chunked, at(904)).await.unwrap().unwrap();
        assert_eq!(waiting(905).await, [torn], "and cut it into chunks");
        assert_eq!(taken(kites, 905).await, None);

        let claim = taken(torn, 910).await.unwrap();
        let own = failed(Uploaded, "It is torn.", None);
        bench.store.end_work(torn, claim.generation, own, at(911)).await.unwrap().unwrap();
        assert!(waiting(2000).await.is_empty(), "it fails for a reason of its own");
        let by_hand = bench.taken(&claim, Uploaded, 2001).await;
        let later = failed(Uploaded, "Nobody answered.", Some(at(2002)));
        bench.store.end_work(torn, by_hand.generation, later, at(2002)).await.unwrap().unwrap();
        assert!(waiting(3000).await.is_empty(), "now it is a person's");
    }
}

#[tokio::test]
async fn a_document_at_which_every_node_dies_is_not_taken_for_ever() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let new = NewDocument { goes_on: true, ..upload(&lan, "Poison") };
        let document = bench.store.add_document(new).await.unwrap();
        let mut times = 0;
        while !bench.store.waiting_documents(at(100 * (times + 1)), 1).await.unwrap().is_empty() {
            let take = Take { is_alone: true, ..take(100 * (times + 1)) };
            bench.store.take_document(document.id, vec![Uploaded], take).await.unwrap().unwrap();
            times += 1;
            assert!(times < 100, "it is taken for ever");
        }
        assert_eq!(times, 40);
    }
}

#[tokio::test]
async fn chunks_are_kept_in_order_replaced_and_paged() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let document = bench.chunked(&lan, "Kites", &["one", "two", "three"]).await;
        assert_eq!((document.state, document.chunk_count), (Chunked, 3));
        let texts = async |after, limit| -> Vec<(u64, String)> {
            let chunks = bench.store.chunks(document.id, after, limit).await.unwrap();
            chunks.into_iter().map(|chunk| (chunk.number, chunk.text)).collect()
        };
        assert_eq!(texts(1, 1).await, [(2, "two".to_owned())]);
        assert_eq!(bench.store.clear_chunks(document.id, None).await.unwrap(), 0, "nobody works on it");
        let taken = bench.taken(&document, Chunked, 10).await;
        let before = Some(taken.generation - 1);
        assert_eq!(bench.store.clear_chunks(document.id, before).await.unwrap(), 0, "that claim was lost");
        assert_eq!(bench.store.clear_chunks(document.id, Some(taken.generation)).await.unwrap(), 3);
        let many: Vec<_> = (0..CHUNKS_AT_ONCE).map(|n| format!("chunk {n}")).collect();
        assert!(bench.store.add_chunks(taken.id, taken.generation, many).await.unwrap());
        assert!(bench.store.add_chunks(taken.id, taken.generation, vec!["last".to_owned()]).await.unwrap());
        let ended = bench.store.end_work(taken.id, taken.generation, Worked::Chunked, at(11)).await.unwrap().unwrap();
        let count = CHUNKS_AT_ONCE as u64 + 1;
        assert_eq!(ended.chunk_count, count);
        assert_eq!(texts(count - 1, 10).await, [(count, "last".to_owned())]);
        assert_eq!(texts(0, 10_000).await.len(), CHUNKS_AT_ONCE, "a page is bounded");
    }
}

#[tokio::test]
async fn what_is_live_and_active_is_found_by_its_words_by_nobody_elses_search() {
    for bench in benches().await {
        let acme = bench.platform("Acme").await;
        let (ana, ben) = (bench.user_of(&acme, "ana").await, bench.user_of(&acme, "ben").await);
        let nina = bench.staff("nina").await;
        let texts = ["The kite flies over the café.", "A kite needs wind, and wind needs a kite.", "Boats float."];
        let kites = bench.live(&ana, "Kites", &texts).await;
        assert_eq!((kites.state, kites.vectorized_at), (Live, Some(at(5))));
        let hidden = bench.chunked(&ana, "Hidden", &["kite kite kite"]).await;
        let others = bench.live(&nina, "Others", &["A kite of somebody else's."]).await;
        let bens =
            bench.live(&ben, "Bens", &["Wind is what a kite of mine lacks, and there is more to say of it."]).await;
        let acmes = everybody(Some(acme.id));
        assert_eq!(bench.finds(acmes, "KITE? wind!", None).await, [(kites.id, 2), (bens.id, 1), (kites.id, 1)]);
        assert_eq!(bench.finds(of(&ana), "kite wind", None).await, [(kites.id, 2), (kites.id, 1)]);
        assert_eq!(bench.finds(acmes, "kite wind", Some(bens.id)).await, [(bens.id, 1)]);
        assert_eq!(bench.finds(acmes, "CAFE\u{301}", None).await, [(kites.id, 1)]);
        assert_eq!(bench.finds(everybody(None), "kite", None).await, [(others.id, 1)]);
        for nothing in ["", "?!", "nobody says this", "'; drop table chunks; --", "\" OR \"", "a:* & !b | (c"] {
            let found = bench.finds(everybody(None), nothing, None).await;
            assert!(found.is_empty() || nothing.contains(" OR ") || nothing.contains('a'), "{nothing}: {found:?}");
        }
        let inactive = DocumentEdit { is_active: Some(false), ..DocumentEdit::default() };
        bench.store.edit_document(of(&ben), bens.uuid, inactive, at(9)).await.unwrap();
        assert!(bench.finds(acmes, "lacks", None).await.is_empty());
        let numbers = async || -> Vec<_> {
            bench
                .store
                .live_documents(Some(acme.id))
                .await
                .unwrap()
                .into_iter()
                .map(|one| (one.id, one.user_id))
                .collect()
        };
        assert_eq!(numbers().await, [(kites.id, ana.id)]);
        let keys = vec![(kites.id, 3), (hidden.id, 1), (others.id, 1), (bens.id, 1), (kites.id, 9), (kites.id, 1)];
        let found = bench.store.found_chunks(acmes, keys.clone()).await.unwrap();
        let found: Vec<_> = found.into_iter().map(|(key, document, text)| (key, document.title, text)).collect();
        let told = |number: u64, text: &str| ((kites.id, number), "Kites".to_owned(), text.to_owned());
        assert_eq!(found, [told(3, texts[2]), told(1, texts[0])]);
        assert!(bench.store.found_chunks(of(&ben), keys).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_document_that_is_taken_from_the_searches_can_go_live_again() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let all = everybody(None);
        let document = bench.live(&lan, "Kites", &["A kite.", "Wind."]).await;
        assert!(!bench.store.condemn_document(document.id, at(9)).await.unwrap(), "it is live");
        let retired = bench.store.retire_document(document.id, at(9)).await.unwrap().unwrap();
        assert_eq!((retired.state, retired.chunk_count), (Removed, 2));
        assert_eq!(bench.store.retire_document(document.id, at(9)).await.unwrap(), None, "it is not live");
        assert!(bench.finds(all, "kite", None).await.is_empty());
        assert_eq!(bench.store.forget_chunks(document.id).await.unwrap(), 2);
        assert_eq!(bench.store.forget_chunks(document.id).await.unwrap(), 0);
        let again = bench.made_live(&retired, &[None, None]).await;
        assert!(again.generation > document.generation);
        assert_eq!(bench.finds(all, "kite", None).await, [(document.id, 1)]);
        assert_eq!(bench.store.forget_chunks(document.id).await.unwrap(), 0, "it is live");
        // Also when the index was not cleared between the two.
        bench.store.retire_document(document.id, at(10)).await.unwrap().unwrap();
        let retired = bench.store.document(all, document.uuid).await.unwrap().unwrap();
        bench.made_live(&retired, &[None, None]).await;
        assert_eq!(bench.finds(all, "kite", None).await, [(document.id, 1)]);
    }
}

#[tokio::test]
async fn vectors_are_read_by_generation() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let document = bench.chunked(&lan, "Kites", &["one", "two", "three"]).await;
        let document = bench.made_live(&document, &[Some(&[1, 0]), None, Some(&[3, 0])]).await;
        assert_eq!(document.vector_model.as_deref(), Some("model"));
        let (id, generation) = (document.id, document.generation);
        assert_eq!(bench.store.vectors(id, generation, 0).await.unwrap(), [(1, vec![1, 0]), (3, vec![3, 0])]);
        assert_eq!(bench.store.vectors(id, generation, 1).await.unwrap(), [(3, vec![3, 0])]);
        assert!(bench.store.vectors(id, generation + 1, 0).await.unwrap().is_empty());
        let live = bench.store.live_documents(None).await.unwrap();
        assert_eq!((live.len(), live[0].generation, live[0].chunk_count), (1, generation, 3));
        assert_eq!(live[0].vector_model.as_deref(), Some("model"));
    }
}

#[tokio::test]
async fn a_condemned_document_is_nobodys_until_its_row_goes() {
    for bench in benches().await {
        let lan = bench.staff("lan").await;
        let document = bench.live(&lan, "Kites", &["A kite."]).await;
        bench.store.retire_document(document.id, at(9)).await.unwrap().unwrap();
        assert!(bench.store.condemn_document(document.id, at(10)).await.unwrap());
        assert!(bench.store.condemn_document(document.id, at(10)).await.unwrap(), "twice is once");
        assert_eq!(bench.store.document(of(&lan), document.uuid).await.unwrap(), None);
        assert!(bench.store.documents(of(&lan), page()).await.unwrap().items.is_empty());
        assert_eq!(bench.store.document_stats(of(&lan)).await.unwrap().total, 0);
        let bench = bench.reopen().await;
        assert_eq!(bench.store.condemned_documents(10).await.unwrap(), [(document.id, document.uuid)]);
        assert!(!bench.store.remove_document(document.id).await.unwrap(), "it has chunks");
        assert_eq!(bench.store.clear_chunks(document.id, None).await.unwrap(), 1);
        assert!(bench.store.remove_document(document.id).await.unwrap());
        assert!(!bench.store.remove_document(document.id).await.unwrap());
        assert!(bench.store.condemned_documents(10).await.unwrap().is_empty());
    }
}
