//! Impaired links with real packets: what is lost is the same in each run, faults are exact, delays
//! and rates hold.

mod delays;
mod faults;
mod losses;
mod net;
mod recipes;
