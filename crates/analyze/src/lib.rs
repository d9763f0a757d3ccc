//! The meaning of events: live heap, peak, leaks, differences, call trees. Pure: no printing, no options of a command
//! line, no environment.

pub mod tally;
