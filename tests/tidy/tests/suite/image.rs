//! The image's Dockerfile, which CI does not build as `make test-image` does: what it names is what there is.

use crate::repo::{files, root};

/// The words of a shell list `name=(a b c)` in a script.
fn shell_list<'a>(script: &'a str, name: &str) -> Vec<&'a str> {
    let start = format!("\n{name}=(");
    let (_, rest) = script.split_once(&start).expect("the list is in the script");
    rest.split_once(')').expect("it ends").0.split_whitespace().collect()
}

#[test]
fn the_dockerfile_builds_with_what_setup_installs() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("it is read");
    let dockerfile = read("deploy/Dockerfile");
    let install = dockerfile.lines().find(|line| line.contains("apt-get install"));
    let installed: Vec<_> = install.expect("it installs").split_whitespace().collect();
    for package in shell_list(&read("scripts/setup.sh"), "apt_packages") {
        // For tests alone.
        if !["wrk", "iproute2", "nftables"].contains(&package) {
            assert!(installed.contains(&package), "deploy/Dockerfile does not install {package}");
        }
    }
    let cargo = read("Cargo.toml");
    let version = cargo.lines().find_map(|line| line.strip_prefix("rust-version = "));
    let image = format!("FROM rust:{}-", version.expect("a version").trim_matches('"'));
    assert!(dockerfile.contains(&image), "deploy/Dockerfile: want {image}…");
    let known = ["FROM", "RUN", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"];
    let mut goes_on = false;
    for line in dockerfile.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let word = line.split(' ').next().unwrap_or_default();
        assert!(goes_on || known.contains(&word), "deploy/Dockerfile: {line}");
        goes_on = line.ends_with('\\');
    }
}

/// What cargo needs is not kept out of the image's build.
#[test]
fn the_image_is_built_of_all_sources() {
    let ignored = std::fs::read_to_string(root().join(".dockerignore")).expect("it is read");
    let ignored: Vec<_> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    let of_workspace = |path: &str| {
        path.ends_with("Cargo.toml") && !path.starts_with("fuzz/")
            || path.starts_with("bpf/")
            || path.starts_with("crates/")
            || path == "Cargo.lock"
    };
    for file in files().iter().filter(|file| of_workspace(&file.path)) {
        let out = ignored.iter().find(|folder| file.is_below(folder));
        assert!(out.is_none(), ".dockerignore leaves out {}", file.path);
    }
}
