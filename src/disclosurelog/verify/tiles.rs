//! The hashes: those that are stored beside those that the entries give and those of the level above. Where they differ,
//! this finds out which of them was changed.

use super::{Claim, Walk, changed};
use crate::disclosurelog::Error;
use crate::disclosurelog::tree::{Edge, Hash, Place, Tile, WIDTH, perfect_root};
use std::iter::Peekable;

/// How many tiles a tree of this size is stored in.
pub(super) fn expected(size: u64) -> u64 {
    let (mut count, mut hashes) = (0, size);
    while hashes > 0 {
        count += hashes.div_ceil(WIDTH as u64);
        hashes /= WIDTH as u64;
    }
    count
}

impl Walk<'_> {
    /// Without a hash where there is none.
    pub(super) async fn stored_tile(&mut self, place: Place) -> Result<Vec<Hash>, Error> {
        Ok(self.log.tiles(vec![place]).await?.remove(&place).unwrap_or_default())
    }

    /// The hashes of the leaves of the tile that comes next, as they were signed. `made` are those that the entries
    /// give; there is none where an entry went.
    pub(super) async fn tile<'h>(
        &mut self,
        edge: &Edge,
        made: Vec<Option<Hash>>,
        stored: Vec<Hash>,
        size: u64,
        heads: Peekable<impl Iterator<Item = &'h Claim>>,
    ) -> Result<Vec<Hash>, Error> {
        let number = edge.size() / WIDTH as u64;
        if stored.len() != made.len() {
            let detail = format!("tile {number} of level 0 has {} hashes, not {}", stored.len(), made.len());
            self.report.find(changed("log_tile", "hashes", detail));
        }
        let stored = |place: usize| stored.get(place).copied();
        let by_tile: Vec<Hash> =
            made.iter().enumerate().map(|(at, made)| stored(at).or(*made).unwrap_or_default()).collect();
        let by_entries: Vec<Hash> = made.iter().zip(&by_tile).map(|(made, stored)| made.unwrap_or(*stored)).collect();
        // What is signed over it: the first head that has it whole, or the hash in the level above.
        let end = edge.size() + made.len() as u64;
        let signed = heads.take_while(|head| head.size <= end).last().map(|head| (head.size, head.root));
        let above = self.above(edge, number, size).await?;
        let is_signed = |hashes: &[Hash]| match (signed, above) {
            (Some((of, root)), _) if of == end || above.is_none() => grown(edge, hashes, of).root() == root,
            (_, Some(above)) => perfect_root(hashes) == above,
            _ => true,
        };
        let first = edge.size();
        let differing =
            (0..made.len()).filter(|at| made[*at].is_some_and(|made| stored(*at).is_some_and(|s| s != made)));
        let differing: Vec<u64> = differing.map(|at| first + at as u64).collect();
        let entries_are_right = is_signed(&by_entries);
        let (table, field) = match (entries_are_right, is_signed(&by_tile)) {
            (true, false) | (false, false) => ("log_tile", "hashes"),
            _ => ("log_entry", "content"),
        };
        for position in differing {
            let detail = match (entries_are_right, table) {
                (false, "log_tile") => "neither the entry nor the hash of its leaf is what was signed",
                (_, "log_tile") => "the hash of the leaf was changed; the entry is what was signed",
                _ => "the entry is not what was signed",
            };
            self.report.find(super::Finding { position: Some(position), ..changed(table, field, detail) });
        }
        let right = if entries_are_right { by_entries } else { by_tile };
        self.upper(edge, &right, size).await?;
        Ok(right)
    }

    /// Of a full tile, what the level above has of it.
    async fn above(&mut self, edge: &Edge, number: u64, size: u64) -> Result<Option<Hash>, Error> {
        if edge.size() + WIDTH as u64 > size {
            return Ok(None);
        }
        let tile = self.stored_tile((1, number / WIDTH as u64)).await?;
        Ok(tile.get(number as usize % WIDTH).copied())
    }

    /// The tiles above that are whole with this one, and at the end those that are not.
    async fn upper(&mut self, edge: &Edge, hashes: &[Hash], size: u64) -> Result<(), Error> {
        let mut edge = edge.clone();
        let mut whole: Vec<Tile> = hashes.iter().flat_map(|hash| edge.push(*hash)).collect();
        if edge.size() == size {
            whole.extend(edge.tiles());
        }
        whole.retain(|tile| tile.place.0 > 0);
        for Tile { place: (level, number), hashes } in whole {
            let stored = self.stored_tile((level, number)).await?;
            if stored != hashes {
                let at = hashes.iter().zip(&stored).position(|(one, other)| one != other);
                let at = at.map_or_else(|| "its length".to_owned(), |at| format!("hash {at}"));
                let detail = format!("tile {number} of level {level}, {at}, does not follow from the level below");
                self.report.find(changed("log_tile", "hashes", detail));
            }
        }
        Ok(())
    }
}

fn grown(edge: &Edge, hashes: &[Hash], size: u64) -> Edge {
    let mut edge = edge.clone();
    let count = usize::try_from(size - edge.size()).unwrap_or(usize::MAX);
    hashes.iter().take(count).for_each(|hash| drop(edge.push(*hash)));
    edge
}
