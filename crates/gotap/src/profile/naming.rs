//! From addresses of a sampled stack to locations with functions and lines: Go's own by the function table,
//! C code and the kernel by their symbols.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use gobin::{Binary, Lines};
use goruntime::{Position, Symbols};
use native::{Kernel, Mappings};
use profile::{Frame, Location, Mapping, Profile};
use wire::SampledStack;

use crate::opened::Target;

/// Stands for frames further out than are kept, of the program or of the kernel.
pub(super) const LEFT_OUT: &str = "(further frames are left out)";
/// Stands for callers that the walk could not find.
pub(super) const UNKNOWN: &str = "(callers are not known)";
/// Stands for C code between the function that runs and Go.
const FROM_C: &str = "(callers in C are not known)";
const KERNEL: &str = "[kernel]";
/// How the names of functions begin that the kernel switches threads in.
const SWITCH: [&str; 6] =
    ["bpf_prog_", "bpf_trace_run", "__bpf_trace_", "__traceiter_", "__schedule [", "schedule ["];

/// Names addresses of one process.
pub(crate) struct Namer<'c, 'a, 'd> {
    symbols: &'c Symbols<'a, 'd>,
    lines: Lines<'a, 'd>,
    bias: u64,
    text: std::ops::Range<u64>,
    mappings: Mappings,
    kernel: Rc<Kernel>,
    /// Names of the kernel's functions and of native ones, by address.
    named: RefCell<HashMap<u64, Rc<str>>>,
}

impl<'c, 'a, 'd> Namer<'c, 'a, 'd> {
    pub(crate) fn new(
        target: &Target<'a, 'd>,
        symbols: &'c Symbols<'a, 'd>,
        mappings: Mappings,
    ) -> Self {
        Self::of(target.binary, target.bias, symbols, mappings, Rc::default())
    }

    /// The same for a binary that is loaded `bias` bytes above its own addresses. Who names often shares what is
    /// known of the kernel.
    pub(super) fn of(
        binary: &'a Binary<'d>,
        bias: u64,
        symbols: &'c Symbols<'a, 'd>,
        mappings: Mappings,
        kernel: Rc<Kernel>,
    ) -> Self {
        let module = binary.module();
        Self {
            symbols,
            lines: binary.lines(),
            bias,
            text: module.text.wrapping_add(bias)..module.etext.wrapping_add(bias),
            mappings,
            kernel,
            named: RefCell::default(),
        }
    }

    /// What was given.
    pub(super) fn into_mappings(self) -> Mappings {
        self.mappings
    }

    /// Adds the locations of a sampled stack to a profile; gives their numbers, the innermost first.
    pub(crate) fn stack(&self, profile: &mut Profile, stack: &SampledStack) -> Vec<usize> {
        let mut out = Vec::with_capacity(stack.kernel.len() + stack.user.len() + 1);
        if stack.is_in_kernel() && stack.kernel.is_empty() {
            out.push(profile.location(plain(KERNEL)));
        }
        let kernel = stack.kernel.iter().map(|address| (*address, self.kernel_function(*address)));
        // What leads from the scheduler to the sampler, and the scheduler itself, say nothing.
        let is_sampler = |name: &str| SWITCH.iter().any(|start| name.starts_with(start));
        for (address, function) in kernel.skip_while(|(_, name)| is_sampler(name)) {
            out.push(profile.location(native(address, None, function)));
        }
        if stack.is_deep_in_kernel() {
            out.push(profile.location(plain(LEFT_OUT)));
        }
        let (c, go) = match stack.user.split_first() {
            Some((first, rest)) if !self.text.contains(first) => (Some(*first), (rest, 1)),
            _ => (None, (&*stack.user, 0)),
        };
        if let Some(address) = c {
            out.push(self.native(profile, address));
        }
        if stack.is_from_c() {
            out.push(profile.location(plain(FROM_C)));
        }
        self.go(profile, go.0, go.1, &mut out);
        if stack.is_deep() {
            out.push(profile.location(plain(LEFT_OUT)));
        } else if stack.is_broken() || stack.user.is_empty() {
            out.push(profile.location(plain(UNKNOWN)));
        }
        out
    }

    /// Locations of Go's code. `first` is how many frames there are further in.
    fn go(&self, profile: &mut Profile, addresses: &[u64], first: usize, out: &mut Vec<usize>) {
        let mut file: Vec<u64> = Vec::with_capacity(addresses.len());
        let mut injected = first == 0;
        for address in addresses {
            if !self.text.contains(address) {
                break;
            }
            let pc = address.wrapping_sub(self.bias);
            let frame = self.lines.stack_frame(pc);
            // A return address stands behind its call, but where a call was interrupted or has not begun.
            let is_return = !injected && !frame.is_some_and(|frame| frame.is_entry);
            injected = frame.is_some_and(|frame| frame.is_injected);
            file.push(if is_return { pc.wrapping_sub(1) } else { pc });
        }
        for (address, positions) in self.symbols.stack_by_address(&file) {
            let frames = positions.iter().map(frame).collect();
            let address = address.wrapping_add(self.bias);
            out.push(profile.location(Location { address, mapping: Some(0), frames }));
        }
        // The walk ends at the first address that is not Go's.
        if let Some(address) = addresses.get(file.len()) {
            out.push(self.native(profile, *address));
        }
    }

    /// The location of code that is not Go's.
    fn native(&self, profile: &mut Profile, address: u64) -> usize {
        let known = self.named.borrow().get(&address).cloned();
        let function = known.unwrap_or_else(|| {
            let of = self.mappings.at(address).map(native::Mapping::name);
            let bracketed = |name: String| {
                if name.starts_with('[') { name } else { format!("[{name}]") }
            };
            let function = self.mappings.function(address);
            let name: Rc<str> = function
                .or_else(|| of.map(bracketed))
                .unwrap_or_else(|| "[unknown code]".to_owned())
                .into();
            self.named.borrow_mut().insert(address, name.clone());
            name
        });
        let mapping = self.mappings.at(address).map(|found| {
            let path = found.path.to_string_lossy();
            let known =
                profile.mappings.iter().position(|m| m.start == found.start && *m.file == *path);
            known.unwrap_or_else(|| {
                profile.mappings.push(Mapping {
                    start: found.start,
                    end: found.end,
                    offset: found.offset,
                    file: path.into_owned(),
                    build_id: String::new(),
                });
                profile.mappings.len() - 1
            })
        });
        profile.location(native(address, mapping, function))
    }

    fn kernel_function(&self, address: u64) -> Rc<str> {
        if let Some(known) = self.named.borrow().get(&address) {
            return known.clone();
        }
        let found = self.kernel.names(&[address]).pop().flatten();
        let name: Rc<str> =
            found.map_or_else(|| KERNEL.to_owned(), |name| format!("{name} {KERNEL}")).into();
        self.named.borrow_mut().insert(address, name.clone());
        name
    }
}

/// The main program's code, as the first mapping of a profile.
pub(super) fn main_mapping(target: &Target<'_, '_>) -> Mapping {
    mapping_of(target.binary, target.bias, &target.path)
}

/// The same of a binary.
pub(super) fn mapping_of(binary: &Binary<'_>, bias: u64, path: &Path) -> Mapping {
    let module = binary.module();
    let (start, end) = (module.text, module.etext);
    Mapping {
        start: start.wrapping_add(bias),
        end: end.wrapping_add(bias),
        offset: binary.image().file_offset(start).unwrap_or(0),
        file: path.to_string_lossy().into_owned(),
        build_id: String::new(),
    }
}

/// A frame as profiles have it.
pub(super) fn frame(position: &Position<'_>) -> Frame {
    Frame {
        function: position.function.into(),
        file: position.file.into(),
        line: position.line,
        start_line: position.start_line,
    }
}

/// A location that is no code.
pub(super) fn plain(text: &str) -> Location {
    native(0, None, text.into())
}

fn native(address: u64, mapping: Option<usize>, function: Rc<str>) -> Location {
    let frames = vec![Frame { function, file: "".into(), line: 0, start_line: 0 }];
    Location { address, mapping, frames }
}
