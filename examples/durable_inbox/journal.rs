//! The log of attempts.

use std::{
    fs::File,
    io::{self, Write},
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

/// A line, and who waits for it.
type Entry = (String, oneshot::Sender<io::Result<()>>);

impl Journal {
    /// Writes behind what earlier processes wrote.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        let (entries, arriving) = mpsc::channel();
        thread::Builder::new().name("journal".into()).spawn(move || write(file, &arriving))?;
        Ok(Self { entries })
    }

    /// Ends once the line is on the disk.
    pub async fn write(&self, line: String) -> io::Result<()> {
        let (reply, written) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that writes has ended");
        self.entries.send((line, reply)).map_err(|_| gone(()))?;
        written.await.map_err(|_| gone(()))?
    }
}

/// Lines that come while others are synced share the next sync.
fn write(mut file: File, arriving: &mpsc::Receiver<Entry>) {
    while let Ok(first) = arriving.recv() {
        let (lines, waiting): (String, Vec<_>) = std::iter::once(first).chain(arriving.try_iter()).unzip();
        let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data());
        for reply in waiting {
            let answer = match &written {
                Ok(()) => Ok(()),
                Err(fault) => Err(io::Error::new(fault.kind(), fault.to_string())),
            };
            // A run that was stopped meanwhile asks no more.
            drop(reply.send(answer));
        }
    }
}
