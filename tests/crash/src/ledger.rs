//! What was acknowledged, on the disk.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
};

use tokio::sync::oneshot;

/// A file of ids. Clones write to the same one.
#[derive(Clone)]
pub struct Ledger {
    path: PathBuf,
    entries: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

impl Ledger {
    pub fn new(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create_new(true).open(path)?;
        let (entries, arriving) = mpsc::channel();
        thread::spawn(move || write(file, &arriving));
        Ok(Self { path: path.to_owned(), entries })
    }

    /// Ends once the id is synced; until then it does not count. Ids that come together share a sync.
    pub async fn acknowledged(&self, id: &str) {
        let (reply, written) = oneshot::channel();
        self.entries.send((id.to_owned(), reply)).expect("the thread writes while there is a handle");
        written.await.expect("the ledger is written");
    }

    pub fn ids(&self) -> io::Result<Vec<String>> {
        Ok(std::fs::read_to_string(&self.path)?.lines().map(str::to_owned).collect())
    }
}

fn write(mut file: File, arriving: &mpsc::Receiver<(String, oneshot::Sender<()>)>) {
    while let Ok(first) = arriving.recv() {
        let entries: Vec<_> = std::iter::once(first).chain(arriving.try_iter()).collect();
        let lines: String = entries.iter().flat_map(|(id, _)| [id, "\n"]).collect();
        file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()).expect("the ledger is written");
        for (_, reply) in entries {
            // Nobody waits any more once the test was interrupted.
            let _ = reply.send(());
        }
    }
}
