//! Debug files from debuginfod servers: asked only if `DEBUGINFOD_URLS` names any, as elfutils and gdb do.
//!
//! What comes is kept where `debuginfod-find` keeps it, and what it has kept is used. A server that fails is named once
//! and not asked again; nothing that goes wrong here keeps a report from being made.

use crate::symbols::cache_home;
use heaptide_analyze::symbols::{Download, hex, is_debug_file};
use heaptide_report::units::{size, visible};
use indicatif::ProgressBar;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, SystemTime};
use ureq::Agent;

/// Longest time until an address answers at all.
const CONNECT: Duration = Duration::from_secs(10);

/// Longest silence of a server, unless `DEBUGINFOD_TIMEOUT` says otherwise: some look the file up elsewhere.
const SILENCE: Duration = Duration::from_secs(30);

/// Largest file that is fetched, unless `DEBUGINFOD_MAXSIZE` says otherwise.
const MOST_BYTES: u64 = 2 << 30;

/// How long a server is believed that it does not have a file: elfutils' own time.
const MISSING_FOR: Duration = Duration::from_secs(600);

/// The servers, and what is known of them.
pub struct Debuginfod {
    servers: Vec<Server>,
    cache: PathBuf,
    agent: Agent,
    most_bytes: u64,
    bar: ProgressBar,
}

struct Server {
    url: String,
    failed: AtomicBool,
}

/// Why a server gave no file.
enum Refusal {
    /// It does not have it.
    Missing,
    /// This file is not to be had from it; others may be.
    File(String),
    /// It is not to be asked again.
    Server(String),
}

impl Refusal {
    /// Nothing that a server gives can be kept, so that there is no use in asking.
    fn of_cache(directory: &Path, error: &io::Error) -> Self {
        Self::Server(format!("what it gives cannot be kept in {}: {error}", directory.display()))
    }
}

impl Debuginfod {
    /// As the environment says; `None` if it names no server, or there is no place to keep files.
    pub fn from_environment() -> Option<Self> {
        let urls = std::env::var("DEBUGINFOD_URLS").ok()?;
        let is_server = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
        let server = |url: &str| Server { url: url.trim_end_matches('/').to_owned(), failed: false.into() };
        let servers: Vec<Server> = urls.split_whitespace().filter(is_server).map(server).collect();
        if servers.is_empty() {
            return None;
        }
        let number = |name| std::env::var(name).ok().and_then(|text| text.trim().parse::<u64>().ok());
        // 0 means no limit, there as here.
        let positive = |name| number(name).filter(|number| *number > 0);
        let silence = positive("DEBUGINFOD_TIMEOUT").map_or(SILENCE, Duration::from_secs);
        let most_bytes = match number("DEBUGINFOD_MAXSIZE") {
            Some(0) => u64::MAX,
            Some(bytes) => bytes,
            None => MOST_BYTES,
        };
        let config = Agent::config_builder()
            .user_agent(concat!("heaptide/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(silence.min(CONNECT)))
            .timeout_recv_response(Some(silence))
            .timeout_per_read(Some(silence))
            .timeout_global(positive("DEBUGINFOD_MAXTIME").map(Duration::from_secs));
        // Draws on standard error, and only if that is a terminal.
        let bar = ProgressBar::new_spinner();
        Some(Self { servers, cache: cache_directory()?, agent: config.build().new_agent(), most_bytes, bar })
    }

    fn fetched(&self, id: &[u8], object: &str) -> Option<PathBuf> {
        let directory = self.cache.join(hex(id));
        let path = directory.join("debuginfo");
        if let Ok(metadata) = path.metadata() {
            if metadata.is_file() && metadata.len() > 0 {
                return Some(path);
            }
            // An empty file says that no server had it, for a while.
            let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
            if age.is_some_and(|age| age <= MISSING_FOR) {
                return None;
            }
        }
        let mut all_asked = true;
        for server in &self.servers {
            if server.failed.load(Ordering::Relaxed) {
                all_asked = false;
                continue;
            }
            let (refusal, last) = match self.fetch(server, id, object, &directory) {
                Ok(()) => return Some(path),
                Err(Refusal::Missing) => continue,
                Err(Refusal::File(why)) => (why, false),
                Err(Refusal::Server(why)) => (why, true),
            };
            all_asked = false;
            // Two threads may have found out at once.
            if !last || !server.failed.swap(true, Ordering::Relaxed) {
                let rest = if last { "; not asked again" } else { "" };
                self.bar.suspend(|| eprintln!("heaptide: {}: {}{rest}", visible(&server.url), visible(&refusal)));
            }
        }
        if all_asked {
            let _ = fs::create_dir_all(&directory).and_then(|()| File::create(&path));
        }
        None
    }

    /// Puts the file into its place in the cache, whole and checked.
    fn fetch(&self, server: &Server, id: &[u8], object: &str, directory: &Path) -> Result<(), Refusal> {
        let name = object.rsplit('/').next().unwrap_or(object);
        self.bar.set_message(format!("asking for debug information of {}", visible(name)));
        self.bar.tick();
        let url = format!("{}/buildid/{}/debuginfo", server.url, hex(id));
        let mut response = self.agent.get(&url).call().map_err(|error| Refusal::Server(error.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            404 => return Err(Refusal::Missing),
            status => return Err(Refusal::Server(format!("answers {status}"))),
        }
        let too_large = |bytes| {
            let limit = format!("more than {} (DEBUGINFOD_MAXSIZE)", size(self.most_bytes));
            Refusal::File(format!("debug information of {name} has {bytes}, {limit}: not fetched"))
        };
        let length = response.body().content_length();
        if let Some(length) = length.filter(|length| *length > self.most_bytes) {
            return Err(too_large(size(length)));
        }
        let kept = |error| Refusal::of_cache(directory, &error);
        fs::create_dir_all(directory).map_err(kept)?;
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let fresh = directory.join(format!("debuginfo.{}-{number}", std::process::id()));
        let mut file = File::create_new(&fresh).map_err(kept)?;
        let mut body = response.body_mut().as_reader();
        let copied = self.copy(&mut body, &mut file, name, length).and_then(|bytes| match bytes {
            bytes if bytes > self.most_bytes => Err(too_large("more".to_owned())),
            _ if !is_debug_file(&fresh, id) => {
                Err(Refusal::Server(format!("what it gives for {name} is not its debug information")))
            }
            _ => fs::rename(&fresh, directory.join("debuginfo")).map_err(kept),
        });
        if copied.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        copied
    }

    /// Copies what the server sends, one byte more than is allowed at most. Gives how many bytes that were.
    fn copy(&self, from: &mut dyn Read, to: &mut File, name: &str, length: Option<u64>) -> Result<u64, Refusal> {
        let of = length.map_or(String::new(), |length| format!(" of {}", size(length)));
        let mut buffer = vec![0; 1 << 16];
        let mut bytes = 0;
        while bytes <= self.most_bytes {
            let count = from.read(&mut buffer).map_err(|error| Refusal::Server(error.to_string()))?;
            if count == 0 {
                break;
            }
            to.write_all(&buffer[..count]).map_err(|error| Refusal::of_cache(&self.cache, &error))?;
            bytes += count as u64;
            self.bar.set_message(format!("fetching debug information of {}: {}{of}", visible(name), size(bytes)));
            self.bar.tick();
        }
        Ok(bytes)
    }
}

impl Download for Debuginfod {
    fn debug_file(&self, build_id: &[u8], object: &str) -> Option<PathBuf> {
        self.fetched(build_id, object)
    }
}

impl Drop for Debuginfod {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Where `debuginfod-find` keeps files: its own variable, its old place if that is there, the cache directory.
fn cache_directory() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let old = || set("HOME").map(|home| home.join(".debuginfod_client_cache")).filter(|path| path.is_dir());
    let new = || cache_home().map(|cache| cache.join("debuginfod_client"));
    set("DEBUGINFOD_CACHE_PATH").or_else(old).or_else(new)
}
