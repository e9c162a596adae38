//! The simulated cloud on a port and in process.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Cloud, Scenario, Sim, SimWire, Speed, serve};
use super::START;
use crate::catalog::Catalog;
use crate::wire::{NoAnswer, Request, Verb, Wire};
use crate::world::{Clock, Millis, Timestamp};

pub fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("runtime")
        .block_on(async { tokio::time::timeout(std::time::Duration::from_secs(20), work).await })
        .expect("in time")
}

pub async fn raw(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    stream.write_all(text.as_bytes()).await.expect("write");
    let mut out = String::new();
    stream.read_to_string(&mut out).await.expect("read");
    out
}

pub async fn ask(port: u16, line: &str, body: &str) -> (String, Json) {
    let text = format!(
        "{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(port, &text).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (
        head.to_string(),
        serde_json::from_str(body).unwrap_or(Json::Null),
    )
}

#[test]
fn the_server_answers() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let sim = Sim::new(Catalog::embedded(), Scenario::default(), START);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(
            listener,
            Box::new(sim),
            Speed::Times(1000.0),
            async {
                let _ = stopped.await;
            },
        ));

        let (head, body) = ask(
            port,
            "GET /compute/v1/projects/demo/global/networks/default?alt=json",
            "",
        )
        .await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.to_lowercase().contains("server: r5flow-sim"), "{head}");
        assert!(head.contains("application/json; charset=UTF-8"), "{head}");
        assert_eq!(body["name"], "default");

        let stop_line =
            "POST /compute/v1/projects/demo/zones/us-central1-a/instances/stream-manager-1/stop";
        let (_, operation) = ask(port, stop_line, "").await;
        let name = operation["name"].as_str().expect("name");
        let wait =
            format!("POST /compute/v1/projects/demo/zones/us-central1-a/operations/{name}/wait");
        assert_eq!(ask(port, &wait, "").await.1["status"], "DONE");

        let (_, log) = ask(port, "GET /_r5flow/log", "").await;
        assert_eq!(log["mutations"][0]["method"], "compute.instances.stop");
        let (_, state) = ask(port, "GET /_r5flow/state", "").await;
        let key = "compute/projects/demo/zones/us-central1-a/instances/stream-manager-1";
        assert_eq!(state["resources"][key]["status"], "TERMINATED");
        let (_, moved) = ask(port, "POST /_r5flow/advance?duration=2h", "").await;
        let there = Timestamp::parse(moved["now"].as_str().expect("now")).expect("time");
        assert!(there.since(START).0 > 7_200_000);
        assert!(
            ask(port, "POST /_r5flow/approved", "")
                .await
                .0
                .starts_with("HTTP/1.1 200")
        );

        assert!(
            ask(
                port,
                "POST /compute/v1/projects/demo/global/images",
                "{\"name\""
            )
            .await
            .0
            .starts_with("HTTP/1.1 400")
        );
        assert!(
            ask(port, "OPTIONS /x", "")
                .await
                .0
                .starts_with("HTTP/1.1 405")
        );
        for (line, status) in [
            ("GET /nothing/here", 404),
            ("GET /bigquery/v2/projects/p/datasets", 501),
            ("DELETE /compute/v1/projects/demo/global/images", 405),
            (
                "HEAD /compute/v1/projects/demo/global/networks/default",
                200,
            ),
        ] {
            let head = ask(port, line, "").await.0;
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status}")),
                "{line}: {head}"
            );
        }
        assert!(
            raw(port, "nonsense\r\n\r\n")
                .await
                .starts_with("HTTP/1.1 400")
        );
        let long =
            "POST /x HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 99999999\r\n\r\n";
        assert!(raw(port, long).await.starts_with("HTTP/1.1 413"));

        let parts = ["zones/us-central1-a", "zones/us-central1-a/disks/none"].map(|path| {
            let line = format!("GET /{}?alt=json HTTP/1.1", super::compute(path));
            format!(
                "--x\r\ncontent-type: application/http\r\ncontent-id: <a+{}>\r\n\r\n{line}\r\n\r\n",
                path.len()
            )
        });
        let body = format!("{}{}--x--", parts[0], parts[1]);
        let batch = format!(
            "POST /batch/compute/v1 HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\
             content-type: multipart/mixed; boundary=x\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = raw(port, &batch).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let [_, found, missing, _] = answer.split("\r\n--batch_").collect::<Vec<_>>()[..] else {
            panic!("two parts: {answer}");
        };
        assert!(
            found.contains("Content-ID: <response-a+19>\r\n\r\nHTTP/1.1 200 OK"),
            "{found}"
        );
        assert!(
            missing.contains("<response-a+30>\r\n\r\nHTTP/1.1 404 Not Found"),
            "{missing}"
        );

        stop.send(()).expect("stop");
        server.await.expect("join").expect("serve");
    });
}

/// A clock on which waiting takes no time.
struct Skip(Cell<Timestamp>);

impl Clock for Skip {
    fn now(&self) -> Timestamp {
        self.0.get()
    }

    fn sleep_until<'a>(&'a self, moment: Timestamp) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        self.0.set(self.0.get().max(moment));
        Box::pin(std::future::ready(()))
    }
}

fn request(method: &str, verb: Verb, path: &str, body: Option<Json>) -> Request {
    Request {
        method: method.into(),
        verb,
        path: path.into(),
        query: Vec::new(),
        headers: Vec::new(),
        body,
    }
}

#[test]
fn the_wire_takes_its_time() {
    let sim = Sim::new(Catalog::embedded(), Scenario::default(), START);
    let cloud: Rc<RefCell<dyn Cloud>> = Rc::new(RefCell::new(sim));
    let clock = Rc::new(Skip(Cell::new(START)));
    let wire = SimWire::new(cloud, clock.clone());
    run(async {
        let insert = request(
            "compute.healthChecks.insert",
            Verb::Post,
            "compute/v1/projects/demo/global/healthChecks",
            Some(json!({ "name": "a", "type": "TCP" })),
        );
        let answer = wire.send(&insert, Millis::secs(60)).await.expect("answer");
        assert_eq!(answer.status, 200);
        assert_eq!(clock.now(), START.plus(Millis(300)));
        let body: Json = serde_json::from_slice(&answer.body).expect("json");
        let name = body["name"].as_str().expect("name");
        let wait = request(
            "compute.globalOperations.wait",
            Verb::Post,
            &format!("compute/v1/projects/demo/global/operations/{name}/wait"),
            None,
        );
        let late = wire.send(&wait, Millis(500)).await;
        assert!(matches!(late, Err(NoAnswer::Unknown(_))), "{late:?}");
        let answer = wire.send(&wait, Millis::mins(3)).await.expect("answer");
        let body: Json = serde_json::from_slice(&answer.body).expect("json");
        assert_eq!(body["status"], "DONE");
        assert_eq!(
            clock.now(),
            START.plus(Millis::secs(4)),
            "done after four seconds"
        );
        let other = request("http", Verb::Get, "https://example.com/", None);
        assert!(matches!(
            wire.send(&other, Millis::secs(1)).await,
            Err(NoAnswer::NotSent(_))
        ));
    });
}
