//! What the tests share.

pub mod recording;
