//! Interception of the panics of one thread, before the panic hook reports them.
//!
//! If tokio cannot start a thread of a new runtime, it panics, and then waits in a destructor for
//! the threads that it has started. Only code in the panic hook can end these before the
//! destructor runs.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{self, PanicHookInfo};
use std::sync::{Mutex, MutexGuard, RwLock};
use std::thread;

use crate::harness::child::panic_hook::message;
use crate::sys::lock;

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Sync + Send>;
type Action = Box<dyn Fn(&str)>;

/// Locked while a hook of this module is installed.
static IN_PLACE: Mutex<()> = Mutex::new(());

/// Hook that was installed before.
static BEFORE: RwLock<Option<Hook>> = RwLock::new(None);

thread_local! {
    static ACTION: RefCell<Option<Action>> = const { RefCell::new(None) };
}

/// Guard: intercepts the panics of the calling thread while it lives. Panics of other threads go
/// to the hook that was installed before.
#[must_use]
pub(crate) struct Interception {
    _in_place: MutexGuard<'static, ()>,
    _thread: PhantomData<*const ()>,
}

/// Calls `action` with the message of each panic of the calling thread, instead of the panic hook.
/// Returns `None` if the thread is panicking, or has an interception.
///
/// A hook that another thread sets meanwhile is lost.
pub(crate) fn intercept(action: Action) -> Option<Interception> {
    let is_taken = ACTION.with(|own| own.try_borrow().is_ok_and(|own| own.is_some()));
    if thread::panicking() || is_taken {
        return None;
    }
    let in_place = lock::lock(&IN_PLACE);
    ACTION.set(Some(action));
    let before = panic::take_hook();
    *lock::write(&BEFORE) = Some(before);
    panic::set_hook(Box::new(pass_on));
    Some(Interception { _in_place: in_place, _thread: PhantomData })
}

impl Drop for Interception {
    fn drop(&mut self) {
        ACTION.set(None);
        if thread::panicking() {
            // A panicking thread cannot set a hook. This one stays, and passes all panics on.
            return;
        }
        drop(panic::take_hook());
        let before = lock::write(&BEFORE).take();
        if let Some(before) = before {
            panic::set_hook(before);
        }
    }
}

fn pass_on(info: &PanicHookInfo<'_>) {
    let taken = ACTION.try_with(|action| {
        let action = action.try_borrow().ok()?;
        action.as_ref().map(|action| action(&message(info.payload())))
    });
    if matches!(taken, Ok(Some(()))) {
        return;
    }
    if let Some(before) = &*lock::read(&BEFORE) {
        before(info);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn panics_of_one_thread_are_taken_and_those_of_others_are_not() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let note = Arc::clone(&taken);
        let action = Box::new(move |text: &str| note.lock().unwrap().push(text.to_owned()));
        let own = intercept(action).unwrap();
        assert!(intercept(Box::new(|_| {})).is_none(), "the thread has one");
        assert!(panic::catch_unwind(|| panic!("here")).is_err());
        let other = thread::spawn(|| panic!("reported, in another thread"));
        assert!(other.join().is_err());
        drop(own);
        assert_eq!(*taken.lock().unwrap(), ["here"]);
        // One after the other.
        static AT_ONCE: AtomicUsize = AtomicUsize::new(0);
        let both = [0, 1].map(|_| {
            thread::spawn(|| {
                let own = intercept(Box::new(|_| {}));
                assert_eq!(AT_ONCE.fetch_add(1, Ordering::SeqCst), 0);
                AT_ONCE.fetch_sub(1, Ordering::SeqCst);
                drop(own);
            })
        });
        both.into_iter().for_each(|one| one.join().unwrap());
    }
}
