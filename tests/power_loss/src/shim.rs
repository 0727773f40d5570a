//! The simulated disk as a virtual file system of SQLite. It passes every call on to the system's own, so that the process
//! itself sees what it wrote, and tells [`Disk`] of all that a power cut would matter to.
//!
//! # Safety
//!
//! SQLite calls these functions under the contract of its `sqlite3_vfs` and `sqlite3_io_methods`: a file argument points
//! to `szOsFile` bytes that `open` has filled in and `close` has not yet been called for; buffers are as long as
//! their lengths say; names are C strings that outlive the file. `unsafe` blocks below rely on that and on nothing else.

use std::{
    collections::BTreeMap,
    ffi::{CStr, c_char, c_int, c_void},
    mem,
    path::Path,
    ptr, slice,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering},
    },
    thread,
    time::Duration,
};

use rusqlite::ffi::{
    SQLITE_ERROR, SQLITE_IOERR, SQLITE_IOERR_FSYNC, SQLITE_OK, SQLITE_OPEN_MAIN_DB, SQLITE_OPEN_MAIN_JOURNAL,
    SQLITE_OPEN_WAL, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs, sqlite3_vfs_find,
    sqlite3_vfs_register,
};

use crate::{
    disk::{Disk, Syncs},
    system::within,
};

static DISK: Mutex<Option<Disk>> = Mutex::new(None);
static CUT: AtomicBool = AtomicBool::new(false);
/// What writing and syncing answer instead of doing it; 0 is nothing.
static WRITE_FAULT: AtomicI32 = AtomicI32::new(SQLITE_OK);
static SYNC_FAULT: AtomicI32 = AtomicI32::new(SQLITE_OK);
/// What syncing a database answers, while its log can be synced.
static DATABASE_SYNC_FAULT: AtomicI32 = AtomicI32::new(SQLITE_OK);
/// Whether the process has been killed, as far as its files can tell.
static KILLED: AtomicBool = AtomicBool::new(false);
/// The system's own, which never moves.
static SYSTEM: AtomicPtr<sqlite3_vfs> = AtomicPtr::new(ptr::null_mut());

/// What SQLite takes for a file. The system's own file follows it in the same memory.
#[repr(C)]
struct File {
    base: sqlite3_file,
    /// Null where a power cut does not matter to the file.
    path: *const c_char,
    /// The failures of the file's syncs that were before it was opened, or that it has been told of.
    known: u64,
}

/// Makes the simulated disk the one that this process's databases are on.
pub(crate) fn install(disk: Disk) {
    *lock() = Some(disk);
    // SAFETY: a null name asks for the default, which SQLite always has on systems with files.
    let system = unsafe { sqlite3_vfs_find(ptr::null()) };
    assert!(!system.is_null(), "SQLite has no file system");
    SYSTEM.store(system, Ordering::SeqCst);
    // SAFETY: SQLite's own structure is plain data and valid for reads.
    let mut shim = unsafe { ptr::read(system) };
    shim.szOsFile += size();
    shim.pNext = ptr::null_mut();
    shim.zName = c"power-loss".as_ptr();
    shim.xOpen = Some(open);
    shim.xDelete = Some(delete);
    // SAFETY: the structure is leaked, so it lives as long as the process, as SQLite asks.
    let registered = unsafe { sqlite3_vfs_register(Box::into_raw(Box::new(shim)), 1) };
    assert_eq!(registered, SQLITE_OK, "SQLite takes the simulated disk");
}

/// Cuts the power: nothing is written or synced from now on, and what the disk holds goes into `directory`. Returns how
/// many syncs there had been.
pub(crate) fn cut(directory: &Path, chance: &mut fastrand::Rng) -> std::io::Result<Syncs> {
    let disk = lock();
    CUT.store(true, Ordering::SeqCst);
    let Some(disk) = &*disk else { return Ok(Syncs::default()) };
    within(|| disk.cut(directory, chance))?;
    Ok(disk.syncs)
}

/// Has every write answer with this code of SQLite, until it is [`SQLITE_OK`] again.
pub(crate) fn fail_writes(code: c_int) {
    WRITE_FAULT.store(code, Ordering::SeqCst);
}

/// The same for syncs.
pub(crate) fn fail_syncs(code: c_int) {
    SYNC_FAULT.store(code, Ordering::SeqCst);
}

/// The same for syncs of databases alone, and not of their logs.
pub(crate) fn fail_database_syncs(code: c_int) {
    DATABASE_SYNC_FAULT.store(code, Ordering::SeqCst);
}

/// What a process that is killed does from then on: nothing. What it has written and not synced stays with the system.
pub(crate) fn kill(dead: bool) {
    KILLED.store(dead, Ordering::SeqCst);
}

pub(crate) fn is_killed() -> bool {
    KILLED.load(Ordering::SeqCst)
}

fn sync_now(disk: &mut Disk, path: &str, known: &mut u64) -> bool {
    let synced = disk.sync(path, known);
    if !synced && disk.kills() {
        kill(true);
    }
    synced
}

/// What a call answers in place of doing it.
fn fault(of_its_kind: &AtomicI32) -> Option<c_int> {
    if KILLED.load(Ordering::SeqCst) {
        return Some(SQLITE_IOERR);
    }
    Some(of_its_kind.load(Ordering::SeqCst)).filter(|&fault| fault != SQLITE_OK)
}

/// What files that are written to without SQLite have been told of, by descriptor, from their first write to their sync.
static BESIDE: Mutex<BTreeMap<c_int, u64>> = Mutex::new(BTreeMap::new());

/// A write to a file without SQLite. Returns nothing when it fails.
pub(crate) fn write_beside(
    descriptor: c_int,
    path: &str,
    offset: usize,
    bytes: &[u8],
    system: impl FnOnce() -> isize,
) -> Option<isize> {
    if fault(&WRITE_FAULT).is_some() {
        return None;
    }
    Some(powered(|disk| {
        let written = system();
        if let (true, Ok(length)) = (disk.has(path), usize::try_from(written)) {
            let known = disk.open(path);
            BESIDE.lock().unwrap_or_else(PoisonError::into_inner).entry(descriptor).or_insert(known);
            disk.write(path, offset, &bytes[..length]);
        }
        written
    }))
}

/// A sync of such a file. Returns whether it succeeds.
pub(crate) fn sync_beside(descriptor: c_int, path: &str) -> bool {
    if fault(&SYNC_FAULT).is_some() {
        return false;
    }
    powered(|disk| {
        let known = BESIDE.lock().unwrap_or_else(PoisonError::into_inner).remove(&descriptor);
        sync_now(disk, path, &mut known.unwrap_or_default())
    })
}

/// Changes that a power cut might take back now.
pub(crate) fn unsynced() -> usize {
    powered(|disk| disk.unsynced())
}

fn lock() -> MutexGuard<'static, Option<Disk>> {
    DISK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` while the power is on. Once it has been cut, no call comes back.
fn powered<T>(work: impl FnOnce(&mut Disk) -> T) -> T {
    let mut disk = lock();
    if CUT.load(Ordering::SeqCst) {
        drop(disk);
        loop {
            thread::sleep(Duration::from_secs(3600));
        }
    }
    work(disk.get_or_insert_default())
}

const fn size() -> c_int {
    mem::size_of::<File>() as c_int
}

/// # Safety
/// `file` is one that [`open`] has filled in, or is about to.
unsafe fn real(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: the memory is `size()` bytes longer than the system's file needs, so this stays inside it, and `File` has the
    // alignment of a pointer, which is what SQLite gives.
    unsafe { file.cast::<u8>().add(mem::size_of::<File>()).cast() }
}

/// # Safety
/// `file` is one that [`open`] has filled in.
unsafe fn path<'f>(file: *mut sqlite3_file) -> Option<&'f str> {
    // SAFETY: `file` points to a `File`, whose name is null or a C string that outlives it.
    let name = unsafe { (*file.cast::<File>()).path };
    // SAFETY: as above.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })?.to_str().ok()
}

/// # Safety
/// As SQLite calls `sqlite3_vfs.xOpen`.
unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    let system = SYSTEM.load(Ordering::SeqCst);
    // SAFETY: `install` has stored a structure that lives on; the arguments are SQLite's own.
    let opened = unsafe {
        let Some(open) = (*system).xOpen else { return SQLITE_ERROR };
        let real = real(file);
        (*real).pMethods = ptr::null();
        open(system, name, real, flags, out_flags)
    };
    let follow = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL;
    let followed = flags & follow != 0 && !name.is_null();
    // SAFETY: `file` has room for a `File`, and a file that could not be opened must have no methods.
    unsafe {
        let methods = if opened == SQLITE_OK { &raw const METHODS } else { ptr::null() };
        let path = if followed { name } else { ptr::null() };
        file.cast::<File>().write(File { base: sqlite3_file { pMethods: methods }, path, known: 0 });
        if opened == SQLITE_OK
            && let Some(path) = self::path(file)
        {
            (*file.cast::<File>()).known = powered(|disk| disk.open(path));
        }
    }
    opened
}

/// # Safety
/// As SQLite calls `sqlite3_vfs.xDelete`.
unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    if KILLED.load(Ordering::SeqCst) {
        return SQLITE_IOERR;
    }
    let system = SYSTEM.load(Ordering::SeqCst);
    // SAFETY: the name is a C string.
    let path = unsafe { CStr::from_ptr(name) }.to_str().unwrap_or_default();
    powered(|disk| {
        disk.delete(path);
        // SAFETY: `install` has stored a structure that lives on; the arguments are SQLite's own.
        unsafe { (*system).xDelete.map_or(SQLITE_ERROR, |delete| delete(system, name, sync)) }
    })
}

/// Calls a method of the system's file.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: `open` has filled the file in, and the system's own follows it; the arguments are SQLite's own.
        unsafe {
            let real = real($file);
            match (*(*real).pMethods).$method {
                Some(method) => method(real $(, $argument)*),
                None => SQLITE_ERROR,
            }
        }
    }};
}

/// Methods that a power cut does not matter to.
macro_rules! passed {
    ($($name:ident = $method:ident ( $($argument:ident: $kind:ty),* );)*) => {$(
        /// # Safety
        /// As SQLite calls the method of this name.
        unsafe extern "C" fn $name(file: *mut sqlite3_file $(, $argument: $kind)*) -> c_int {
            pass!(file, $method $(, $argument)*)
        }
    )*};
}

passed! {
    close = xClose();
    read = xRead(buffer: *mut c_void, amount: c_int, offset: sqlite3_int64);
    file_size = xFileSize(size: *mut sqlite3_int64);
    take_lock = xLock(level: c_int);
    unlock = xUnlock(level: c_int);
    check_reserved = xCheckReservedLock(result: *mut c_int);
    file_control = xFileControl(operation: c_int, argument: *mut c_void);
    sector_size = xSectorSize();
    device_characteristics = xDeviceCharacteristics();
    shm_map = xShmMap(page: c_int, size: c_int, extend: c_int, result: *mut *mut c_void);
    shm_lock = xShmLock(offset: c_int, count: c_int, flags: c_int);
    shm_unmap = xShmUnmap(delete: c_int);
}

/// # Safety
/// As SQLite calls `sqlite3_io_methods.xShmBarrier`.
unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    // SAFETY: as in `pass`.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

/// # Safety
/// As SQLite calls `sqlite3_io_methods.xWrite`.
unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: sqlite3_int64,
) -> c_int {
    if let Some(fault) = fault(&WRITE_FAULT) {
        return fault;
    }
    powered(|disk| {
        let written = within(|| pass!(file, xWrite, buffer, amount, offset));
        let (Ok(length), Ok(at)) = (usize::try_from(amount), usize::try_from(offset)) else { return written };
        // SAFETY: the file is open, and SQLite's buffer holds `amount` bytes.
        let (path, bytes) = unsafe { (path(file), slice::from_raw_parts(buffer.cast::<u8>(), length)) };
        if let Some(path) = path.filter(|_| written == SQLITE_OK) {
            disk.write(path, at, bytes);
        }
        written
    })
}

/// # Safety
/// As SQLite calls `sqlite3_io_methods.xTruncate`.
unsafe extern "C" fn truncate(file: *mut sqlite3_file, size: sqlite3_int64) -> c_int {
    if KILLED.load(Ordering::SeqCst) {
        return SQLITE_IOERR;
    }
    powered(|disk| {
        let truncated = pass!(file, xTruncate, size);
        // SAFETY: the file is open.
        let path = unsafe { path(file) }.filter(|_| truncated == SQLITE_OK);
        if let (Some(path), Ok(length)) = (path, usize::try_from(size)) {
            disk.truncate(path, length);
        }
        truncated
    })
}

/// The system's disk is not synced: the simulated one is all that counts, and nothing else makes it quick.
///
/// # Safety
/// As SQLite calls `sqlite3_io_methods.xSync`.
unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    if let Some(fault) = fault(&SYNC_FAULT) {
        return fault;
    }
    // SAFETY: the file is open, and SQLite uses it from one thread at a time.
    let (path, known) = unsafe { (path(file), &mut (*file.cast::<File>()).known) };
    if let Some(fault) = path.filter(|path| path.ends_with(".db")).and_then(|_| fault(&DATABASE_SYNC_FAULT)) {
        return fault;
    }
    let synced = path.is_none_or(|path| powered(|disk| sync_now(disk, path, known)));
    if synced { SQLITE_OK } else { SQLITE_IOERR_FSYNC }
}

/// Version 2: with shared memory, and without memory maps, which would write past us.
static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(take_lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};
