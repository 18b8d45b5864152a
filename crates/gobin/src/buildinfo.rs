//! Build information that the Go linker embeds (`.go.buildinfo`): Go version, main module, the
//! modules linked in and the build settings. It survives stripping.
//!
//! Source of the layout: Go's `debug/buildinfo`.

use crate::Error;
use crate::bytes::varint_at;
use crate::elf::Image;

const MAGIC: &[u8] = b"\xff Go buildinf:";
/// Header: magic 14 bytes, pointer size, flags, then (Go 1.18+) padding up to 32 bytes.
const HEADER: usize = 32;
const FLAG_INLINE_STRINGS: u8 = 2;
/// Module text is wrapped in two 16-byte sentinels.
const SENTINEL: usize = 16;

/// The minor number of a Go 1 version, such as 27 in `go1.27.3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoMinor(pub u16);

impl GoMinor {
    /// The newest minor that the tables here were verified against.
    pub const NEWEST_KNOWN: GoMinor = GoMinor(27);
    /// The oldest minor that is supported.
    pub const OLDEST: GoMinor = GoMinor(18);
}

/// One module of the build list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module<'d> {
    /// Module path, such as `google.golang.org/grpc`.
    pub path: &'d str,
    /// Module version, such as `v1.71.0` or `(devel)`.
    pub version: &'d str,
    /// The module, or directory, that was linked in its place.
    pub replaced: Option<&'d str>,
}

/// What the build information says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildInfo<'d> {
    /// Version string of the toolchain, such as `go1.26.8 X:nocoverageredesign`.
    pub go_version: &'d str,
    /// Import path of the main package.
    pub path: Option<&'d str>,
    /// The main module.
    pub main: Option<Module<'d>>,
    /// Modules linked in.
    pub deps: Vec<Module<'d>>,
    /// Build settings, such as `("CGO_ENABLED", "0")`.
    pub settings: Vec<(&'d str, &'d str)>,
}

impl<'d> BuildInfo<'d> {
    /// Finds and reads the build information of `image`.
    ///
    /// # Errors
    /// [`Error::NotGo`] where there is none.
    pub fn parse(image: &Image<'d>) -> Result<Self, Error> {
        let blob = find(image).ok_or(Error::NotGo)?;
        let flags = *blob.get(MAGIC.len() + 1).ok_or(Error::NotGo)?;
        if flags & FLAG_INLINE_STRINGS == 0 {
            // Before Go 1.18: pointers to strings. The function table of those is not read either.
            return Ok(Self { go_version: "go1.17 or older", ..Self::default() });
        }
        let (go_version, at) = string_at(blob, HEADER).ok_or(Error::NotGo)?;
        let mut info = Self { go_version, ..Self::default() };
        if let Some((text, _)) = bytes_at(blob, at)
            && text.len() >= 2 * SENTINEL
            && let Ok(text) = std::str::from_utf8(&text[SENTINEL..text.len() - SENTINEL])
        {
            info.read_modules(text);
        }
        Ok(info)
    }

    /// The minor number of the Go version; `None` for development builds without one.
    pub fn minor(&self) -> Option<GoMinor> {
        let rest = self.go_version.split("go1.").nth(1)?;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        digits.parse().ok().map(GoMinor)
    }

    /// The version of the module at `path`, when it is linked in.
    pub fn module(&self, path: &str) -> Option<&Module<'d>> {
        self.deps.iter().find(|m| m.path == path)
    }

    /// A build setting, such as `vcs.revision`.
    pub fn setting(&self, key: &str) -> Option<&'d str> {
        self.settings.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    fn read_modules(&mut self, text: &'d str) {
        for line in text.lines() {
            let mut words = line.split('\t');
            match words.next() {
                Some("path") => self.path = words.next(),
                Some("mod") => self.main = module(words),
                Some("dep") => self.deps.extend(module(words)),
                // A replacement names what is really linked, under the path that is imported.
                Some("=>") => {
                    if let (Some(last), Some(by)) = (self.deps.last_mut(), module(words)) {
                        last.version = by.version;
                        last.replaced = Some(by.path);
                    }
                }
                Some("build") => {
                    self.settings.extend(words.next().and_then(|w| w.split_once('=')));
                }
                _ => {}
            }
        }
    }
}

fn module<'d>(mut words: impl Iterator<Item = &'d str>) -> Option<Module<'d>> {
    Some(Module { path: words.next()?, version: words.next().unwrap_or(""), replaced: None })
}

fn find<'d>(image: &Image<'d>) -> Option<&'d [u8]> {
    if let Some(section) = image.section(".go.buildinfo")
        && section.data.starts_with(MAGIC)
    {
        return Some(section.data);
    }
    // No section headers: it stands 16-byte aligned at the start of the data segment.
    image.segments().iter().find_map(|segment| {
        let data = image.tail(segment.vaddr)?;
        let start = data.len().min(64 << 10);
        let at = (0..start).step_by(16).find(|i| data[*i..].starts_with(MAGIC))?;
        Some(&data[at..])
    })
}

fn bytes_at(blob: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (len, start) = varint_at(blob, at)?;
    let end = start.checked_add(len as usize)?;
    Some((blob.get(start..end)?, end))
}

fn string_at(blob: &[u8], at: usize) -> Option<(&str, usize)> {
    let (bytes, end) = bytes_at(blob, at)?;
    Some((std::str::from_utf8(bytes).ok()?, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(version: &str) -> Option<u16> {
        BuildInfo { go_version: version, ..BuildInfo::default() }.minor().map(|m| m.0)
    }

    #[test]
    fn minors_are_read_from_all_spellings() {
        assert_eq!(minor("go1.27.3"), Some(27));
        assert_eq!(minor("go1.28rc1"), Some(28));
        assert_eq!(minor("devel go1.29-abcdef Mon"), Some(29));
        assert_eq!(minor("go1.26.8 X:nogreenteagc"), Some(26));
        assert_eq!(minor("devel +abcdef"), None);
    }

    #[test]
    fn replaced_modules_show_what_is_linked() {
        let mut info = BuildInfo::default();
        info.read_modules("path\tx/cmd\nmod\tx\t(devel)\ndep\ta\tv1.0.0\th1:\n=>\tb\tv2.0.0\th1:\nbuild\tCGO_ENABLED=0\n");
        assert_eq!(info.path, Some("x/cmd"));
        assert_eq!(info.module("a").map(|m| m.version), Some("v2.0.0"));
        assert_eq!(info.module("a").and_then(|m| m.replaced), Some("b"));
        assert_eq!(info.setting("CGO_ENABLED"), Some("0"));
    }
}
