//! Compiles the objects below `bpf/` with clang-19 to `OUT_DIR`; they are embedded.

use std::path::PathBuf;
use std::{env, error::Error};

use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let bpf = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../bpf");
    let target = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86_64" => "x86",
        "aarch64" => "arm64",
        other => return Err(format!("gotap does not support {other}").into()),
    };
    println!("cargo:rerun-if-changed={}", bpf.display());
    for name in [
        "gotap",
        "sampler",
        "serving",
        "tracker",
        "gc",
        "logs",
        "meter",
        "host/exec",
        "host/tcp",
        "host/flows",
    ] {
        SkeletonBuilder::new()
            .source(bpf.join(format!("{name}.bpf.c")))
            .obj(
                PathBuf::from(env::var("OUT_DIR")?)
                    .join(format!("{}.bpf.o", name.replace('/', "_"))),
            )
            .clang("clang-19")
            .clang_args([
                format!("-I{}", bpf.display()),
                format!("-D__TARGET_ARCH_{target}"),
                // Newer LLVM would take v4, which 5.10 does not know.
                "-mcpu=v3".into(),
                "-Wall".into(),
                "-Werror".into(),
            ])
            .build()?;
    }
    Ok(())
}
