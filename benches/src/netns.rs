//! Figures of `NetNs`: making a namespace, and going into one and back.

use std::error::Error;
use std::io;
use std::os::fd::OwnedFd;

use netns_test::{NetNs, NetNsId};

use crate::bare;
use crate::figure::{Figure, Work, timed};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// `NetNs::new()`. What is made is let go, and taken down by the kernel, outside of the time.
pub(crate) fn new() -> Result<Figure> {
    let own = NetNs::current()?.id();
    Ok(Figure {
        name: "`NetNs::new()`",
        floor_name: "a thread, `unshare`, `open`",
        target: 1.2,
        batch: 1,
        rounds: 2000,
        work: Box::new(move |count| {
            let (made, time) = timed(count, NetNs::new);
            let made = made.into_iter().collect::<netns_test::Result<Vec<_>>>()?;
            are_new(&made, own)?;
            Ok(time)
        }),
        floor: Box::new(move |count| {
            let (made, time) = timed(count, bare::new_in_a_thread);
            let made = made.into_iter().collect::<io::Result<Vec<_>>>()?;
            let made: netns_test::Result<Vec<_>> = made.into_iter().map(NetNs::try_from).collect();
            are_new(&made?, own)?;
            Ok(time)
        }),
    })
}

/// `enter()` and the drop of its guard, which has to find out where to come back to.
pub(crate) fn enter() -> Result<Figure> {
    let places = Places::new()?;
    let (own, there) = (places.own.id(), places.there);
    let floor: Work = Box::new(move |count| {
        let (gone, time) = timed(count, || bare::there_and_back(&there));
        gone.into_iter().collect::<io::Result<()>>()?;
        is_in(own)?;
        Ok(time)
    });
    let (target, floor_name) = (1.2, "`open`, two `setns`, `close`");
    Ok(there_and_back(places.other, own, floor_name, target, floor))
}

/// The same beside what a caller needs who knows where it is.
pub(crate) fn enter_beside_setns() -> Result<Figure> {
    let Places { own, other, here, there } = Places::new()?;
    let own = own.id();
    let floor: Work = Box::new(move |count| {
        let (gone, time) = timed(count, || bare::enter(&there).and_then(|()| bare::enter(&here)));
        gone.into_iter().collect::<io::Result<()>>()?;
        is_in(own)?;
        Ok(time)
    });
    Ok(there_and_back(other, own, "two `setns`", 1.2, floor))
}

fn there_and_back(
    other: NetNs,
    own: NetNsId,
    floor_name: &'static str,
    target: f64,
    floor: Work,
) -> Figure {
    let work: Work = Box::new(move |count| {
        let (gone, time) = timed(count, || other.enter().map(drop));
        gone.into_iter().collect::<netns_test::Result<()>>()?;
        is_in(own)?;
        Ok(time)
    });
    let name = "`enter()` and back";
    Figure { name, floor_name, target, batch: 100, rounds: 1000, work, floor }
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
        let (here, there) = (bare::open_own()?, OwnedFd::from(other.try_clone()?));
        let guard = other.enter()?;
        is_in(other.id())?;
        drop(guard);
        is_in(own.id())?;
        bare::enter(&there)?;
        is_in(other.id())?;
        bare::enter(&here)?;
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
