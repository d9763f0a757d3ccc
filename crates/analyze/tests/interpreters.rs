//! Line tables as the installed interpreter writes them, for a function made up of much that moves lines.

use heaptide_analyze::lines::line_of;
use heaptide_format::capture::CodeDef;
use heaptide_format::ids::StringId;
use std::process::Command;

/// Prints version, first line, line table, and for each instruction its line (0: none).
const ASK: &str = r#"
import sys, dis
source = "def f(a, b=(\n 1)):\n for i in (\n  a,\n  b):\n  try:\n   yield (i\n    for i in b)\n" + "\n" * 400 + "  finally:\n   del i\n return [x\n  for x in a if\n   x]\n"
names = {}
exec(compile(source, "f.py", "exec"), names)
code = names["f"].__code__
new = sys.version_info >= (3, 10)
lines = [0] * (len(code.co_code) // (2 if new else 1))
if new:
    for start, end, line in code.co_lines():
        for at in range(start, end, 2):
            lines[at // 2] = line or 0
else:
    starts, line = dict(dis.findlinestarts(code)), code.co_firstlineno
    for at in range(len(lines)):
        line = lines[at] = starts.get(at, line)
table = code.co_linetable if new else code.co_lnotab
print(sys.version_info[0] << 8 | sys.version_info[1], code.co_firstlineno, table.hex(), *lines)
"#;

fn check(interpreter: &std::path::Path) -> bool {
    let Ok(output) = Command::new(interpreter).args(["-I", "-c", ASK]).output() else { return false };
    assert!(output.status.success(), "{}: {output:?}", interpreter.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.split_whitespace();
    let mut number = || words.next().unwrap().parse::<u32>().unwrap();
    let (python, first_line) = (number() as u16, number());
    let hex = words.next().unwrap();
    let line_table = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let code = CodeDef { name: StringId(0), file: StringId(0), first_line, python, line_table };
    let lines: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    assert!(lines.len() > 20);
    for (instruction, line) in (0..).zip(&lines).filter(|(_, line)| **line != 0) {
        assert_eq!(line_of(&code, instruction), *line, "{} at {instruction}", interpreter.display());
    }
    true
}

#[test]
fn lines_are_those_of_the_interpreter() {
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(Into::into)
        .or_else(|| std::env::var_os("HOME").map(|home| std::path::Path::new(&home).join(".pyenv")));
    let versions = pyenv.and_then(|root: std::path::PathBuf| root.join("versions").read_dir().ok());
    let installed = versions.into_iter().flatten().flatten().filter(|entry| {
        // Older than any that is traced.
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("3.")
            .and_then(|rest| rest.split('.').next()?.parse::<u32>().ok())
            .is_some_and(|minor| minor >= 8)
    });
    let checked = installed.filter(|entry| check(&entry.path().join("bin/python3"))).count();
    let own = check("python3".as_ref());
    eprintln!("checked {checked} interpreters of pyenv{}", if own { " and python3" } else { "" });
}
