//! One shard of a memory store: slots in a row, an index over them, and two lists in order of age.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;

use super::{index::Index, slots::Slots};
use crate::store::{Answer, Settled};

/// The end of a list. No shard holds that many slots.
const NONE: u32 = u32::MAX;
/// Slots looked at for each new claim: all are seen once in half as many claims as there are slots.
const SWEEP: usize = 2;
/// Slots looked at before a completed claim is evicted before its time.
const SWEEP_WHEN_FULL: usize = 16;

/// A key as a shard knows it: half of the digest tells keys apart, and a hash of it finds the place.
#[derive(Debug, Clone, Copy)]
pub(super) struct ShardKey {
    pub(super) digest: [u64; 2],
    pub(super) tag: u32,
}

/// What a shard may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) claims: usize,
    pub(super) body_bytes: usize,
}

/// How a claim went.
pub(super) enum Outcome {
    New { fence: u64, evicted: bool },
    InFlight,
    Acknowledged(Answer),
    Completed(Answer),
    Mismatch { completed: bool },
    NoRoom,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    #[default]
    Free,
    InFlight,
    Acknowledged,
    Completed,
}

#[derive(Default)]
struct Slot {
    digest: [u64; 2],
    /// 64 bits are enough to tell an honest sender's payloads apart, and only its sender can look for a collision.
    fingerprint: u64,
    fence: u64,
    expires: u64,
    tag: u32,
    older: u32,
    newer: u32,
    status: u16,
    phase: Phase,
    has_body: bool,
}

/// Slots from the oldest to the newest, linked through the slots themselves.
#[derive(Clone, Copy)]
struct List {
    oldest: u32,
    newest: u32,
}

const EMPTY: List = List { oldest: NONE, newest: NONE };

pub(super) struct Shard {
    index: Index,
    slots: Slots<Slot>,
    free: u32,
    taken: usize,
    leased: List,
    completed: List,
    /// The slot that is swept next.
    hand: u32,
    /// No claim expires earlier.
    floor: u64,
    /// No claim that this round of the sweep has passed expires earlier.
    seen: u64,
    fence: u64,
    /// By fence, so that the first is the oldest.
    bodies: BTreeMap<u64, Bytes>,
    body_bytes: usize,
}

impl Shard {
    pub(super) const fn new() -> Self {
        Self {
            index: Index::new(),
            slots: Slots::new(),
            free: NONE,
            taken: 0,
            leased: EMPTY,
            completed: EMPTY,
            hand: 0,
            floor: u64::MAX,
            seen: u64::MAX,
            fence: 0,
            bodies: BTreeMap::new(),
            body_bytes: 0,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn claim(
        &mut self,
        key: ShardKey,
        fingerprint: u64,
        now: u64,
        expires: u64,
        room: Room,
    ) -> Outcome {
        let Some(slot) = self.find(key) else { return self.claim_new(key, fingerprint, now, expires, room) };
        let held = &self.slots[slot];
        if held.expires <= now {
            self.unlink(slot);
            self.drop_body(slot);
            let fence = self.fill(slot, key, fingerprint, expires);
            return Outcome::New { fence, evicted: false };
        }
        if held.fingerprint != fingerprint {
            return Outcome::Mismatch { completed: held.phase == Phase::Completed };
        }
        match held.phase {
            Phase::Completed => Outcome::Completed(self.answer(slot)),
            Phase::Acknowledged => Outcome::Acknowledged(self.answer(slot)),
            Phase::InFlight | Phase::Free => Outcome::InFlight,
        }
    }

    fn claim_new(&mut self, key: ShardKey, fingerprint: u64, now: u64, expires: u64, room: Room) -> Outcome {
        self.sweep(SWEEP, now);
        let mut evicted = false;
        if self.taken >= room.claims {
            match self.make_room(now) {
                Some(early) => evicted = early,
                None => return Outcome::NoRoom,
            }
        }
        let slot = self.free_slot();
        self.taken += 1;
        let fence = self.fill(slot, key, fingerprint, expires);
        self.index.insert(key.tag, slot);
        Outcome::New { fence, evicted }
    }

    /// Lets the lease of a claim that is in flight or acknowledged end at `expires`.
    pub(super) fn extend(&mut self, key: ShardKey, fence: u64, expires: u64) -> Settled {
        let Some(slot) = self.held(key, fence) else { return Settled::Stale };
        self.unlink(slot);
        self.slots[slot].expires = expires;
        self.note(expires);
        self.link(slot);
        Settled::Yes
    }

    pub(super) fn acknowledge(
        &mut self,
        key: ShardKey,
        fence: u64,
        answer: Answer,
        expires: u64,
        room: Room,
    ) -> Settled {
        self.settle(key, fence, Phase::Acknowledged, answer, expires, room)
    }

    pub(super) fn complete(
        &mut self,
        key: ShardKey,
        fence: u64,
        answer: Answer,
        expires: u64,
        room: Room,
    ) -> Settled {
        self.settle(key, fence, Phase::Completed, answer, expires, room)
    }

    fn settle(
        &mut self,
        key: ShardKey,
        fence: u64,
        phase: Phase,
        answer: Answer,
        expires: u64,
        room: Room,
    ) -> Settled {
        let Some(slot) = self.held(key, fence) else { return Settled::Stale };
        self.unlink(slot);
        self.drop_body(slot);
        let has_body = answer.body.is_some_and(|body| self.keep_body(fence, &body, room));
        self.note(expires);
        let held = &mut self.slots[slot];
        (held.phase, held.expires) = (phase, expires);
        (held.status, held.has_body) = (answer.status.as_u16(), has_body);
        self.link(slot);
        Settled::Yes
    }

    pub(super) fn release(&mut self, key: ShardKey, fence: u64) -> Settled {
        let Some(slot) = self.held(key, fence) else { return Settled::Stale };
        self.remove(slot);
        Settled::Yes
    }

    /// The slot of the claim with this fence, while it is unsettled. Whether its lease has ended does not matter:
    /// as long as it is here, nobody else has had it.
    fn held(&self, key: ShardKey, fence: u64) -> Option<u32> {
        let slot = self.find(key)?;
        let held = &self.slots[slot];
        (held.fence == fence && matches!(held.phase, Phase::InFlight | Phase::Acknowledged)).then_some(slot)
    }

    fn find(&self, key: ShardKey) -> Option<u32> {
        let place = self.index.find(key.tag, |slot| self.slots[slot].digest == key.digest)?;
        Some(self.index.slot(place))
    }

    fn answer(&self, slot: u32) -> Answer {
        let held = &self.slots[slot];
        let body = if held.has_body { self.bodies.get(&held.fence).cloned() } else { None };
        Answer { status: StatusCode::from_u16(held.status).unwrap_or(StatusCode::OK), body }
    }

    /// Frees one slot: an expired one if one is found, else the oldest completed one. Says whether that was before
    /// its time; `None` when all are in flight.
    fn make_room(&mut self, now: u64) -> Option<bool> {
        for oldest in [self.leased.oldest, self.completed.oldest] {
            if self.is_expired(oldest, now) {
                self.remove(oldest);
                return Some(false);
            }
        }
        // Claims kept for different times expire out of order.
        let taken = self.taken;
        self.sweep(SWEEP_WHEN_FULL, now);
        if self.taken < taken {
            return Some(false);
        }
        let oldest = self.completed.oldest;
        if oldest == NONE {
            return None;
        }
        self.remove(oldest);
        Some(true)
    }

    /// Looks at the next few slots in their order in memory and frees the expired ones, once there can be any.
    fn sweep(&mut self, steps: usize, now: u64) {
        for _ in 0..steps.min(self.slots.len()) {
            if now < self.floor {
                return;
            }
            if self.is_expired(self.hand, now) {
                self.remove(self.hand);
            } else if self.slots[self.hand].phase != Phase::Free {
                self.seen = self.seen.min(self.slots[self.hand].expires);
            }
            self.hand += 1;
            if self.hand as usize == self.slots.len() {
                (self.hand, self.floor, self.seen) = (0, self.seen, u64::MAX);
            }
        }
    }

    /// A claim expires then.
    fn note(&mut self, expires: u64) {
        self.floor = self.floor.min(expires);
        self.seen = self.seen.min(expires);
    }

    fn is_expired(&self, slot: u32, now: u64) -> bool {
        self.slots.get(slot).is_some_and(|held| held.phase != Phase::Free && held.expires <= now)
    }

    /// Puts a claim in flight into an unlinked slot.
    fn fill(&mut self, slot: u32, key: ShardKey, fingerprint: u64, expires: u64) -> u64 {
        self.fence += 1;
        self.note(expires);
        self.slots[slot] = Slot {
            digest: key.digest,
            fingerprint,
            fence: self.fence,
            expires,
            tag: key.tag,
            older: NONE,
            newer: NONE,
            status: 0,
            phase: Phase::InFlight,
            has_body: false,
        };
        self.link(slot);
        self.fence
    }

    fn free_slot(&mut self) -> u32 {
        if self.free != NONE {
            let slot = self.free;
            self.free = self.slots[slot].newer;
            return slot;
        }
        self.slots.push()
    }

    fn remove(&mut self, slot: u32) {
        self.unlink(slot);
        self.drop_body(slot);
        let tag = self.slots[slot].tag;
        if let Some(place) = self.index.find(tag, |candidate| candidate == slot) {
            self.index.remove(place);
        }
        let freed = &mut self.slots[slot];
        freed.phase = Phase::Free;
        freed.newer = self.free;
        self.free = slot;
        self.taken -= 1;
    }

    /// Keeps an answer's body and drops the oldest ones that no longer fit; `false` when it is too large alone.
    fn keep_body(&mut self, fence: u64, body: &Bytes, room: Room) -> bool {
        if body.len() > room.body_bytes {
            return false;
        }
        while self.body_bytes + body.len() > room.body_bytes {
            let Some((_, oldest)) = self.bodies.pop_first() else { break };
            self.body_bytes -= oldest.len();
        }
        self.body_bytes += body.len();
        // A copy: the bytes may be a small part of a large buffer.
        self.bodies.insert(fence, Bytes::copy_from_slice(body));
        true
    }

    fn drop_body(&mut self, slot: u32) {
        let held = &mut self.slots[slot];
        if held.has_body {
            held.has_body = false;
            if let Some(body) = self.bodies.remove(&held.fence) {
                self.body_bytes -= body.len();
            }
        }
    }

    const fn list(&mut self, phase: Phase) -> &mut List {
        match phase {
            Phase::Completed => &mut self.completed,
            Phase::Free | Phase::InFlight | Phase::Acknowledged => &mut self.leased,
        }
    }

    fn link(&mut self, slot: u32) {
        let list = self.list(self.slots[slot].phase);
        let older = list.newest;
        list.newest = slot;
        if older == NONE {
            list.oldest = slot;
        } else {
            self.slots[older].newer = slot;
        }
        let linked = &mut self.slots[slot];
        (linked.older, linked.newer) = (older, NONE);
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { older, newer, phase, .. } = self.slots[slot];
        let list = self.list(phase);
        if older == NONE {
            list.oldest = newer;
        }
        if newer == NONE {
            list.newest = older;
        }
        if let Some(neighbour) = self.slots.get_mut(older) {
            neighbour.newer = newer;
        }
        if let Some(neighbour) = self.slots.get_mut(newer) {
            neighbour.older = older;
        }
    }
}
