//! A TCP proxy that resets connections in the middle of an operation.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

/// Forwards connections to a server. When a client sends certain bytes, its connection is reset, and the
/// server does not get them. When this value is closed, connections are refused.
#[derive(Debug)]
pub struct Resetter {
    port: u16,
    marker: Arc<Mutex<Option<&'static [u8]>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resetter {
    /// Forwards to HOST:PORT.
    pub fn start(target: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
        let port = listener.local_addr().context("get the port")?.port();
        listener.set_nonblocking(true).context("make the listener not block")?;
        let (marker, stop) = (Arc::new(Mutex::new(None)), Arc::new(AtomicBool::new(false)));
        let (armed, stopped, target) = (marker.clone(), stop.clone(), target.to_owned());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let Ok((client, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(5));
                    continue;
                };
                let (armed, target) = (armed.clone(), target.clone());
                // Dropping the sockets is all that can be done about an error.
                thread::spawn(move || forward(client, &target, &armed).ok());
            }
        });
        Ok(Self { port, marker, stop, thread: Some(thread) })
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Resets each connection over which a client sends these bytes from now on.
    pub fn reset_at(&self, marker: &'static [u8]) {
        *self.marker.lock().unwrap_or_else(PoisonError::into_inner) = Some(marker);
    }

    /// Refuses connections from now on.
    pub fn refuse(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().map_err(|_| anyhow!("the listener's thread panicked"))
    }
}

impl Drop for Resetter {
    fn drop(&mut self) {
        self.refuse().ok(); // a panic was printed
    }
}

/// Copies both ways until one side ends, or the client sends the bytes of the marker.
fn forward(
    client: TcpStream,
    target: &str,
    marker: &Mutex<Option<&'static [u8]>>,
) -> std::io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_nodelay(true)?;
    // One descriptor each: the connection is reset when its last one is closed.
    let (client, server) = (Arc::new(client), Arc::new(TcpStream::connect(target)?));
    server.set_nodelay(true)?;
    let (to_client, from_server) = (client.clone(), server.clone());
    let resets = Arc::new(AtomicBool::new(false));
    let reset = resets.clone();
    let back = thread::spawn(move || {
        std::io::copy(&mut &*from_server, &mut &*to_client).ok();
        if !reset.load(Ordering::Acquire) {
            to_client.shutdown(Shutdown::Both).ok();
        }
    });
    if copy_until(&client, &server, marker) {
        resets.store(true, Ordering::Release);
        reset_when_closed(&client)?;
    }
    server.shutdown(Shutdown::Both).ok();
    back.join().ok(); // it panics nowhere
    Ok(())
}

/// Whether the marker came, else one side ended.
fn copy_until(
    mut client: &TcpStream,
    mut server: &TcpStream,
    marker: &Mutex<Option<&'static [u8]>>,
) -> bool {
    let mut buffer = [0; 1 << 16];
    loop {
        let Ok(read @ 1..) = client.read(&mut buffer) else { return false };
        let marker = *marker.lock().unwrap_or_else(PoisonError::into_inner);
        let comes = |marker: &[u8]| buffer[..read].windows(marker.len()).any(|at| at == marker);
        if marker.is_some_and(comes) {
            return true;
        }
        if server.write_all(&buffer[..read]).is_err() {
            return false;
        }
    }
}

/// Makes the last close of the socket a reset.
pub fn reset_when_closed(stream: &TcpStream) -> std::io::Result<()> {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or_default();
    // SAFETY: the descriptor is open, and the option is a structure of this size that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            size,
        )
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}
