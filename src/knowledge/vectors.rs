//! Vectors in memory, and the ones nearest to another: compared with every one, so that the best is always found.
//!
//! The numbers of a vector of length 1 are kept as integers of 16 bits: half the memory of floats, and much less
//! time on processors without wide registers. What is lost is below the fourth digit of a cosine, where models say nothing.
//!
//! What is kept here is a copy of what the store has, by document and generation: a block never changes, so that a
//! search goes on with the blocks that it began with. The memory is bounded; tenants that nobody searches go first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::domain::{DocumentId, PlatformId};

/// The vectors of one document's chunks.
#[derive(Debug, Default)]
pub struct Block {
    generation: u64,
    width: usize,
    numbers: Vec<u64>,
    values: Vec<i16>,
}

impl Block {
    /// An empty block.
    pub fn new(generation: u64) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Adds a chunk's vector; one that is not as wide as those before it is left out.
    pub fn push(&mut self, number: u64, bytes: &[u8]) {
        let width = bytes.len() / size_of::<f32>();
        if self.numbers.is_empty() {
            self.width = width;
        }
        if width == self.width && width > 0 {
            self.numbers.push(number);
            self.values.extend(bytes.as_chunks::<4>().0.iter().map(|four| short(f32::from_le_bytes(*four))));
        }
    }

    fn bytes(&self) -> usize {
        self.values.len() * size_of::<i16>() + self.numbers.len() * size_of::<u64>()
    }
}

/// What 1 is among the numbers that are compared.
const ONE: f32 = 32_767.0;

/// A number between -1 and 1.
fn short(value: f32) -> i16 {
    (value.clamp(-1.0, 1.0) * ONE).round() as i16
}

/// How much memory so many vectors of that width take here, in bytes.
pub fn memory(vectors: u64, width: usize) -> usize {
    let each = width * size_of::<i16>() + size_of::<u64>();
    usize::try_from(vectors).unwrap_or(usize::MAX).saturating_mul(each)
}

/// A vector as the store keeps it.
pub fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Brings a vector to length 1, so that the product of two is the cosine of their angle; `None` for one that has no
/// direction.
pub fn normal(mut vector: Vec<f32>) -> Option<Vec<f32>> {
    let length = vector.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if !length.is_finite() || length < 1e-12 {
        return None;
    }
    vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    Some(vector)
}

/// Blocks of documents.
pub type Blocks = Vec<(DocumentId, Arc<Block>)>;

#[derive(Default)]
struct Tenant {
    blocks: HashMap<DocumentId, Arc<Block>>,
    used: u64,
}

#[derive(Default)]
struct Held {
    tenants: HashMap<Option<PlatformId>, Tenant>,
    uses: u64,
    bytes: usize,
}

/// The vectors of all tenants that were searched lately.
pub struct Vectors {
    held: Mutex<Held>,
    bytes_max: usize,
}

impl Vectors {
    /// None yet, and never more than so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { held: Mutex::default(), bytes_max }
    }

    /// The blocks of a tenant's documents, as far as they are here in those generations, and the documents whose
    /// blocks are not. Other blocks of the tenant are let go.
    pub fn blocks(&self, platform: Option<PlatformId>, live: &[(DocumentId, u64)]) -> (Blocks, Vec<(DocumentId, u64)>) {
        let mut held = self.lock();
        held.uses += 1;
        let used = held.uses;
        let tenant = held.tenants.entry(platform).or_default();
        tenant.used = used;
        let (mut here, mut missing) = (Vec::with_capacity(live.len()), Vec::new());
        let mut kept = HashMap::with_capacity(live.len());
        let mut before = std::mem::take(&mut tenant.blocks);
        for (id, generation) in live {
            match before.remove(id) {
                Some(block) if block.generation == *generation => {
                    here.push((*id, Arc::clone(&block)));
                    kept.insert(*id, block);
                }
                other => {
                    if let Some(past) = other {
                        before.insert(*id, past);
                    }
                    missing.push((*id, *generation));
                }
            }
        }
        tenant.blocks = kept;
        let gone: usize = before.values().map(|block| block.bytes()).sum();
        held.bytes -= gone;
        (here, missing)
    }

    /// Keeps a block; `false` when there is no room for it, also without what other tenants have here.
    pub fn keep(&self, platform: Option<PlatformId>, id: DocumentId, block: Arc<Block>) -> bool {
        let mut held = self.lock();
        let bytes = block.bytes();
        while held.bytes + bytes > self.bytes_max {
            let others = held.tenants.iter().filter(|(name, _)| **name != platform);
            let Some(idle) = others.min_by_key(|(_, tenant)| tenant.used).map(|(name, _)| *name) else { return false };
            let gone = held.tenants.remove(&idle);
            held.bytes -= gone.map_or(0, |gone| gone.blocks.values().map(|block| block.bytes()).sum());
        }
        held.bytes += bytes;
        if let Some(past) = held.tenants.entry(platform).or_default().blocks.insert(id, block) {
            held.bytes -= past.bytes();
        }
        true
    }

    /// Bytes of vectors that are here.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The chunks whose vectors are nearest to a normal one, the nearest first; of equally near ones the first. Takes time
/// by their number: not for an async thread.
pub fn nearest(blocks: &Blocks, to: &[f32], limit: usize) -> Vec<((DocumentId, u64), f32)> {
    let to: Vec<i16> = to.iter().map(|value| short(*value)).collect();
    let mut best: Vec<((DocumentId, u64), f32)> = Vec::with_capacity(limit + 1);
    for (id, block) in blocks.iter().filter(|(_, block)| block.width == to.len()) {
        for (number, vector) in block.numbers.iter().zip(block.values.chunks_exact(block.width.max(1))) {
            let near = product(vector, &to) as f32 / (ONE * ONE);
            if best.len() == limit && best.last().is_none_or(|last| last.1 >= near) {
                continue;
            }
            let at = best.partition_point(|better| better.1 >= near);
            best.insert(at, ((*id, *number), near));
            best.truncate(limit);
        }
    }
    best
}

/// The product of two vectors of one length, in a form that compilers know an instruction for. Of vectors of length 1 it
/// fits; of others, which nobody keeps here, it would be wrong and no more.
fn product(a: &[i16], b: &[i16]) -> i32 {
    a.iter().zip(b).fold(0_i32, |sum, (a, b)| sum.wrapping_add(i32::from(*a) * i32::from(*b)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: DocumentId = DocumentId(1);
    const B: DocumentId = DocumentId(2);

    fn block(generation: u64, vectors: &[Vec<f32>]) -> Arc<Block> {
        let mut block = Block::new(generation);
        for (number, vector) in (1..).zip(vectors) {
            block.push(number, &to_bytes(vector));
        }
        Arc::new(block)
    }

    #[test]
    fn blocks_of_another_generation_are_read_again_and_those_of_nobody_go() {
        let vectors = Vectors::new(1000);
        assert_eq!(vectors.blocks(None, &[(A, 1), (B, 1)]).1, [(A, 1), (B, 1)]);
        assert!(vectors.keep(None, A, block(1, &[vec![1.0, 0.0]])));
        assert!(vectors.keep(None, B, block(1, &[vec![0.0, 1.0]])));
        let (here, missing) = vectors.blocks(None, &[(A, 1), (B, 2)]);
        assert_eq!((here.len(), missing), (1, vec![(B, 2)]));
        assert_eq!(vectors.bytes(), 12);
        assert!(vectors.blocks(None, &[]).0.is_empty());
        assert_eq!(vectors.bytes(), 0);
    }

    #[test]
    fn who_was_not_searched_for_long_makes_room() {
        let vectors = Vectors::new(30);
        let tenant = Some(PlatformId(7));
        vectors.blocks(None, &[]);
        assert!(vectors.keep(None, A, block(1, &[vec![1.0, 0.0]])));
        vectors.blocks(tenant, &[]);
        assert!(vectors.keep(tenant, B, block(1, &[vec![1.0, 0.0], vec![0.0, 1.0]])));
        assert_eq!(vectors.blocks(None, &[(A, 1)]).1, [(A, 1)], "there was no room for both");
        assert!(!vectors.keep(tenant, A, block(1, &[vec![1.0, 0.0]])), "a tenant does not make room for itself");
    }

    #[test]
    fn what_has_no_direction_is_no_vector() {
        assert_eq!(normal(vec![3.0, 4.0]), Some(vec![0.6, 0.8]));
        assert_eq!(normal(vec![0.0, 0.0]), None);
        assert_eq!(normal(vec![f32::NAN, 1.0]), None);
        assert_eq!(normal(vec![f32::INFINITY, 1.0]), None);
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_plain_comparison(
            vectors in prop::collection::vec(prop::collection::vec(-1.0_f32..1.0, 37), 1..60),
            limit in 1_usize..12,
        ) {
            let vectors: Vec<Vec<f32>> = vectors.into_iter().filter_map(normal).collect();
            prop_assume!(!vectors.is_empty());
            let to = vectors[0].clone();
            let (first, second) = vectors.split_at(vectors.len() / 2);
            let blocks = vec![(A, block(1, first)), (B, block(1, second))];
            let found = nearest(&blocks, &to, limit);
            let plain = |vector: &[f32]| vector.iter().zip(&to).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
            let mut all: Vec<f64> = vectors.iter().map(|vector| plain(vector)).collect();
            all.sort_by(|a, b| b.total_cmp(a));
            prop_assert_eq!(found.len(), limit.min(vectors.len()));
            for ((_, near), want) in found.iter().zip(all) {
                prop_assert!((f64::from(*near) - want).abs() < 1e-4);
            }
        }
    }
}
