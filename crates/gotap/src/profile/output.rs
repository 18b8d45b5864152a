//! Where a profile goes: a file, by the end of its name, or a table on standard output.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use profile::{Profile, pprof};

use super::{Collected, Context};
use crate::cli::ProfileArgs;
use crate::output::{line, note};

/// What a file is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileFormat {
    Pprof,
    Svg,
    Folded,
    Speedscope,
}

/// A file to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputFile {
    pub(crate) path: PathBuf,
    pub(crate) format: FileFormat,
}

impl std::str::FromStr for OutputFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = [
            (".pb.gz", FileFormat::Pprof),
            (".svg", FileFormat::Svg),
            (".folded", FileFormat::Folded),
            (".json", FileFormat::Speedscope),
        ];
        let found = ends.iter().find(|(end, _)| text.ends_with(end));
        let format = found.map(|(_, format)| *format).ok_or(
            "the file's name says what is written: .pb.gz for go tool pprof, .svg for a flame graph, \
             .folded for folded stacks, .json for speedscope",
        )?;
        Ok(Self { path: text.into(), format })
    }
}

/// Where it goes, and what it is compared with.
pub(super) struct Output<'a> {
    file: Option<&'a OutputFile>,
    before: Option<Profile>,
}

impl<'a> Output<'a> {
    /// Looks whether it can be written, and reads what it is compared with.
    pub(super) fn new(args: &'a ProfileArgs) -> Result<Self> {
        let before = args.diff.as_deref().map(read).transpose()?;
        let file = args.output.as_ref();
        if let Some(file) = file {
            check(&file.path).with_context(|| format!("write {}", file.path.display()))?;
        }
        Ok(Self { file, before })
    }

    /// Writes it, or prints it.
    pub(super) fn finish(self, context: &Context<'_, '_, '_>, collected: &Collected) -> Result<()> {
        let Some(file) = self.file else {
            return super::text::print(context, collected);
        };
        let bytes = encode(file.format, context, collected, self.before.as_ref())?;
        write(&file.path, &bytes).with_context(|| format!("write {}", file.path.display()))?;
        let (service, pid) = (&context.target.service, context.args.pid);
        note(format!("{service}[{pid}]: {}", collected.what));
        collected.notes.iter().for_each(note);
        Ok(line(file.path.display())?)
    }
}

fn encode(
    format: FileFormat,
    context: &Context<'_, '_, '_>,
    collected: &Collected,
    before: Option<&Profile>,
) -> Result<Vec<u8>> {
    let profile = &collected.profile;
    let kind = profile.default_type;
    let name = format!("{}[{}]", context.target.service, context.args.pid);
    let title = format!("{name}: {}", collected.what);
    Ok(match (format, before) {
        (FileFormat::Pprof, _) => pprof::encode(profile)?,
        (FileFormat::Folded, _) => profile::folded(profile, kind).into_bytes(),
        (FileFormat::Speedscope, _) => {
            serde_json::to_vec(&profile::speedscope(profile, &name)).context("encode")?
        }
        (FileFormat::Svg, None) => profile::flame_graph(profile, kind, &title).into_bytes(),
        (FileFormat::Svg, Some(before)) => {
            let wanted = &profile.types[kind];
            let Some(theirs) = before.types.iter().position(|typ| typ == wanted) else {
                let typ = &before.types[before.default_type];
                let (ours, theirs) = (&wanted.kind, &typ.kind);
                bail!(
                    "the profile to compare with is of {theirs} in {}, not of {ours} in {}",
                    typ.unit,
                    wanted.unit
                );
            };
            let title = format!("{title}; red has grown, blue is less");
            profile::flame_graph_of_difference(profile, kind, (before, theirs), &title).into_bytes()
        }
    })
}

fn read(path: &Path) -> Result<Profile> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    pprof::decode(&bytes).with_context(|| format!("read {}", path.display()))
}

/// Whether a file can be written, without changing it.
fn check(path: &Path) -> std::io::Result<()> {
    let is_new = !path.exists();
    OpenOptions::new().append(true).create(true).open(path)?;
    if is_new { fs::remove_file(path) } else { Ok(()) }
}

/// Writes a file; one that could not be written whole is removed.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    let is_regular = file.metadata()?.is_file();
    let written =
        file.write_all(bytes).and_then(|()| if is_regular { file.sync_data() } else { Ok(()) });
    if written.is_err() && is_regular {
        // What failed first is what matters.
        let _ = fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_name_says_what_is_written() {
        let of = |name: &str| name.parse::<OutputFile>().map(|file| file.format);
        assert_eq!(of("a/cpu.pb.gz"), Ok(FileFormat::Pprof));
        assert_eq!(of("cpu.svg"), Ok(FileFormat::Svg));
        assert_eq!(of("cpu.folded"), Ok(FileFormat::Folded));
        assert_eq!(of("cpu.json"), Ok(FileFormat::Speedscope));
        assert!(of("cpu.txt").unwrap_err().contains(".svg for a flame graph"));
    }
}
