//! That the program starts which boots kernels. What it does is `make test-kernels`, which relies on these tests: with
//! them the tests of the whole workspace build the program, too.

use std::process::Command;

#[test]
fn without_a_version_it_says_how_it_is_used() {
    let output = Command::new(env!("CARGO_BIN_EXE_kernel-tests")).output();
    let output = output.expect("kernel-tests starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said.starts_with("usage: kernel-tests VERSION"), "{said}");
}
