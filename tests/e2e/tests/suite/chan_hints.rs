//! What `gotap chan` notes of locks and channels: a deadlock in a program that serves requests all the same, and
//! nothing at all of a program that is well.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gotap_e2e::goroutines::RuntimeApp;
use gotap_e2e::{SOON, binary, can_trace};
use gotap_testkit::go::{self, Mode, Version};
use gotap_testkit::process::Running;
use serde_json::Value;

/// For how long goroutines must wait before it is noted, and a second more.
const WAIT: Duration = Duration::from_secs(14);
const FAULTS: [&str; 3] = ["deadlock", "stuck", "healthy"];

#[test]
fn hints_are_of_faults_alone() {
    if !can_trace("hints_are_of_faults_alone") {
        return;
    }
    let mut apps = Vec::new();
    for (minor, mode) in [(18, Mode::Plain), (27, Mode::Stripped)] {
        let program = go::build("runtimeapp", Version::of(minor), mode).expect("runtimeapp");
        for fault in FAULTS {
            let app = RuntimeApp::start(&program, &["-quiet", "-fault", fault], &[]);
            apps.push((minor, fault, app.expect("the program starts")));
        }
    }
    let began = Instant::now();
    let all: Vec<_> = apps.iter_mut().map(|(_, _, app)| app.report().expect("a report")).collect();
    std::thread::sleep(WAIT.saturating_sub(began.elapsed()));
    let mut failures = Vec::new();
    for ((minor, fault, app), report) in apps.iter_mut().zip(all) {
        let facts = &report["facts"];
        let mut look = || match *fault {
            "deadlock" => deadlock(app, facts, *minor),
            "stuck" => stuck(app, facts),
            _ => healthy(app),
        };
        // What is received slowly may be received in a burst, where others want the processors. Of what is healthy, no
        // look may say anything.
        let result = look()
            .or_else(|e| if *fault == "healthy" { Err(e) } else { look().or_else(|_| look()) });
        if let Err(error) = result {
            failures.push(format!("Go 1.{minor}, {fault}: {error:#}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A goroutine that waits in a deferred call holds a lock only if it gives it back in one that comes later.
#[test]
fn who_has_given_a_lock_back_does_not_seem_to_hold_it() -> Result<()> {
    if !can_trace("who_has_given_a_lock_back_does_not_seem_to_hold_it") {
        return Ok(());
    }
    let builds = [
        (18, Mode::Plain),
        (21, Mode::Unoptimised),
        (22, Mode::Plain),
        (27, Mode::Race),
        (27, Mode::Stripped),
    ];
    for (version, mode) in go::selected_or(&builds) {
        let build = format!("{version}, {mode:?}");
        let app = Running::start(&go::build("released", version, mode)?, &[] as &[&str], &[])?;
        app.wait_for("ready", SOON)?;
        let pid = app.pid().to_string();
        let mut chan = Running::start(binary(), &["chan", &pid, "--format", "json"], &[])?;
        ensure!(chan.wait(SOON)?.success(), "{:?}", chan.stderr());
        let object: Value = serde_json::from_str(&chan.stdout().concat())?;
        let cases = app.stdout();
        let cases: Vec<Vec<&str>> = cases.iter().map(|line| line.split(' ').collect()).collect();
        let cases = cases.iter().filter_map(|words| words.as_array::<3>());
        let checked = cases.map(|[name, address, holder]| {
            let (waiters, holders) = sides(&object, &Value::from(*address))?;
            ensure!(waiters.as_array().map(Vec::len) == Some(1), "{build}, {name}: {waiters}");
            let found = holders.as_array().map(|all| all.iter().map(|one| &one["function"]));
            let expected: Vec<_> =
                Some(*holder).filter(|holder| *holder != "-").into_iter().collect();
            let is_right = found.is_some_and(|found| found.eq(expected));
            ensure!(is_right, "{build}, {name}: {holder} holds it, not {holders}");
            Ok(())
        });
        ensure!(checked.collect::<Result<Vec<()>>>()?.len() == 10, "{build}: {:?}", app.stdout());
    }
    Ok(())
}

/// Locks that are variables of packages, in a program that has no other ones: nothing describes their types.
#[test]
fn locks_of_packages_are_what_they_are() -> Result<()> {
    if !can_trace("locks_of_packages_are_what_they_are") {
        return Ok(());
    }
    for (version, mode) in
        go::selected_or(&[(18, Mode::Plain), (21, Mode::Plain), (27, Mode::Stripped)])
    {
        let build = format!("{version}, {mode:?}");
        let program = go::build("released/globals", version, mode)?;
        let app = Running::start(&program, &[] as &[&str], &[])?;
        app.wait_for("ready", SOON)?;
        let pid = app.pid().to_string();
        let mut chan = Running::start(binary(), &["chan", &pid, "--format", "json"], &[])?;
        ensure!(chan.wait(SOON)?.success(), "{:?}", chan.stderr());
        let object: Value = serde_json::from_str(&chan.stdout().concat())?;
        let locks = object["mutexes"].as_array().context("mutexes")?;
        let told = app.stdout();
        let told: Vec<Vec<&str>> = told.iter().map(|line| line.split(' ').collect()).collect();
        let told: Vec<_> = told.iter().filter_map(|words| words.as_array::<3>()).collect();
        ensure!(told.len() == 5 && locks.len() == 5, "{build}: {told:?}: {object:#}");
        for [kind, address, holder] in told {
            let lock = locks.iter().find(|lock| lock["address"] == **address);
            let lock = lock.with_context(|| format!("{build}: no {address}: {object:#}"))?;
            ensure!(lock["kind"] == **kind, "{build}: {kind} {lock}");
            let found = lock["holders"][0]["function"].as_str().unwrap_or("-");
            ensure!(found == *holder, "{build}: {kind} {lock}");
        }
    }
    Ok(())
}

/// Goroutines that lock, sleep and unlock all the time: who sleeps waits for no lock, also where it went on while it
/// was read.
#[test]
fn who_went_on_meanwhile_waits_for_no_lock() -> Result<()> {
    if !can_trace("who_went_on_meanwhile_waits_for_no_lock") {
        return Ok(());
    }
    let program = go::build("released/globals", Version::NEWEST, Mode::Stripped)?;
    let process = Running::start(&program, &["busy"], &[])?;
    process.wait_for("ready", SOON)?;
    let app = RuntimeApp::of(process);
    let mut waited = 0;
    for _ in 0..80 {
        let object = app.gotap("goroutines", &["--all"])?;
        for goroutine in object["goroutines"].as_array().context("goroutines")? {
            let waiting_on = &goroutine["waitingOn"];
            let reason = goroutine["waitReason"].as_str().unwrap_or_default();
            ensure!(waiting_on.is_null() || reason.starts_with("sync."), "{goroutine}");
            ensure!(waiting_on.is_null() || waiting_on["kind"] == "mutex", "{goroutine}");
            waited += usize::from(!waiting_on.is_null());
        }
    }
    ensure!(waited > 20, "nobody waited: {waited}");
    Ok(())
}

fn hints(object: &Value) -> Result<Vec<&str>> {
    let hints = object["hints"].as_array().context("hints")?;
    Ok(hints.iter().filter_map(Value::as_str).collect())
}

/// The goroutines that wait for a lock, and those that are known to hold it, with the line.
fn sides(object: &Value, address: &Value) -> Result<(Value, Value)> {
    let locks = object["mutexes"].as_array().context("mutexes")?;
    let lock = locks.iter().find(|lock| lock["address"] == *address);
    let lock = lock.with_context(|| format!("no {address}: {object}"))?;
    Ok((lock["waiters"].clone(), lock["holders"].clone()))
}

fn deadlock(app: &mut RuntimeApp, facts: &Value, minor: u32) -> Result<()> {
    let object = app.gotap("chan", &[])?;
    let all = hints(&object)?;
    let address = |name: &str| facts[name].as_str().context("an address");
    let found = |parts: &[&str]| all.iter().filter(|h| parts.iter().all(|p| h.contains(p))).count();
    // Two that wait for each other: each holds what the other waits for.
    let (one, other) = (address("one")?, address("other")?);
    ensure!(found(&["deadlock, for at least ", one, other, "main.transfer "]) == 1, "{all:?}");
    let age = all.iter().find_map(|h| h.strip_prefix("deadlock, for at least ")?.split(' ').next());
    ensure!(age.context("an age")?.parse::<u64>()? >= 9, "{all:?}");
    let (first, holds_first) = sides(&object, &facts["one"])?;
    let (second, holds_second) = sides(&object, &facts["other"])?;
    ensure!(first[0] == holds_second[0]["goid"] && second[0] == holds_first[0]["goid"], "{object}");
    ensure!(holds_first[0]["function"] == "main.transfer", "{holds_first}");
    ensure!(holds_first[0]["line"].as_u64() > Some(0), "{holds_first}");
    // One that waits for itself.
    let twice = address("twice")?;
    ensure!(
        found(&["deadlock", twice, "which it seems to hold", "main.(*account).add "]) == 1,
        "{all:?}"
    );
    // Forty that send to one that takes five a second; and workers without work, which is no fault.
    let orders = address("orders")?;
    let crowd = found(&[orders, "4 of 4 used", "main.placeOrders", "got through within a second"]);
    ensure!(crowd == 1, "{all:?}");
    ensure!(found(&[address("jobs")?]) == 0, "{all:?}");
    // Two that both send before they receive, and one that waits for goroutines which wait for it. Who started
    // them is known since Go 1.21.
    let (left, right) = (address("left")?, address("right")?);
    ensure!(found(&[left, right, "main.exchange", "this is a deadlock"]) == 1, "{all:?}");
    let groups = found(&["waits for the waitgroup", "main.gather ", "the 3 that it started"]);
    ensure!(groups == usize::from(minor >= 21), "{all:?}");
    // One that waits for something else with a lock.
    let kept = found(&[address("kept")?, "seems to hold it [chan receive] (main.(*account).keep "]);
    ensure!(kept == 1 && all.len() == 5 + groups, "{all:?}");
    let pid = app.process.pid().to_string();
    let mut text = Running::start(binary(), &["chan", &pid], &[])?;
    ensure!(text.wait(SOON)?.success(), "{:?}", text.stderr());
    let text = text.stdout();
    let has = |parts: &[&str]| text.iter().any(|line| parts.iter().all(|p| line.contains(p)));
    ensure!(has(&["note: deadlock", one, other]), "{text:?}");
    ensure!(has(&["mutex ", one, "1 wait", "seems to hold it"]), "{text:?}");
    Ok(())
}

/// Nothing on the stacks says who holds what: the locks are given back without `defer`.
fn stuck(app: &mut RuntimeApp, facts: &Value) -> Result<()> {
    let object = app.gotap("chan", &[])?;
    let all = hints(&object)?;
    ensure!(
        all.iter().any(|h| h.starts_with("none that runs code") && h.contains("2 gor")),
        "{all:?}"
    );
    for name in ["one", "other"] {
        let address = facts[name].as_str().context("an address")?;
        let unknown = |h: &&str| h.contains(address) && h.contains("who holds it is not known");
        ensure!(all.iter().any(unknown), "{all:?}");
        ensure!(sides(&object, &facts[name])?.1.as_array().is_some_and(Vec::is_empty), "{object}");
    }
    ensure!(all.len() == 3, "{all:?}");
    Ok(())
}

fn healthy(app: &mut RuntimeApp) -> Result<()> {
    for _ in 0..3 {
        let object = app.gotap("chan", &[])?;
        ensure!(object["channels"].as_array().is_some_and(|c| !c.is_empty()), "{object}");
        ensure!(hints(&object)?.is_empty(), "{object}");
    }
    Ok(())
}
