//! That the command starts. What it does is tested end to end, in `tests/e2e`; that these tests have the command at all,
//! built with the features of the whole workspace's tests, is what the Makefile relies on.

use std::process::Command;

#[test]
fn the_version_is_the_packages() {
    let output = Command::new(env!("CARGO_BIN_EXE_gotap")).arg("--version").output();
    let output = output.expect("gotap starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said.split_whitespace().nth(1), Some(env!("CARGO_PKG_VERSION")), "{said}");
}
