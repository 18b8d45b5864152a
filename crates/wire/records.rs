//! A number for the layout of the records of tracing, made of the BPF headers' own text. A recording has it, so that
//! records are not read as something else after the layout changed. Part of the build script.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Enumerations and structures that are parts of records. A structure that starts with a header is a record.
const PARTS: [&str; 8] = [
    "struct gt_event_header",
    "struct gt_span",
    "struct gt_http_head",
    "enum gt_event_kind",
    "enum gt_parent",
    "enum gt_content",
    "enum gt_outcome",
    "enum gt_unread",
];
const HEADERS: [&str; 2] = ["\tstruct gt_event_header header;", "\tstruct gt_http_head head;"];

/// Gives the number for the headers in this folder.
pub(crate) fn number(bpf: &Path) -> Result<u64, Box<dyn Error>> {
    let mut blocks = Vec::new();
    collect(bpf, &mut blocks)?;
    if let Some(missing) = PARTS.iter().find(|part| !blocks.iter().any(|b| b.starts_with(*part))) {
        return Err(format!("bpf/ has no {missing}").into());
    }
    // The order of files is the file system's.
    blocks.sort();
    Ok(blocks.iter().flat_map(|block| block.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        // FNV-1a: it is the same on every machine, as the standard library's hash need not be.
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    }))
}

/// Adds the blocks of all headers in a folder, and flags, without comments.
fn collect(folder: &Path, out: &mut Vec<String>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, out)?;
        } else if path.extension().is_some_and(|end| end == "h") {
            let text = without_comments(&fs::read_to_string(&path)?);
            let is_wire = path.ends_with("wire.h");
            out.extend(
                text.lines()
                    .filter(|line| is_wire && line.starts_with("#define GT_"))
                    .map(Into::into),
            );
            let blocks = text.split("\n}").filter_map(|before| {
                let start = before.rfind("\nstruct gt_").max(before.rfind("\nenum gt_"))?;
                let block = &before[start + 1..];
                let is_part = PARTS.iter().any(|part| block.starts_with(&format!("{part} {{")));
                let is_record = block.lines().nth(1).is_some_and(|line| HEADERS.contains(&line));
                (is_part || is_record).then(|| block.to_owned())
            });
            out.extend(blocks);
        }
    }
    Ok(())
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
