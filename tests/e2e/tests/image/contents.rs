//! What is in the image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::container::Image;

/// A release binary may have so many bytes, and all files of the image.
const MOST: [u64; 2] = [25_000_000, 32 << 20];

fn files_below(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_symlink() || !path.is_dir() {
            found.push(path)
        } else {
            files_below(&path, found)?
        }
    }
    Ok(())
}

/// The program, the libraries that its loader finds, authorities of certificates: no shell, and nothing else.
pub(crate) fn are_few(image: &Image) -> Result<()> {
    let root = image.mounted()?;
    let mut files = Vec::new();
    files_below(&root, &mut files)?;
    let mut total = 0;
    for file in &files {
        let name =
            format!("/{}", file.strip_prefix(&root).context("a path in the image")?.display());
        let bytes = fs::metadata(file).with_context(|| format!("a dangling link: {name}"))?.len();
        let is_library = name.starts_with("/lib") && name.contains(".so.");
        let is_known = ["/usr/bin/gotap", "/etc/ssl/certs/ca-certificates.crt"].contains(&&*name);
        ensure!(is_library || is_known, "{name} is in the image");
        ensure!(name != "/usr/bin/gotap" || bytes <= MOST[0], "gotap has {bytes} bytes");
        total += bytes;
    }
    ensure!(root.join("usr/bin/gotap").exists(), "there is no gotap: {files:?}");
    ensure!(root.join("etc/ssl/certs/ca-certificates.crt").exists(), "no authorities: {files:?}");
    eprintln!("image: {} files, {total} bytes", files.len());
    ensure!(total <= MOST[1], "the image has {total} bytes");
    Ok(())
}
