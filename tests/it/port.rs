//! The simulated cloud as a process of its own, behind a port.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::Value as Json;

use crate::harness::Folder;

pub struct Cloud {
    process: Child,
    /// `127.0.0.1:40123`
    pub address: String,
}

impl Cloud {
    /// A cloud with this scenario, whose time runs as many times faster.
    pub fn new(folder: &Folder, scenario: &str, speed: &str) -> Cloud {
        folder.write("scenario.toml", scenario);
        Cloud::with(folder, &["--scenario", "scenario.toml", "--speed", speed])
    }

    /// `r5flow sim` on a free port, with these words besides.
    pub fn with(folder: &Folder, more: &[&str]) -> Cloud {
        let words = [&["sim", "--listen", "127.0.0.1:0"], more].concat();
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
        Cloud { process, address }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often each change took effect, by method and target.
    pub fn effective(&self) -> BTreeMap<String, usize> {
        let mut stream = TcpStream::connect(&self.address).expect("the simulator");
        let line = format!(
            "GET /_r5flow/log HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(line.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let text = String::from_utf8_lossy(&answer);
        let (from, to) = (text.find('{'), text.rfind('}'));
        let json: Json = match (from, to) {
            (Some(from), Some(to)) => serde_json::from_str(&text[from..=to]).expect("JSON"),
            _ => panic!("no log: {text}"),
        };
        let mut count = BTreeMap::new();
        for change in json["mutations"].as_array().into_iter().flatten() {
            if change["effective"] == true {
                let text = |name: &str| change[name].as_str().unwrap_or("").to_owned();
                let key = format!("{} {}", text("method"), text("target"));
                *count.entry(key).or_insert(0) += 1;
            }
        }
        count
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
