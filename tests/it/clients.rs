//! Google's Python clients as judges of the simulator: `tests/clients/`.
//!
//! They are installed once, below `target/`, by the package index that pip knows. Where that cannot
//! be done the judges are left out, and said to be; `R5FLOW_EXPECT_CLIENTS=1` makes that a failure.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::harness::Folder;
use crate::port::Cloud;

/// How many cases each judge has at least; fewer means that some were lost.
const JUDGES: [(&str, usize); 2] = [("cloud_compute.py", 30), ("discovery.py", 26)];

/// A change of a database that lasts a second at this speed: a second one meets it on a busy machine, too.
const UNHURRIED: &str = "[durations]\n\"sqladmin.instances.patch\" = 1000\n";

#[test]
fn google_cloud_compute_accepts_the_simulator() {
    judge(JUDGES[0]);
}

#[test]
fn google_api_python_client_accepts_the_simulator() {
    judge(JUDGES[1]);
}

fn judge((script, cases): (&str, usize)) {
    let python = match python() {
        Ok(python) => python,
        Err(why) if std::env::var_os("R5FLOW_EXPECT_CLIENTS").is_some() => panic!("{why}"),
        Err(why) => return eprintln!("LEFT OUT: {script}: {why}"),
    };
    let folder = Folder::new(&[("unhurried.toml", UNHURRIED)]);
    let cloud = Cloud::with(
        &folder,
        &["--speed", "1000", "--scenario", "unhurried.toml"],
    );
    let output = Command::new(python)
        .arg(clients().join(script))
        .arg(cloud.endpoint())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("a process");
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}:\n{out}\n{err}");
    let passed = out.lines().filter(|l| l.starts_with("ok ")).count();
    assert!(passed >= cases, "{passed} cases instead of {cases}:\n{out}");
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A Python that has the clients. The folder is named after what is wanted, so that another version
/// is another folder.
fn python() -> Result<PathBuf, String> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    let wanted = std::fs::read_to_string(clients().join("requirements.txt"))
        .map_err(|e| format!("no list of clients: {e}"))?;
    let name = wanted.trim().replace("==", "-").replace('\n', "+");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    say(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&folder))?;
    say(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--requirement"])
        .arg(clients().join("requirements.txt")))?;
    std::fs::write(&complete, "").map_err(|e| e.to_string())?;
    Ok(python)
}

fn say(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
