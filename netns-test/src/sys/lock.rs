//! Locks that ignore poisoning. A test that panics must still be able to end what it has started,
//! so data that was locked during a panic is used as it is.

#[cfg(feature = "tokio")]
use std::sync::{Condvar, RwLock, RwLockReadGuard, RwLockWriteGuard, WaitTimeoutResult};
use std::sync::{Mutex, MutexGuard, PoisonError};
#[cfg(feature = "tokio")]
use std::time::Duration;

/// Locks `mutex`, also after a panic of another thread that held it.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for reading, as [`lock`] does.
#[cfg(feature = "tokio")]
pub(crate) fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks for writing, as [`lock`] does.
#[cfg(feature = "tokio")]
pub(crate) fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, and locks again as [`lock`] does.
#[cfg(feature = "tokio")]
pub(crate) fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a notification, at most for `limit`, and locks again as [`lock`] does.
#[cfg(feature = "lab")]
pub(crate) fn wait_timeout<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
) -> MutexGuard<'a, T> {
    changed.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `is_so`, at most for `limit`, and locks again as [`lock`] does.
#[cfg(feature = "tokio")]
pub(crate) fn wait_while<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
    is_so: impl FnMut(&mut T) -> bool,
) -> (MutexGuard<'a, T>, WaitTimeoutResult) {
    changed.wait_timeout_while(guard, limit, is_so).unwrap_or_else(PoisonError::into_inner)
}
