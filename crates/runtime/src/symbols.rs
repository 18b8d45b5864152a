//! Names for addresses: source frames of stacks, creators and start functions.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gobin::{Binary, Frame, Lines, Types};

use crate::Goroutine;
use crate::stacks::LEFT_OUT;

/// Different addresses whose frames are kept.
const MAX_KEPT: usize = 1 << 20;
/// Bytes of a wrapper in which an inlined call is looked for.
const MAX_WRAPPER: u64 = 1024;

/// A place in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position<'d> {
    /// Function name.
    pub function: &'d str,
    /// Source file as the compiler recorded it; empty when unknown.
    pub file: &'d str,
    /// Line, 0 when unknown.
    pub line: u32,
    /// Line on which the function starts, 0 when unknown.
    pub start_line: u32,
    /// Whether the call was inlined into the next frame's function.
    pub inlined: bool,
}

impl<'d> Position<'d> {
    /// Whether the function is one of Go's own that waits on behalf of its caller.
    pub fn waits_for_caller(&self) -> bool {
        ["runtime.", "sync.", "internal/sync.", "internal/runtime/"]
            .iter()
            .any(|package| self.function.starts_with(package))
    }

    /// The function's name as Go prints it.
    pub fn name(&self) -> Cow<'d, str> {
        printed(self.function)
    }
}

/// A function's name as Go prints it: without type arguments: `[...]` stands for them.
pub fn printed(name: &str) -> Cow<'_, str> {
    match (name.find('['), name.rfind(']')) {
        (Some(first), Some(last)) if first < last => {
            Cow::Owned(format!("{}[...]{}", &name[..first], &name[last + 1..]))
        }
        _ => Cow::Borrowed(name),
    }
}

/// A function that the compiler made to call another one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapper<'d> {
    pub(crate) entry: u64,
    /// The function that it was made for.
    pub(crate) owner: &'d str,
    pub(crate) calls: &'d str,
    /// Where in the owner it is made.
    pub(crate) at: Position<'d>,
}

/// Functions that are never hidden when a wrapper calls them.
const PANICS: [&str; 3] = ["runtime.gopanic", "runtime.sigpanic", "runtime.panicwrap"];
/// How the names of functions begin that functions call of themselves: to have a larger stack, and for the
/// race detector.
const CALLED_BY_ALL: [&str; 2] = ["runtime.morestack", "runtime.racefunc"];
/// Where every goroutine ends up.
const OUTERMOST: &str = "runtime.goexit";

/// Resolves addresses of one binary.
pub struct Symbols<'a, 'd> {
    binary: &'a Binary<'d>,
    lines: Lines<'a, 'd>,
    types: &'a Types<'a, 'd>,
    kept: RefCell<HashMap<u64, Rc<[Frame<'d>]>>>,
}

impl<'a, 'd> Symbols<'a, 'd> {
    /// Of a binary and its types.
    pub fn new(binary: &'a Binary<'d>, types: &'a Types<'a, 'd>) -> Self {
        Self { binary, lines: binary.lines(), types, kept: RefCell::default() }
    }

    fn frames(&self, address: u64) -> Rc<[Frame<'d>]> {
        if let Some(known) = self.kept.borrow().get(&address) {
            return known.clone();
        }
        let found: Rc<[Frame<'d>]> = self.lines.frames(address).into();
        let mut kept = self.kept.borrow_mut();
        if kept.len() < MAX_KEPT {
            kept.insert(address, found.clone());
        }
        found
    }

    /// The frames of a stack, innermost first: without the wrappers that the compiler makes, and
    /// without the end that all stacks have.
    pub fn stack(&self, addresses: &[u64]) -> Vec<Position<'d>> {
        self.stack_by_address(addresses).into_iter().flat_map(|(_, frames)| frames).collect()
    }

    /// The same by the addresses that the frames are at: several where calls were inlined.
    pub fn stack_by_address(&self, addresses: &[u64]) -> Vec<(u64, Vec<Position<'d>>)> {
        let mut out: Vec<(u64, Vec<Position<'d>>)> = Vec::with_capacity(addresses.len());
        let mut callee = "";
        for address in addresses {
            if *address == LEFT_OUT {
                let function = "(further frames are left out)";
                out.push((
                    0,
                    vec![Position { function, file: "", line: 0, start_line: 0, inlined: false }],
                ));
                continue;
            }
            let mut shown = Vec::new();
            for frame in self.frames(*address).iter() {
                let is_innermost = out.is_empty() && shown.is_empty();
                let is_hidden = frame.wrapper && !is_innermost && !PANICS.contains(&callee);
                callee = frame.function;
                if !is_hidden && (frame.function != OUTERMOST || is_innermost) {
                    shown.push(position(frame));
                }
            }
            if !shown.is_empty() {
                out.push((*address, shown));
            }
        }
        out
    }

    /// The binary that the addresses are of.
    pub(crate) fn binary(&self) -> &'a Binary<'d> {
        self.binary
    }

    /// The frames of a stack that the profiler of allocations kept: it has an address for each frame, also
    /// for the callers of those that were inlined, so that of each the innermost is meant. The last one may
    /// stand for several.
    pub fn sampled(&self, addresses: &[u64]) -> Vec<Position<'d>> {
        let mut out = Vec::with_capacity(addresses.len());
        for (i, address) in addresses.iter().enumerate() {
            let frames = self.frames(*address);
            let count = if i + 1 == addresses.len() { frames.len() } else { 1 };
            out.extend(frames.iter().take(count).map(position));
        }
        if out.len() > 1 && out.last().is_some_and(|frame| frame.function == OUTERMOST) {
            out.pop();
        }
        out
    }

    /// Where a goroutine's `go` statement is; `None` of the first goroutine.
    pub fn creator(&self, goroutine: &Goroutine) -> Option<Position<'d>> {
        // The first one is started by no `go` statement.
        let created_at = Some(goroutine.created_at).filter(|_| goroutine.goid != 1);
        self.creator_at(created_at?)
    }

    /// The same by the address behind the call that the statement became.
    pub fn creator_at(&self, created_at: u64) -> Option<Position<'d>> {
        self.frames(created_at.checked_sub(1)?).first().map(position)
    }

    /// The function that a goroutine began with. `go f(x)` makes a function that calls `f`, which is
    /// the one that is meant: the stack tells it, or the code.
    pub fn start(&self, goroutine: &Goroutine, stack: Option<&[u64]>) -> Option<&'d str> {
        self.start_at(goroutine.start, stack)
    }

    /// The same by the address of the function.
    pub fn start_at(&self, start: u64, stack: Option<&[u64]>) -> Option<&'d str> {
        let function = self.binary.functions().lookup(start)?;
        if !self.lines.is_wrapper(&function) {
            return Some(function.name);
        }
        let outermost = stack.and_then(|stack| {
            let frames = self.stack(stack);
            frames.last().map(|frame| frame.function).filter(|name| !name.starts_with('('))
        });
        let is_new = outermost.is_none_or(|name| name == function.name);
        let called = outermost.filter(|_| !is_new).or_else(|| self.called(start));
        Some(called.unwrap_or(function.name))
    }

    /// Functions that the compiler made inside of functions with wanted names, as it does for `defer f(x)`.
    pub(crate) fn wrappers(&self, wanted: impl Fn(&str) -> bool) -> Vec<Wrapper<'d>> {
        let of = |function: gobin::Function<'d>| {
            let (owner, last) = function.name.rsplit_once('.')?;
            // In a closure it had no more than a number before Go 1.22: `main.f.func1.2`.
            let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
            let is_inner = last.starts_with("deferwrap") || last.starts_with("func");
            if !(is_inner || is_number) || !wanted(owner) || !self.lines.is_wrapper(&function) {
                return None;
            }
            let calls = self.called(function.entry)?;
            let at = self.frames(function.entry).last().map(position)?;
            let at = Position { function: owner, ..at };
            Some(Wrapper { entry: function.entry, owner, calls, at })
        };
        self.binary.functions().functions().filter_map(of).collect()
    }

    /// What a wrapper calls, or has inlined.
    fn called(&self, entry: u64) -> Option<&'d str> {
        let wrapper = self.binary.functions().lookup(entry)?;
        let calls = self.binary.direct_calls(&wrapper).into_iter();
        let mut calls = calls
            .filter_map(|target| self.binary.functions().lookup(target))
            .map(|function| function.name)
            .filter(|name| !CALLED_BY_ALL.iter().any(|start| name.starts_with(start)));
        let end = wrapper.end.min(wrapper.entry.saturating_add(MAX_WRAPPER));
        let inlined = (wrapper.entry..end).find_map(|pc| {
            let frames = self.lines.frames(pc);
            frames.len().checked_sub(2).and_then(|i| frames.get(i)).map(|frame| frame.function)
        });
        inlined.or_else(|| calls.next())
    }

    /// The name of the type whose descriptor is at an address of the file.
    pub fn type_name(&self, address: u64) -> Option<&'d str> {
        self.types.at(address).map(|typ| typ.name)
    }
}

fn position<'d>(frame: &Frame<'d>) -> Position<'d> {
    Position {
        function: frame.function,
        file: frame.file,
        line: frame.line,
        start_line: frame.start_line,
        inlined: frame.inlined,
    }
}
