//! The simulator behind a port: faults by hand, answers that are lost, virtual time.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::{Sim, Speed, serve};
use super::START;
use super::groups::scenario;
use super::network::{ask, run};
use crate::catalog::Catalog;

async fn serving(speed: Speed) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let port = listener.local_addr().expect("address").port();
    let sim = Sim::new(Catalog::embedded(), scenario(""), START);
    tokio::spawn(serve(
        listener,
        Box::new(sim),
        speed,
        std::future::pending::<()>(),
    ));
    port
}

const CHECKS: &str = "/compute/v1/projects/demo/global/healthChecks";

/// A POST on a connection of its own, and all that comes back.
async fn raw(port: u16, path: &str, kind: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("write");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// A batch that inserts a health check of each name.
fn batch_of(names: &[&str]) -> String {
    let part = |name: &&str| {
        let body = json!({ "name": name, "type": "TCP" }).to_string();
        format!(
            "--b\r\nContent-Type: application/http\r\nContent-ID: <{name}>\r\n\r\n\
             POST {CHECKS} HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}\r\n",
            body.len()
        )
    };
    let parts: String = names.iter().map(part).collect();
    format!("{parts}--b--\r\n")
}

#[test]
fn a_batch_meets_the_fates_of_its_calls() {
    const KIND: &str = "multipart/mixed; boundary=b";
    run(async {
        let port = serving(Speed::Virtual).await;
        let told = raw(port, "/batch/compute/v1", KIND, &batch_of(&["a", "b"])).await;
        assert_eq!(told.matches("compute#operation").count(), 2, "{told}");
        let rule = json!({ "kind": "answer lost", "method": "compute.healthChecks.insert",
            "target": "*/d" });
        ask(port, "POST /_r5flow/fault", &rule.to_string()).await;
        let told = raw(port, "/batch/compute/v1", KIND, &batch_of(&["c", "d", "e"])).await;
        assert_eq!(told, "", "one answer is lost, so is the batch's");
        let (_, list) = ask(port, &format!("GET {CHECKS}"), "").await;
        let there = |name: &str| {
            let items = list["items"].as_array().into_iter().flatten();
            items.filter(|i| i["name"] == name).count()
        };
        let made = ["a", "b", "c", "d", "e"].map(there);
        assert_eq!(made, [1; 5], "every call took effect once: {list}");
    });
}

#[test]
fn an_answer_lost_by_hand_breaks_the_connection() {
    run(async {
        let port = serving(Speed::Times(1000.0)).await;
        let rule = json!({ "kind": "answer lost", "method": "compute.healthChecks.insert" });
        let (head, _) = ask(port, "POST /_r5flow/fault", &rule.to_string()).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body = json!({ "name": "a", "type": "TCP" }).to_string();
        let answer = raw(port, CHECKS, "application/json", &body).await;
        assert_eq!(answer, "", "nothing comes back");
        let (head, _) = ask(port, &format!("GET {CHECKS}/a"), "").await;
        assert!(
            head.starts_with("HTTP/1.1 200"),
            "and yet it took effect: {head}"
        );
        for (bad, why) in [
            (
                json!({ "kind": "answer lots", "method": "*" }),
                "answer lots",
            ),
            (json!({ "kind": "slow", "method": "*" }), "delay"),
        ] {
            let (head, told) = ask(port, "POST /_r5flow/fault", &bad.to_string()).await;
            assert!(head.starts_with("HTTP/1.1 400"), "{head}");
            assert!(told.to_string().contains(why), "{told}");
        }
    });
}

#[test]
fn virtual_time_jumps_from_call_to_call() {
    run(async {
        let port = serving(Speed::Virtual).await;
        let image = json!({ "name": "i", "sourceImage": "global/images/old" });
        let line = "POST /compute/v1/projects/demo/global/images";
        ask(port, line, &image.to_string()).await;
        let mut reads = 0;
        loop {
            let path = "GET /compute/v1/projects/demo/global/images/i";
            let (_, image) = ask(port, path, "").await;
            if image["status"] == "READY" {
                break;
            }
            reads += 1;
            assert!(reads < 10, "{image}");
        }
        let (_, state) = ask(port, "GET /_r5flow/state", "").await;
        let now =
            crate::world::Timestamp::parse(state["now"].as_str().expect("now")).expect("time");
        assert!(
            (80..120).contains(&(now.since(START).0 / 1000)),
            "{}",
            state["now"]
        );
    });
}
