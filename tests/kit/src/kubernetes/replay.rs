//! A server that gives prepared answers to requests for Kubernetes' pods: those to lists, and those to watches.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: String,
    more: Option<Receiver<String>>,
}

impl Answer {
    /// All of it at once.
    pub fn whole(status: u16, body: &str) -> Self {
        Self { status, body: body.to_owned(), more: None }
    }

    /// A stream: what is sent later, and the end when the sender is dropped.
    pub fn stream(first: &str) -> (Self, Sender<String>) {
        let (sender, receiver) = channel();
        (Self { status: 200, body: first.to_owned(), more: Some(receiver) }, sender)
    }
}

#[derive(Debug, Default)]
struct Script {
    lists: Mutex<VecDeque<Answer>>,
    watches: Mutex<VecDeque<Answer>>,
    requests: Mutex<Vec<String>>,
    connections: Mutex<Vec<TcpStream>>,
    over: AtomicBool,
}

/// A running server. It ends when this is dropped.
#[derive(Debug)]
pub struct Replay {
    /// Where it listens, as `127.0.0.1:PORT`.
    pub address: String,
    script: Arc<Script>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Replay {
    /// Starts one on a free port.
    pub fn start() -> Result<Self> {
        Self::start_at("127.0.0.1:0")
    }

    /// Starts one there. Requests for which nothing is prepared get no answer, and their connections stay open.
    pub fn start_at(address: &str) -> Result<Self> {
        let listener = TcpListener::bind(address).context("listen")?;
        let address = listener.local_addr()?.to_string();
        let script = Arc::new(Script::default());
        let shared = script.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), script) = (stream, shared.clone()) else { continue };
                if let Ok(copy) = stream.try_clone() {
                    lock(&script.connections).push(copy);
                }
                std::thread::spawn(move || serve(stream, &script));
            }
        });
        Ok(Self { address, script, thread: Some(thread) })
    }

    /// Answers to the next lists.
    pub fn lists(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.script.lists).extend(answers);
    }

    /// Answers to the next watches.
    pub fn watches(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.script.watches).extend(answers);
    }

    /// What was asked for.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.script.requests).clone()
    }

    /// Whether that comes to be so.
    pub fn eventually(&self, so: impl Fn(&[String]) -> bool) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while !so(&self.requests()) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }

    /// Writes a kubeconfig that leads to it.
    pub fn kubeconfig(&self, folder: &Path) -> Result<PathBuf> {
        kubeconfig(&format!("http://{}", self.address), "none", folder)
    }
}

/// Writes a kubeconfig that leads to a server, with this token. Its certificate is not checked.
pub fn kubeconfig(server: &str, token: &str, folder: &Path) -> Result<PathBuf> {
    let path = folder.join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: '{server}', insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: c, user: {{token: '{token}'}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
    );
    std::fs::write(&path, text).context("write a kubeconfig")?;
    Ok(path)
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.script.over.store(true, Ordering::Relaxed);
        for connection in lock(&self.script.connections).iter() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(&self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One request of a connection.
fn serve(mut stream: TcpStream, script: &Script) {
    let Ok(copy) = stream.try_clone() else { return };
    let mut lines = BufReader::new(copy).lines();
    let Some(Ok(request)) = lines.next() else { return };
    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
    let is_watch = request.contains("watch=true");
    let answers = if is_watch { &script.watches } else { &script.lists };
    // A script may be written only after the first request.
    let until = Instant::now() + Duration::from_secs(2);
    let answer = loop {
        let answer = lock(answers).pop_front();
        if answer.is_some() || Instant::now() > until || script.over.load(Ordering::Relaxed) {
            break answer;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    lock(&script.requests).push(request);
    let Some(Answer { status, body, more }) = answer else { return };
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    );
    let mut send = |text: &str| stream.write_all(text.as_bytes()).is_ok();
    if send(&head) && send(&body) {
        for text in more.into_iter().flatten() {
            if !send(&text) {
                break;
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
}
