//! A way to a back end whose first connections break, each in its own way; further ones are passed through.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It is closed at once.
    Close,
    /// It is reset when so many bytes of the request were read, and more came.
    Reset(usize),
    /// It is closed when so many bytes of the answer were passed on.
    Cut(usize),
    /// It is closed when an answer was passed on and nothing came for a moment.
    Idle,
    /// It stays, and nothing is passed on.
    Swallow,
    /// By HTTP/2 the server says that it takes nothing more; the connection stays.
    GoAway,
}

/// How long a connection is idle before it is closed.
const MOMENT: Duration = Duration::from_millis(100);

/// Between a client and a back end.
pub struct Breaker {
    pub endpoint: String,
    closed: Arc<AtomicU64>,
}

impl Breaker {
    /// Before the back end at this URL.
    pub fn start(backend: &str, faults: &[Fault]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let backend = backend.strip_prefix("http://").unwrap().to_owned();
        let closed = Arc::<AtomicU64>::default();
        let (count, faults) = (closed.clone(), Mutex::new(VecDeque::from(faults.to_vec())));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let fault = faults.lock().unwrap().pop_front();
                let (backend, count) = (backend.clone(), count.clone());
                std::thread::spawn(move || {
                    // What ends a connection is what this is for.
                    let _ = serve(stream, &backend, fault);
                    count.fetch_add(1, Ordering::Relaxed);
                });
            }
        });
        Self { endpoint, closed }
    }

    /// Connections that have ended.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

fn serve(mut client: TcpStream, backend: &str, fault: Option<Fault>) -> std::io::Result<()> {
    match fault {
        Some(Fault::Close) => Ok(()),
        Some(Fault::Reset(bytes)) => {
            client.read_exact(&mut vec![0; bytes])?;
            // What is not read when it is closed makes a reset of that.
            client.peek(&mut [0]).map(drop)
        }
        Some(Fault::Swallow) => std::io::copy(&mut client, &mut std::io::sink()).map(drop),
        Some(Fault::GoAway) => {
            // SETTINGS without any, and GOAWAY: none of the streams is looked at.
            let frames = [&[0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 8, 7, 0, 0, 0, 0, 0][..], &[0; 8]];
            client.write_all(&frames.concat())?;
            std::io::copy(&mut client, &mut std::io::sink()).map(drop)
        }
        Some(Fault::Cut(bytes)) => pass(client, backend, Some(bytes), false),
        Some(Fault::Idle) => pass(client, backend, None, true),
        None => pass(client, backend, None, false),
    }
}

/// Passes both directions on; the answer only so far, and only until it is idle.
fn pass(
    mut client: TcpStream,
    backend: &str,
    most: Option<usize>,
    ends_idle: bool,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(backend)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
    let (mut buffer, mut passed) = (vec![0; 4096], 0);
    let most = most.unwrap_or(usize::MAX);
    let outcome = loop {
        let n = match server.read(&mut buffer) {
            Ok(0) | Err(_) => break Ok(()),
            Ok(n) => n.min(most - passed),
        };
        if let Err(error) = client.write_all(&buffer[..n]) {
            break Err(error);
        }
        passed += n;
        // The first bytes by HTTP/2 are settings.
        if passed > 64 && ends_idle {
            server.set_read_timeout(Some(MOMENT))?;
        }
        if passed == most {
            break Ok(());
        }
    };
    // The other direction has a handle of its own.
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
    outcome
}
