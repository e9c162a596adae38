//! A terminal: finished things scroll by, and below them stands what is going on.
//!
//! A thread draws ten times a second at most, and only what changed. The cursor is never hidden, so
//! nothing has to be put right when the process dies.

use std::collections::BTreeSet;
use std::io::Write;
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indexmap::IndexMap;

use super::lines::Words;
use crate::journal::Event;
use crate::report::style::{Look, elapsed, fit, span};
use crate::run::{Observer, TaskId};
use crate::store::Vault;
use crate::world::Timestamp;

const REDRAW: Duration = Duration::from_millis(100);
/// How many running steps are shown.
const MOST: usize = 10;

/// What is drawn on.
pub struct Screen {
    pub look: Look,
    pub width: Box<dyn Fn() -> usize + Send>,
    pub now: Option<fn() -> Timestamp>,
    pub out: Box<dyn Write + Send>,
}

/// What is to be seen.
#[derive(Default)]
struct Scene {
    /// Lines that were not written yet.
    fresh: Vec<String>,
    running: IndexMap<String, Running>,
    done: usize,
    began: Option<Timestamp>,
    now: Timestamp,
}

struct Running {
    since: Timestamp,
    /// The call or the operation behind it.
    what: String,
}

pub struct Live {
    words: Words,
    past: BTreeSet<String>,
    scene: Arc<Mutex<Scene>>,
    painter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Live {
    pub fn new(screen: Screen, vault: Rc<Vault>, past: BTreeSet<String>) -> Self {
        let scene = Arc::new(Mutex::new(Scene::default()));
        let words = Words::new(screen.look, vault);
        let (over, wait) = channel();
        let shared = Arc::clone(&scene);
        let paint = move || {
            let mut painter = Painter {
                screen,
                region: String::new(),
            };
            while wait.recv_timeout(REDRAW) == Err(RecvTimeoutError::Timeout) {
                let text = painter.compose(&mut locked(&shared), true);
                painter.write(text);
            }
            let text = painter.compose(&mut locked(&shared), false);
            painter.write(text);
        };
        Live {
            words,
            past,
            scene,
            painter: Some((over, std::thread::spawn(paint))),
        }
    }

    fn set(&self, address: &str, what: String, at: Timestamp) {
        let mut scene = locked(&self.scene);
        let entry = scene.running.entry(address.to_owned()).or_insert(Running {
            since: at,
            what: String::new(),
        });
        entry.what = what;
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some((over, thread)) = self.painter.take() {
            drop(over);
            let _ = thread.join();
        }
    }
}

fn locked(scene: &Mutex<Scene>) -> MutexGuard<'_, Scene> {
    scene.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Observer for Live {
    fn began(&self, _: TaskId, address: &str, at: Timestamp) {
        if self.past.contains(address) {
            return;
        }
        let mut scene = locked(&self.scene);
        scene.now = scene.now.max(at);
        let running = Running {
            since: at,
            what: String::new(),
        };
        scene.running.insert(address.to_owned(), running);
    }

    fn waits(&self, address: &str, for_what: Option<&str>, at: Timestamp) {
        let what = for_what.map_or_else(String::new, |what| {
            format!("waits for {}", self.words.plain(what))
        });
        self.set(address, what, at);
    }

    fn recorded(&self, event: &Event, at: Timestamp) {
        match event {
            Event::Intent { address, intent } => {
                self.set(address, self.words.plain(&intent.request.method), at);
            }
            Event::Operation { address, name, .. } => {
                self.set(address, self.words.plain(name), at);
            }
            Event::Called { address, .. } => self.set(address, String::new(), at),
            Event::Asked { address, .. } => self.set(address, "waits for an approval".into(), at),
            Event::Answered { address, .. } => self.set(address, String::new(), at),
            _ => {}
        }
        // The region tells of calls that are under way; their lines would only push news away.
        let line = match event {
            Event::Intent { .. } => None,
            event => self.words.line(event, at),
        };
        let mut scene = locked(&self.scene);
        scene.began = Some(self.words.began(at));
        scene.now = scene.now.max(at);
        if let Event::Finished { address, .. } = event {
            scene.running.shift_remove(&**address);
            scene.done += 1;
        }
        scene.fresh.extend(line);
    }
}

struct Painter {
    screen: Screen,
    /// What stands below the lines now.
    region: String,
}

impl Painter {
    /// What brings the screen from what it shows to what it should show; nothing when it does.
    fn compose(&mut self, scene: &mut Scene, with_region: bool) -> Option<String> {
        if let Some(now) = self.screen.now {
            scene.now = scene.now.max(now());
        }
        let region = match with_region {
            true => region(scene, self.screen.look, (self.screen.width)()),
            false => String::new(),
        };
        if scene.fresh.is_empty() && region == self.region {
            return None;
        }
        let mut text = String::new();
        let rows = self.region.lines().count();
        if rows > 0 {
            text.push_str(&format!("\x1b[{rows}A\r\x1b[J"));
        }
        for line in scene.fresh.drain(..) {
            text.push_str(&line);
            text.push('\n');
        }
        text.push_str(&region);
        self.region = region;
        Some(text)
    }

    /// A terminal that has gone away must not stop the run.
    fn write(&mut self, text: Option<String>) {
        let out = &mut self.screen.out;
        let text = text.unwrap_or_default();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// One line of numbers, and a line for each running step. Lines are cut before they are painted, so
/// that none of them wraps.
fn region(scene: &Scene, look: Look, width: usize) -> String {
    if scene.running.is_empty() {
        return String::new();
    }
    let width = width.saturating_sub(1).max(10);
    let since = scene
        .began
        .map_or_else(|| "00:00:00".into(), |b| elapsed(scene.now.since(b)));
    let head = format!(
        "{since} {} running, {} done",
        scene.running.len(),
        scene.done
    );
    let mut out = format!("{}\n", look.bold(&fit(&head, width)));
    let names = scene.running.keys().map(|a| a.chars().count()).max();
    let names = names.unwrap_or(0).min(40);
    for (address, running) in scene.running.iter().take(MOST) {
        let time = span(scene.now.since(running.since));
        let line = format!(
            "  {:names$} {time:>7}  {}",
            fit(address, names),
            running.what
        );
        out.push_str(&format!("{}\n", look.cyan(&fit(line.trim_end(), width))));
    }
    if let Some(more) = scene.running.len().checked_sub(MOST).filter(|n| *n > 0) {
        out.push_str(&format!(
            "{}\n",
            fit(&format!("  … and {more} more"), width)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Millis;

    fn scene() -> Scene {
        let mut scene = Scene {
            began: Some(Timestamp(0)),
            now: Timestamp(90_000),
            done: 2,
            ..Scene::default()
        };
        let running = |since: i64, what: &str| Running {
            since: Timestamp(since),
            what: what.into(),
        };
        scene
            .running
            .insert("image".into(), running(10_000, "operation-17"));
        scene.running.insert("db".into(), running(85_000, ""));
        scene
    }

    #[test]
    fn the_region_tells_what_runs_for_how_long() {
        assert_eq!(
            region(&scene(), Look::PLAIN, 80),
            "00:01:30 2 running, 2 done\n  image   1m20s  operation-17\n  db       5.0s\n"
        );
        assert!(
            region(&scene(), Look::PLAIN, 20)
                .lines()
                .all(|l| l.chars().count() < 20)
        );
        assert_eq!(region(&Scene::default(), Look::PLAIN, 80), "");
    }

    #[test]
    fn many_steps_stay_in_a_small_region() {
        let mut scene = scene();
        for n in 0..500 {
            let running = Running {
                since: Timestamp(0).plus(Millis(n)),
                what: String::new(),
            };
            scene.running.insert(format!("step{n}"), running);
        }
        let text = region(&scene, Look::PLAIN, 80);
        assert_eq!(text.lines().count(), MOST + 2);
        assert!(text.ends_with("… and 492 more\n"), "{text}");
    }
}
