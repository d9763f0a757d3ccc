//! The command line of heaptide: one module per subcommand, from what was typed to what is called. Only this package
//! prints, reads the environment and exits.

mod census;
mod debuginfod;
mod diff;
mod exit;
mod export;
mod filter;
mod flamegraph;
mod growth;
mod imports;
mod input;
mod leaks;
mod lifetimes;
mod mark;
mod output;
mod parse;
mod peak;
mod rss;
mod run;
mod selection;
mod span;
mod stats;
mod strip;
mod summary;
mod symbolize;
mod symbols;
mod threshold;
mod tree;
mod types;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Where does the memory go? Records every allocation of a Python or native program with its stack, and shows what was
/// alive at the peak, what was left at the end, and what changed.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::HELP, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Flamegraph(flamegraph::Args),
    Summary(summary::Args),
    Tree(tree::Args),
    Leaks(leaks::Args),
    Peak(peak::Args),
    Lifetimes(lifetimes::Args),
    Types(types::Args),
    Diff(diff::Args),
    Imports(imports::Args),
    Mark(mark::Args),
    Rss(rss::Args),
    Stats(stats::Args),
    Export(export::Args),
    Parse(parse::Args),
    Symbolize(symbolize::Args),
    Strip(strip::Args),
}

fn main() -> ExitCode {
    let arguments = selection::join_optional_number(std::env::args_os().collect::<Vec<OsString>>());
    heaptide_record::signals::survive_file_limit();
    let result = match Cli::parse_from(arguments).command {
        Command::Run(args) => run::execute(args),
        Command::Flamegraph(args) => flamegraph::execute(&args),
        Command::Summary(args) => summary::execute(&args),
        Command::Tree(args) => tree::execute(&args),
        Command::Leaks(args) => leaks::execute(&args),
        Command::Peak(args) => peak::execute(&args),
        Command::Lifetimes(args) => lifetimes::execute(&args),
        Command::Types(args) => types::execute(&args),
        Command::Diff(args) => diff::execute(&args),
        Command::Imports(args) => imports::execute(&args),
        Command::Mark(args) => mark::execute(&args),
        Command::Rss(args) => rss::execute(&args),
        Command::Stats(args) => stats::execute(&args),
        Command::Export(args) => export::execute(&args),
        Command::Parse(args) => parse::execute(&args),
        Command::Symbolize(args) => symbolize::execute(&args),
        Command::Strip(args) => strip::execute(&args),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("heaptide: {}", error.message);
            ExitCode::from(error.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_options_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
