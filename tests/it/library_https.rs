//! Libraries over https: git's own server behind TLS, an authority of the user's, a password that git's helper
//! gives; and fetches that are killed or go on at the same time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustls::{ServerConnection, StreamOwned};

use crate::credentials::config;
use crate::library_rig::{Machine, Published, WORD, assert_only_copies};

const FLOW: &str = "use red/image { word }\n\nworkflow w {\n  output o = word\n}\n";
/// `ada:sesame` in base64.
const RIGHT: &str = "authorization: basic YWRhOnNlc2FtZQ==";

/// How a connection of TLS begins.
const TLS: [u8; 1] = [22];

/// Serves the repositories of a machine:
///
/// - `/open/NAME.git` to everybody;
/// - `/locked/NAME.git` to ada;
/// - `/moved/NAME.git` is said to be at the same place over plain http;
/// - `/slow/NAME.git` answers when it is let go.
struct Server {
    address: String,
    /// The paths that were asked for; `plain` for what is no TLS.
    asked: Receiver<String>,
    go: Sender<()>,
}

fn server(machine: &Machine) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (told, asked) = channel();
    let (go, gate) = channel();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let root = machine.path("repositories");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (told, gate, root) = (told.clone(), Arc::clone(&gate), root.clone());
            std::thread::spawn(move || {
                let wait = |path: &str| {
                    let _ = told.send(path.to_owned());
                    let open = !path.starts_with("/slow/");
                    open || gate.lock().is_ok_and(|gate| gate.recv().is_ok())
                };
                let stream = stream.expect("connects");
                let mut first = [0];
                if stream.peek(&mut first).is_ok_and(|_| first != TLS) {
                    wait("plain");
                }
                // A client that does not trust the authority hangs up.
                let _ = serve(stream, &root, port, &wait);
            });
        }
    });
    Server {
        address: format!("https://localhost:{port}"),
        asked,
        go,
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    /// The lines of the head; names in small letters.
    headers: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let value = |l: &'_ String| l.strip_prefix(name).is_some_and(|l| l.starts_with(": "));
        let line = self.headers.iter().find(|l| value(l));
        line.map_or("", |l| &l[name.len() + 2..])
    }
}

fn request(stream: &mut dyn Read) -> std::io::Result<Request> {
    let mut reader = BufReader::with_capacity(1, stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                    format!("authorization: {}", value.replace("Basic", "basic"))
                }
                Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
                None => line.to_owned(),
            }),
        }
    }
    let first = lines.remove(0);
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut found = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: lines,
        body: Vec::new(),
    };
    found.body = vec![0; found.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut found.body)?;
    Ok(found)
}

fn serve(
    mut stream: TcpStream,
    root: &Path,
    port: u16,
    wait: &dyn Fn(&str) -> bool,
) -> std::io::Result<()> {
    let connection = ServerConnection::new(config()).expect("a connection");
    let mut stream = StreamOwned::new(connection, &mut stream);
    let asked = request(&mut stream)?;
    if !wait(&asked.path) {
        return Ok(());
    }
    let (room, path) = asked.path[1..].split_once('/').unwrap_or_default();
    let answer = match room {
        "locked" if !asked.headers.iter().any(|l| l == RIGHT) => {
            b"Status: 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\n\r\n".to_vec()
        }
        "moved" => format!(
            "Status: 302 Found\r\nLocation: http://localhost:{port}/open/{path}?{}\r\n\r\n",
            asked.query
        )
        .into_bytes(),
        _ => backend(root, path, &asked)?,
    };
    let status = match answer.strip_prefix(b"Status: ") {
        Some(rest) => {
            String::from_utf8_lossy(&rest[..rest.iter().position(|b| *b == b'\r').unwrap_or(0)])
                .into_owned()
        }
        None => "200 OK".to_owned(),
    };
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n")?;
    stream.write_all(&answer)?;
    stream.conn.send_close_notify();
    stream.flush()
}

/// What git's own server says.
fn backend(root: &Path, path: &str, asked: &Request) -> std::io::Result<Vec<u8>> {
    let mut git = Command::new("git")
        .args(["-c", "safe.directory=*", "http-backend"])
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &asked.method)
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", &asked.query)
        .env("CONTENT_TYPE", asked.header("content-type"))
        .env("CONTENT_LENGTH", asked.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", asked.header("content-encoding"))
        .env("GIT_PROTOCOL", asked.header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    git.stdin.take().expect("a pipe").write_all(&asked.body)?;
    Ok(git.wait_with_output()?.stdout)
}

/// A library in a repository, a project, and a git that trusts the server's authority.
fn made(machine: &Machine) -> Published<'_> {
    let library = machine.library("red", "");
    library.version("1.0.0", WORD);
    library.publish("1.0.0");
    machine.write("ca.pem", include_str!("../credentials/ca.pem"));
    configured(machine, "");
    machine.project("shop", &[("x.r5flow", FLOW)]);
    library
}

fn configured(machine: &Machine, more: &str) {
    let ca = machine.path("ca.pem");
    let config = format!("[http]\n\tsslCAInfo = {}\n{more}", ca.display());
    machine.write("home/.gitconfig", &config);
}

#[test]
fn https_with_an_authority_of_the_user_s() {
    let machine = Machine::new();
    let library = made(&machine);
    let server = server(&machine);
    let url = format!("{}/open/red.git", server.address);
    machine.write("home/.gitconfig", "");
    machine
        .run("shop", &["lib", "add", &url])
        .ends(1)
        .err_has("git says: ")
        .err_has("certificate");
    configured(&machine, "");
    machine
        .run("shop", &["lib", "add", &url, "--version", "^1"])
        .ends(0)
        .out_has(&format!("added red 1.0.0 from {url}\n"));
    library.version("1.1.0", "let word = \"two\"\n");
    library.publish("1.1.0");
    machine
        .run("shop", &["lib", "update"])
        .ends(0)
        .out_has("red 1.0.0 → 1.1.0");
    machine.remove("cache");
    machine.run("shop", &["lib", "vendor"]).ends(0);
    machine
        .run("shop", &["lib", "verify"])
        .ends(0)
        .out_has("good  red 1.1.0\n");
    // With the copies nobody is asked any more.
    machine.remove("cache");
    server.asked.try_iter().for_each(drop);
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    assert_eq!(server.asked.try_iter().count(), 0);
    machine
        .run(
            "shop",
            &["lib", "add", &format!("{}/open/blue.git", server.address)],
        )
        .ends(1)
        .err_has("blue.git/' not found");
}

#[test]
fn a_password_is_git_s_affair() {
    let machine = Machine::new();
    made(&machine);
    let server = server(&machine);
    let url = format!("{}/locked/red.git", server.address);
    machine
        .run("shop", &["lib", "add", &url])
        .ends(1)
        .err_has("could not read Username for 'https://localhost:")
        .err_has("terminal prompts disabled");
    let helper = |password: &str| {
        format!(
            "[credential]\n\thelper = \"!f() {{ echo username=ada; echo password={password}; }}; f\"\n"
        )
    };
    configured(&machine, &helper("simsalabim"));
    machine
        .run("shop", &["lib", "add", &url])
        .ends(1)
        .err_has("Authentication failed")
        .never_has("simsalabim");
    configured(&machine, &helper("sesame"));
    machine
        .run("shop", &["lib", "add", &url])
        .ends(0)
        .out_has("added red 1.0.0")
        .never_has("sesame");
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    for folder in ["shop", "cache"] {
        for (path, bytes) in machine.tree(folder) {
            let kept = String::from_utf8_lossy(&bytes).contains("sesame");
            assert!(!kept, "{}", path.display());
        }
    }
}

#[test]
fn https_never_becomes_plain_http() {
    let machine = Machine::new();
    made(&machine);
    let server = server(&machine);
    let url = format!("{}/moved/red.git", server.address);
    machine
        .run("shop", &["lib", "add", &url])
        .ends(1)
        .err_has("git says: ")
        .err_has("http");
    assert!(
        server
            .asked
            .try_iter()
            .all(|path| path.starts_with("/moved/"))
    );
    assert!(!machine.path("shop/r5flow.lock").exists());
}

/// The folders of fetches that are under way, or were left.
fn fetching(machine: &Machine) -> Vec<PathBuf> {
    let all = std::fs::read_dir(machine.path("cache/fetching")).expect("a folder");
    let paths = all.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.is_dir()).collect()
}

/// A `lib add` from a slow repository, that has asked its first question and waits for the answer.
fn begun(machine: &Machine, server: &Server, folder: &str, slow: &str) -> Child {
    let mut command = machine.command(folder, &["lib", "add", slow]);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().expect("it starts");
    assert_eq!(
        server.asked.recv().expect("a question"),
        "/slow/red.git/info/refs"
    );
    child
}

/// Two commands on one project at the same time: the later one writes nothing over what the other wrote.
#[test]
fn what_another_command_wrote_meanwhile_stays() {
    let machine = Machine::new();
    made(&machine);
    let server = server(&machine);
    let slow = format!("{}/slow/red.git", server.address);
    let late = begun(&machine, &server, "shop", &slow);
    machine.write("blue/r5flow.toml", "name = \"blue\"\nversion = \"1.0.0\"\n");
    machine.run("shop", &["lib", "add", "../blue"]).ends(0);
    let written = machine.tree("shop");
    for _ in 0..100 {
        let _ = server.go.send(());
    }
    let late = late.wait_with_output().expect("it ended");
    let told = String::from_utf8_lossy(&late.stderr);
    assert_eq!(late.status.code(), Some(1), "{told}");
    assert!(
        told.contains("was changed while this looked for libraries"),
        "{told}"
    );
    assert_eq!(machine.tree("shop"), written);
    machine.run("shop", &["lib", "add", &slow]).ends(0);
}

#[test]
fn a_killed_fetch_is_cleaned_up_by_the_next_and_a_living_one_is_left_alone() {
    let machine = Machine::new();
    let library = made(&machine);
    let server = server(&machine);
    let slow = format!("{}/slow/red.git", server.address);
    machine.project("other", &[]);
    machine.project("third", &[]);
    let start = |folder: &str| begun(&machine, &server, folder, &slow);
    let before = machine.tree("other");
    let mut killed = start("other");
    killed.kill().expect("killed");
    killed.wait().expect("it ended");
    let left = fetching(&machine);
    assert_eq!(left.len(), 1);
    assert_eq!(machine.tree("other"), before);

    let mut living = start("shop");
    let now = fetching(&machine);
    assert!(!left[0].exists() && now.len() == 1, "{now:?}");
    machine
        .run("third", &["lib", "add", &library.url()])
        .ends(0);
    assert_eq!(fetching(&machine), now);
    // One question of the killed one may still wait; what is left over is for nobody.
    for _ in 0..100 {
        let _ = server.go.send(());
    }
    assert!(living.wait().expect("it ended").success());
    machine.run("shop", &["check", "x.r5flow"]).ends(0);
    assert_only_copies(&machine);
}
