//! Whether two captures are of the same program: what differs between others is no growth.

use crate::reader::Capture;
use heaptide_format::capture::definitions::ImageDef;
use std::fmt;

/// The program that a capture is of: what the first process came to run, by names only, so that another checkout, another
/// interpreter and other arguments make no other program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// File name of the executable, of an interpreter without its version.
    name: String,
    /// A Python interpreter whose stacks can be read.
    python: bool,
    /// Of Python what it runs: the script's file name, `-m module`, `-c`; empty if that is not known.
    script: String,
}

impl Program {
    /// That of a capture; `None` if not even one process is in it.
    pub fn of(capture: &Capture) -> Option<Self> {
        let images = capture.names.images();
        // A shell or `env` may have stood there before.
        let pid = images.first()?.pid;
        let image = images.iter().rfind(|image| image.pid == pid)?;
        Some(Self::of_image(capture, image))
    }

    fn of_image(capture: &Capture, image: &ImageDef) -> Self {
        let name = base_name(capture.names.text(image.program));
        let python = image.python != 0;
        let arguments: Vec<&str> = image.arguments.iter().map(|argument| capture.names.text(*argument)).collect();
        let script = if python { script(arguments.get(1..).unwrap_or_default()) } else { String::new() };
        Self { name: if python { "python".to_owned() } else { name.to_owned() }, python, script }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.script.is_empty() {
            true => f.write_str(&self.name),
            false => write!(f, "{} {}", self.name, self.script),
        }
    }
}

/// What to say if what differs need not be growth, one sentence each: that the captures are of different programs, that
/// only one has the blocks of Python's own allocators.
pub fn notes(before: &Capture, after: &Capture) -> Vec<String> {
    let mut notes: Vec<String> = different_programs(before, after).into_iter().collect();
    let recorded = [before, after].map(|capture| capture.run.python_allocators);
    if recorded[0] != recorded[1] {
        let which = if recorded[0] { "before" } else { "after" };
        notes.push(format!(
            "only the capture {which} has the blocks of Python's own allocators (--python-allocators): they are in the difference"
        ));
    }
    notes
}

fn different_programs(before: &Capture, after: &Capture) -> Option<String> {
    let (before, after) = (Program::of(before)?, Program::of(after)?);
    // Arguments may have been left out of one.
    let unknown = before.script.is_empty() || after.script.is_empty();
    let same = before.name == after.name && before.python == after.python && (unknown || before.script == after.script);
    (!same).then(|| {
        format!("the captures are of different programs, {before} and {after}: what differs need not be growth")
    })
}

/// What the interpreter is told to run, from its arguments.
fn script(arguments: &[&str]) -> String {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match *argument {
            // These have a value.
            "-X" | "-W" | "--check-hash-based-pycs" => drop(arguments.next()),
            "-m" => return format!("-m {}", arguments.next().unwrap_or(&"")),
            option if option.starts_with("-m") => return format!("-m {}", &option[2..]),
            // What follows is code, which may be long, and is the user's.
            option if option.starts_with("-c") => return "-c".to_owned(),
            option
                if option.len() > 1
                    && option.starts_with('-')
                    && !option.starts_with("--")
                    && option.ends_with('c') =>
            {
                return "-c".to_owned();
            }
            option if option.len() > 1 && option.starts_with('-') => {}
            path => return base_name(path).to_owned(),
        }
    }
    String::new()
}

fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn what_an_interpreter_is_told_to_run() {
        let cases = [
            ("/home/me/app/main.py --size 3", "main.py"),
            ("-X dev -W error -u main.py", "main.py"),
            ("-m http.server 8000", "-m http.server"),
            ("-mjson.tool", "-m json.tool"),
            ("-c print(1)", "-c"),
            ("-Ic print(1)", "-c"),
            ("/home/me/app/", "app"),
            ("-", "-"),
            ("", ""),
            ("-u", ""),
        ];
        for (arguments, expected) in cases {
            let arguments: Vec<&str> = arguments.split_whitespace().collect();
            assert_eq!(script(&arguments), expected, "{arguments:?}");
        }
    }
}
