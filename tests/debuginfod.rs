//! Debug files from servers: what comes is used and kept, what goes wrong is said once and keeps no report from being
//! made.

use crate::support::{Ran, Scratch};
use crate::traced::{fixture, sh};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BUILD_ID: &str = "abcdef0123456789abcdef0123456789abcdef01";
const REQUEST: &str = "GET /buildid/abcdef0123456789abcdef0123456789abcdef01/debuginfo HTTP/1.1";

/// A server that answers each request with these bytes, and what it was asked.
struct Server {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `None`: takes the request and never answers.
    fn start(answer: impl Fn(&str) -> Option<Vec<u8>> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        // Ends with the test process.
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    match stream.read(&mut byte) {
                        Ok(1) => request.push(byte[0]),
                        _ => break,
                    }
                }
                let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
                let answer = answer(&line);
                log.lock().unwrap().push(line);
                match answer {
                    Some(bytes) => drop(stream.write_all(&bytes)),
                    None => silent.push(stream),
                }
            }
        });
        Self { url, asked }
    }

    fn asked_for_app(&self) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| *line == REQUEST).count()
    }
}

fn ok(body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

fn missing() -> Option<Vec<u8>> {
    Some(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec())
}

/// A recording of a stripped program, and its debug file.
fn recorded() -> (Scratch, Vec<u8>) {
    let scratch = Scratch::new();
    let [app, debug] = ["app", "app.debug"].map(|name| scratch.path(name));
    let (linker, source) = (format!("-Wl,--build-id=0x{BUILD_ID}"), fixture("inlines.c"));
    let flags = ["-O1", "-g", &linker, "-o"].map(Path::new).map(Path::as_os_str);
    sh("cc", &[&flags[..], &[app.as_os_str(), source.as_os_str()]].concat());
    sh("objcopy", &["--only-keep-debug".as_ref(), app.as_os_str(), debug.as_os_str()]);
    sh("strip", &[app.as_os_str()]);
    scratch.heaptide("run --native --quiet -o run.bin -- ./app").exits(0);
    let bytes = std::fs::read(&debug).unwrap();
    std::fs::remove_file(debug).unwrap();
    (scratch, bytes)
}

/// The report, with these servers.
fn report(scratch: &Scratch, urls: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_heaptide"));
    command.args(["flamegraph", "--format", "folded", "--debug-file-directory", "nowhere", "run.bin"]);
    command.env("XDG_CACHE_HOME", scratch.path("cache")).env("HOME", scratch.path("home"));
    for name in ["DEBUGINFOD_CACHE_PATH", "DEBUGINFOD_MAXSIZE", "DEBUGINFOD_MAXTIME", "DEBUGINFOD_TIMEOUT"] {
        command.env_remove(name);
    }
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(name);
    }
    scratch.run(command.env("DEBUGINFOD_URLS", urls).envs(variables.iter().copied())).exits(0)
}

const INLINED: &str = ";outer (inlines.c:18 in app);middle (inlines.c:13 in app);inner (inlines.c:9 in app) 23456\n";

fn is_named(ran: &Ran) -> bool {
    ran.stdout().contains(INLINED)
}

fn kept(scratch: &Scratch, cache: &str) -> std::path::PathBuf {
    scratch.path(cache).join(BUILD_ID).join("debuginfo")
}

#[test]
fn a_debug_file_is_fetched_once() {
    let (scratch, debug) = recorded();
    let nobody = Server::start(|_| missing());
    let content = debug.clone();
    let server = Server::start(move |line| if line == REQUEST { ok(&content) } else { missing() });
    let ran = report(&scratch, &format!("{} {}/", nobody.url, server.url), &[]);
    assert!(is_named(&ran), "{}", ran.stdout());
    assert_eq!(ran.stderr(), "");
    assert_eq!(std::fs::read(kept(&scratch, "cache/debuginfod_client")).unwrap(), debug);
    let ran = report(&scratch, &format!("{} {}", nobody.url, server.url), &[]);
    assert!(is_named(&ran));
    assert_eq!((nobody.asked_for_app(), server.asked_for_app()), (1, 1));
    // Nobody is asked without a server, and what is kept is then not looked at; the names are in our own cache.
    std::fs::remove_dir_all(scratch.path("cache/heaptide")).unwrap();
    assert!(!is_named(&report(&scratch, "", &[])));
    // What debuginfod-find has kept elsewhere is used.
    let place = scratch.path("other");
    std::fs::create_dir_all(kept(&scratch, "other").parent().unwrap()).unwrap();
    std::fs::rename(kept(&scratch, "cache/debuginfod_client"), kept(&scratch, "other")).unwrap();
    let variables = [("DEBUGINFOD_CACHE_PATH", place.to_str().unwrap())];
    assert!(is_named(&report(&scratch, &nobody.url, &variables)));
    assert_eq!(nobody.asked_for_app(), 1);
}

#[test]
fn what_no_server_has_is_not_asked_for_at_once_again() {
    let (scratch, _) = recorded();
    let server = Server::start(|_| missing());
    for _ in 0..2 {
        let ran = report(&scratch, &server.url, &[]);
        assert!(!is_named(&ran));
        assert_eq!(ran.stderr(), "");
    }
    assert_eq!(server.asked_for_app(), 1);
    let path = kept(&scratch, "cache/debuginfod_client");
    assert_eq!(path.metadata().unwrap().len(), 0);
    // Ten minutes later it is.
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(601);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(long_ago).unwrap();
    report(&scratch, &server.url, &[]);
    assert_eq!(server.asked_for_app(), 2);
}

/// A server whose answers are wrong: what is said of it, and that it was not believed.
fn fails(answer: impl Fn(&[u8]) -> Option<Vec<u8>> + Send + 'static, variables: &[(&str, &str)], expected: &str) {
    let (scratch, debug) = recorded();
    let server = Server::start(move |line| if line == REQUEST { answer(&debug) } else { missing() });
    let ran = report(&scratch, &server.url, variables);
    assert!(!is_named(&ran));
    let line = format!("heaptide: {}: {expected}", server.url);
    let said: Vec<String> = ran.stderr().lines().map(str::to_owned).collect();
    assert!(said.len() == 1 && said[0].starts_with(&line), "{said:#?} instead of {line}");
    assert!(!kept(&scratch, "cache/debuginfod_client").exists());
    let left = std::fs::read_dir(scratch.path("cache/debuginfod_client").join(BUILD_ID)).into_iter().flatten().count();
    assert_eq!(left, 0, "a part of a file was left behind");
}

#[test]
fn a_silent_server_is_given_up() {
    let start = Instant::now();
    fails(|_| None, &[("DEBUGINFOD_TIMEOUT", "1")], "timeout");
    assert!(start.elapsed() < Duration::from_secs(20), "it was waited for {:?}", start.elapsed());
}

#[test]
fn garbage_is_not_kept() {
    fails(|_| ok(b"<html>Welcome to the hotel</html>"), &[], "what it gives for app is not its debug information");
    fails(|_| ok(&std::fs::read("/bin/true").unwrap()), &[], "what it gives for app is not its debug information");
    fails(|_| Some(b"no words of HTTP\r\n\r\n".to_vec()), &[], "");
    let broken = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    fails(|_| Some(broken.to_vec()), &[], "answers 500; not asked again");
}

#[test]
fn a_file_that_breaks_off_is_not_kept() {
    let half = |debug: &[u8]| ok(debug).map(|answer| answer[..answer.len() - debug.len() / 2].to_vec());
    fails(half, &[], "");
}

#[test]
fn a_file_that_is_too_large_is_not_fetched() {
    let variables = [("DEBUGINFOD_MAXSIZE", "5000")];
    fails(ok, &variables, "debug information of app has ");
    // The server does not say how large it is.
    let unsaid = |debug: &[u8]| Some([b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", debug].concat());
    fails(unsaid, &variables, "debug information of app has more, more than 4.9 KiB");
}

#[test]
fn a_server_that_is_not_there_is_named_once() {
    let (scratch, _) = recorded();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = report(&scratch, &format!("http://{port} ftp://nowhere ima:enforcing"), &[]);
    assert!(!is_named(&ran));
    assert_eq!(ran.stderr().lines().count(), 1, "{}", ran.stderr());
    assert!(ran.stderr().starts_with(&format!("heaptide: http://{port}: ")), "{}", ran.stderr());
}
