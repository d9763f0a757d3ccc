//! Where names of native functions are looked for: options and environment.

use crate::debuginfod::Debuginfod;
use heaptide_analyze::symbols::{Download, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What was typed.
#[derive(clap::Args, Debug)]
pub struct SymbolArgs {
    /// Look for separate debug files of native code in this directory, as gdb does; can be given several times
    #[arg(long, value_name = "DIR", default_value = "/usr/lib/debug")]
    debug_file_directory: Vec<PathBuf>,
}

impl SymbolArgs {
    /// What that and the environment mean.
    pub fn settings(&self) -> Settings {
        Settings {
            debug_directories: self.debug_file_directory.clone(),
            cache: cache_home().map(|cache| cache.join("heaptide/symbols")),
            download: Debuginfod::from_environment().map(|servers| Arc::new(servers) as Arc<dyn Download>),
        }
    }
}

/// Where caches are, by the XDG base directory specification; `None` if nobody says where home is.
pub fn cache_home() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| Path::new(&home).join(".cache")))
}
