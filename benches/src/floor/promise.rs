//! The floor of a test and of most of what the library promises besides, in plain code: a server that forks, so
//! that the runner need not; a `/run` of its own; the sysctls for IPv6 and ping; a session; a pipe for output; the
//! runner's directory; a thread for the test, and the exit handlers of its process; a look at what is left; a
//! verdict before the namespaces have gone.
//!
//! It shows what of a figure is the price of these promises. It leaves out control groups and covered
//! directories, capabilities, the runner's environment, limits and umask, stack overflows and time limits, a
//! seal on the verdict, and all failures that the library tells and survives.
//!
//! With spares the server makes the next sandbox while a test runs, and its body waits for the request.

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

/// How many inits may be there when a test begins, its own among them.
const MOST_INITS: usize = 8;

/// How long a test sleeps that does something.
const SLEEP: Duration = Duration::from_millis(5);

/// How long after a test has been handed over the next spare is made, as in the library.
const A_MOMENT: Duration = Duration::from_micros(200);

/// Where the host's `/run` is.
const HOST: &str = ".host";

/// The stack of a thread, as the standard library has it.
const STACK: usize = 2 << 20;

/// How a test is run, and what it does.
#[derive(Clone, Copy)]
struct Plan {
    sleep: Duration,
    has_spares: bool,
}

/// A server, and what its tests do.
pub(crate) struct Floor {
    server: libc::pid_t,
    requests: OwnedFd,
    plan: Plan,
}

impl Floor {
    /// Tests that do nothing. Only in a process with one thread.
    pub(crate) fn of_empty_tests() -> io::Result<Self> {
        Self::start(Plan { sleep: Duration::ZERO, has_spares: false })
    }

    /// Tests that sleep, with spares. Only in a process with one thread.
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

    /// So many tests, one after the other, and the time that they add to what they do.
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

    /// Has the server end, and well.
    pub(crate) fn end(self) -> io::Result<()> {
        drop(self.requests);
        match wait(self.server)? {
            0 => Ok(()),
            _ => Err(io::Error::other("the server of the bare calls has failed")),
        }
    }
}

/// What the runner does.
fn request(server: &OwnedFd) -> io::Result<()> {
    let [control, their_control] = sockets()?;
    let [output, their_output] = pipe()?;
    let directory = open_with(c".", libc::O_PATH | libc::O_DIRECTORY)?;
    send(server, [&their_control, &their_output, &directory])?;
    drop((their_control, their_output));
    // Its end without a report is an error.
    read(&control)?;
    // SAFETY: takes numbers.
    check(unsafe { libc::fcntl(output.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) })?;
    // Nothing, or that there is nothing yet.
    drop(read(&output));
    Ok(())
}

/// The descriptors of a request: for the report, for output, and the directory.
type Order = [OwnedFd; 3];

/// Which test a sandbox is for.
#[derive(Clone, Copy)]
enum Test<'a> {
    This(&'a Order),
    /// The one that comes there.
    Awaited(&'a OwnedFd),
}

fn serve(requests: &OwnedFd, plan: Plan) -> io::Result<()> {
    let maps = own_maps();
    warm_up()?;
    let (mut inits, mut spare) = (0, None::<(libc::pid_t, OwnedFd)>);
    while let Some(order) = receive(requests)? {
        let made = spare.take();
        if let Some((_, hand)) = &made {
            send(hand, order.each_ref())?;
        } else {
            start(&maps, Test::This(&order), &order[2], &[requests], plan)?;
        }
        inits += 1;
        // The next sandbox must not keep them open.
        let [control, output, directory] = order;
        drop((made, control, output));
        if plan.has_spares {
            thread::sleep(A_MOMENT);
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
    // Its body sees that there will be no order.
    drop(spare);
    // SAFETY: no status is wanted.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
    Ok(())
}

/// What a first thread looks up and makes is there in each body then. Gives a process with one thread.
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

/// Starts an init, which closes what is `not_its`.
fn start(
    maps: &[String; 2],
    test: Test<'_>,
    directory: &OwnedFd,
    not_its: &[&OwnedFd],
    plan: Plan,
) -> io::Result<libc::pid_t> {
    // SAFETY: takes a number.
    check(unsafe { libc::fchdir(directory.as_raw_fd()) })?;
    let init = clone(NAMESPACES | libc::SIGCHLD)?;
    if init == 0 {
        for fd in not_its {
            // SAFETY: this process does not use it, and never drops it.
            unsafe { libc::close(fd.as_raw_fd()) };
        }
        exit("init", &init_of(maps, test, plan))
    }
    // SAFETY: a C string that lives through the call.
    check(unsafe { libc::chdir(c"/".as_ptr()) })?;
    Ok(init)
}

/// Ends the process, and tells what has failed.
fn exit(who: &str, result: &io::Result<()>) -> ! {
    if let Err(error) = result {
        eprintln!("netns-test-benches: {who} of the bare calls: {error}");
    }
    // SAFETY: ends the process.
    unsafe { libc::_exit(i32::from(result.is_err())) }
}

/// Init's life, up to its report.
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
        // With its handlers, as any program.
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
        // Without one it is a spare that is not needed.
        Test::Awaited(_) => match receive(&ours)? {
            Some(order) => {
                arrived = order;
                &arrived[0]
            }
            None => return Ok(()),
        },
    };
    let status = wait(body)?;
    // SAFETY: no signal, to whoever is there.
    let others = check(unsafe { libc::kill(-1, 0) });
    let is_alone = others.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH));
    if status == 0 && is_alone && record.load(Ordering::Relaxed) == PASSED {
        return write(control, PASSED);
    }
    Err(io::Error::other("the body failed"))
}

/// The body's life, up to its exit. `init` tells when the sandbox stands, and is told of an order.
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
    let order = match test {
        Test::This(order) => order,
        Test::Awaited(hand) => {
            arrived = ManuallyDrop::new(receive(hand)?.ok_or(io::ErrorKind::UnexpectedEof)?);
            send(&init, arrived.each_ref())?;
            &*arrived
        }
    };
    for stream in [1, 2] {
        // SAFETY: takes numbers.
        check(unsafe { libc::dup2(order[1].as_raw_fd(), stream) })?;
    }
    let (first, last, flags) = (3 as libc::c_long, libc::c_long::from(u32::MAX), 0 as libc::c_long);
    // SAFETY: nothing of this process uses or closes any of them after this.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    check_call(closed)?;
    let test = move || {
        thread::sleep(sleep);
        record.store(PASSED, Ordering::Relaxed);
    };
    let thread = thread::Builder::new().name("a_test".into()).spawn(test)?;
    thread.join().map_err(|_| io::Error::other("the test panicked"))
}

/// Writes what a kernel, or a container, need not let be written.
fn set(path: &str, value: &str) {
    drop(fs::write(path, value));
}

/// A byte that init shares with the body.
fn record() -> io::Result<&'static AtomicU8> {
    let (access, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    // SAFETY: new memory.
    let memory = unsafe { libc::mmap(std::ptr::null_mut(), 4096, access, flags, -1, 0) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is never unmapped, zeroed, and used as this alone.
    Ok(unsafe { AtomicU8::from_ptr(memory.cast()) })
}

/// A `/run` with links to what is in the host's.
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
    // SAFETY: the descriptor is new, and nobody else's.
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
