//! The list of instruments in `bpf/instruments.h`. Part of the build scripts of this crate and of `instruments`, which
//! make their lists of it: so both have the same instruments in the same order. Not here: what stands in the files.

use std::error::Error;
use std::fs;
use std::path::Path;

/// Names of instruments with their files, which are relative to the folder `bpf`.
pub(crate) fn instruments(bpf: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let list = fs::read_to_string(bpf.join("instruments.h"))
        .map_err(|e| format!("bpf/instruments.h: {e}"))?;
    let mut out = Vec::new();
    for line in list.lines().filter(|line| line.starts_with("#include")) {
        let file = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix('"'));
        let name = file.and_then(|file| file.strip_prefix("instruments/")?.split_once('/'));
        let (Some(file), Some((name, _))) = (file, name) else {
            return Err(format!("bpf/instruments.h: {line} names no instrument").into());
        };
        out.push((name.to_owned(), file.to_owned()));
    }
    if out.is_empty() {
        return Err("bpf/instruments.h lists no instrument".into());
    }
    Ok(out)
}
