//! Making one ranking of several, whose scores cannot be compared: by reciprocal rank (Cormack, Clarke and Büttcher,
//! 2009), with the constant of that paper.

use std::collections::BTreeMap;

/// How much the first ranks count more than the next.
const K: f64 = 60.0;

/// The things of some rankings, best first; ties by their order.
pub fn fuse<T: Ord + Copy>(rankings: &[Vec<T>]) -> Vec<(T, f64)> {
    let mut scores: BTreeMap<T, f64> = BTreeMap::new();
    for ranking in rankings {
        for (rank, thing) in ranking.iter().enumerate() {
            *scores.entry(*thing).or_default() += 1.0 / (K + rank as f64 + 1.0);
        }
    }
    let mut fused: Vec<_> = scores.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_rankings_know_comes_first() {
        let fused: Vec<_> = fuse(&[vec![1, 2, 3], vec![3, 4]]).into_iter().map(|(thing, _)| thing).collect();
        assert_eq!(fused, [3, 1, 2, 4]);
        assert!(fuse::<u8>(&[]).is_empty());
        assert!((fuse(&[vec![7]])[0].1 - 1.0 / 61.0).abs() < 1e-12);
    }
}
