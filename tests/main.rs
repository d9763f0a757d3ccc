//! Tests of the built binary, each kind of hazard in a file of its own.

mod answers;
mod bad_input;
mod census;
mod deaths;
mod debuginfod;
mod diff;
mod exports;
mod families;
mod guests;
mod help;
mod hooks;
mod hostile_names;
mod imports;
mod instants;
mod interpreters;
mod kills;
mod leak_fixtures;
#[path = "support/ledger.rs"]
mod ledger;
mod marks;
mod memray;
mod namespaces;
#[path = "support/native.rs"]
mod native;
mod native_hybrid;
mod native_programs;
mod native_stacks;
mod old_captures;
mod one_event;
mod page_course;
mod page_large;
mod page_tabs;
mod places;
mod privacy;
mod processes;
mod python;
mod python_memory;
mod python_offsets;
mod python_stacks;
mod qualified_names;
mod recorder;
mod reports;
mod rss;
mod strip;
mod support;
mod symbols;
mod threads;
#[path = "support/traced.rs"]
mod traced;
mod unseen;
mod verdicts;
#[path = "support/witnessed.rs"]
mod witnessed;
