//! The log of attempts.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

/// Writes a line for each attempt. Clones write to the same file.
#[derive(Clone)]
pub struct Journal {
    entries: mpsc::Sender<Entry>,
}

/// A delivery whose attempt begins, and who waits for its number.
type Entry = (String, oneshot::Sender<io::Result<u32>>);

impl Journal {
    /// Attempts that earlier processes wrote into the file are counted on.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let mut attempts = HashMap::new();
        for line in BufReader::new(&file).lines() {
            if let Some((id, _)) = line?.split_once(' ') {
                *attempts.entry(id.to_owned()).or_default() += 1;
            }
        }
        let (entries, arriving) = mpsc::channel();
        thread::Builder::new().name("journal".into()).spawn(move || write(file, attempts, &arriving))?;
        Ok(Self { entries })
    }

    /// Says which attempt this is, from 1, once its line is on the disk.
    pub async fn begun(&self, id: &str) -> io::Result<u32> {
        let (reply, written) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that writes has ended");
        self.entries.send((id.to_owned(), reply)).map_err(|_| gone(()))?;
        written.await.map_err(|_| gone(()))?
    }
}

/// Lines that come while others are synced share the next sync.
fn write(mut file: File, mut attempts: HashMap<String, u32>, arriving: &mpsc::Receiver<Entry>) {
    while let Ok(first) = arriving.recv() {
        let mut lines = String::new();
        let mut waiting = Vec::new();
        for (id, reply) in std::iter::once(first).chain(arriving.try_iter()) {
            let attempt = attempts.entry(id.clone()).or_default();
            *attempt += 1;
            lines.push_str(&format!("{id} {attempt}\n"));
            waiting.push((*attempt, reply));
        }
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        for (attempt, reply) in waiting {
            let answer = match &written {
                Ok(()) => Ok(attempt),
                Err(fault) => Err(io::Error::new(fault.kind(), fault.to_string())),
            };
            // A run that was stopped meanwhile asks no more.
            drop(reply.send(answer));
        }
    }
}
