//! The calls by which this process writes and syncs files without SQLite, put in place of the C library's, so that the
//! simulated disk learns of them too.
//!
//! The linker takes these for the program itself, its standard library included. Each does what the system does, and tells
//! the disk of it when the file is one that the disk follows.

use std::{cell::Cell, fs, slice};

use libc::{c_int, c_void, off_t, size_t, ssize_t};

use crate::shim;

thread_local! {
    /// Whether the call comes from SQLite, of which the disk hears from the shim.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// Runs what is told to the disk otherwise.
pub(crate) fn within<T>(work: impl FnOnce() -> T) -> T {
    let before = WITHIN.replace(true);
    let done = work();
    WITHIN.set(before);
    done
}

/// The file's path, for files that may be a database's.
fn path(descriptor: c_int) -> Option<String> {
    if descriptor <= 2 || WITHIN.get() {
        return None;
    }
    let path = fs::read_link(format!("/proc/self/fd/{descriptor}")).ok()?;
    path.into_os_string().into_string().ok().filter(|path| path.contains(".db"))
}

fn failed() -> c_int {
    // SAFETY: the place of this thread's error is always valid.
    unsafe { *libc::__errno_location() = libc::EIO };
    -1
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(descriptor: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: the caller's own arguments.
    let system = || unsafe { libc::syscall(libc::SYS_write, descriptor, bytes, length) as ssize_t };
    let Some(path) = path(descriptor) else { return system() };
    // SAFETY: a descriptor may be anything.
    let offset: off_t = unsafe { libc::lseek(descriptor, 0, libc::SEEK_CUR) };
    // SAFETY: the caller says that so many bytes can be read.
    let content = unsafe { slice::from_raw_parts(bytes.cast::<u8>(), length) };
    shim::write_beside(descriptor, &path, usize::try_from(offset).unwrap_or(0), content, system)
        .unwrap_or_else(|| failed() as ssize_t)
}

/// # Safety
/// As the C library's.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fdatasync(descriptor: c_int) -> c_int {
    let Some(path) = path(descriptor) else {
        // SAFETY: the caller's own argument.
        return unsafe { libc::syscall(libc::SYS_fdatasync, descriptor) as c_int };
    };
    if shim::sync_beside(descriptor, &path) { 0 } else { failed() }
}
