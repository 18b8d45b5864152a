//! Copies of executables with other bytes in them: as obfuscators, packers and faults leave them, or as a Go of the
//! future would.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// A copy, which is removed when this value is dropped.
#[derive(Debug)]
pub struct Altered {
    _folder: TempDir,
    /// The copy.
    pub program: PathBuf,
}

impl Altered {
    /// Copies an executable and changes the copy.
    pub fn new(original: &Path, change: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<Self> {
        let mut data = fs::read(original).context("read the program")?;
        change(&mut data)?;
        let folder = TempDir::with_prefix("gotap-e2e-").context("create a folder")?;
        let program = folder.path().join(original.file_name().context("a file's name")?);
        fs::write(&program, data).context("write the copy")?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&program, executable).context("make the copy executable")?;
        Ok(Self { _folder: folder, program })
    }
}

/// Where these bytes are.
pub fn places(data: &[u8], wanted: &[u8]) -> Vec<usize> {
    let windows = data.windows(wanted.len()).enumerate();
    windows.filter(|(_, window)| *window == wanted).map(|(at, _)| at).collect()
}

/// Puts `to` in all places of `from`, which is as long. Fails where there is none.
pub fn replace(data: &mut [u8], from: &[u8], to: &[u8]) -> Result<()> {
    let (shown, places) = (String::from_utf8_lossy(from).into_owned(), places(data, from));
    ensure!(from.len() == to.len(), "what stands for {shown} must be as long");
    ensure!(!places.is_empty(), "{shown} is not in the executable");
    for at in places {
        data[at..at + to.len()].copy_from_slice(to);
    }
    Ok(())
}

/// Where the function table begins.
pub fn function_table(data: &[u8]) -> Result<usize> {
    let all = places(data, &[0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8]);
    match all.as_slice() {
        [one] => Ok(*one),
        _ => bail!("{} function tables", all.len()),
    }
}

/// What garble does, too: the magic number of the function table is another one, in the table and in the code that
/// checks it. Changes its lowest byte.
pub fn change_magic(data: &mut [u8], to: u8) -> Result<()> {
    let at = function_table(data)?;
    data[at] = to;
    // CMP register, -15; JNE; CMPB $0, 4(register)
    let is_check = |code: &[u8]| {
        code[0] == 0x83
            && code[1] >= 0xf8
            && code[2] == 0xf1
            && code[3..5] == [0x0f, 0x85]
            && code[9] == 0x80
            && code[11..13] == [4, 0]
    };
    let found: Vec<usize> =
        data.windows(13).enumerate().filter(|(_, code)| is_check(code)).map(|(at, _)| at).collect();
    let [check] = found.as_slice() else { bail!("{} checks of the magic number", found.len()) };
    data[*check + 2] = to;
    Ok(())
}
