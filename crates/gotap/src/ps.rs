//! `gotap ps`: the Go processes of this machine, and what can be seen in them.

mod brief;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{Format, PsArgs};
use crate::inspect::{Inspector, NotATarget, Target, Unreadable};
use crate::libraries::Library;
use crate::opened::explained;
use crate::output::line;
use crate::sdk::Sdk;
use crate::select::{self, Selection};

/// Runs the command.
pub(crate) fn run(args: &PsArgs) -> Result<()> {
    let selection = select::from_args(&args.select)?;
    let found = find(&selection)?;
    match args.format {
        Format::Text if found.is_empty() => Ok(line(nothing_found(&selection))?),
        Format::Text if args.verbose => print_table(&found),
        Format::Text => brief::print(&found),
        Format::Json => found.print_json(),
    }
}

/// Processes that run Go programs.
#[derive(Default)]
struct Found {
    targets: Vec<Target>,
    unreadable: Vec<Unreadable>,
}

impl Found {
    fn is_empty(&self) -> bool {
        self.targets.is_empty() && self.unreadable.is_empty()
    }

    fn print_json(&self) -> Result<()> {
        self.targets.iter().try_for_each(print_json)?;
        for Unreadable { process, service_name, executable, why, .. } in &self.unreadable {
            line(json!({
                "pid": process.pid,
                "service": service_name,
                "executable": executable,
                "go": null,
                "libraries": [],
                "sees": [],
                "missing": [why.to_string()],
                "probes": [],
            }))?;
        }
        Ok(())
    }
}

fn find(selection: &Selection) -> Result<Found> {
    selection.check_pids()?;
    let mut inspector = Inspector::default();
    let mut out = Found::default();
    let mut denied = None;
    for process in select::candidates(selection)? {
        match inspector.inspect(process) {
            Ok(target) if selection.is_everything() || selection.matches(&target) => {
                out.targets.push(target);
            }
            Err(NotATarget::Process(e)) if selection.pids.contains(&process.pid) => {
                return Err(e.into());
            }
            Err(why) if selection.pids.contains(&process.pid) => return Err(explained(why)),
            Err(NotATarget::Process(e)) if e.is_denied() => denied = Some(e),
            Err(NotATarget::Unreadable(program)) if selection.means(&program) => {
                out.unreadable.push(*program);
            }
            _ => {}
        }
    }
    for pid in &selection.pids {
        if !out.targets.iter().any(|t| t.process.pid == *pid) {
            inspector.inspect(goproc::Process { pid: *pid })?;
        }
    }
    match denied {
        // Others' processes stay hidden without root, which would look like there were none. Some
        // are hidden from root, too, such as those outside of a container.
        Some(error) if out.is_empty() && !probes::may_see_all() => Err(error.into()),
        _ => Ok(out),
    }
}

fn nothing_found(selection: &Selection) -> &'static str {
    if selection.is_everything() {
        "no Go processes found"
    } else {
        "no Go process matches the selection; gotap ps without one lists all"
    }
}

fn print_table(found: &Found) -> Result<()> {
    let header =
        ["PID", "SERVICE", "GO", "MODULE", "BUILD", "SEES", "LIBRARIES", "NOT"].map(str::to_owned);
    let rows = std::iter::once(header).chain(found.targets.iter().map(row));
    let rows: Vec<[String; 8]> = rows.chain(found.unreadable.iter().map(unreadable_row)).collect();
    let width = |i: usize| rows.iter().map(|r| r[i].chars().count()).max().unwrap_or(0);
    let widths: [usize; 8] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, w)| format!("{cell:<w$}"));
        line(cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(target: &Target) -> [String; 8] {
    let program = &target.program;
    let version = program.go_version.trim_start_matches("go");
    let unknown = if program.unknown_version { " (unknown)" } else { "" };
    let libraries = program.libraries.iter().map(Library::short);
    let libraries = libraries.chain(program.sdk.as_ref().map(Sdk::short));
    let dash = |text: String| if text.is_empty() { "-".into() } else { text };
    [
        target.process.pid.to_string(),
        target.service_name.clone(),
        format!("{version}{unknown}"),
        dash(program.module.clone()),
        program.build.join(","),
        dash(sees(target).join(",")),
        dash(libraries.collect::<Vec<_>>().join(", ")),
        missing(target).join("; "),
    ]
}

fn unreadable_row(program: &Unreadable) -> [String; 8] {
    let (pid, name) = (program.process.pid.to_string(), program.service_name.clone());
    let [version, module, build, sees, libraries] = std::array::from_fn(|_| "-".to_owned());
    [pid, name, version, module, build, sees, libraries, program.why.to_string()]
}

fn sees(target: &Target) -> Vec<&'static str> {
    target.program.plan.abilities.iter().map(|a| a.label()).collect()
}

fn missing(target: &Target) -> Vec<String> {
    let missing = &target.program.plan.missing;
    missing.iter().map(|m| format!("{}: {}", m.ability.label(), m.why)).collect()
}

fn print_json(target: &Target) -> Result<()> {
    let program = &target.program;
    let probes = program.plan.sites.iter().map(|s| {
        json!({
            "probe": s.probe.label(),
            "function": s.function,
            "offset": s.site.delta,
            "instruction": format!("{:?}", s.site.kind),
            "hot": s.hot,
            "cost_ns": s.cost_ns(),
        })
    });
    let text = json!({
        "pid": target.process.pid,
        "service": target.service_name,
        "executable": target.executable,
        "go": program.go_version,
        "known_version": !program.unknown_version,
        "module": program.module,
        "module_version": program.module_version,
        "build": program.build,
        "libraries": program.libraries.iter().map(library).collect::<Vec<_>>(),
        "sdk": program.sdk.as_ref().map(Sdk::json),
        "sees": sees(target),
        "missing": missing(target),
        "probes": probes.collect::<Vec<_>>(),
    });
    Ok(line(text)?)
}

fn library(library: &Library) -> Value {
    let mut value = json!({
        "module": library.module,
        "version": library.version,
        "tested": library.is_tested(),
        "instruments": library.instruments,
    });
    if let (Some(replaced), Some(fields)) = (&library.replaced, value.as_object_mut()) {
        fields.insert("replaced".to_owned(), json!(replaced));
    }
    value
}
