//! A disk of a few MiB, which a test may fill.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::scratch::Scratch;

pub(crate) struct SmallDisk {
    scratch: Scratch,
}

impl SmallDisk {
    /// A file system in memory of so many MiB; `None` where this process may not mount one.
    pub(crate) fn mount(mebibytes: u32) -> Option<Self> {
        let scratch = Scratch::new();
        let root = scratch.file("disk");
        fs::create_dir(&root).expect("a directory is made");
        let size = format!("size={mebibytes}m,mode=777");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&root)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        mounted.then_some(Self { scratch })
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.scratch.file("disk")
    }

    /// A directory on it that the account of Postgres owns, and may reach.
    #[cfg(feature = "postgres")]
    pub(crate) fn directory_for_postgres(&self, name: &str) -> PathBuf {
        let directory = self.path().join(name);
        fs::create_dir(&directory).expect("a directory is made");
        super::postgres::give_away(&directory);
        directory
    }

    /// Leaves no byte free, also of what has become free since it was filled.
    pub(crate) fn fill(&self) {
        fill(&self.path().join("filler"));
    }

    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path().join("filler")).expect("it was filled");
    }

    /// Lets nobody write any more; fails where a file is open for writing.
    #[cfg(feature = "sqlite")]
    pub(crate) fn make_read_only(&self) {
        let path = self.path();
        let status =
            Command::new("mount").args(["-o", "remount,ro"]).arg(&path).status().expect("mount runs");
        assert!(status.success(), "{} became read-only", path.display());
    }
}

fn fill(path: &Path) {
    let mut file = fs::File::options().create(true).append(true).open(path).expect("a file is made");
    for size in [64 * 1024, 4096, 512, 1] {
        let bytes = vec![0; size];
        while file.write_all(&bytes).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that was just killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(self.path()).stderr(Stdio::null()).status();
    }
}
