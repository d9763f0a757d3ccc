//! Line tables as the installed interpreters write them, for a function made up of much that moves lines.

use heaptide_record::lines::LineTable;
use std::process::Command;

/// Prints version, first line, line table, and for each instruction its line (0: none) and column (from 1, 0: none).
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
columns = [0] * len(lines)
if sys.version_info >= (3, 11):
    columns = [(start if start is not None else -1) + 1 for _, _, start, _ in code.co_positions()]
table = code.co_linetable if new else code.co_lnotab
print(sys.version_info[0] << 8 | sys.version_info[1], code.co_firstlineno, table.hex(), *lines, *columns)
"#;

fn check(interpreter: &std::path::Path) -> bool {
    let Ok(output) = Command::new(interpreter).args(["-I", "-c", ASK]).output() else { return false };
    assert!(output.status.success(), "{}: {output:?}", interpreter.display());
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.split_whitespace();
    let mut number = || words.next().unwrap().parse::<u32>().unwrap();
    let (python, first_line) = (number() as u16, number());
    let hex = words.next().unwrap();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let table = LineTable { python, first_line, bytes };
    let numbers: Vec<u32> = words.map(|word| word.parse().unwrap()).collect();
    let (lines, columns) = numbers.split_at(numbers.len() / 2);
    assert!(lines.len() > 20);
    for (instruction, (line, column)) in (0..).zip(lines.iter().zip(columns)).filter(|(_, (line, _))| **line != 0) {
        let position = table.position(instruction);
        let found = (position.line, position.column);
        assert_eq!(found, (*line, *column), "{} at {instruction}", interpreter.display());
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
