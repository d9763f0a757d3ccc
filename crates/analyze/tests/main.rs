//! Tests of the analyzer through its public functions, on recordings made up event by event.

mod ahead;
mod course;
mod reading;
mod support;
mod windows;
