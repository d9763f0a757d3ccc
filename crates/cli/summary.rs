//! `heaptide summary`: a table by function, package, module, file or line.

use crate::exit::{self, CliError};
use crate::filter::FilterArgs;
use crate::output::OutputArgs;
use crate::selection::{Selection, opened};
use heaptide_analyze::sites;
use heaptide_report::filtered::Filtered;
use heaptide_report::{Context, summary};
use std::path::PathBuf;

/// List functions, packages, modules, files or lines by the memory they hold, themselves and with what they call
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  heaptide summary run.bin                  of the peak
  heaptide summary --by package run.bin
  heaptide summary --allocated --sort total run.bin
  heaptide summary --json run.bin | jq '.functions[0]'")]
pub struct Args {
    /// The capture, as `heaptide run` wrote it
    capture: PathBuf,
    /// What to put together. Its own memory is what its frames asked for themselves (the innermost frame of the stack
    /// is of it), its total what any frame of the stack of it leads to
    #[arg(long, value_enum, default_value_t = By::Function)]
    by: By,
    /// Most rows to list; 0: all
    #[arg(short = 'n', long, value_name = "N", default_value_t = 30)]
    limit: usize,
    /// What to order by
    #[arg(long, value_enum, default_value_t = Sort::Own)]
    sort: Sort,
    #[command(flatten)]
    filter: FilterArgs,
    /// Write JSON, see docs/reports.md
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// An installed package, a module of the standard library, a part of the program, a native object
    Package,
    /// A Python module
    Module,
    /// A source file or a native object
    File,
    /// A function of a file
    Function,
    /// A line of source
    Line,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// What it allocated itself
    Own,
    /// What it and all it called allocated
    Total,
}

/// Writes it.
pub fn execute(args: &Args) -> Result<u8, CliError> {
    let (output, mut input, profile) = opened(
        &args.capture,
        &args.output,
        Some(&args.selection.span),
        &args.selection.options(&args.selection.symbols()),
    )?;
    input.forget_rows();
    let filter = args.filter.filter();
    let (profile, filtered) = match &filter {
        None => (profile, None),
        Some(filter) => {
            let (kept, left_out) = filter.apply(&profile);
            (kept, Some(Filtered { filter, left_out: vec![("", left_out.of(args.selection.metric()))] }))
        }
    };
    let context = Context::new(&input.name, &input.capture, Some(&profile), args.selection.pid);
    let options = summary::Options {
        metric: args.selection.metric(),
        temporary_within: args.selection.temporary_within(),
        by: match args.by {
            By::Package => sites::By::Package,
            By::Module => sites::By::Module,
            By::File => sites::By::File,
            By::Function => sites::By::Function,
            By::Line => sites::By::Line,
        },
        limit: (args.limit > 0).then_some(args.limit),
        by_total: args.sort == Sort::Total,
        filtered,
    };
    output.write(|out, style| match args.json {
        true => summary::write_json(&context, &profile, &options, out),
        false => summary::write_text(&context, &profile, &options, style, out),
    })?;
    Ok(exit::OK)
}
