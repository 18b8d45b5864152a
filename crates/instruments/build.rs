//! Makes the list of instruments, and of what they tell the programs of a process, from `bpf/instruments.h`: the two
//! sides have the same instruments in the same order.

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let bpf = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    println!("cargo:rerun-if-changed={}", bpf.display());
    let read =
        |name: &str| fs::read_to_string(bpf.join(name)).map_err(|e| format!("bpf/{name}: {e}"));
    let list = read("instruments.h")?;
    let (mut modules, mut constants) = (String::new(), String::new());
    for line in list.lines() {
        let file = line.strip_prefix("#include \"").and_then(|rest| rest.strip_suffix("\""));
        let Some(file) = file else { continue };
        let module = file.split('/').nth(1).ok_or_else(|| format!("{line} names no instrument"))?;
        writeln!(modules, "    crate::{module}::INSTRUMENT,")?;
        if read(file)?.contains("GT_PART == GT_CONSTANTS") {
            writeln!(
                constants,
                "        /// Those of `{module}`.\n        pub {module}: crate::{module}::Constants,"
            )?;
        }
    }
    let made = format!(
        "/// All instruments.\npub(crate) static INSTRUMENTS: &[Instrument] = &[\n{modules}];\n\n\
         wire::constants! {{\n    /// What instruments tell the programs of a process (`struct gt_instruments`).\n    \
         pub struct Constants {{\n{constants}    }}\n}}\n"
    );
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("instruments.rs"), made)?;
    Ok(())
}
