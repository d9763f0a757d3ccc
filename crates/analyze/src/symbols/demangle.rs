//! Names as their language writes them: C++ without return types, Rust (legacy and v0) without hashes.

use cpp_demangle::{DemangleOptions, DemangleWrite, ParseOptions, Symbol};
use std::fmt;

/// Longest mangled name that is looked into, and longest readable one that is made, in bytes. Substitutions let a
/// mangled name of a kilobyte stand for a gigabyte.
const MOST_BYTES: usize = 16 << 10;

/// A symbol's name made readable; what is not mangled, or not to be understood, stays as it is.
pub fn demangled(name: &str) -> String {
    // glibc marks versions of a symbol by `@`: `memcpy@@GLIBC_2.14`.
    let bare = match name.split_once('@') {
        Some((bare, _)) if !bare.is_empty() => bare,
        _ => name,
    };
    // glibc's name for calls of its own functions from within: the program would call the other.
    let bare = bare.strip_prefix("__GI_").filter(|rest| !rest.is_empty()).unwrap_or(bare);
    if bare.len() > MOST_BYTES {
        return bare.to_owned();
    }
    if let Ok(rust) = rustc_demangle::try_demangle(bare) {
        // It has a bound of its own.
        return format!("{rust:#}");
    }
    if is_mangled(bare)
        && let Some(cpp) = cpp(bare)
    {
        return cpp;
    }
    bare.to_owned()
}

/// Whether a name is one that compilers of C++ and Rust make up, rather than one that a person wrote.
pub fn is_mangled(name: &str) -> bool {
    name.starts_with("_Z") || name.starts_with("_R")
}

fn cpp(name: &str) -> Option<String> {
    // The default of 96 is below what real templates nest to; each level takes some hundred bytes of stack.
    let symbol = Symbol::new_with_options(name, &ParseOptions::default().recursion_limit(192)).ok()?;
    let mut readable = Bounded(String::new());
    symbol.structured_demangle(&mut readable, &DemangleOptions::new().no_return_type().recursion_limit(256)).ok()?;
    Some(readable.0)
}

/// A text that refuses to grow beyond [`MOST_BYTES`].
struct Bounded(String);

impl DemangleWrite for Bounded {
    fn write_string(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MOST_BYTES {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_as_their_language_writes_them() {
        let cases = [
            ("PyObject_Malloc", "PyObject_Malloc"),
            ("_ZN3std2io5Write9write_all17h0123456789abcdefE", "std::io::Write::write_all"),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back(int const&)"),
            ("_ZN12_GLOBAL__N_16hiddenEv", "(anonymous namespace)::hidden()"),
            ("_ZplRK1AS1_", "operator+(A const&, A const&)"),
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("__GI___libc_malloc", "__libc_malloc"),
            ("@plain", "@plain"),
            ("_Znonsense", "_Znonsense"),
        ];
        for (mangled, readable) in cases {
            assert_eq!(demangled(mangled), readable);
        }
    }

    /// Each argument is the function type before it twice over: 2⁴⁰ times `int`.
    #[test]
    fn a_name_that_grows_without_end_stays_mangled() {
        let mut name = "_Z1fPFiiiE".to_owned();
        for place in 0..40 {
            let before = if place == 0 { "S_".to_owned() } else { format!("S{}_", base36(place * 2 - 1)) };
            name.push_str(&format!("PFi{before}{before}E"));
        }
        assert_eq!(demangled(&name), name);
    }

    fn base36(mut number: usize) -> String {
        let mut digits = Vec::new();
        loop {
            digits.insert(0, b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number % 36]);
            number /= 36;
            if number == 0 {
                return String::from_utf8(digits).unwrap();
            }
        }
    }
}
