//! Builds the shim (`shim/`) as a shared object of its own and leaves its path in `HEAPTIDE_SHIM`, for the program to
//! embed it. A separate cargo, because a build script's package cannot depend on another package's shared object.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name} for build scripts"));
    let root = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    for input in ["shim/src", "shim/Cargo.toml", "shim/Cargo.lock", "crates/format/src", "crates/format/Cargo.toml"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let directory = PathBuf::from(variable("OUT_DIR")).join("shim");
    let target = variable("TARGET");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .current_dir(root.join("shim"))
        .args(["build", "--release", "--locked", "--target", &target, "--target-dir"])
        .arg(&directory);
    // The outer cargo's settings are for the outer crate: wrappers and flags of clippy, coverage or sanitizers would
    // end up in a library that must not have them.
    for name in ["RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CLIPPY_ARGS"] {
        cargo.env_remove(name);
    }
    let status = cargo.status().expect("cargo runs");
    assert!(status.success(), "building the shim failed");
    let shim = directory.join(target).join("release/libheaptide_shim.so");
    println!("cargo::rustc-env=HEAPTIDE_SHIM={}", shim.display());
}
