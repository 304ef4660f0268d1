//! Figures of `NetNs`: the creation of a namespace, and a move into one and back.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use netns_test::{NetNs, NetNsId};

use crate::floor::calls;
use crate::measure::figure::{Figure, Work, timed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Measures `NetNs::new()`. The release of the namespaces is not in the measured time.
pub(crate) fn new() -> Result<Figure> {
    let own = NetNs::current()?.id();
    Ok(Figure {
        name: "`NetNs::new()`",
        floor_name: "a thread, `unshare`, `open`",
        target: Some(1.2),
        batch: 1,
        rounds: 2000,
        work: Box::new(move |count| {
            let (made, time) = timed(count, NetNs::new);
            let made = made.into_iter().collect::<netns_test::Result<Vec<_>>>()?;
            are_new(&made, own)?;
            Ok(time)
        }),
        floor: Box::new(move |count| {
            let (made, time) = timed(count, calls::new_in_a_thread);
            let made = made.into_iter().collect::<io::Result<Vec<_>>>()?;
            let made: netns_test::Result<Vec<_>> = made.into_iter().map(NetNs::try_from).collect();
            are_new(&made?, own)?;
            Ok(time)
        }),
    })
}

/// Measures `enter()`, which opens the current namespace, and the drop of its guard.
pub(crate) fn enter() -> Result<Figure> {
    let Namespaces { own, other, there, .. } = Namespaces::new()?;
    let floor = going(own.id(), move || calls::there_and_back(&there));
    let work = going(own.id(), move || other.enter().map(drop));
    Ok(figure("`ns.enter()` and back", work, "`open`, two `setns`, `close`", floor))
}

/// Compares `enter()` with the calls of a caller that has both namespaces open.
pub(crate) fn enter_beside_setns() -> Result<Figure> {
    let Namespaces { own, other, here, there } = Namespaces::new()?;
    let floor = going(own.id(), move || calls::enter(&there).and_then(|()| calls::enter(&here)));
    let work = going(own.id(), move || other.enter().map(drop));
    Ok(figure("`ns.enter()` and back", work, "two `setns`", floor))
}

/// Measures `enter_from()`, which takes the current namespace as an argument.
pub(crate) fn enter_from() -> Result<Figure> {
    let Namespaces { own, other, here, there } = Namespaces::new()?;
    let id = own.id();
    let floor = going(id, move || calls::enter(&there).and_then(|()| calls::enter(&here)));
    let work = going(id, move || other.enter_from(&own).map(drop));
    Ok(figure("`ns.enter_from(&own)` and back", work, "two `setns`", floor))
}

fn figure(name: &'static str, work: Work, floor_name: &'static str, floor: Work) -> Figure {
    Figure { name, floor_name, target: Some(1.2), batch: 100, rounds: 1000, work, floor }
}

/// Calls `go`, which moves the thread away and back, and checks that it is in `own` afterwards.
fn going<E: Error + 'static>(
    own: NetNsId,
    mut go: impl FnMut() -> std::result::Result<(), E> + 'static,
) -> Work {
    Box::new(move |count| {
        let (gone, time) = timed(count, &mut go);
        gone.into_iter().collect::<std::result::Result<(), E>>()?;
        is_in(own)?;
        Ok(time)
    })
}

/// The namespace of the thread, and another one, each as a handle and as a descriptor.
struct Namespaces {
    own: NetNs,
    other: NetNs,
    here: OwnedFd,
    there: OwnedFd,
}

impl Namespaces {
    /// Makes the other namespace, and checks that both ways to enter it work.
    fn new() -> Result<Self> {
        let (own, other) = (NetNs::current()?, NetNs::new()?);
        let (here, there) = (calls::open_own()?, OwnedFd::from(other.try_clone()?));
        let guard = other.enter()?;
        is_in(other.id())?;
        drop(guard);
        is_in(own.id())?;
        calls::enter(&there)?;
        is_in(other.id())?;
        calls::enter(&here)?;
        is_in(own.id())?;
        Ok(Self { own, other, here, there })
    }
}

/// Checks that all namespaces are new, and that the thread has not moved.
fn are_new(made: &[NetNs], own: NetNsId) -> Result<()> {
    is_in(own)?;
    if made.iter().any(|new| new.id() == own) {
        Err("no namespace was made".into())
    } else {
        Ok(())
    }
}

fn is_in(expected: NetNsId) -> Result<()> {
    let own = NetNs::current()?.id();
    if own == expected { Ok(()) } else { Err(format!("in {own} instead of {expected}").into()) }
}
