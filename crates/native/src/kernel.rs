//! The kernel's functions.

use blazesym::MaybeDefault;
use blazesym::symbolize::source::{Kernel as KernelSource, Source};
use blazesym::symbolize::{Input, Symbolized, Symbolizer};

/// The functions of the running kernel, as `/proc/kallsyms` tells them.
pub struct Kernel {
    symbolizer: Symbolizer,
    source: Source<'static>,
}

impl Default for Kernel {
    fn default() -> Self {
        // kallsyms is there on every machine, and has the functions of modules.
        let vmlinux = MaybeDefault::None;
        let source = KernelSource { vmlinux, debug_syms: false, ..KernelSource::default() };
        Self { symbolizer: Symbolizer::new(), source: Source::Kernel(source) }
    }
}

impl Kernel {
    /// The names of functions by addresses in them; `None` where that is not known, as when the kernel hides
    /// its addresses.
    pub fn names(&self, addresses: &[u64]) -> Vec<Option<String>> {
        let found = self.symbolizer.symbolize(&self.source, Input::AbsAddr(addresses));
        let Ok(found) = found else { return vec![None; addresses.len()] };
        let name = |one: &Symbolized<'_>| one.as_sym().map(|sym| sym.name.clone().into_owned());
        let mut out: Vec<Option<String>> = found.iter().map(name).collect();
        out.resize(addresses.len(), None);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As root the kernel tells its addresses; else it says 0 for all.
    #[test]
    fn functions_of_the_kernel_have_their_names() {
        let text = std::fs::read_to_string("/proc/kallsyms").unwrap();
        let functions = text.lines().filter_map(|line| {
            let mut words = line.split_ascii_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            (words.next()? == "T").then(|| Some((address, words.next()?.to_owned())))?
        });
        let wanted = functions.into_iter().find(|(_, name)| name == "schedule");
        let Some((address, name)) = wanted else {
            panic!("no function schedule in /proc/kallsyms")
        };
        let found = Kernel::default().names(&[address + 1, 1]);
        if address == 0 {
            assert_eq!(found, [None, None]);
        } else {
            assert_eq!(found, [Some(name), None]);
        }
    }
}
