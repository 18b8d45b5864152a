//! A TCP proxy with a fixed port, for a collector that goes away and comes back as another one.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// Forwards connections while it is up; while it is down, they are refused.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    up: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// Chooses a port, at which nothing listens yet.
    pub fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = listener.local_addr().context("get the port")?.port();
        Ok(Self { port, up: None, streams: Arc::default() })
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Forwards to this URL from now on.
    pub fn up(&mut self, target: &str) -> Result<()> {
        self.down()?;
        let target = target.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind(("127.0.0.1", self.port)).context("listen again")?;
        listener.set_nonblocking(true).context("make the listener not block")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (told, streams) = (stop.clone(), self.streams.clone());
        let thread = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((client, _)) => forward(client, &target, &streams),
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        self.up = Some((stop, thread));
        Ok(())
    }

    /// Refuses connections from now on and cuts those that exist.
    pub fn down(&mut self) -> Result<()> {
        if let Some((stop, thread)) = self.up.take() {
            stop.store(true, Ordering::Relaxed);
            thread.join().map_err(|_| anyhow!("the proxy panicked"))?;
        }
        for stream in self.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // One that has ended already needs no end.
            stream.shutdown(Shutdown::Both).ok();
        }
        Ok(())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.down().ok(); // a failure was seen by who called it
    }
}

/// Copies both ways until one side ends. A target that is gone ends the client's connection.
fn forward(client: TcpStream, target: &str, streams: &Mutex<Vec<TcpStream>>) {
    let Ok(server) = TcpStream::connect(target) else { return };
    let start = || -> io::Result<()> {
        client.set_nonblocking(false)?;
        let (mut from_client, mut to_client) = (client.try_clone()?, client.try_clone()?);
        let (mut from_server, mut to_server) = (server.try_clone()?, server.try_clone()?);
        let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.extend([client.try_clone()?, server.try_clone()?]);
        thread::spawn(move || {
            io::copy(&mut from_client, &mut to_server).ok();
            to_server.shutdown(Shutdown::Both).ok();
        });
        thread::spawn(move || {
            io::copy(&mut from_server, &mut to_client).ok();
            to_client.shutdown(Shutdown::Both).ok();
        });
        Ok(())
    };
    start().ok(); // dropping the sockets is all that can be done
}
