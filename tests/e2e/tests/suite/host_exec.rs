//! `gotap trace exec`: programs of any language that start and end, against what the test starts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use gotap_e2e::live::nothing_lost;
use gotap_e2e::{App, Gotap, Live, SOON, can_trace, now};
use gotap_testkit::http;
use gotap_testkit::process::Running;
use serde_json::{Value, json};

/// A shell that runs a script when it gets SIGUSR1.
fn shell(script: &str) -> Result<Running> {
    let script = format!(
        "trap 'go=1' USR1; echo ready; while [ -z \"$go\" ]; do sleep 0.05; done\n{script}"
    );
    let shell = Running::start(Path::new("/bin/sh"), &["-c", &script], &[])?;
    shell.wait_for("ready", SOON)?;
    Ok(shell)
}

/// Lets the shell run its script to the end while gotap traces it; gives the events but for the `sleep`s,
/// and the summary.
fn traced(mut shell: Running, arguments: &[&str]) -> Result<(Vec<Value>, Value)> {
    let pid = shell.pid();
    let selection = ["trace", "exec", "--pid", &pid.to_string()];
    let live = Live::start(&[&selection, arguments].concat())?;
    shell.signal(libc::SIGUSR1)?;
    shell.wait(SOON)?;
    live.wait_for(1, |line| line["event"] == "exit" && line["pid"] == pid)?;
    let (mut events, summary) = live.finish()?;
    events.retain(|event| event["argv"][0] != "sleep");
    Ok((events, summary))
}

fn one<'v>(events: &'v [Value], kind: &str, last: &str) -> Result<&'v Value> {
    let is_it = |e: &&Value| {
        let argv = e["argv"].as_array().and_then(|argv| argv.last());
        e["event"] == kind && argv.is_some_and(|arg| arg == last)
    };
    let found: Vec<_> = events.iter().filter(is_it).collect();
    ensure!(found.len() == 1, "{} {kind} with {last}: {events:#?}", found.len());
    Ok(found[0])
}

#[test]
fn each_program_is_told_with_arguments_and_end() -> Result<()> {
    if !can_trace("each_program_is_told_with_arguments_and_end") {
        return Ok(());
    }
    let long = "x".repeat(20_000);
    let script = format!(
        "/bin/true 'with space'; /bin/sh -c 'exit 3' three; /bin/sh -c 'kill -9 $$' killed
         setpriv --reuid=65534 --clear-groups /bin/true as-nobody
         env DB_PASSWORD=hunter2 /bin/true --token abc123 --api-key=s3cr3t --blue=7 secrets
         /bin/true {long} cut; /bin/true; sleep 0.2; exit 7"
    );
    let began = now();
    let shell = shell(&script)?;
    let pid = shell.pid();
    let (events, summary) = traced(shell, &["--mask", "blue"])?;
    nothing_lost(&summary)?;
    let plain = one(&events, "exec", "with space")?;
    ensure!(plain["ppid"] == pid && plain["uid"] == 0 && plain["name"] == "true", "{plain}");
    let truth = fs::canonicalize("/bin/true")?;
    ensure!(plain["executable"] == truth.to_str().context("UTF-8")?, "{plain}");
    ensure!(plain["argv"] == json!(["/bin/true", "with space"]), "{plain}");
    for absent in ["exitCode", "signal", "lifetimeNanos", "container"] {
        ensure!(plain[absent].is_null(), "{absent}: {plain}");
    }
    let time = plain["timeUnixNano"].as_u64().context("a time")?;
    ensure!((began..now()).contains(&time), "{began} {plain}");
    // The end of each, of the same process.
    for (last, code, signal) in [
        ("with space", json!(0), Value::Null),
        ("three", json!(3), Value::Null),
        ("killed", Value::Null, json!(9)),
        ("as-nobody", json!(0), Value::Null),
        ("secrets", json!(0), Value::Null),
    ] {
        let end = one(&events, "exit", last)?;
        ensure!(end["exitCode"] == code && end["signal"] == signal, "{end}");
        let begin = events.iter().rfind(|e| e["event"] == "exec" && e["pid"] == end["pid"]);
        let begin = begin.context("its start")?;
        ensure!(begin["argv"] == end["argv"], "{begin} {end}");
        let between = end["timeUnixNano"].as_u64() > begin["timeUnixNano"].as_u64();
        let lived = end["lifetimeNanos"].as_u64().context("a lifetime")?;
        ensure!(between && lived > 0 && lived < 60_000_000_000, "{begin} {end}");
    }
    let nobody = one(&events, "exit", "as-nobody")?;
    ensure!(nobody["uid"] == 65534, "{nobody}");
    let text = events.iter().map(Value::to_string).collect::<String>();
    for secret in ["hunter2", "abc123", "s3cr3t", "--blue=7"] {
        ensure!(!text.contains(secret), "{secret} was printed");
    }
    let secrets = one(&events, "exit", "secrets")?;
    let masked = json!(["/bin/true", "--token", "***", "--api-key=***", "--blue=***", "secrets"]);
    ensure!(secrets["argv"] == masked, "{secrets}");
    let cut = events.iter().find(|e| e["event"] == "exec" && e["argvTruncated"] == true);
    let cut = cut.with_context(|| format!("one that is cut: {events:#?}"))?;
    let kept = cut["argv"][1].as_str().context("an argument")?;
    ensure!(kept.len() > 8000 && kept.len() < 20_000 && summary["argvTruncated"] == 1, "{summary}");
    // The shell was there before gotap was.
    let last =
        events.iter().find(|e| e["event"] == "exit" && e["pid"] == pid).context("its end")?;
    ensure!(last["exitCode"] == 7 && last["lifetimeNanos"].as_u64() > Some(200_000_000), "{last}");
    ensure!(last["argv"][1] == "-c", "{last}");
    Ok(())
}

/// A folder of the hierarchy of version 2 that is removed again.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None` where there is no such hierarchy.
    fn create(name: &str) -> Result<Option<Self>> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            let at = words.next()?;
            (words.next() == Some("cgroup2")).then_some(at)
        });
        let Some(root) = root else { return Ok(None) };
        let folder = Path::new(root).join(format!("gotap-e2e-{}", std::process::id())).join(name);
        fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Some(Self(folder)))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for folder in self.0.ancestors().take(2) {
            // Processes that end leave it a moment later.
            gotap_e2e::eventually(SOON, || fs::remove_dir(folder).is_ok());
        }
    }
}

/// Programs in a container's cgroup, in which the test puts a shell.
#[test]
fn the_container_of_a_program_is_told() -> Result<()> {
    if !can_trace("the_container_of_a_program_is_told") {
        return Ok(());
    }
    let id = "0123456789abcdef".repeat(4);
    let Some(cgroup) = Cgroup::create(&format!("cri-containerd-{id}.scope"))? else {
        gotap_e2e::skip("the_container_of_a_program_is_told", "no hierarchy of version 2");
        return Ok(());
    };
    let shell = shell("/bin/true inside")?;
    fs::write(cgroup.0.join("cgroup.procs"), shell.pid().to_string())?;
    let (events, _) = traced(shell, &[])?;
    let inside = one(&events, "exec", "inside")?;
    ensure!(inside["container"] == id.as_str(), "{inside}");
    ensure!(inside["containerRuntime"] == "containerd", "{inside}");
    let cgroup = inside["cgroup"].as_str().context("a cgroup")?;
    let (start, end) = ("/gotap-e2e-", format!("/cri-containerd-{id}.scope"));
    ensure!(cgroup.starts_with(start) && cgroup.ends_with(&end), "{inside}");
    // Its id was read from /proc: it was there before.
    let shell = events.iter().rfind(|e| e["event"] == "exit").context("the shell's end")?;
    ensure!(shell["container"] == id.as_str(), "{shell}");
    Ok(())
}

/// A thread that is not the first one runs another program: that is no end of the process.
#[test]
fn a_thread_that_runs_a_program_ends_no_process() -> Result<()> {
    if !can_trace("a_thread_that_runs_a_program_ends_no_process") {
        return Ok(());
    }
    let app = App::start(&App::newest()?)?;
    let pid = app.pid();
    let live = Live::start(&["trace", "exec", "--pid", &pid.to_string()])?;
    http::get(&app.address, "/exec?arg=/bin/sleep&arg=0.3", &[])?;
    live.wait_for(1, |line| line["event"] == "exit")?;
    let (events, summary) = live.finish()?;
    nothing_lost(&summary)?;
    let kinds: Vec<_> = events.iter().map(|e| (&e["event"], &e["pid"])).collect();
    ensure!(kinds == [(&json!("exec"), &json!(pid)), (&json!("exit"), &json!(pid))], "{events:#?}");
    ensure!(events[1]["exitCode"] == 0 && events[1]["argv"][1] == "0.3", "{events:#?}");
    Ok(())
}

/// While the command does not read, the buffer overflows: what is lost is counted, and the sum is right.
#[test]
fn programs_that_do_not_fit_are_counted() -> Result<()> {
    const COUNT: u64 = 150;
    if !can_trace("programs_that_do_not_fit_are_counted") {
        return Ok(());
    }
    let mut live = Live::start(&["trace", "exec", "--name", "true", "--buffer", "256KiB"])?;
    live.gotap.process.signal(libc::SIGSTOP)?;
    let script = format!("i=0; while [ $i -lt {COUNT} ]; do /bin/true $0; i=$((i+1)); done");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, &"y".repeat(6_000)]).env_clear().stdin(Stdio::null());
    ensure!(shell.status()?.success());
    live.gotap.process.signal(libc::SIGCONT)?;
    let (events, summary) = live.finish()?;
    let number = |value: &Value| value.as_u64().with_context(|| summary.to_string());
    let (lost, all) = (number(&summary["lost"]["execsRingFull"])?, number(&summary["hostExecs"])?);
    ensure!(lost > 0 && lost < all, "{summary}");
    ensure!(all >= COUNT, "{summary}");
    let told = events.iter().filter(|e| e["event"] == "exec").count() as u64;
    // Other tests' programs may be among the lost ones.
    ensure!(told < COUNT && told + lost >= COUNT && told + lost <= all, "{told}: {summary}");
    Ok(())
}

#[test]
fn what_can_not_be_traced_is_said_in_one_sentence() -> Result<()> {
    if !can_trace("what_can_not_be_traced_is_said_in_one_sentence") {
        return Ok(());
    }
    for (arguments, code, said) in [
        (&["--pid", "4194303"][..], 1, "there is no process 4194303"),
        (&["--mask-regex", "("], 2, "pattern"),
        (&["--name", "[a"], 2, "pattern"),
    ] {
        let mut gotap = Gotap::start(&[&["trace", "exec"], arguments].concat(), &[])?;
        let status = gotap.process.wait(SOON)?;
        let stderr = gotap.process.stderr();
        ensure!(status.code() == Some(code), "{status}: {stderr:?}");
        ensure!(stderr.len() == 1 && stderr[0].contains(said), "{stderr:?}");
    }
    let timed = Gotap::start(&["trace", "exec", "-d", "200ms", "--uid", "12345"], &[])?;
    timed.process.wait_for_error("none lost", SOON)?;
    ensure!(timed.process.stdout().is_empty(), "{:?}", timed.process.stdout());
    Ok(())
}
