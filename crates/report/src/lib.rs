//! What an analysis looks like: bytes into an `impl Write`, for people (text, HTML, SVG) and for scripts (JSON).
//!
//! Your part: an analysed capture, and where the bytes go. Our part: words, units, order of columns. Nothing is added
//! up here that the analysis has not added up, nothing is printed, no environment is read. The JSON is described in
//! `docs/reports.md`.

pub mod context;
pub mod diff;
pub mod export;
pub mod filtered;
pub mod folded;
pub mod html;
pub mod imports;
pub mod json;
pub mod leaks;
pub mod lifetimes;
pub mod marks;
pub mod page;
pub mod parse;
pub mod peak;
pub mod processes;
pub mod rss;
pub mod stats;
pub mod summary;
pub mod svg;
pub mod table;
mod timeline;
pub mod tree;
pub mod types;
pub mod units;
pub mod unseen;

pub use context::{Context, Style};
