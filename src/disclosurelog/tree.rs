//! The Merkle tree of RFC 9162, section 2.1, over SHA-256: hashes, the growing edge, and both proofs. Pure: hashes
//! come in tiles of 256, from wherever they are kept. Knows nothing of what a leaf says.

use aws_lc_rs::digest::{Context, SHA256};
use std::collections::HashMap;
use std::ops::Range;

pub type Hash = [u8; 32];

/// Hashes in a full tile; a tile of a level has the roots of the full tiles of the level below.
pub const WIDTH: usize = 256;
const HEIGHT: u32 = WIDTH.ilog2();

/// Which tile: its level, and its number from the left.
pub type Place = (u8, u64);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tile {
    pub place: Place,
    /// Fewer than [`WIDTH`] only at the right edge.
    pub hashes: Vec<Hash>,
}

pub type Tiles = HashMap<Place, Vec<Hash>>;

fn hashed(prefix: u8, parts: [&[u8]; 2]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[prefix]);
    parts.into_iter().for_each(|part| context.update(part));
    to_hash(context.finish().as_ref())
}

fn to_hash(bytes: &[u8]) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(bytes);
    hash
}

pub fn leaf_hash(entry: &[u8]) -> Hash {
    hashed(0, [entry, &[]])
}

pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    hashed(1, [left, right])
}

/// Of a power of two of neighbours, from the left end of such a group.
pub fn perfect_root(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => empty_root(),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(more.len() / 2);
            node_hash(&perfect_root(left), &perfect_root(right))
        }
    }
}

pub fn empty_root() -> Hash {
    to_hash(aws_lc_rs::digest::digest(&SHA256, &[]).as_ref())
}

/// The right edge of a tree: all that is needed to make it grow, a few kilobytes however large it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// Of each level from the leaves up, the last tile as far as it is filled: never full.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The tiles in which the edge of a tree of this size lies.
    pub fn places(size: u64) -> Vec<Place> {
        let levels = (0..).take_while(|level| size >> (HEIGHT * u32::from(*level)) > 0);
        levels.filter(|level| filled(size, *level) > 0).map(|level| (level, number(size, level))).collect()
    }

    /// `None` where a tile is missing or too short.
    pub fn from_tiles(size: u64, tiles: &Tiles) -> Option<Edge> {
        let mut edge = Edge { size, levels: Vec::new() };
        let mut level = 0;
        while size >> (HEIGHT * u32::from(level)) > 0 {
            edge.levels.push(match filled(size, level) {
                0 => Vec::new(),
                filled => tiles.get(&(level, number(size, level)))?.get(..filled)?.to_vec(),
            });
            level += 1;
        }
        Some(edge)
    }

    /// Gives the tiles that it fills, the leaves' own first.
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        let mut full = Vec::new();
        let (mut hash, mut level) = (leaf, 0);
        loop {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Vec::new());
            }
            let tile = &mut self.levels[usize::from(level)];
            tile.push(hash);
            if tile.len() < WIDTH {
                break;
            }
            let hashes = std::mem::take(tile);
            hash = perfect_root(&hashes);
            full.push(Tile { place: (level, number(self.size, level)), hashes });
            level += 1;
        }
        self.size += 1;
        full
    }

    /// The tiles that are not full yet.
    pub fn tiles(&self) -> Vec<Tile> {
        let levels = (0..).zip(&self.levels).filter(|(_, hashes)| !hashes.is_empty());
        levels
            .map(|(level, hashes)| Tile { place: (level, number(self.size, level)), hashes: hashes.clone() })
            .collect()
    }

    pub fn root(&self) -> Hash {
        let peaks = self.levels.iter().rev().flat_map(|hashes| {
            let groups = groups(0..hashes.len() as u64);
            groups.into_iter().map(|group| perfect_root(&hashes[group.start as usize..group.end as usize]))
        });
        fold(peaks.collect())
    }
}

/// How many hashes of the last tile of a level there are.
fn filled(size: u64, level: u8) -> usize {
    (size >> (HEIGHT * u32::from(level))) as usize % WIDTH
}

/// Of the last tile of a level that is not full.
fn number(size: u64, level: u8) -> u64 {
    size.checked_shr(HEIGHT * (u32::from(level) + 1)).unwrap_or(0)
}

/// Neighbouring subtrees, from left to right, each at least as large as the next.
fn fold(peaks: Vec<Hash>) -> Hash {
    peaks.into_iter().rev().reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

/// A range that begins where a subtree of its size can begin, as perfect subtrees from left to right.
fn groups(range: Range<u64>) -> Vec<Range<u64>> {
    let (mut groups, mut start) = (Vec::new(), range.start);
    while start < range.end {
        let width = 1 << (range.end - start).ilog2();
        groups.push(start..start + width);
        start += width;
    }
    groups
}

/// The largest power of two below.
fn split(size: u64) -> u64 {
    if size < 2 { 0 } else { 1 << (size - 1).ilog2() }
}

/// A list of subtrees whose hashes make a proof, and the tiles in which they are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan(Vec<Range<u64>>);

impl Plan {
    /// That the leaf at `position` is in the tree of `size` (2.1.3.1). `None` where it cannot be.
    pub fn inclusion(position: u64, size: u64) -> Option<Plan> {
        if position >= size {
            return None;
        }
        let (mut ranges, mut within) = (Vec::new(), 0..size);
        while within.end - within.start > 1 {
            let middle = within.start + split(within.end - within.start);
            let (here, sibling) = match position < middle {
                true => (within.start..middle, middle..within.end),
                false => (middle..within.end, within.start..middle),
            };
            ranges.push(sibling);
            within = here;
        }
        ranges.reverse();
        Some(Plan(ranges))
    }

    /// That the tree of size `to` continues the one of size `from` (2.1.4.1). `None` where it cannot.
    pub fn consistency(from: u64, to: u64) -> Option<Plan> {
        if from == 0 || from > to {
            return None;
        }
        let (mut ranges, mut within, mut is_known) = (Vec::new(), 0..to, true);
        while within.end != from {
            let middle = within.start + split(within.end - within.start);
            if from <= middle {
                ranges.push(middle..within.end);
                within.end = middle;
            } else {
                ranges.push(within.start..middle);
                within.start = middle;
                is_known = false;
            }
        }
        if !is_known {
            ranges.push(within);
        }
        ranges.reverse();
        Some(Plan(ranges))
    }

    pub fn places(&self) -> Vec<Place> {
        let mut places: Vec<Place> = self.0.iter().cloned().flat_map(groups).map(|group| place(&group).0).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    /// `None` where a tile is missing or too short.
    pub fn path(&self, tiles: &Tiles) -> Option<Vec<Hash>> {
        self.0.iter().map(|range| hash_of(range.clone(), tiles)).collect()
    }
}

/// The tile that holds a perfect subtree, and where in it its hashes lie.
fn place(group: &Range<u64>) -> (Place, Range<usize>) {
    let height = (group.end - group.start).ilog2();
    let level = height / HEIGHT;
    let (first, count) = (group.start >> (HEIGHT * level), 1usize << (height % HEIGHT));
    let start = first as usize % WIDTH;
    ((level as u8, first >> HEIGHT), start..start + count)
}

fn hash_of(range: Range<u64>, tiles: &Tiles) -> Option<Hash> {
    let peaks: Option<Vec<Hash>> = groups(range)
        .iter()
        .map(|group| {
            let (place, within) = place(group);
            Some(perfect_root(tiles.get(&place)?.get(within)?))
        })
        .collect();
    peaks.map(fold)
}

/// 2.1.3.2: the root to which a leaf and its path lead. `None` where the path has another length than it must have.
pub fn root_from_inclusion(leaf: Hash, position: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if position >= size {
        return None;
    }
    let (mut this, mut last, mut root) = (position, size - 1, leaf);
    for hash in path {
        if last == 0 {
            return None;
        }
        if this & 1 == 1 || this == last {
            root = node_hash(hash, &root);
            while this & 1 == 0 && this != 0 {
                this >>= 1;
                last >>= 1;
            }
        } else {
            root = node_hash(&root, hash);
        }
        this >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// 2.1.4.2: whether the tree of the second size and root continues the first.
pub fn is_consistent(first: (u64, Hash), second: (u64, Hash), path: &[Hash]) -> bool {
    let ((from, from_root), (to, to_root)) = (first, second);
    if from == 0 || from > to {
        return false;
    }
    if from == to {
        return path.is_empty() && from_root == to_root;
    }
    let mut path = path.iter();
    let start = if from.is_power_of_two() { Some(&from_root) } else { path.next() };
    let Some(start) = start else { return false };
    let (mut this, mut last) = (from - 1, to - 1);
    while this & 1 == 1 {
        this >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (*start, *start);
    for hash in path {
        if last == 0 {
            return false;
        }
        if this & 1 == 1 || this == last {
            old = node_hash(hash, &old);
            new = node_hash(hash, &new);
            while this & 1 == 0 && this != 0 {
                this >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, hash);
        }
        this >>= 1;
        last >>= 1;
    }
    last == 0 && old == from_root && new == to_root
}

#[cfg(test)]
mod tests;
