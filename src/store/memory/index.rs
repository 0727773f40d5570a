//! From a key's hash to its slot: open addressing with linear probing, nine bytes a place.
//!
//! A place holds 32 bits of the hash beside the slot's number, so that nearly every probe is decided without
//! touching the slot, and growing needs no slot at all. A byte of each place stands apart: most keys are new, and that a key
//! is not there is told by these bytes alone, which for a million claims are 2 MB where the places are 16.

/// At most 5/8 of the places are taken: beyond, probes for absent keys become long.
const LOAD: (usize, usize) = (5, 8);
const FIRST_PLACES: usize = 16;
/// The mark of a place that is not taken.
const EMPTY: u8 = 0;

pub(super) struct Index {
    /// Of each place the mark of its tag, or [`EMPTY`].
    marks: Vec<u8>,
    places: Vec<u64>,
    taken: usize,
}

impl Index {
    pub(super) const fn new() -> Self {
        Self { marks: Vec::new(), places: Vec::new(), taken: 0 }
    }

    /// The place of the entry with this tag for whose slot `is_it` says yes.
    pub(super) fn find(&self, tag: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        if self.marks.is_empty() {
            return None;
        }
        let sought = mark_of(tag);
        let mut place = self.home(tag);
        loop {
            let mark = self.marks[place];
            if mark == EMPTY {
                return None;
            }
            if mark == sought {
                let entry = self.places[place];
                if tag_of(entry) == tag && is_it(slot_of(entry)) {
                    return Some(place);
                }
            }
            place = self.next(place);
        }
    }

    pub(super) fn slot(&self, place: usize) -> u32 {
        slot_of(self.places[place])
    }

    /// Adds an entry that is not there yet.
    pub(super) fn insert(&mut self, tag: u32, slot: u32) {
        if (self.taken + 1) * LOAD.1 > self.marks.len() * LOAD.0 {
            self.grow();
        }
        self.put(entry(tag, slot));
        self.taken += 1;
    }

    /// Takes an entry out and moves those behind it up, so that no tombstones gather.
    pub(super) fn remove(&mut self, place: usize) {
        let mut hole = place;
        let mut place = self.next(place);
        while self.marks[place] != EMPTY {
            let home = self.home(tag_of(self.places[place]));
            let mask = self.marks.len() - 1;
            let from_home = place.wrapping_sub(home) & mask;
            let from_hole = place.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.marks[hole] = self.marks[place];
                self.places[hole] = self.places[place];
                hole = place;
            }
            place = self.next(place);
        }
        self.marks[hole] = EMPTY;
        self.taken -= 1;
    }

    fn put(&mut self, entry: u64) {
        let mut place = self.home(tag_of(entry));
        while self.marks[place] != EMPTY {
            place = self.next(place);
        }
        self.marks[place] = mark_of(tag_of(entry));
        self.places[place] = entry;
    }

    fn grow(&mut self) {
        let places = (self.marks.len() * 2).max(FIRST_PLACES);
        let marks = std::mem::replace(&mut self.marks, vec![EMPTY; places]);
        let old = std::mem::replace(&mut self.places, vec![0; places]);
        for (_, entry) in marks.into_iter().zip(old).filter(|(mark, _)| *mark != EMPTY) {
            self.put(entry);
        }
    }

    fn home(&self, tag: u32) -> usize {
        tag as usize & (self.marks.len() - 1)
    }

    fn next(&self, place: usize) -> usize {
        (place + 1) & (self.marks.len() - 1)
    }
}

/// Of the tag's bits those that choose no home, and one that tells it from [`EMPTY`].
const fn mark_of(tag: u32) -> u8 {
    (tag >> 24) as u8 | 1
}

const fn entry(tag: u32, slot: u32) -> u64 {
    (tag as u64) << 32 | slot as u64
}

const fn tag_of(entry: u64) -> u32 {
    (entry >> 32) as u32
}

const fn slot_of(entry: u64) -> u32 {
    entry as u32
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Few distinct tags, so that runs of collisions form, wrap around the end and are taken apart.
        #[test]
        fn it_finds_exactly_what_a_map_finds(steps in vec((any::<bool>(), 0_u32..40, 0_u32..6), 0..400)) {
            let mut index = Index::new();
            let mut model: HashMap<u32, u32> = HashMap::new();
            for (insert, slot, tag) in steps {
                // A slot keeps one tag over its life; tags sit at the table's end to make runs wrap.
                let tag = *model.get(&slot).unwrap_or(&(tag.wrapping_sub(3)));
                let found = index.find(tag, |candidate| candidate == slot);
                prop_assert_eq!(found.is_some(), model.contains_key(&slot));
                match (insert, found) {
                    (true, None) => {
                        index.insert(tag, slot);
                        model.insert(slot, tag);
                    }
                    (false, Some(place)) => {
                        index.remove(place);
                        model.remove(&slot);
                    }
                    _ => {}
                }
                for (slot, tag) in &model {
                    let place = index.find(*tag, |candidate| candidate == *slot);
                    prop_assert_eq!(place.map(|place| index.slot(place)), Some(*slot));
                }
            }
            prop_assert_eq!(index.taken, model.len());
        }
    }
}
