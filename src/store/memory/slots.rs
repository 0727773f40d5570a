//! Slots in pieces of a fixed size, so that a store that grows copies none of them.

use std::ops::{Index, IndexMut};

/// Slots in a piece: so many that pieces are rare, because an allocator that gives out a large one first tidies up its small
/// ones. What of a piece is not used yet takes no memory.
const PIECE: usize = 2048;

pub(super) struct Slots<T> {
    pieces: Vec<Vec<T>>,
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
        match self.pieces.last_mut() {
            Some(piece) if piece.len() < PIECE => piece.push(T::default()),
            _ => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(T::default());
                self.pieces.push(piece);
            }
        }
        self.length += 1;
        (self.length - 1) as u32
    }

    pub(super) fn get(&self, slot: u32) -> Option<&T> {
        self.pieces.get(slot as usize / PIECE)?.get(slot as usize % PIECE)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.pieces.get_mut(slot as usize / PIECE)?.get_mut(slot as usize % PIECE)
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
