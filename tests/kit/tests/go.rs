//! Building programs: the lists, the cache, the modes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;

use gotap_testkit::go::{self, Mode, VERSIONS, Version};
use serde_json::Value;

/// The one version these tests build with, but for arm64: the cross-section has others of that.
fn version() -> Version {
    Version::NEWEST
}

#[test]
fn cross_section_has_every_version_and_every_mode_twice() {
    let cross = go::cross_section();
    let versions: BTreeSet<_> = cross.iter().map(|pair| pair.0).collect();
    assert_eq!(versions, VERSIONS.into_iter().collect());
    for mode in Mode::ALL {
        assert!(cross.iter().filter(|pair| pair.1 == mode).count() >= 2, "{mode}");
    }
    assert_eq!(cross.len(), cross.iter().collect::<BTreeSet<_>>().len());
    assert_eq!(go::matrix().len(), 50);
    assert_eq!((Version::OLDEST, Version::NEWEST), (Version::of(18), Version::of(27)));
}

#[test]
fn a_program_is_built_once_by_threads_at_the_same_time() {
    let builds: Vec<_> =
        (0..4).map(|_| thread::spawn(|| go::build("oracle", version(), Mode::Plain))).collect();
    let paths: BTreeSet<_> = builds.into_iter().map(|b| b.join().unwrap().unwrap()).collect();
    let path = paths.first().unwrap();
    assert_eq!(paths.len(), 1);
    let built = fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(&go::build("oracle", version(), Mode::Plain).unwrap(), path);
    assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), built);
}

#[test]
fn the_oracle_speaks_in_every_mode() {
    for mode in Mode::ALL.into_iter().filter(|mode| mode.runs_here()) {
        let output = Command::new(go::build("oracle", version(), mode).unwrap()).output().unwrap();
        assert!(output.status.success(), "{mode}: {output:?}");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["goversion"], format!("go{}", version()), "{mode}");
        assert_eq!(report["anchor"]["func"], "main.main");
        let frames = report["frames"].as_array().unwrap();
        assert!(frames.iter().any(|stack| stack["frames"].as_array().unwrap().len() == 4));
        assert!(report["layouts"].as_array().unwrap().len() >= 30);
        assert!(report["points"].as_array().unwrap().len() >= 1000);
    }
}

#[test]
fn each_mode_makes_the_binary_it_names() {
    let sections = |mode| {
        let version = if mode == Mode::Arm64 { Version::of(26) } else { version() };
        let path = go::build("oracle", version, mode).unwrap();
        let output = Command::new("readelf").arg("-hldS").arg(path).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = sections(Mode::Plain);
    assert!(plain.contains(".symtab") && plain.contains("EXEC (") && !plain.contains("INTERP"));
    assert!(!sections(Mode::Stripped).contains(".symtab"));
    assert!(sections(Mode::Pie).contains("DYN ("));
    assert!(sections(Mode::Cgo).contains("[libc.so.6]"));
    assert!(sections(Mode::Arm64).contains("AArch64"));
}

#[test]
fn an_app_that_does_not_exist_is_an_error() {
    let error = go::build("no-such-app", version(), Mode::Plain).unwrap_err();
    assert!(format!("{error:#}").contains("is in no Go module"), "{error:#}");
}
