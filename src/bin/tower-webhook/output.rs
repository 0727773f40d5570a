//! The only place that writes.

use std::{
    fmt,
    io::{self, Write},
};

use serde_json::Value;

use crate::fault::Fault;

/// Writes results to the standard output and progress to the standard error.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// A result: `text` for people, `json` for programs.
    pub fn result(&self, json: &Value, text: &str) -> Result<(), Fault> {
        if self.json { self.raw(format!("{json}\n").as_bytes()) } else { self.raw(text.as_bytes()) }
    }

    /// Bytes as they are. Who has read enough may close the pipe.
    pub fn raw(&self, bytes: &[u8]) -> Result<(), Fault> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Fault::Output(error)),
            _ => Ok(()),
        }
    }

    /// What happens meanwhile. Nobody may be there to see it.
    pub fn progress(&self, line: fmt::Arguments<'_>) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
}
