//! The second floor: a test with most of the library's guarantees, in plain code. It has a server
//! that forks in place of the runner; a `/run`; the sysctls for IPv6 and ping; a session; a pipe
//! for output; the runner's directory; a thread for the test, and the exit handlers of its process;
//! a search for processes left behind; and a verdict before the namespaces have ended.
//!
//! It measures the cost of these guarantees. It leaves out control groups and covered directories,
//! capabilities, the runner's environment, limits and umask, stack overflows and time limits, the
//! seal of the record, and error handling.
//!
//! With spares the server makes the next sandbox while a test runs, and the body in it waits for
//! the request.

use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::floor::calls::{check, check_call, clone, open_with, set_maps};
use crate::floor::socket::{receive, send, sockets};
use crate::floor::test::{
    NAMESPACES, PASSED, loopback_up, mount, mount_all, own_maps, pipe, read, wait, write,
};

/// Greatest number of inits when a test begins, with its own.
const MOST_INITS: usize = 8;

/// Duration of the sleep of a test that is not empty.
const SLEEP: Duration = Duration::from_millis(5);

/// Delay between the start of a test and the creation of the next spare, as in the library.
const SPARE_DELAY: Duration = Duration::from_micros(200);

/// Name of the machine's `/run` in that of a test.
const HOST: &str = ".host";

/// Size of a thread's stack, as in the standard library.
const STACK: usize = 2 << 20;

/// Parameters of the tests.
#[derive(Clone, Copy)]
struct Plan {
    sleep: Duration,
    has_spares: bool,
}

/// Server that runs tests.
pub(crate) struct Floor {
    server: libc::pid_t,
    requests: OwnedFd,
    plan: Plan,
}

impl Floor {
    /// Starts a server for empty tests. The process must have one thread.
    pub(crate) fn of_empty_tests() -> io::Result<Self> {
        Self::start(Plan { sleep: Duration::ZERO, has_spares: false })
    }

    /// Starts a server for tests that sleep, with spares. The process must have one thread.
    pub(crate) fn of_sleeping_tests() -> io::Result<Self> {
        Self::start(Plan { sleep: SLEEP, has_spares: true })
    }

    fn start(plan: Plan) -> io::Result<Self> {
        let [requests, theirs] = sockets()?;
        // SAFETY: the process has one thread.
        let server = check(unsafe { libc::fork() })?;
        if server == 0 {
            drop(requests);
            exit("the server", &serve(&theirs, plan))
        }
        Ok(Self { server, requests, plan })
    }

    /// Runs `count` tests, one after the other, and returns their total time less that of their
    /// sleep.
    pub(crate) fn time(&self, count: u32) -> io::Result<Duration> {
        let start = Instant::now();
        (0..count).for_each(|_| thread::sleep(self.plan.sleep));
        let bodies = start.elapsed();
        let start = Instant::now();
        for _ in 0..count {
            request(&self.requests)?;
        }
        let all = start.elapsed();
        all.checked_sub(bodies).ok_or_else(|| io::Error::other("a test took less than its body"))
    }

    /// Ends the server, and checks its status.
    pub(crate) fn end(self) -> io::Result<()> {
        drop(self.requests);
        match wait(self.server)? {
            0 => Ok(()),
            _ => Err(io::Error::other("the server of the bare calls has failed")),
        }
    }
}

/// Requests one test, as the runner.
fn request(server: &OwnedFd) -> io::Result<()> {
    let [control, their_control] = sockets()?;
    let [output, their_output] = pipe()?;
    let directory = open_with(c".", libc::O_PATH | libc::O_DIRECTORY)?;
    send(server, [&their_control, &their_output, &directory])?;
    drop((their_control, their_output));
    // The end of the stream without a report is an error.
    read(&control)?;
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(output.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    // End of the stream, or EAGAIN.
    drop(read(&output));
    Ok(())
}

/// Descriptors of a request: the socket for the report, the pipe for output, and the directory.
type Request = [OwnedFd; 3];

/// Request that a sandbox serves.
#[derive(Clone, Copy)]
enum Test<'a> {
    This(&'a Request),
    /// The next request from this socket.
    Awaited(&'a OwnedFd),
}

fn serve(requests: &OwnedFd, plan: Plan) -> io::Result<()> {
    let maps = own_maps();
    warm_up()?;
    let (mut inits, mut spare) = (0, None::<(libc::pid_t, OwnedFd)>);
    while let Some(request) = receive(requests)? {
        let made = spare.take();
        if let Some((_, hand)) = &made {
            send(hand, request.each_ref())?;
        } else {
            start(&maps, Test::This(&request), &request[2], &[requests], plan)?;
        }
        inits += 1;
        // The next sandbox must not keep them open.
        let [control, output, directory] = request;
        drop((made, control, output));
        if plan.has_spares {
            thread::sleep(SPARE_DELAY);
            let [ours, theirs] = sockets()?;
            let test = Test::Awaited(&theirs);
            spare = Some((start(&maps, test, &directory, &[requests, &ours], plan)?, ours));
        }
        while inits > 0 {
            let flags = if inits < MOST_INITS { libc::WNOHANG } else { 0 };
            // SAFETY: no status is wanted.
            match check(unsafe { libc::waitpid(-1, std::ptr::null_mut(), flags) })? {
                0 => break,
                init if spare.as_ref().is_some_and(|(spare, _)| *spare == init) => {
                    return Err(io::Error::other("a sandbox that waited has ended"));
                }
                _ => inits -= 1,
            }
        }
    }
    // The body of the spare sees the end of the stream.
    drop(spare);
    // SAFETY: no status is wanted.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
    Ok(())
}

/// Starts threads, so that the look-ups and allocations of a first thread are done before any body.
/// The process has one thread again when the function returns.
fn warm_up() -> io::Result<()> {
    for _ in 0..2 {
        let thread = thread::Builder::new().stack_size(STACK).spawn(|| {})?;
        drop(thread.join());
    }
    while fs::read_dir("/proc/self/task")?.count() > 1 {
        thread::yield_now();
    }
    Ok(())
}

/// Starts an init, which closes the descriptors in `to_close`.
fn start(
    maps: &[String; 2],
    test: Test<'_>,
    directory: &OwnedFd,
    to_close: &[&OwnedFd],
    plan: Plan,
) -> io::Result<libc::pid_t> {
    // SAFETY: takes a number.
    check(unsafe { libc::fchdir(directory.as_raw_fd()) })?;
    let init = clone(NAMESPACES | libc::SIGCHLD)?;
    if init == 0 {
        for fd in to_close {
            // SAFETY: this process does not use it, and never drops it.
            unsafe { libc::close(fd.as_raw_fd()) };
        }
        exit("init", &init_of(maps, test, plan))
    }
    // SAFETY: a C string that lives through the call.
    check(unsafe { libc::chdir(c"/".as_ptr()) })?;
    Ok(init)
}

/// Prints an error, and ends the process.
fn exit(who: &str, result: &io::Result<()>) -> ! {
    if let Err(error) = result {
        eprintln!("netns-test-benches: {who} of the bare calls: {error}");
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(i32::from(result.is_err())) }
}

/// Runs init, up to its report.
fn init_of(maps: &[String; 2], test: Test<'_>, plan: Plan) -> io::Result<()> {
    let signal = libc::c_ulong::try_from(libc::SIGKILL).expect("a small number");
    // SAFETY: takes numbers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) })?;
    // SAFETY: takes nothing.
    check(unsafe { libc::setsid() })?;
    set_maps(maps)?;
    let outside = fs::read_link("/proc/self")?;
    let outside: u32 = outside.to_str().and_then(|id| id.parse().ok()).unwrap_or(2);
    set("/proc/sys/kernel/ns_last_pid", &(outside - 1).to_string());
    let record = record()?;
    let [ours, theirs] = sockets()?;
    // SAFETY: the process has one thread.
    let body = check(unsafe { libc::fork() })?;
    if body == 0 {
        drop(ours);
        let result = body_of(theirs, test, record, plan.sleep);
        // Runs exit handlers, as a program does.
        std::process::exit(i32::from(result.is_err()));
    }
    drop(theirs);
    mount_all()?;
    own_run()?;
    set("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
    let group = maps[1].split(' ').next().unwrap_or_default();
    set("/proc/sys/net/ipv4/ping_group_range", &format!("{group} {group}"));
    loopback_up()?;
    write(&ours, PASSED)?;
    let arrived;
    let control = match test {
        Test::This([control, ..]) => control,
        // Without a request this is an unused spare.
        Test::Awaited(_) => match receive(&ours)? {
            Some(request) => {
                arrived = request;
                &arrived[0]
            }
            None => return Ok(()),
        },
    };
    let status = wait(body)?;
    // SAFETY: takes two numbers. Signal 0 only tests for other processes.
    let others = check(unsafe { libc::kill(-1, 0) });
    let is_alone = others.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH));
    if status == 0 && is_alone && record.load(Ordering::Relaxed) == PASSED {
        return write(control, PASSED);
    }
    Err(io::Error::other("the body failed"))
}

/// Runs the body, up to its exit. Init reports over `init` when the sandbox is ready, and a spare
/// passes its request to it.
fn body_of(
    init: OwnedFd,
    test: Test<'_>,
    record: &'static AtomicU8,
    sleep: Duration,
) -> io::Result<()> {
    if read(&init)? != PASSED {
        return Err(io::Error::other("init failed"));
    }
    // All descriptors are closed at once.
    let init = ManuallyDrop::new(init);
    let arrived;
    let request = match test {
        Test::This(request) => request,
        Test::Awaited(hand) => {
            arrived = ManuallyDrop::new(receive(hand)?.ok_or(io::ErrorKind::UnexpectedEof)?);
            send(&init, arrived.each_ref())?;
            &*arrived
        }
    };
    for stream in [1, 2] {
        // SAFETY: takes numbers.
        check(unsafe { libc::dup2(request[1].as_raw_fd(), stream) })?;
    }
    let (first, last, flags) = (3 as libc::c_long, libc::c_long::from(u32::MAX), 0 as libc::c_long);
    // SAFETY: this process uses and closes none of them afterwards.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check_call(closed)?;
    let test = move || {
        thread::sleep(sleep);
        record.store(PASSED, Ordering::Relaxed);
    };
    let thread = thread::Builder::new().name("a_test".into()).spawn(test)?;
    thread.join().map_err(|_| io::Error::other("the test panicked"))
}

/// Writes a file, and ignores a refusal by the kernel or a container.
fn set(path: &str, value: &str) {
    drop(fs::write(path, value));
}

/// Maps a byte that init shares with the body.
fn record() -> io::Result<&'static AtomicU8> {
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: new memory.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the memory is zeroed, never unmapped, and accessed only as this atomic.
    Ok(unsafe { AtomicU8::from_ptr(memory.cast()) })
}

/// Mounts a `/run` with links to the entries of the machine's.
fn own_run() -> io::Result<()> {
    let run = Path::new("/run");
    let names: io::Result<Vec<_>> =
        fs::read_dir(run)?.map(|entry| Ok(entry?.file_name())).collect();
    let flags = libc::OPEN_TREE_CLONE
        | libc::OPEN_TREE_CLOEXEC
        | libc::c_uint::try_from(libc::AT_RECURSIVE).expect("it is a bit");
    // SAFETY: a C string that lives through the call.
    let old =
        unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/run".as_ptr(), flags) };
    let old = check_call(old)?;
    // SAFETY: the descriptor is new and has no other owner.
    let old = unsafe { OwnedFd::from_raw_fd(old) };
    mount(c"tmpfs", c"/run", libc::MS_NOSUID | libc::MS_NODEV)?;
    fs::create_dir(run.join(HOST))?;
    let (from, nothing, to) = (old.as_raw_fd(), c"".as_ptr(), c"/run/.host".as_ptr());
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: C strings that live through the call.
    let moved =
        unsafe { libc::syscall(libc::SYS_move_mount, from, nothing, libc::AT_FDCWD, to, flags) };
    check_call(moved)?;
    let wanted = names?.into_iter().filter(|name| name != HOST);
    wanted.into_iter().try_for_each(|name| symlink(Path::new(HOST).join(&name), run.join(&name)))
}
