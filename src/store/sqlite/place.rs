//! Whether the file is still the one that was opened.
//!
//! SQLite goes on writing to a file that was moved, removed or replaced, and a restart finds another one, or none.

use std::{
    io,
    path::{self, Path},
    sync::Arc,
};

use super::{doubt::Mark, error::OpenError};

/// Where the database is, and which file that was. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: Arc<Path>,
    identity: Identity,
    mark: Mark,
}

/// Device and number.
#[cfg(unix)]
type Identity = (u64, u64);

/// An open file can neither be moved nor removed.
#[cfg(not(unix))]
type Identity = ();

#[cfg(unix)]
fn identity(path: &Path) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt;

    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(not(unix))]
fn identity(_path: &Path) -> io::Result<Identity> {
    Ok(())
}

impl Place {
    /// Remembers the file that is there now, and where it is even if the process changes its directory.
    pub(super) fn of(path: &Path) -> Result<Self, OpenError> {
        let found = || {
            let path = path::absolute(path)?;
            Ok::<_, io::Error>(Self { identity: identity(&path)?, mark: Mark::of(&path)?, path: path.into() })
        };
        found().map_err(|_| OpenError::Replaced { path: path.into() })
    }

    /// Where other processes are told of a sync that has failed, and tell of it.
    pub(super) const fn mark(&self) -> &Mark {
        &self.mark
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        match identity(&self.path) {
            Ok(identity) if identity == self.identity => Ok(()),
            _ => Err(OpenError::Replaced { path: self.path.to_path_buf() }),
        }
    }
}
