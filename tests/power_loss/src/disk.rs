//! A disk that forgets: what was written and not synced may be there after a power cut, or not, sector by sector.
//!
//! Syncs may be made to fail as they do under Linux. What such a sync should have written counts as written from then on:
//! every process goes on reading it, and no later sync writes it, until something is written to the same page again.
//! Each file that was open then is told of the failure once, at its next sync; one that is opened later never hears of it.

use std::{collections::HashMap, fs, io, mem, path::Path};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// What the system writes whole: a page that was written to in any part.
const PAGE: usize = 4096;

/// The files of the disk, by their path.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: HashMap<String, Image>,
    /// How likely a sync is to fail.
    failing: f64,
    chance: fastrand::Rng,
    pub(crate) syncs: Syncs,
}

/// How many there have been.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Syncs {
    pub(crate) log: u64,
    pub(crate) database: u64,
    pub(crate) failed: u64,
}

#[derive(Debug, Default)]
struct Image {
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What is read while the power is on.
    cached: Vec<u8>,
    /// What has happened since the last sync, in order.
    pending: Vec<Change>,
    /// Syncs that have failed.
    failures: u64,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl Disk {
    /// A disk whose syncs fail this often.
    pub(crate) fn failing(share: f64, seed: u64) -> Self {
        Self { failing: share, chance: fastrand::Rng::with_seed(seed), ..Self::default() }
    }

    /// Begins to follow a file, whose content so far is durable. Returns the failures that it is not told of any more.
    pub(crate) fn open(&mut self, path: &str) -> u64 {
        let image = self.files.entry(path.to_owned()).or_insert_with(|| {
            let durable = fs::read(path).unwrap_or_default();
            Image { cached: durable.clone(), durable, ..Image::default() }
        });
        image.failures
    }

    /// Whether the file is followed.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    pub(crate) fn write(&mut self, path: &str, offset: usize, bytes: &[u8]) {
        if let Some(image) = self.files.get_mut(path) {
            put(&mut image.cached, offset, bytes);
            let start = offset - offset % PAGE;
            let end = (offset + bytes.len()).next_multiple_of(PAGE).min(image.cached.len());
            image.pending.push(Change::Write { offset: start, bytes: image.cached[start..end].to_vec() });
        }
    }

    pub(crate) fn truncate(&mut self, path: &str, length: usize) {
        if let Some(image) = self.files.get_mut(path) {
            image.cached.resize(length, 0);
            image.pending.push(Change::Truncate { length });
        }
    }

    /// Syncs a file for one that knows of so many failures. Returns whether it succeeds.
    pub(crate) fn sync(&mut self, path: &str, known: &mut u64) -> bool {
        let Some(image) = self.files.get_mut(path) else { return true };
        if self.failing > 0.0 && self.chance.f64() < self.failing {
            image.forget(&mut self.chance);
            self.syncs.failed += 1;
        } else {
            image.flush();
            let syncs = if path.ends_with("-wal") { &mut self.syncs.log } else { &mut self.syncs.database };
            *syncs += 1;
        }
        mem::replace(known, image.failures) == image.failures
    }

    /// Whether the process is killed at a sync that has just failed.
    pub(crate) fn kills(&mut self) -> bool {
        self.failing > 0.0 && self.chance.u8(..4) == 0
    }

    /// Changes that a power cut may take back. Cutting the log off is none: it is done once all of it has been copied and
    /// synced, so a log that is whole again says the same again.
    pub(crate) fn unsynced(&self) -> usize {
        let counts = |path: &str, change: &Change| {
            !(path.ends_with("-wal") && matches!(change, Change::Truncate { length: 0 }))
        };
        self.files
            .iter()
            .map(|(path, image)| image.pending.iter().filter(|change| counts(path, change)).count())
            .sum()
    }

    pub(crate) fn delete(&mut self, path: &str) {
        self.files.remove(path);
    }

    /// Writes what a power cut leaves into `directory`: all that was synced, and of the rest what chance has written
    /// by then.
    pub(crate) fn cut(&self, directory: &Path, chance: &mut fastrand::Rng) -> io::Result<()> {
        for (path, image) in &self.files {
            let name = Path::new(path).file_name().unwrap_or_default();
            fs::write(directory.join(name), image.after_cut(chance))?;
        }
        Ok(())
    }
}

impl Image {
    fn flush(&mut self) {
        for change in mem::take(&mut self.pending) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::Truncate { length } => self.durable.resize(length, 0),
            }
        }
    }

    /// A sync that fails: some sectors have been written, and the others never are. Lengths are the file system's own, and
    /// it keeps them.
    fn forget(&mut self, chance: &mut fastrand::Rng) {
        self.failures += 1;
        self.durable = self.partly(chance, true);
        self.pending.clear();
    }

    fn after_cut(&self, chance: &mut fastrand::Rng) -> Vec<u8> {
        self.partly(chance, false)
    }

    /// What is there once some of what is pending has been written.
    fn partly(&self, chance: &mut fastrand::Rng, truncated: bool) -> Vec<u8> {
        let mut content = self.durable.clone();
        // A cut finds the disk busy with nothing, with all of it, or in the middle of it.
        let eager = [0.0, 0.5, 0.95, 1.0][chance.usize(..4)];
        // A sector holds what was written to it up to some moment; later writes to the same sector are lost.
        let mut ends: HashMap<usize, bool> = HashMap::new();
        for change in &self.pending {
            match change {
                Change::Truncate { length } => {
                    if truncated || chance.f64() < eager {
                        content.resize(*length, 0);
                    }
                }
                Change::Write { offset, bytes } => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let at = offset + done;
                        let part = (SECTOR - at % SECTOR).min(bytes.len() - done);
                        let ended = ends.entry(at / SECTOR).or_insert(false);
                        *ended |= chance.f64() >= eager;
                        if !*ended {
                            put(&mut content, at, &bytes[done..done + part]);
                        }
                        done += part;
                    }
                }
            }
        }
        content
    }
}

fn put(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(disk: &Disk, seed: u64) -> Vec<u8> {
        disk.files["f"].after_cut(&mut fastrand::Rng::with_seed(seed))
    }

    #[test]
    fn what_was_synced_is_there_after_every_cut() {
        let mut disk = Disk::default();
        disk.open("f");
        disk.write("f", 0, &[1; 2000]);
        assert!(disk.sync("f", &mut 0));
        for seed in 0..100 {
            assert_eq!(written(&disk, seed), [1; 2000]);
        }
    }

    #[test]
    fn what_was_not_synced_is_there_whole_torn_or_not_at_all() {
        let mut disk = Disk::default();
        disk.open("f");
        disk.write("f", 0, &[1; 2048]);
        assert!(disk.sync("f", &mut 0));
        disk.write("f", 0, &[2; 2048]);
        let after: Vec<usize> =
            (0..200).map(|seed| written(&disk, seed).iter().filter(|&&byte| byte == 2).count()).collect();
        assert!(after.iter().all(|count| count % SECTOR == 0), "sectors are whole");
        for whole in [0, SECTOR, 2 * SECTOR, 2048] {
            assert!(after.contains(&whole), "{whole} bytes are written in some cut");
        }
    }
    /// A page of ones that are durable, and of twos none of which a failed sync has written.
    fn forgetful() -> (Disk, u64) {
        let one = |seed| {
            let mut disk = Disk::failing(0.0, seed);
            let mut known = disk.open("f");
            disk.write("f", 0, &[1; PAGE]);
            assert!(disk.sync("f", &mut known));
            disk.write("f", 0, &[2; PAGE]);
            disk.failing = 1.0;
            assert!(!disk.sync("f", &mut known));
            disk.failing = 0.0;
            (written(&disk, 0) == [1; PAGE]).then_some((disk, known))
        };
        (0..100).find_map(one).expect("some failures write nothing")
    }

    #[test]
    fn what_a_failed_sync_has_not_written_is_written_by_no_later_one_but_with_its_page() {
        let (mut disk, mut known) = forgetful();
        assert!(disk.sync("f", &mut known), "is told once");
        assert_eq!(written(&disk, 0), [1; PAGE], "nothing was left to write");
        disk.write("f", 7, &[3]);
        assert!(disk.sync("f", &mut known));
        let mut whole = [2; PAGE];
        whole[7] = 3;
        assert_eq!(written(&disk, 0), whole, "a page goes out whole");
    }

    #[test]
    fn whoever_had_the_file_open_is_told_of_a_failure_and_nobody_else() {
        let (mut disk, _) = forgetful();
        let mut opened_later = disk.open("f");
        assert!(disk.sync("f", &mut opened_later));
        assert!(!disk.sync("f", &mut 0), "had it open before");
    }
}
