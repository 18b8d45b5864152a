//! The symbol table of an ELF file, as the `object` crate reads it.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use object::read::elf::ElfFile64;
use object::{LittleEndian, Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Symbols by name and functions by address.
pub(crate) struct Symbols {
    by_name: HashMap<String, u64>,
    /// Names of the functions with a size, by address.
    pub(crate) functions: HashMap<u64, Vec<String>>,
}

impl Symbols {
    /// Reads the table of a whole file.
    pub(crate) fn read(data: &[u8]) -> Result<Self> {
        let file: ElfFile64<'_, LittleEndian> = ElfFile64::parse(data).context("parse ELF")?;
        let mut symbols = Self { by_name: HashMap::new(), functions: HashMap::new() };
        for symbol in file.symbols().filter(|symbol| !symbol.is_undefined()) {
            let Ok(name) = symbol.name() else { continue };
            symbols.by_name.insert(name.to_owned(), symbol.address());
            if symbol.kind() == SymbolKind::Text && symbol.size() > 0 {
                symbols.functions.entry(symbol.address()).or_default().push(name.to_owned());
            }
        }
        ensure!(symbols.functions.len() > 1000, "only {} functions", symbols.functions.len());
        Ok(symbols)
    }

    /// The address of a symbol.
    pub(crate) fn address(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).copied()
    }
}

/// The section that holds `address`, and how far from its start.
pub(crate) fn place(data: &[u8], address: u64) -> Result<(String, u64)> {
    let file: ElfFile64<'_, LittleEndian> = ElfFile64::parse(data).context("parse ELF")?;
    let section = file
        .sections()
        .find(|s| s.address() != 0 && address >= s.address() && address - s.address() < s.size())
        .with_context(|| format!("{address:#x} is in no section"))?;
    Ok((section.name()?.to_owned(), address - section.address()))
}

/// A function's name without what symbol table, function table and runtime write differently: the
/// suffix of the ABI, type arguments, and the dot before the number of a local type.
pub(crate) fn normal(name: &str) -> String {
    let name = name.strip_suffix(".abi0").unwrap_or(name);
    let name = name.strip_suffix(".abiinternal").unwrap_or(name);
    let mut depth = 0;
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '[' => {
                depth += 1;
                if depth == 1 {
                    out.push_str("[...");
                }
            }
            ']' => depth -= 1,
            '·' if depth == 0 => {
                out.push('.');
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            out.push(c);
        }
    }
    out
}

#[test]
fn spellings_are_made_equal() {
    assert_eq!(normal("a/b.F[go.shape.[]int,x].func1"), "a/b.F[...].func1");
    assert_eq!(normal("a.(*T[go.shape.int]).M"), "a.(*T[...]).M");
    assert_eq!(normal("a.F[...]"), "a.F[...]");
    assert_eq!(normal("runtime.memmove.abi0"), "runtime.memmove");
    assert_eq!(normal("type:.eq.a.T[int]·1"), "type:.eq.a.T[...].1");
}
