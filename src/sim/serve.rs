//! The simulated cloud behind a port, for any client that speaks Google's HTTP.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use super::durable::{Cloud, SimError};
use super::router::decode;
use super::{Call, Fate, Reply, batch, coding, scenario};
use crate::wire::Verb;
use crate::world::{Millis, Timestamp};

/// How the simulator names itself in the `server` header.
pub const SERVER: &str = "r5flow-sim";

const NOT_ALLOWED: &str = "The method is not allowed here.";

/// Shorter answers leave as they are.
const SMALLEST_PACKED: usize = 200;

/// A request body longer than this is refused with 413.
const LARGEST_BODY: usize = 10 * 1024 * 1024;

/// A client has this long for its request line and headers.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

/// And this long for the body.
const BODY_PATIENCE: Duration = Duration::from_secs(120);

type Answer = Response<Full<Bytes>>;

/// The cloud and its running clock.
struct Server {
    cloud: Mutex<Box<dyn Cloud + Send>>,
    clock: Mutex<Flow>,
    moved: Notify,
    speed: Speed,
}

/// How virtual time goes by behind a port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// So many times as fast as the machine's; above 0.
    Times(f64),
    /// It stands still but for calls: an answer leaves at once, and each read of something that waits
    /// for the clock finds it at its next moment.
    Virtual,
}

/// Virtual time: `from` at `since`, and faster or slower than the machine's from there.
struct Flow {
    from: Timestamp,
    since: Instant,
}

/// Answers connections until `shutdown` resolves. Virtual time begins at the cloud's own and runs
/// as fast as `speed` says.
///
/// # Errors
/// A listener that stops accepting.
pub async fn serve(
    listener: TcpListener,
    cloud: Box<dyn Cloud + Send>,
    speed: Speed,
    shutdown: impl Future<Output = ()>,
) -> Result<(), SimError> {
    let from = cloud.sim().now();
    let server = Arc::new(Server {
        cloud: Mutex::new(cloud),
        clock: Mutex::new(Flow {
            from,
            since: Instant::now(),
        }),
        moved: Notify::new(),
        speed,
    });
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => return Ok(()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(Arc::clone(&server), TokioIo::new(stream)));
                }
                // Out of file descriptors, or a client that left already: the next one may do better.
                Err(e) if is_passing(&e) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(e) => return Err(SimError::Server(e.to_string())),
            },
        }
    }
}

fn is_passing(e: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(e.kind(), ConnectionAborted | ConnectionReset | Interrupted)
        || matches!(e.raw_os_error(), Some(23 | 24))
}

async fn connection(server: Arc<Server>, io: TokioIo<tokio::net::TcpStream>) {
    let service = service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { whole(answer(&server, request).await) }
    });
    // What a broken client sends is answered by hyper (400, 431); its connection is of no interest then.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_PATIENCE)
        .serve_connection(io, service)
        .await;
}

/// An answer that the scenario loses on its way.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the scenario breaks this connection")]
struct Cut;

/// A lost answer breaks its connection.
fn whole(answer: Answer) -> Result<Answer, Cut> {
    match answer.extensions().get::<Cut>() {
        Some(cut) => Err(cut.clone()),
        None => Ok(answer),
    }
}

fn cut() -> Answer {
    let mut lost = Response::new(Full::new(Bytes::new()));
    lost.extensions_mut().insert(Cut);
    lost
}

impl Server {
    fn now(&self) -> Timestamp {
        let flow = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        let Speed::Times(speed) = self.speed else {
            return flow.from;
        };
        let real = flow.since.elapsed().as_secs_f64();
        flow.from.plus(Millis((real * speed * 1000.0) as i64))
    }

    /// With virtual time: the moment at which a call finds the cloud. A read is a client that waits, so
    /// it finds the next thing that happens done.
    fn jump(&self, cloud: &dyn Cloud, reads: bool) {
        if self.speed == Speed::Virtual
            && reads
            && let Some(next) = cloud.sim().next_due()
        {
            self.reach(next);
        }
    }

    fn reach(&self, at: Timestamp) {
        let mut flow = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        flow.from = flow.from.max(at);
    }

    fn skip(&self, span: Millis) -> Timestamp {
        let mut flow = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        flow.from = flow.from.plus(span);
        drop(flow);
        self.moved.notify_waiters();
        self.now()
    }

    fn cloud(&self) -> MutexGuard<'_, Box<dyn Cloud + Send>> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: &Call) -> Result<Reply, SimError> {
        let mut cloud = self.cloud();
        self.jump(&**cloud, call.verb == Verb::Get);
        let now = self.now();
        cloud.call(call, now)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let Speed::Times(speed) = self.speed else {
            return self.reach(at);
        };
        loop {
            let moved = self.moved.notified();
            let left = at.since(self.now()).0;
            if left <= 0 {
                return;
            }
            let real = Duration::from_secs_f64(left as f64 / 1000.0 / speed);
            tokio::select! {
                () = tokio::time::sleep(real.max(Duration::from_micros(200))) => {}
                () = moved => {}
            }
        }
    }
}

async fn answer(server: &Server, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|h| h.to_str().ok());
    let body = match read_body(body, header("content-encoding")).await {
        Ok(body) => body,
        Err((status, message)) => return plain(status, message),
    };
    let (path, query) = read_target(&head.uri.to_string());
    if let Some(command) = path.strip_prefix("_r5flow/") {
        return admin(server, &head.method, command, &query, &body);
    }
    let batch = batch::is_batch(&path);
    let method = match &head.method {
        method if batch && method != Method::POST => return plain(405, NOT_ALLOWED),
        // Answered as GET; hyper leaves the body out.
        &Method::HEAD => Verb::Get,
        method => match Verb::parse(method.as_str()) {
            Some(verb) => verb,
            None => return plain(405, NOT_ALLOWED),
        },
    };
    let packed = header("accept-encoding").is_some_and(coding::takes_gzip);
    let host = header("host").unwrap_or("");
    let service = host.strip_suffix(".googleapis.com").map(str::to_string);
    if batch {
        let kind = header("content-type").unwrap_or("");
        return answer_batch(server, kind, &body, service).await;
    }
    let headers = head
        .headers
        .iter()
        .filter_map(|(k, v)| Some((k.as_str().to_string(), v.to_str().ok()?.to_string())))
        .collect();
    let call = Call {
        service,
        verb: method,
        path,
        query,
        headers,
        body,
    };
    match server.call(&call) {
        Ok(reply) => {
            server.sleep_until(reply.at).await;
            match reply.fate {
                Fate::Lost => cut(),
                Fate::Arrives => carry(reply.answer, packed),
            }
        }
        Err(e) => plain(500, &e.to_string()),
    }
}

/// The calls of a batch happen in their order, and the answer leaves with the last of theirs. It is lost when
/// one of theirs is.
async fn answer_batch(
    server: &Server,
    content_type: &str,
    body: &[u8],
    service: Option<String>,
) -> Answer {
    let parts = match batch::parse(content_type, body) {
        Ok(parts) => parts,
        Err(message) => return plain(400, &message),
    };
    let mut answers = Vec::new();
    let mut last = server.now();
    let mut lost = false;
    for mut part in parts {
        part.call.service.clone_from(&service);
        match server.call(&part.call) {
            Ok(reply) => {
                last = last.max(reply.at);
                lost |= reply.fate == Fate::Lost;
                answers.push((part.id, reply.answer));
            }
            Err(e) => return plain(500, &e.to_string()),
        }
    }
    server.sleep_until(last).await;
    if lost {
        return cut();
    }
    let (boundary, body) = batch::render(&answers);
    let kind = format!("multipart/mixed; boundary={boundary}");
    finish(Response::builder().header("content-type", kind), body)
}

async fn read_body(body: Incoming, encoding: Option<&str>) -> Result<Vec<u8>, (u16, &'static str)> {
    const TOO_LARGE: (u16, &str) = (413, "The request is larger than 10 MiB.");
    if body.size_hint().lower() > LARGEST_BODY as u64 {
        return Err(TOO_LARGE);
    }
    let read = Limited::new(body, LARGEST_BODY).collect();
    let Ok(read) = tokio::time::timeout(BODY_PATIENCE, read).await else {
        return Err((408, "The request's body did not arrive."));
    };
    let body = match read {
        Ok(body) => body.to_bytes().to_vec(),
        Err(e) if e.is::<LengthLimitError>() => return Err(TOO_LARGE),
        Err(_) => return Err((400, "The request's body could not be read.")),
    };
    match encoding {
        Some("gzip" | "x-gzip") => coding::unpack(&body, LARGEST_BODY)
            .ok_or((400, "The request's body is no gzip of at most 10 MiB.")),
        _ => Ok(body),
    }
}

/// Path and query of a request line; the path without its leading slash. A client that goes through a
/// proxy sends the whole address.
pub fn read_target(target: &str) -> (String, Vec<(String, String)>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path,
    };
    (
        path.trim_start_matches('/').to_string(),
        read_query(query.split('#').next().unwrap_or("")),
    )
}

fn carry(answer: crate::wire::Answer, packed: bool) -> Answer {
    let mut out = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        out = out.header(name, value);
    }
    match coding::pack(&answer.body).filter(|_| packed && answer.body.len() > SMALLEST_PACKED) {
        Some(body) => finish(out.header("content-encoding", "gzip"), body),
        None => finish(out, answer.body),
    }
}

fn finish(out: http::response::Builder, body: Vec<u8>) -> Answer {
    out.header("server", SERVER)
        .header("vary", "Origin, X-Origin, Referer, Accept-Encoding")
        .header("x-content-type-options", "nosniff")
        .body(Full::new(Bytes::from(body)))
        .unwrap_or_else(|_| {
            let mut broken = Response::new(Full::new(Bytes::new()));
            *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            broken
        })
}

fn json_answer(status: u16, body: &Json) -> Answer {
    let out = Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=UTF-8");
    finish(out, body.to_string().into_bytes())
}

fn plain(status: u16, message: &str) -> Answer {
    json_answer(
        status,
        &json!({ "error": { "code": status, "message": message } }),
    )
}

fn read_query(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let read = |t: &str| decode(&t.replace('+', " "));
            (read(name), read(value))
        })
        .collect()
}

/// What a test or a person asks of the simulator itself.
fn admin(
    server: &Server,
    method: &Method,
    command: &str,
    query: &[(String, String)],
    body: &[u8],
) -> Answer {
    let mut cloud = server.cloud();
    let now = server.now();
    match (method, command) {
        (&Method::GET, "state") => {
            let sim = cloud.sim_mut();
            sim.advance(now);
            let resources = sim.resources();
            let body = json!({
                "now": now.rfc3339(),
                "quiet": sim.is_quiet(),
                "count": resources.len(),
                "mutations": sim.mutations().len(),
                "resources": resources,
            });
            json_answer(200, &body)
        }
        (&Method::GET, "log") => json_answer(200, &json!({ "mutations": cloud.sim().mutations() })),
        (&Method::POST, "approved") => match cloud.approve(now) {
            Ok(()) => json_answer(200, &json!({ "now": now.rfc3339() })),
            Err(e) => plain(500, &e.to_string()),
        },
        (&Method::POST, "advance") => {
            let text = query
                .iter()
                .find(|(k, _)| k == "duration")
                .map(|(_, v)| v.as_str());
            match text.and_then(scenario::parse_span) {
                Some(span) => {
                    let now = server.skip(span);
                    cloud.sim_mut().advance(now);
                    json_answer(200, &json!({ "now": now.rfc3339() }))
                }
                None => plain(
                    400,
                    "Give a duration, for example /_r5flow/advance?duration=5m",
                ),
            }
        }
        (&Method::POST, "fault") => match serde_json::from_slice(body) {
            Ok(rule) => match cloud.sim_mut().inject(rule) {
                Ok(()) => json_answer(200, &json!({ "now": now.rfc3339() })),
                Err(why) => plain(400, &why),
            },
            Err(e) => plain(400, &format!("That is no fault: {e}")),
        },
        _ => plain(
            404,
            "There is GET state, GET log, POST approved, POST fault and POST advance?duration=5m.",
        ),
    }
}
