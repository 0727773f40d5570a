//! Slots in pieces of a fixed size, so that a store that grows copies none of them.

use std::ops::{Index, IndexMut};

/// Slots in a piece: few enough that a store of a few claims is small.
const PIECE: usize = 64;

pub(super) struct Slots<T> {
    pieces: Vec<Box<[T]>>,
    length: usize,
}

impl<T: Default> Slots<T> {
    pub(super) const fn new() -> Self {
        Self { pieces: Vec::new(), length: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// The number of a new slot.
    pub(super) fn push(&mut self) -> u32 {
        if self.length == self.pieces.len() * PIECE {
            self.pieces.push((0..PIECE).map(|_| T::default()).collect());
        }
        self.length += 1;
        (self.length - 1) as u32
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.pieces.get(slot as usize / PIECE).map(|piece| &piece[slot as usize % PIECE])
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.pieces.get_mut(slot as usize / PIECE).map(|piece| &mut piece[slot as usize % PIECE])
    }
}

impl<T> Index<u32> for Slots<T> {
    type Output = T;

    fn index(&self, slot: u32) -> &T {
        &self.pieces[slot as usize / PIECE][slot as usize % PIECE]
    }
}

impl<T> IndexMut<u32> for Slots<T> {
    fn index_mut(&mut self, slot: u32) -> &mut T {
        &mut self.pieces[slot as usize / PIECE][slot as usize % PIECE]
    }
}
