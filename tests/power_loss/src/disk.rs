//! A disk that forgets: what was written and not synced may be there after a power cut, or not, sector by sector.

use std::{collections::HashMap, fs, io, path::Path};

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// The files of the disk, by their path.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    files: HashMap<String, Image>,
    pub(crate) log_syncs: u64,
    pub(crate) database_syncs: u64,
}

#[derive(Debug, Default)]
struct Image {
    /// What a power cut leaves for certain.
    durable: Vec<u8>,
    /// What has happened since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { length: usize },
}

impl Disk {
    /// Begins to follow a file, whose content so far is durable.
    pub(crate) fn open(&mut self, path: &str) {
        self.files
            .entry(path.to_owned())
            .or_insert_with(|| Image { durable: fs::read(path).unwrap_or_default(), pending: Vec::new() });
    }

    pub(crate) fn write(&mut self, path: &str, offset: usize, bytes: &[u8]) {
        if let Some(image) = self.files.get_mut(path) {
            image.pending.push(Change::Write { offset, bytes: bytes.to_vec() });
        }
    }

    pub(crate) fn truncate(&mut self, path: &str, length: usize) {
        if let Some(image) = self.files.get_mut(path) {
            image.pending.push(Change::Truncate { length });
        }
    }

    pub(crate) fn sync(&mut self, path: &str) {
        if let Some(image) = self.files.get_mut(path) {
            let syncs = if path.ends_with("-wal") { &mut self.log_syncs } else { &mut self.database_syncs };
            *syncs += 1;
            for change in std::mem::take(&mut image.pending) {
                match change {
                    Change::Write { offset, bytes } => put(&mut image.durable, offset, &bytes),
                    Change::Truncate { length } => image.durable.resize(length, 0),
                }
            }
        }
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
    fn after_cut(&self, chance: &mut fastrand::Rng) -> Vec<u8> {
        let mut content = self.durable.clone();
        // A cut finds the disk busy with nothing, with all of it, or in the middle of it.
        let eager = [0.0, 0.5, 0.95, 1.0][chance.usize(..4)];
        // A sector holds what was written to it up to some moment; later writes to the same sector are lost.
        let mut ends: HashMap<usize, bool> = HashMap::new();
        for change in &self.pending {
            match change {
                Change::Truncate { length } => {
                    if chance.f64() < eager {
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
        disk.sync("f");
        for seed in 0..100 {
            assert_eq!(written(&disk, seed), [1; 2000]);
        }
    }

    #[test]
    fn what_was_not_synced_is_there_whole_torn_or_not_at_all() {
        let mut disk = Disk::default();
        disk.open("f");
        disk.write("f", 0, &[1; 2048]);
        disk.sync("f");
        disk.write("f", 0, &[2; 2048]);
        let after: Vec<usize> =
            (0..200).map(|seed| written(&disk, seed).iter().filter(|&&byte| byte == 2).count()).collect();
        assert!(after.iter().all(|count| count % SECTOR == 0), "sectors are whole");
        for whole in [0, SECTOR, 2 * SECTOR, 2048] {
            assert!(after.contains(&whole), "{whole} bytes are written in some cut");
        }
    }
}
