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

#[test]
fn an_answer_lost_by_hand_breaks_the_connection() {
    run(async {
        let port = serving(Speed::Times(1000.0)).await;
        let rule = json!({ "kind": "answer lost", "method": "compute.healthChecks.insert" });
        let (head, _) = ask(port, "POST /_r5flow/fault", &rule.to_string()).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let body = json!({ "name": "a", "type": "TCP" }).to_string();
        let mut stream = TcpStream::connect(("127.0.0.1", port))
            .await
            .expect("connect");
        let request = format!(
            "POST {CHECKS} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("write");
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"", "nothing comes back");
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
