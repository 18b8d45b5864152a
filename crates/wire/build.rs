//! Makes the enumeration of probes from the one list of them, `bpf/probes.h`, and those of the instruments; and
//! numbers for the layout of records.

mod instruments_h;
mod records;

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A line `PROBE(name, label, program, handler)`, and the comment above it.
struct Probe {
    name: String,
    label: String,
    program: String,
    instrument: String,
    says: String,
}

fn main() -> Result<(), Box<dyn Error>> {
    let bpf = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    println!("cargo:rerun-if-changed={}", bpf.display());
    let mut probes = Vec::new();
    read(&bpf, "probes.h", &mut probes)?;
    if probes.is_empty() {
        return Err("no probe was found in bpf/probes.h".into());
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("probes.rs"), enumeration(&probes)?)?;
    fs::write(out.join("records.rs"), format!("&[{}]", records::list(&bpf)?))?;
    Ok(())
}

/// Adds the probes of a file, and of those that it includes, in the order in which C finds them.
fn read(bpf: &Path, name: &str, out: &mut Vec<Probe>) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(bpf.join(name)).map_err(|e| format!("bpf/{name}: {e}"))?;
    let folder = name.strip_prefix("instruments/").and_then(|rest| rest.split('/').next());
    let mut says = String::new();
    for line in text.lines() {
        let inner =
            |start, end| line.strip_prefix(start).and_then(|rest: &str| rest.strip_suffix(end));
        let is_list = line.contains("PROBE(") && !line.starts_with(" *");
        if let Some(comment) = inner("/* ", " */") {
            comment.clone_into(&mut says);
        } else if let Some(fields) = inner("PROBE(", ")") {
            let fields: Vec<_> = fields.split(", ").collect();
            let &[name, label, program, _] = fields.as_slice() else {
                return Err(format!("bpf/{name}: {line} has not four fields").into());
            };
            if says.is_empty() {
                return Err(format!("bpf/{name}: {line} has no comment above it").into());
            }
            let [name, label, program] = [name, label, program].map(str::to_owned);
            out.push(Probe {
                name: variant(&name),
                label,
                program,
                instrument: folder.unwrap_or("http").to_owned(),
                says: std::mem::take(&mut says),
            });
        } else if line == "#include \"instruments.h\"" {
            for (_, file) in instruments_h::instruments(bpf)? {
                read(bpf, &file, out)?;
            }
        } else if let Some(file) = inner("#include \"instruments/", "\"") {
            read(bpf, &format!("instruments/{file}"), out)?;
        } else if is_list {
            // C would count it, and this would not.
            return Err(format!(
                "bpf/{name}: {line} is not read: one probe a line, and nothing else"
            )
            .into());
        }
    }
    Ok(())
}

/// `HTTP_SERVER_START` as `HttpServerStart`.
fn variant(name: &str) -> String {
    let word = |word: &str| {
        let (first, rest) = word.split_at(1);
        format!("{first}{}", rest.to_ascii_lowercase())
    };
    name.split('_').map(word).collect()
}

fn enumeration(probes: &[Probe]) -> Result<String, std::fmt::Error> {
    let mut out = String::from("numbered! {\n/// What a uprobe stands for.\nProbe {\n");
    for (number, probe) in probes.iter().enumerate() {
        writeln!(out, "/// {}\n{} = {number}, {:?};", probe.says, probe.name, probe.label)?;
    }
    out.push_str(
        "}\n}\n\nimpl Probe {\n/// Which of the programs for uprobe_multi serves its sites.\n",
    );
    out.push_str("pub fn program(self) -> Program {\nmatch self {\n");
    for probe in probes {
        let program = if probe.program == "CALL_LIKE" { "CALL" } else { &probe.program };
        writeln!(out, "Probe::{} => Program::{},", probe.name, variant(program))?;
    }
    out.push_str("}\n}\n\n/// Its own program, where the kernel has no uprobe_multi.\n");
    out.push_str("pub fn single(self) -> &'static str {\nmatch self {\n");
    for probe in probes {
        writeln!(out, "Probe::{} => {:?},", probe.name, format!("probe_{}", probe.label))?;
    }
    out.push_str("}\n}\n\n/// Its instrument: a folder below bpf/instruments, or `http`.\n");
    out.push_str("pub fn instrument(self) -> &'static str {\nmatch self {\n");
    for probe in probes {
        writeln!(out, "Probe::{} => {:?},", probe.name, probe.instrument)?;
    }
    out.push_str("}\n}\n}\n");
    Ok(out)
}
