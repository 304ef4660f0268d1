//! Figures of `NetNs`: making a namespace, and going into one and back.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use netns_test::{NetNs, NetNsId};

use crate::floor::calls;
use crate::measure::figure::{Figure, Work, timed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `NetNs::new()`. What is made is let go, and taken down by the kernel, outside of the time.
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

/// `enter()` and the drop of its guard, which finds out where to come back to.
pub(crate) fn enter() -> Result<Figure> {
    let Places { own, other, there, .. } = Places::new()?;
    let floor = going(own.id(), move || calls::there_and_back(&there));
    let work = going(own.id(), move || other.enter().map(drop));
    Ok(figure("`ns.enter()` and back", work, "`open`, two `setns`, `close`", floor))
}

/// The same beside what a caller needs who knows where it is.
pub(crate) fn enter_beside_setns() -> Result<Figure> {
    let Places { own, other, here, there } = Places::new()?;
    let floor = going(own.id(), move || calls::enter(&there).and_then(|()| calls::enter(&here)));
    let work = going(own.id(), move || other.enter().map(drop));
    Ok(figure("`ns.enter()` and back", work, "two `setns`", floor))
}

/// `enter_from()`, which is told where to come back to.
pub(crate) fn enter_from() -> Result<Figure> {
    let Places { own, other, here, there } = Places::new()?;
    let id = own.id();
    let floor = going(id, move || calls::enter(&there).and_then(|()| calls::enter(&here)));
    let work = going(id, move || other.enter_from(&own).map(drop));
    Ok(figure("`ns.enter_from(&own)` and back", work, "two `setns`", floor))
}

fn figure(name: &'static str, work: Work, floor_name: &'static str, floor: Work) -> Figure {
    Figure { name, floor_name, target: Some(1.2), batch: 100, rounds: 1000, work, floor }
}

/// Goes there and back, and is in `own` then.
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

/// Where the thread is, and another namespace.
struct Places {
    own: NetNs,
    other: NetNs,
    here: OwnedFd,
    there: OwnedFd,
}

impl Places {
    /// The figures time going there and back, so both ways are seen to lead there first.
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

/// None of them is where this thread is, which is where it was.
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
