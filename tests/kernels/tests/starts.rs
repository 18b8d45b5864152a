//! Checks that `kernel-tests` starts. `make test-kernels` relies on this test to get the program built.

use std::process::Command;

#[test]
fn without_a_version_it_says_how_it_is_used() {
    let output = Command::new(env!("CARGO_BIN_EXE_kernel-tests")).output();
    let output = output.expect("kernel-tests starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said.starts_with("usage: kernel-tests VERSION"), "{said}");
}
