//! The thread that follows the pods of one node: a streaming list where the server has it, else a list and a watch.
//! After each failure all pods are listed again, so that none is missed, with a pause that grows. What is known stays
//! known meanwhile. They are also listed again where pods were left out and there is room by now.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::{StreamExt, pin_mut};
use kube::api::Api;
use kube::runtime::watcher::{self, DefaultBackoff, Event, watcher};
use kube::{Client, Config};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::cache::Pods;
use crate::pod::{Pod, Sent};
use crate::room::List;
use crate::server::{Error, Server};
use crate::status::Failure;

/// Pods in one answer to a list.
const PAGE: u32 = 100;
/// How long a streaming list may take to end. A server that does not know of it sends the pods and no end.
const STREAMING: Duration = Duration::from_secs(10);
/// How long after a list the next one may be asked for, for pods that there was no room for.
const RELIST: Duration = Duration::from_secs(10);

/// What the watch reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Pods have changed.
    Changed,
    /// All pods are known, for the first time or again; how many.
    Current(usize),
    /// Pods can't be asked for; why.
    Away(String),
}

/// A running watch. It ends when this is dropped.
pub struct Watcher {
    pods: Arc<Pods>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// Starts to follow the pods of `node`. `tell` is called on the watch's own thread.
    ///
    /// # Errors
    /// Files that can't be used. A server that does not answer is no error.
    pub fn start(
        server: &Server,
        node: &str,
        tell: impl Fn(Notice) + Send + 'static,
    ) -> Result<Self, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Error::Thread)?;
        let config = runtime.block_on(server.config())?;
        let pods = Arc::new(Pods::default());
        let (stop, stopped) = oneshot::channel();
        let watch = Watch { config, node: node.to_owned(), pods: pods.clone(), tell };
        let thread = std::thread::Builder::new().name("gotap-pods".into());
        let thread = thread.spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = watch.follow() => {}
                    _ = stopped => {}
                }
            });
            // A plugin that logs in may hang.
            runtime.shutdown_background();
        });
        let thread = Some(thread.map_err(Error::Thread)?);
        Ok(Self { pods, stop: Some(stop), thread })
    }

    /// The pods.
    pub fn pods(&self) -> Arc<Pods> {
        self.pods.clone()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to clean up.
            let _ = thread.join();
        }
    }
}

struct Watch<T> {
    config: Config,
    node: String,
    pods: Arc<Pods>,
    tell: T,
}

/// How a watch ended.
struct Ended {
    failure: Failure,
    words: String,
    /// Whether all pods were known before.
    worked: bool,
}

impl<T: Fn(Notice)> Watch<T> {
    async fn follow(self) {
        let (mut streaming, mut away) = (true, None);
        let mut pauses = DefaultBackoff::default();
        loop {
            let Err(Ended { failure, words, worked }) = self.once(streaming).await else {
                // It worked, and was no failure.
                pauses = DefaultBackoff::default();
                away = None;
                continue;
            };
            self.pods.failed(failure);
            if worked {
                pauses = DefaultBackoff::default();
                away = None;
            }
            if failure == Failure::NoStreaming {
                streaming = false;
                continue;
            }
            if failure.is_outage() && away != Some(failure) {
                away = Some(failure);
                (self.tell)(Notice::Away(words));
            }
            if failure != Failure::Expired || !worked {
                tokio::time::sleep(pauses.next().unwrap_or(STREAMING)).await;
            }
        }
    }

    /// Lists and watches until that fails, or there is room again for pods that were left out.
    async fn once(&self, streaming: bool) -> Result<(), Ended> {
        let broken = |words: String| Ended { failure: Failure::Unreachable, words, worked: false };
        let client = match Client::try_from(self.config.clone()) {
            Ok(client) => client,
            Err(error) => return Err(broken(chain(&error))),
        };
        let selector = format!("spec.nodeName={}", self.node);
        let settings = watcher::Config::default().fields(&selector).page_size(PAGE);
        let settings = if streaming { settings.streaming_lists() } else { settings };
        let events = watcher(Api::<Sent>::all(client), settings);
        pin_mut!(events);
        let (mut list, mut listed, mut began) = (List::default(), None, false);
        loop {
            let worked = listed.is_some();
            let next = if streaming && !worked {
                let Ok(next) = timeout(STREAMING, events.next()).await else {
                    let (failure, words) = match began {
                        true => (Failure::NoStreaming, "no end of a list".into()),
                        false => (Failure::Unreachable, format!("no answer in {STREAMING:?}")),
                    };
                    return Err(Ended { failure, words, worked });
                };
                next
            } else if let Some(listed) = listed.filter(|_| self.pods.has_room_again()) {
                let Ok(next) = timeout_at(listed + RELIST, events.next()).await else {
                    return Ok(());
                };
                next
            } else {
                events.next().await
            };
            match next {
                Some(Ok(event)) => {
                    began = true;
                    if self.take(event, &mut list) {
                        listed = Some(Instant::now());
                    }
                }
                Some(Err(error)) => {
                    let failure = judge(&error, streaming && !worked);
                    let words = self.words(failure, &error);
                    return Err(Ended { failure, words, worked });
                }
                None => return Err(broken("the watch ended".into())),
            }
        }
    }

    /// Takes what happened; gives whether all pods are known by it.
    fn take(&self, event: Event<Sent>, list: &mut List) -> bool {
        let news = match event {
            Event::Init => {
                *list = List::default();
                false
            }
            Event::InitApply(pod) => {
                let pod = Pod::from(pod);
                let is_known = self.pods.keeps(&pod.uid);
                list.add(pod, is_known);
                false
            }
            Event::InitDone => {
                let news = self.pods.replace(std::mem::take(list));
                (self.tell)(Notice::Current(self.pods.status().pods));
                if news {
                    (self.tell)(Notice::Changed);
                }
                return true;
            }
            Event::Apply(pod) => self.pods.apply(pod.into()),
            Event::Delete(pod) => self.pods.remove(&Pod::from(pod).uid),
        };
        if news {
            (self.tell)(Notice::Changed);
        }
        false
    }

    fn words(&self, failure: Failure, error: &watcher::Error) -> String {
        let what = match failure {
            Failure::Forbidden => "this account may not list and watch pods of all namespaces: ",
            Failure::Unauthorized => "the API server does not know this account: ",
            _ => "",
        };
        format!("{what}{}", chain(error))
    }
}

/// What failed. `listing` is whether a streaming list was being sent.
fn judge(error: &watcher::Error, listing: bool) -> Failure {
    let of_code = |code: u16| match code {
        401 => Failure::Unauthorized,
        403 => Failure::Forbidden,
        410 => Failure::Expired,
        // What can't be read counts as an answer without a code.
        0 => Failure::Broken,
        // The server is too busy or stops: nothing that another sort of list would help.
        429 | 502..=504 => Failure::Refused,
        _ if listing => Failure::NoStreaming,
        _ => Failure::Refused,
    };
    let of_client = |error: &kube::Error| match error {
        kube::Error::Api(status) => of_code(status.code),
        kube::Error::SerdeError(_) | kube::Error::ReadEvents(_) => Failure::Broken,
        kube::Error::LinesCodecMaxLineLengthExceeded => Failure::Broken,
        _ => Failure::Unreachable,
    };
    match error {
        watcher::Error::WatchError(status) => of_code(status.code),
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            of_client(error)
        }
        watcher::Error::WatchFailed(error) => match of_client(error) {
            Failure::Unreachable => Failure::Broken,
            other => other,
        },
        watcher::Error::NoResourceVersion => Failure::Broken,
    }
}

/// An error with its causes, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut out = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !out.contains(&text) {
            out = format!("{out}: {text}");
        }
        next = cause.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_codes() {
        let of = |code: u16, listing: bool| {
            let status = format!(r#"{{"kind":"Status","status":"Failure","code":{code}}}"#);
            let status = serde_json::from_str(&status).unwrap();
            judge(&watcher::Error::WatchError(Box::new(status)), listing)
        };
        for (code, listing, later) in [
            (401, Failure::Unauthorized, Failure::Unauthorized),
            (403, Failure::Forbidden, Failure::Forbidden),
            (410, Failure::Expired, Failure::Expired),
            (0, Failure::Broken, Failure::Broken),
            (429, Failure::Refused, Failure::Refused),
            (503, Failure::Refused, Failure::Refused),
            (400, Failure::NoStreaming, Failure::Refused),
            (422, Failure::NoStreaming, Failure::Refused),
            (500, Failure::NoStreaming, Failure::Refused),
        ] {
            assert_eq!((of(code, true), of(code, false)), (listing, later), "{code}");
        }
    }
}
