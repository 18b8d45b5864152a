//! Profiles leave: the bounded queue of each back end. Not here: the thread that empties it (`worker`), what requests
//! are made of (`push` for Parca and Pyroscope, `encode` for OTLP), and taking profiles.

mod encode;
mod push;
mod worker;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use prost::bytes::Bytes;

use crate::LiveStats;
use crate::endpoint::masked;
use crate::signal::{OTLP_SERVER, Paths};
use crate::transport::Transport;
use crate::{Config, Error};
use worker::{OnPanic, Worker};

pub use encode::otlp_profiles;
pub use push::{parca_profile, pyroscope_profile};

/// What takes profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProfileBackend {
    /// A collector, by OTLP, whose profiles are in development.
    Otlp,
    /// Parca, by gRPC.
    Parca,
    /// Pyroscope, by HTTP.
    Pyroscope,
}

impl ProfileBackend {
    /// Its name in metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Parca => "parca",
            Self::Pyroscope => "pyroscope",
        }
    }

    fn paths(self) -> Paths {
        match self {
            Self::Otlp => Paths {
                grpc: "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
                http: "/v1development/profiles",
                content_type: "application/x-protobuf",
                server: OTLP_SERVER,
            },
            Self::Parca => Paths {
                grpc: "/parca.profilestore.v1alpha1.ProfileStoreService/WriteRaw",
                http: "/profiles/writeraw",
                content_type: "application/x-protobuf",
                server: "Parca",
            },
            // The protocol of Connect.
            Self::Pyroscope => Paths {
                grpc: "/push.v1.PusherService/Push",
                http: "/push.v1.PusherService/Push",
                content_type: "application/proto",
                server: "Pyroscope",
            },
        }
    }
}

/// What became of profiles. Each that was pushed is in one of the counts but `retries`, or still waiting.
#[derive(Debug, Default)]
#[expect(missing_docs, reason = "each is what its name says")]
pub struct ProfileStats {
    pub sent: AtomicU64,
    /// Dropped as the queue was full.
    pub queue_full: AtomicU64,
    /// Refused by the back end for good.
    pub rejected: AtomicU64,
    /// Not taken in several tries.
    pub given_up: AtomicU64,
    /// Still waiting when the agent stopped.
    pub shutdown: AtomicU64,
    /// No request could be made of it.
    pub not_encoded: AtomicU64,
    /// The thread that sends had failed, which is a defect of gotap.
    pub failed: AtomicU64,
    /// Requests that were sent again.
    pub retries: AtomicU64,
}

/// The same, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Profiles that arrived.
    pub sent: u64,
    /// Those that were lost, by reason.
    pub lost: [(&'static str, u64); 6],
    /// Requests that were sent again.
    pub retries: u64,
}

impl ProfileStats {
    /// As of now.
    pub fn read(&self) -> Sent {
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        let lost = [
            ("export_queue_full", read(&self.queue_full)),
            ("export_rejected", read(&self.rejected)),
            ("export_unreachable", read(&self.given_up)),
            ("export_shutdown", read(&self.shutdown)),
            ("not_encoded", read(&self.not_encoded)),
            ("export_failed", read(&self.failed)),
        ];
        Sent { sent: read(&self.sent), lost, retries: read(&self.retries) }
    }
}

#[derive(Default)]
struct Queue {
    requests: VecDeque<Bytes>,
    bytes: usize,
    /// Whether a request is being sent that is not counted yet.
    sending: bool,
    /// Whether nobody sends any more, as the thread failed.
    failed: bool,
    /// When to give up; set by the shutdown.
    deadline: Option<Instant>,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    stats: Arc<ProfileStats>,
    max_bytes: usize,
    notice: Box<dyn Fn(String) + Send + Sync>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // The queue is consistent after each statement, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.lock().deadline.is_some_and(|deadline| deadline <= Instant::now())
    }
}

/// Takes requests with one profile each and sees to it that they arrive. Its thread ends when it is dropped.
pub struct ProfileExporter {
    backend: ProfileBackend,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl ProfileExporter {
    /// Starts the thread. Does not wait for the back end. `notice` gets a sentence when delivery fails and when
    /// it works again, unless one that sends `beside` it said the same of the same back end.
    ///
    /// # Errors
    /// [`Error`] for a configuration that can never work.
    pub fn start(
        backend: ProfileBackend,
        config: &Config,
        beside: Option<&LiveStats>,
        notice: impl Fn(String) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let transport = {
            let _inside = runtime.enter();
            Transport::new(config, backend.paths(), &config.endpoint, config.exact_url)?
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            changed: Condvar::new(),
            stats: Arc::default(),
            max_bytes: config.queue_bytes,
            notice: Box::new(notice),
        });
        let (endpoint, url) = (masked(&config.endpoint), config.endpoint.clone());
        let beside = beside.cloned();
        beside.iter().for_each(|other| other.also_goes("profiles", &url));
        let worker =
            Worker { shared: shared.clone(), transport, endpoint, url, beside, failing: false };
        let name = format!("gotap-{}", backend.name());
        let counts = OnPanic(shared.clone());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            let _counts = counts;
            runtime.block_on(worker.run());
            // A request that was given up may take its time to notice.
            runtime.shutdown_background();
        })?;
        Ok(Self { backend, shared, thread: Some(thread) })
    }

    /// What takes the profiles.
    pub fn backend(&self) -> ProfileBackend {
        self.backend
    }

    /// The counts, also to be read later.
    pub fn stats(&self) -> Arc<ProfileStats> {
        self.shared.stats.clone()
    }

    /// Adds a request with one profile; counts it if there is none, as it could not be made. Never blocks.
    pub fn push(&self, request: Option<Vec<u8>>) {
        let Some(request) = request else {
            self.shared.stats.not_encoded.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let mut queue = self.shared.lock();
        if queue.failed {
            self.shared.stats.failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if queue.bytes + request.len() > self.shared.max_bytes {
            self.shared.stats.queue_full.fetch_add(1, Ordering::Relaxed);
            return;
        }
        queue.bytes += request.len();
        queue.requests.push_back(request.into());
        drop(queue);
        self.shared.changed.notify_all();
    }

    /// Says until when what waits is sent; does not wait for it.
    pub fn finish_by(&self, deadline: Instant) {
        self.shared.lock().deadline = Some(deadline);
        self.shared.changed.notify_all();
    }

    /// Waits for the end that was set before.
    pub fn join(mut self) {
        self.wait();
    }

    fn wait(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed already, and it has counted what it had.
            let _ = thread.join();
        }
    }
}

impl Drop for ProfileExporter {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.finish_by(Instant::now());
            self.wait();
        }
    }
}

#[cfg(test)]
#[path = "profiles_tests.rs"]
mod tests;
