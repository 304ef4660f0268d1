//! Distinguishes a stack overflow of the test's thread from other invalid accesses to memory.
//!
//! The standard library installs a handler for that before `main`, and a body never gets there.

use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::mman::MapFlags;

/// Size of the handler's stack in bytes. The kernel's frame alone can take several KiB on
/// processors with wide vector registers.
const ALTERNATE_STACK: usize = 64 << 10;

/// Bytes below the thread's stack in which an access counts as an overflow: the guard page, and
/// addresses that a function with a large frame reaches beyond it.
const GUARD: usize = 64 << 10;

static ALTERNATE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static NOTE: AtomicPtr<AtomicU32> = AtomicPtr::new(null_mut());
static STACK_LOW: AtomicUsize = AtomicUsize::new(0);

/// Maps the stack on which the handler will run, so that [`note_overflow_in`] takes less time.
pub(crate) fn prepare() -> io::Result<()> {
    let memory = crate::sys::process::shared_record::map(ALTERNATE_STACK, MapFlags::MAP_PRIVATE)?;
    ALTERNATE.store(memory.as_ptr(), Ordering::Relaxed);
    Ok(())
}

/// Installs a handler that sets `note` to 1 when the calling thread overflows its stack. The
/// process then dies by the same signal as without it. Each call needs its own [`prepare`].
pub(crate) fn note_overflow_in(note: &'static AtomicU32) -> io::Result<()> {
    STACK_LOW.store(lowest_stack_address()?, Ordering::Relaxed);
    NOTE.store((&raw const *note).cast_mut(), Ordering::Relaxed);
    use_alternate_stack()?;
    install(libc::SIGSEGV)?;
    install(libc::SIGBUS)
}

/// Makes the dynamic loader resolve the symbols with which the C library finds a thread's stack, so
/// that children of this process need not do it.
pub(crate) fn look_up() {
    drop(lowest_stack_address());
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t` to a handler set with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: SIGSEGV and SIGBUS carry an address.
    let address = unsafe { info.si_addr() } as usize;
    let low = STACK_LOW.load(Ordering::Relaxed);
    if (low.saturating_sub(GUARD)..low).contains(&address) {
        // SAFETY: null or a `'static` reference.
        if let Some(note) = unsafe { NOTE.load(Ordering::Relaxed).as_ref() } {
            note.store(1, Ordering::Relaxed);
        }
    }
    // SAFETY: resetting a disposition is async-signal-safe. The handler then returns to
    // the faulting instruction, which now kills the process.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

fn install(signal: i32) -> io::Result<()> {
    let mut empty = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: writes an empty set to memory of the right size.
    unsafe { libc::sigemptyset(empty.as_mut_ptr()) };
    // SAFETY: zero bytes are a valid `sigaction` on every platform that has one.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: initialised by sigemptyset.
    action.sa_mask = unsafe { empty.assume_init() };
    action.sa_sigaction = on_fault as extern "C" fn(_, _, _) as libc::sighandler_t;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: `on_fault` has the signature that SA_SIGINFO asks for and does only what is
    // async-signal-safe: atomics and signal(2).
    let result = unsafe { libc::sigaction(signal, &raw const action, null_mut()) };
    Errno::result(result)?;
    Ok(())
}

fn use_alternate_stack() -> io::Result<()> {
    let memory = ALTERNATE.swap(null_mut(), Ordering::Relaxed);
    if memory.is_null() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let stack = libc::stack_t { ss_sp: memory, ss_flags: 0, ss_size: ALTERNATE_STACK };
    // SAFETY: the memory is as large as stated, never freed and used for nothing else.
    let result = unsafe { libc::sigaltstack(&raw const stack, null_mut()) };
    Errno::result(result)?;
    Ok(())
}

fn lowest_stack_address() -> io::Result<usize> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: always valid.
    let this = unsafe { libc::pthread_self() };
    // SAFETY: initialises the attributes when it succeeds.
    check(unsafe { libc::pthread_getattr_np(this, attributes.as_mut_ptr()) })?;
    let (mut low, mut size) = (null_mut(), 0);
    // SAFETY: initialised above; the two results are written to live variables.
    let result = check(unsafe {
        libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut low, &raw mut size)
    });
    // SAFETY: initialised above and not used after this.
    unsafe { libc::pthread_attr_destroy(attributes.as_mut_ptr()) };
    result.map(|()| low as usize)
}

fn check(error: i32) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
