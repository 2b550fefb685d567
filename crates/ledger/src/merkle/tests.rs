//! The tree against a plain reading of RFC 6962, known answers, and every way to change a proof.

use proptest::prelude::*;

use super::*;
use crate::encoding::to_hex;

/// Inputs that implementations of RFC 6962 share for their tests.
const INPUTS: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

/// Their roots after 0 to 8 entries.
const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// A tree in memory that does what RFC 6962 section 2.1 says, word by word.
pub(crate) struct PlainTree(pub(crate) Vec<TreeHash>);

impl PlainTree {
    pub(crate) fn of(size: u64) -> Self {
        Self((0..size).map(|i| leaf_hash(&i.to_be_bytes())).collect())
    }

    pub(crate) fn root(&self, size: u64) -> TreeHash {
        Self::mth(&self.0[..size as usize])
    }

    fn mth(leaves: &[TreeHash]) -> TreeHash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = (leaves.len().next_power_of_two()) / 2;
                node_hash(Self::mth(&leaves[..k]), Self::mth(&leaves[k..]))
            }
        }
    }

    fn path(m: usize, leaves: &[TreeHash]) -> Vec<TreeHash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let k = leaves.len().next_power_of_two() / 2;
        let (mut path, beside) = if m < k {
            (Self::path(m, &leaves[..k]), &leaves[k..])
        } else {
            (Self::path(m - k, &leaves[k..]), &leaves[..k])
        };
        path.push(Self::mth(beside));
        path
    }

    fn subproof(m: usize, leaves: &[TreeHash], b: bool) -> Vec<TreeHash> {
        if m == leaves.len() {
            return if b { Vec::new() } else { vec![Self::mth(leaves)] };
        }
        let k = leaves.len().next_power_of_two() / 2;
        if m <= k {
            let mut proof = Self::subproof(m, &leaves[..k], b);
            proof.push(Self::mth(&leaves[k..]));
            proof
        } else {
            let mut proof = Self::subproof(m - k, &leaves[k..], false);
            proof.push(Self::mth(&leaves[..k]));
            proof
        }
    }

    pub(crate) fn node(&self, node: Node) -> Result<TreeHash, std::convert::Infallible> {
        let start = (node.index << node.level) as usize;
        Ok(Self::mth(&self.0[start..start + (1 << node.level)]))
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<TreeHash> {
        let mut node = |it| self.node(it);
        inclusion_ranges(index, size).into_iter().map(|it| fold(it, &mut node).expect("in memory")).collect()
    }

    fn consistency(&self, old: u64, new: u64) -> Vec<TreeHash> {
        let mut node = |it| self.node(it);
        consistency_ranges(old, new).into_iter().map(|it| fold(it, &mut node).expect("in memory")).collect()
    }
}

#[test]
fn roots_are_those_that_everybody_knows() {
    let leaves: Vec<_> = INPUTS.iter().map(|input| leaf_hash(input)).collect();
    let mut frontier = Frontier::new();
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(to_hex(&PlainTree::mth(&leaves[..size]).0), *root, "{size} entries");
        assert_eq!(to_hex(&frontier.root().0), *root, "{size} entries, compact");
        if let Some(leaf) = leaves.get(size) {
            frontier.push(*leaf);
        }
    }
}

#[test]
fn proofs_are_those_of_the_rfc_for_every_small_tree() {
    let tree = PlainTree::of(70);
    for size in 1..=70 {
        let root = tree.root(size);
        for index in 0..size {
            let proof = tree.inclusion(index, size);
            assert_eq!(proof, PlainTree::path(index as usize, &tree.0[..size as usize]), "{index} of {size}");
            check_inclusion(tree.0[index as usize], index, size, &proof, root).expect("is in the tree");
        }
        for old in 1..=size {
            let proof = tree.consistency(old, size);
            let expected = PlainTree::subproof(old as usize, &tree.0[..size as usize], true);
            assert_eq!(proof, expected, "{old} to {size}");
            check_consistency((old, tree.root(old)), (size, root), &proof).expect("is consistent");
            let both = roots(old, size, &mut |it| tree.node(it)).expect("in memory");
            assert_eq!(both, (tree.root(old), root), "{old} to {size}");
        }
    }
}

#[test]
fn everything_extends_the_empty_tree_with_an_empty_proof() {
    let tree = PlainTree::of(5);
    let (nothing, all) = ((0, empty_root()), (5, tree.root(5)));
    assert_eq!(check_consistency(nothing, all, &[]), Ok(()));
    assert_eq!(check_consistency(nothing, nothing, &[]), Ok(()));
    assert_eq!(check_consistency(nothing, all, &[tree.0[0]]), Err(MerkleError::Length(1)));
    assert_eq!(check_consistency((0, tree.0[0]), all, &[]), Err(MerkleError::OtherOldRoot));
    assert_eq!(check_consistency(nothing, (0, tree.0[0]), &[]), Err(MerkleError::OtherRoot));
    assert_eq!(check_consistency(all, nothing, &[]), Err(MerkleError::Shrunk { old: 5, new: 0 }));
    let huge = (u64::MAX, tree.0[0]);
    assert_eq!(check_consistency(all, huge, &[]), Err(MerkleError::TooLarge(u64::MAX)));
    assert_eq!(root_of_inclusion(tree.0[0], 0, u64::MAX, &[]), Err(MerkleError::TooLarge(u64::MAX)));
    assert_eq!(root_of_inclusion(tree.0[0], 0, 0, &[]), Err(MerkleError::NoSuchLeaf { index: 0, size: 0 }));
}

fn flipped(hash: TreeHash, bit: usize) -> TreeHash {
    let mut bytes = hash.0;
    bytes[bit / 8] ^= 1 << (bit % 8);
    TreeHash(bytes)
}

/// A changed proof, with the name of the change.
type Mutation = (String, Vec<TreeHash>);

/// Every way to change the hashes of a proof that other implementations test with.
fn changed(proof: &[TreeHash], roots: &[TreeHash]) -> Vec<Mutation> {
    let mut all: Vec<Mutation> = Vec::new();
    let garbage = leaf_hash(b"garbage");
    for (at, hash) in proof.iter().enumerate() {
        for bit in [0, 3, 4, 17, 255] {
            let mut proof = proof.to_vec();
            proof[at] = flipped(*hash, bit);
            all.push((format!("bit {bit} of hash {at}"), proof));
        }
        let mut removed = proof.to_vec();
        removed.remove(at);
        all.push((format!("hash {at} removed"), removed));
        let mut doubled = proof.to_vec();
        doubled.insert(at, *hash);
        all.push((format!("hash {at} twice"), doubled));
        let mut inserted = proof.to_vec();
        inserted.insert(at, garbage);
        all.push((format!("inserted at {at}"), inserted));
        if at + 1 < proof.len() && proof[at] != proof[at + 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(at, at + 1);
            all.push((format!("hashes {at} and {} swapped", at + 1), swapped));
        }
        all.push((format!("truncated to {at}"), proof[..at].to_vec()));
    }
    let with = |before: &[TreeHash], after: &[TreeHash]| [before, proof, after].concat();
    all.push(("garbage before".into(), with(&[garbage], &[])));
    all.push(("garbage behind".into(), with(&[], &[garbage])));
    for (i, root) in roots.iter().enumerate() {
        all.push((format!("root {i} before"), with(&[*root], &[])));
        all.push((format!("root {i} behind"), with(&[], &[*root])));
    }
    all.push(("many hashes behind".into(), with(&[], &[garbage; 100])));
    all
}

#[test]
fn forged_inclusion_proofs_are_refused() {
    let tree = PlainTree::of(40);
    let mut count = 0;
    for size in [1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 40] {
        let root = tree.root(size);
        for index in 0..size {
            let (leaf, proof) = (tree.0[index as usize], tree.inclusion(index, size));
            let mut refused = |what: &str, leaf, index, size, proof: &[TreeHash], root| {
                assert!(
                    check_inclusion(leaf, index, size, proof, root).is_err(),
                    "{what}: {index} of {size}"
                );
                count += 1;
            };
            for (what, changed) in changed(&proof, &[root, leaf]) {
                refused(&what, leaf, index, size, &changed, root);
            }
            for other in [index ^ 1, index ^ 2, index + 1, index.wrapping_sub(1), index + size, u64::MAX] {
                if other != index {
                    refused("other index", leaf, other, size, &proof, root);
                }
            }
            // A proof says where a leaf is; with another size the same hashes may lead to the same root, which is no lie
            // about the leaf: only sizes at which the proof has another shape have to be refused.
            for other in [0, size * 2 + 1, size / 2, u64::MAX] {
                let shape =
                    |size| (index < size && size <= SIZE_LIMIT).then(|| inclusion_ranges(index, size).len());
                if shape(other) != Some(proof.len()) {
                    refused("other size", leaf, index, other, &proof, root);
                }
            }
            refused("other leaf", flipped(leaf, 9), index, size, &proof, root);
            refused("other root", leaf, index, size, &proof, flipped(root, 77));
            refused("empty root", leaf, index, size, &proof, empty_root());
            refused("zero root", leaf, index, size, &proof, TreeHash([0; 32]));
        }
    }
    assert!(count > 4_000, "{count} mutations");
}

#[test]
fn forged_consistency_proofs_are_refused() {
    let tree = PlainTree::of(40);
    let mut count = 0;
    for new in [1, 2, 3, 6, 7, 8, 9, 21, 32, 40] {
        for old in 1..=new {
            let (first, second) = (tree.root(old), tree.root(new));
            let proof = tree.consistency(old, new);
            let mut refused = |what: &str, old: (u64, TreeHash), new: (u64, TreeHash), proof: &[TreeHash]| {
                assert!(check_consistency(old, new, proof).is_err(), "{what}: {} to {}", old.0, new.0);
                count += 1;
            };
            for (what, changed) in changed(&proof, &[first, second]) {
                refused(&what, (old, first), (new, second), &changed);
            }
            for other in [old ^ 1, old ^ 2, old * 2, old / 2, old + 1, old - 1, u64::MAX] {
                let shape = |old| (old <= new).then(|| consistency_ranges(old, new).len());
                if other != old && (shape(other) != Some(proof.len()) || old.is_power_of_two()) {
                    refused("other old size", (other, first), (new, second), &proof);
                }
            }
            refused("other old root", (old, flipped(first, 1)), (new, second), &proof);
            refused("other new root", (old, first), (new, flipped(second, 1)), &proof);
            if old != new {
                refused("both other", (old, flipped(first, 1)), (new, flipped(second, 1)), &[]);
                refused("roots swapped", (old, second), (new, first), &proof);
                refused("sizes swapped", (new, first), (old, second), &proof);
                refused("empty proof", (old, first), (new, second), &[]);
            }
        }
    }
    assert!(count > 2_000, "{count} mutations");
}

proptest! {
    #[test]
    fn a_changed_history_has_no_proof(old in 1u64..300, more in 1u64..300, at in any::<prop::sample::Index>()) {
        let new = old + more;
        let (honest, mut other) = (PlainTree::of(new), PlainTree::of(new));
        let at = at.index(old as usize);
        other.0[at] = leaf_hash(b"another history");
        let proof = other.consistency(old, new);
        prop_assert!(check_consistency((old, honest.root(old)), (new, other.root(new)), &proof).is_err());
        let proof = honest.consistency(old, new);
        prop_assert!(check_consistency((old, honest.root(old)), (new, other.root(new)), &proof).is_err());
    }

    #[test]
    fn random_proofs_prove_nothing(
        index in any::<u64>(), size in any::<u64>(), old in any::<u64>(),
        proof in prop::collection::vec(any::<[u8; 32]>().prop_map(TreeHash), 0..70),
        leaf in any::<[u8; 32]>().prop_map(TreeHash), root in any::<[u8; 32]>().prop_map(TreeHash),
    ) {
        prop_assert!(check_inclusion(leaf, index, size, &proof, root).is_err());
        prop_assert!(check_consistency((old, leaf), (size, root), &proof).is_err() || (old == 0));
    }
}
