//! `heaptide rss`: what the resident memory of a run consisted of.

use crate::exit::{self, CliError};
use crate::input::{Input, capture_error, shown};
use crate::output::OutputArgs;
use heaptide_format::capture::{Look, LookReason};
use heaptide_report::units::visible;
use heaptide_report::{Context, rss};
use std::path::PathBuf;

/// Explain resident memory: what of it the program asked for, what allocators keep, and what else there is
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide rss run.bin
  heaptide rss --mark \"after load\" run.bin
  heaptide rss --pid 4711 --json run.bin | jq '.parts'")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// Only this process
    #[arg(long)]
    pid: Option<u32>,
    /// At this mark, instead of the highest
    #[arg(long, value_name = "NAME", group = "instant")]
    mark: Option<String>,
    /// When it was last looked at, instead of the highest
    #[arg(long, group = "instant")]
    last: bool,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let path = &args.capture;
    let output = args.output.or_stdout(&[path])?;
    let input = Input::open(path)?;
    let capture = &input.capture;
    let images = capture.images_of(args.pid).map_err(|error| capture_error(path, &error))?;
    let refused = |what: String| CliError::new(exit::BAD_CAPTURE, format!("{}: {what}", shown(path)));
    if capture.looks.is_empty() {
        let what = "does not say what resident memory consisted of: the program ended before it could be looked at, or an older \
                    heaptide recorded it; record again";
        return Err(refused(what.into()));
    }
    let is_wanted = |look: &&Look| match (look.reason, &args.mark) {
        (LookReason::Mark(number), Some(name)) => {
            capture.marks.get(number as usize).is_some_and(|mark| mark.name == *name)
        }
        (LookReason::Last, None) => args.last,
        (LookReason::Highest, None) => !args.last,
        _ => false,
    };
    // The last that is of that kind; of marks of one name the first that was looked at.
    let mut wanted = capture.looks.iter().filter(is_wanted);
    let look = if args.mark.is_some() { wanted.next() } else { wanted.next_back() };
    let Some(look) = look else {
        return Err(refused(match &args.mark {
            Some(name) if capture.marks.iter().any(|mark| mark.name == *name) => format!(
                "resident memory was not looked at near the mark {:?}, which came too soon after another look",
                visible(name)
            ),
            Some(name) => format!("has no mark {:?}; `heaptide stats` lists those that it has", visible(name)),
            None => "has no such look at resident memory; record to the end".into(),
        }));
    };
    if !look.processes.iter().any(|process| images.contains(&process.image)) {
        return Err(refused("the process was not there at that instant; try --last".into()));
    }
    let context = Context::new(&input.name, capture, None, args.pid);
    output.write(|out, style| match args.json {
        true => rss::write_json(&context, look, out),
        false => rss::write_text(&context, look, style, out),
    })?;
    Ok(exit::OK)
}
