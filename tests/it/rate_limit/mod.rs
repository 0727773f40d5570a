//! Quotas: what passes, by what it is counted, and what the sender is told.

mod answers;
mod floods;
mod keys;
