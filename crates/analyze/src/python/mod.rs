//! Python source as far as reports need it: whose body a line of it is.
//!
//! Text in, names out; where the text comes from is in [`crate::sources`].

mod scopes;
mod tokens;

pub use scopes::QualifiedNames;
