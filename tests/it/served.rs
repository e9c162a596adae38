//! The simulator as a process behind a port.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use crate::harness::Folder;

pub struct Served {
    process: Child,
    /// `127.0.0.1:40123`
    pub address: String,
}

impl Served {
    /// `r5flow sim` on a free port, with these words besides.
    pub fn new(folder: &Folder, more: &[&str]) -> Served {
        let words: Vec<&str> = ["sim", "--listen", "127.0.0.1:0"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        let mut command = folder.command(&words);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().expect("the simulator");
        let out = process.stdout.take().expect("its output");
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).expect("its word");
        let address = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split(';').next())
            .unwrap_or_else(|| panic!("no address in {line:?}"))
            .to_owned();
        Served { process, address }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
