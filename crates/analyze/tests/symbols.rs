//! Objects of other architectures than this one.

use heaptide_analyze::symbols::{Request, Settings, Symbols, resolve};
use object::{Object, ObjectSection, ObjectSymbol};
use std::path::Path;
use std::process::Command;

/// A library with two functions that are not exported; nothing of the standard library, so that rustc's own linker will do.
const SOURCE: &str = "
    #![no_std]
    use core::sync::atomic::{AtomicU64, Ordering};
    static SUM: AtomicU64 = AtomicU64::new(0);
    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! { loop {} }
    #[inline(never)]
    fn first(number: u64) { for n in 0..number { SUM.fetch_add(n * n, Ordering::SeqCst); } }
    #[inline(never)]
    fn second(number: u64) { for n in 0..number { SUM.fetch_sub(n ^ 7, Ordering::SeqCst); } }
    #[unsafe(no_mangle)]
    pub extern \"C\" fn enter(number: u64) { first(number); second(number + 1); }
";

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Compiles with these options; what was wrong if it cannot be done here.
fn compiled(directory: &Path, options: &[&str]) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or("rustc".into());
    let version = Command::new(&rustc).args(["-vV"]).output().map_err(|error| error.to_string())?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc has no host")?;
    let sysroot = Command::new(&rustc).args(["--print", "sysroot"]).output().map_err(|error| error.to_string())?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let linker = format!("linker={sysroot}/lib/rustlib/{host}/bin/rust-lld");
    let fixed = ["--target", TARGET, "--edition=2024", "--crate-type=cdylib", "-Copt-level=1", "-Cpanic=abort"];
    let unwinding = ["-Cforce-unwind-tables=yes", "-Clinker-flavor=ld.lld", "-C", &linker];
    let mut command = Command::new(&rustc);
    command.current_dir(directory).args(fixed).args(unwinding).args(options).arg("library.rs");
    let output = command.output().map_err(|error| error.to_string())?;
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(message) }
}

#[test]
fn functions_of_an_object_for_aarch64_are_known_by_where_they_begin() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("library.rs"), SOURCE).unwrap();
    let both = compiled(directory.path(), &["-o", "whole.so"])
        .and_then(|()| compiled(directory.path(), &["-Cstrip=symbols", "-o", "stripped.so"]));
    if let Err(why) = both {
        eprintln!("skipped: rustc makes no library for {TARGET} here: {why}");
        return;
    }
    let whole = std::fs::read(directory.path().join("whole.so")).unwrap();
    let whole = object::File::parse(&*whole).unwrap();
    assert_eq!(whole.architecture(), object::Architecture::Aarch64);
    let text = whole.section_by_name(".text").unwrap();
    let (from, _) = text.file_range().unwrap();
    let mut offsets = Vec::new();
    let mut expected = Vec::new();
    for name in ["first", "second", "enter"] {
        let symbol = whole.symbols().find(|symbol| symbol.name().unwrap().contains(name)).unwrap();
        assert!(symbol.size() >= 16, "{name}");
        // Behind calls that are the first and the last instruction of the function.
        for address in [symbol.address() + 4, symbol.address() + symbol.size()] {
            offsets.push(address - text.address() + from);
            expected.push(match name {
                "enter" => "enter".to_owned(),
                _ => format!("func@{:#x}", symbol.address()),
            });
        }
    }
    let path = directory.path().join("stripped.so").to_str().unwrap().to_owned();
    let build_id = whole.build_id().unwrap().unwrap_or_default().to_vec();
    let request = Request { path, build_id, ran_at: u64::MAX, offsets };
    let Symbols::Found(found) = &resolve(vec![request], &Settings::default())[0] else { panic!("nothing found") };
    let found: Vec<String> = found.iter().map(|chain| chain[0].function.to_string()).collect();
    assert_eq!(found, expected);
}
