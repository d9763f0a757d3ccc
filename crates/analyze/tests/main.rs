//! Tests of the analyzer through its public functions, most of them on recordings made up event by event.

mod ahead;
mod course;
mod reading;
mod support;
mod symbols;
mod windows;
