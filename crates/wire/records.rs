//! What the BPF headers say of the records of tracing, as a number for each structure, enumeration and flag. A recording
//! has these numbers, so that its records are not read as something else after one of them changed; what an instrument
//! adds changes none. Part of the build script.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Structures that are parts of records, beside those that start with a header, which are records.
const STRUCTURES: [&str; 3] = ["struct gt_event_header", "struct gt_span", "struct gt_http_head"];
const HEADERS: [&str; 2] = ["\tstruct gt_event_header header;", "\tstruct gt_http_head head;"];
/// What grows with each instrument, and is in no record.
const ELSEWHERE: [&str; 3] = ["enum gt_probe", "enum gt_drop", "#define GT_PART"];
/// How the names begin of what the meter shares with user space: it is another object, and sends no records.
const OF_METER: [&str; 2] = ["enum gt_meter_", "#define GT_METER_"];

/// Gives names and numbers as the elements of an array.
pub(crate) fn list(bpf: &Path) -> Result<String, Box<dyn Error>> {
    let mut found = BTreeMap::new();
    collect(bpf, &mut found)?;
    if let Some(missing) = STRUCTURES.iter().find(|name| !found.contains_key(**name)) {
        return Err(format!("bpf/ has no {missing}").into());
    }
    let mut out = String::new();
    for (name, number) in found {
        writeln!(out, "({name:?}, {number:#x}),")?;
    }
    Ok(out)
}

/// FNV-1a, folded: it is the same on every machine, as the standard library's hash need not be.
fn hash(text: &str) -> u32 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    (hash ^ (hash >> 32)) as u32
}

/// Adds what the headers in a folder say of records, without comments: structures, and all numbers, as any of them may
/// be in a record.
fn collect(folder: &Path, out: &mut BTreeMap<String, u32>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|end| end == "h") {
            let text = without_comments(&fs::read_to_string(&path)?);
            let flags = text.lines().filter(|line| line.starts_with("#define GT_"));
            // Those with arguments are code.
            for flag in flags.filter(|line| !line.contains('(')) {
                let name = flag.split(' ').take(2).collect::<Vec<_>>().join(" ");
                add(name, flag, out);
            }
            for before in text.split("\n}") {
                let start = before.rfind("\nstruct gt_").max(before.rfind("\nenum gt_"));
                let block = start.map_or("", |start| &before[start + 1..]);
                let Some((name, rest)) = block.split_once(" {") else { continue };
                let is_record = rest.lines().nth(1).is_some_and(|line| HEADERS.contains(&line));
                if is_record || STRUCTURES.contains(&name) || name.starts_with("enum ") {
                    add(name.to_owned(), block, out);
                }
            }
        }
    }
    Ok(())
}

fn add(name: String, text: &str, out: &mut BTreeMap<String, u32>) {
    let is_of_meter = OF_METER.iter().any(|start| name.starts_with(start));
    if !is_of_meter && !ELSEWHERE.contains(&name.as_str()) && !name.ends_with("_counter") {
        // The order of files is the file system's.
        *out.entry(name).or_default() ^= hash(text);
    }
}

/// The text without its comments, and without spaces at the ends of lines.
fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("/*") {
        out.push_str(&rest[..start]);
        rest = rest[start..].split_once("*/").map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}
