//! Makes the list of instruments, and of what they tell the programs of a process, from `bpf/instruments.h`: the two
//! sides have the same instruments in the same order.

#[path = "../wire/instruments_h.rs"]
mod instruments_h;

use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let bpf = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    println!("cargo:rerun-if-changed={}", bpf.display());
    let (mut modules, mut constants) = (String::new(), String::new());
    for (module, file) in instruments_h::instruments(&bpf)? {
        writeln!(modules, "    crate::{module}::INSTRUMENT,")?;
        let text = fs::read_to_string(bpf.join(&file)).map_err(|e| format!("bpf/{file}: {e}"))?;
        if text.contains("GT_PART == GT_CONSTANTS") {
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
