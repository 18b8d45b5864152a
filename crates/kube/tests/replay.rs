//! The watch against recorded answers of API servers, which a small local server replays: streaming lists and
//! servers without them, events of all sorts, expired versions, broken streams, refusals and outages.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use gotap_testkit::kubernetes::{
    Answer, Pod, Replay, end_of_list, event, kubeconfig, list, status,
};
use podwatch::{Failure, Notice, Pods, Server, State, Status, Watcher};

/// How long what must happen may take.
const SOON: Duration = Duration::from_secs(20);
const NODE: &str = "node-a";

fn pod(name: &str, container: &str, version: u32) -> String {
    Pod { name, namespace: "market", uid: name, container, more: "" }.json(version)
}

fn expired() -> String {
    event(
        "ERROR",
        &status(410, "Expired", "The resourceVersion for the provided watch is too old."),
    )
}

struct Watched {
    watcher: Watcher,
    notices: Receiver<Notice>,
    _kubeconfig: tempfile::TempDir,
}

impl Watched {
    fn start(address: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path =
            kubeconfig(&format!("http://{address}"), "t", folder.path()).expect("a kubeconfig");
        let (sender, notices) = channel();
        let tell = move |notice| sender.send(notice).unwrap_or_default();
        let watcher = Watcher::start(&Server::Kubeconfig(path), NODE, tell).expect("a watch");
        Self { watcher, notices, _kubeconfig: folder }
    }

    fn next(&self) -> Notice {
        self.notices.recv_timeout(SOON).expect("a notice")
    }

    /// Waits for what is told of.
    fn until(&self, notice: &Notice) {
        while self.next() != *notice {}
    }

    fn failures(&self, of: Failure) -> u64 {
        self.watcher.pods().status().failures[of as usize]
    }
}

fn knows(pods: &Pods, id: &str) -> bool {
    pods.find(Some(id), None).is_some()
}

#[test]
fn a_streaming_list_is_followed() {
    let replay = Replay::start().unwrap();
    let first =
        [event("ADDED", &pod("a", "", 1)), event("ADDED", &pod("b", "id-b", 2)), end_of_list(3)];
    let (answer, more) = Answer::stream(&first.concat());
    replay.watches([answer]);
    let watched = Watched::start(&replay.address);
    assert_eq!(watched.next(), Notice::Current(2));
    assert_eq!(watched.next(), Notice::Changed);
    let pods = watched.watcher.pods();
    assert!(!knows(&pods, "id-a") && knows(&pods, "id-b"));
    more.send(event("MODIFIED", &pod("a", "id-a", 4))).unwrap();
    assert_eq!(watched.next(), Notice::Changed);
    assert!(knows(&pods, "id-a"));
    // Nothing that is kept has changed: no notice. Then one is gone.
    more.send(event("MODIFIED", &pod("a", "id-a", 5))).unwrap();
    more.send(event(
        "BOOKMARK",
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"6"}}"#,
    ))
    .unwrap();
    more.send(event("DELETED", &pod("b", "id-b", 7))).unwrap();
    assert_eq!(watched.next(), Notice::Changed);
    assert!(knows(&pods, "id-a") && !knows(&pods, "id-b"));
    assert!(watched.notices.try_recv().is_err());
    let asked = replay.requests();
    assert_eq!(asked.len(), 1, "{asked:?}");
    for part in [
        "/api/v1/pods?",
        "fieldSelector=spec.nodeName%3Dnode-a",
        "sendInitialEvents=true",
        "watch=true",
    ] {
        assert!(asked[0].contains(part), "{part}: {asked:?}");
    }
}

#[test]
fn a_server_without_streaming_lists_is_asked_for_a_list() {
    let unsupported = event(
        "ERROR",
        &status(500, "InternalError", "storage feature RequestWatchProgress is disabled"),
    );
    let forbidden = status(
        422,
        "Invalid",
        "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
    );
    for refusal in [Answer::whole(200, &unsupported), Answer::whole(422, &forbidden)] {
        let replay = Replay::start().unwrap();
        replay.watches([refusal]);
        replay.lists([Answer::whole(200, &list(&[pod("a", "id-a", 1)], 2))]);
        let watched = Watched::start(&replay.address);
        assert_eq!(watched.next(), Notice::Current(1));
        assert!(knows(&watched.watcher.pods(), "id-a"));
        assert_eq!(watched.failures(Failure::NoStreaming), 1);
        assert!(replay.eventually(|asked| asked.len() == 3), "{:?}", replay.requests());
        let asked = replay.requests();
        assert!(asked[2].contains("resourceVersion=2"), "{asked:?}");
        assert!(!asked[2].contains("sendInitialEvents"), "{asked:?}");
    }
}

#[test]
fn after_an_expired_version_all_pods_are_listed_again() {
    let replay = Replay::start().unwrap();
    let (first, more) =
        Answer::stream(&[event("ADDED", &pod("a", "id-a", 1)), end_of_list(2)].concat());
    let again = [event("ADDED", &pod("b", "id-b", 8)), end_of_list(9)].concat();
    let (second, _keep) = Answer::stream(&again);
    replay.watches([first, second]);
    let watched = Watched::start(&replay.address);
    watched.until(&Notice::Changed);
    more.send(expired()).unwrap();
    watched.until(&Notice::Changed);
    let pods = watched.watcher.pods();
    assert!(!knows(&pods, "id-a") && knows(&pods, "id-b"));
    assert_eq!((pods.status().state, watched.failures(Failure::Expired)), (State::Current, 1));
}

#[test]
fn a_broken_stream_is_begun_anew_and_nothing_is_forgotten_meanwhile() {
    let replay = Replay::start().unwrap();
    let (first, more) =
        Answer::stream(&[event("ADDED", &pod("a", "id-a", 1)), end_of_list(2)].concat());
    let again = [
        event("ADDED", &pod("a", "id-a", 1)),
        event("ADDED", &pod("b", "id-b", 8)),
        end_of_list(9),
    ];
    let (second, _keep) = Answer::stream(&again.concat());
    replay.watches([first, second]);
    let watched = Watched::start(&replay.address);
    watched.until(&Notice::Changed);
    let pods = watched.watcher.pods();
    more.send("{\"type\":\"MODIFIED\",\"object\":{\"kind\":17}}\n".into()).unwrap();
    let Notice::Away(why) = watched.next() else { panic!("no notice of the outage") };
    assert!(knows(&pods, "id-a"), "{why}");
    assert_eq!(watched.failures(Failure::Broken), 1);
    watched.until(&Notice::Current(2));
    assert!(knows(&pods, "id-b"));
}

#[test]
fn refusals_say_what_is_missing_and_are_tried_again() {
    let replay = Replay::start().unwrap();
    let message = "pods is forbidden: User \\\"system:serviceaccount:gotap:gotap\\\" cannot watch resource \\\"pods\\\" in API group \\\"\\\" at the cluster scope";
    let (later, _keep) =
        Answer::stream(&[event("ADDED", &pod("a", "id-a", 1)), end_of_list(2)].concat());
    replay.watches([
        Answer::whole(403, &status(403, "Forbidden", message)),
        Answer::whole(401, &status(401, "Unauthorized", "Unauthorized")),
        later,
    ]);
    let watched = Watched::start(&replay.address);
    let Notice::Away(why) = watched.next() else { panic!("no notice of the refusal") };
    assert!(
        why.contains("may not list and watch pods") && why.contains("cannot watch resource"),
        "{why}"
    );
    assert_eq!(watched.watcher.pods().wait(SOON).state, State::Away);
    watched.until(&Notice::Current(1));
    for failure in [Failure::Forbidden, Failure::Unauthorized] {
        assert_eq!(watched.failures(failure), 1, "{}", failure.label());
    }
    assert!(
        replay.requests().iter().all(|asked| asked.contains("sendInitialEvents")),
        "no list is asked for"
    );
}

#[test]
fn pods_are_listed_again_when_there_is_room_for_those_that_were_left_out() {
    let replay = Replay::start().unwrap();
    let pods: Vec<_> = (0..3000)
        .map(|n| {
            let (name, id) = (format!("pod-{n:04}"), format!("id-{n:04}"));
            event("ADDED", &pod(&name, &id, 1))
        })
        .collect();
    let (first, more) = Answer::stream(&[pods.concat(), end_of_list(2)].concat());
    replay.watches([first]);
    let watched = Watched::start(&replay.address);
    watched.until(&Notice::Changed);
    let known = watched.watcher.pods();
    let Status { state, pods: kept, left_out, .. } = known.status();
    assert_eq!((state, kept as u64 + left_out), (State::Partial, 3000));
    let of = |n: usize| knows(&known, &format!("id-{n:04}"));
    assert!(of(0) && !of(2999));
    // Many changes of one that is left out.
    for version in 3..9 {
        more.send(event("MODIFIED", &pod("pod-2999", "id-2999", version))).unwrap();
    }
    more.send(event("DELETED", &pod("pod-0000", "id-0000", 9))).unwrap();
    assert_eq!(watched.next(), Notice::Changed);
    assert_eq!(known.status().left_out, left_out);
    // All but one that was kept and one that was not.
    let again = [pods[1..2999].concat(), end_of_list(10)].concat();
    let (second, _keep) = Answer::stream(&again);
    replay.watches([second]);
    watched.until(&Notice::Changed);
    let status = known.status();
    assert_eq!((status.state, status.pods, status.left_out), (State::Partial, kept, left_out));
    assert_eq!(status.failures, [0; Failure::ALL.len()]);
    assert!(of(1) && of(kept - 1), "what was known stays known");
}

#[test]
fn a_server_that_is_away_is_found_when_it_comes() {
    let address = {
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        gone.local_addr().unwrap().to_string()
    };
    let watched = Watched::start(&address);
    assert!(matches!(watched.next(), Notice::Away(_)));
    assert_eq!(watched.watcher.pods().wait(SOON).state, State::Away);
    assert!(watched.failures(Failure::Unreachable) >= 1);
    let replay = Replay::start_at(&address).unwrap();
    let (answer, more) =
        Answer::stream(&[event("ADDED", &pod("a", "id-a", 1)), end_of_list(2)].concat());
    replay.watches([answer]);
    watched.until(&Notice::Current(1));
    let pods = watched.watcher.pods();
    assert_eq!((pods.status().state, knows(&pods, "id-a")), (State::Current, true));
    // It goes again; what is known stays.
    drop((more, replay));
    loop {
        if let Notice::Away(_) = watched.next() {
            break;
        }
    }
    assert!(knows(&pods, "id-a"));
    let began = std::time::Instant::now();
    drop(watched);
    assert!(began.elapsed() < Duration::from_secs(2), "it ends at once");
}
