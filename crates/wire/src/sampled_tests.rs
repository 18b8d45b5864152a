//! The contract of the sampler against its header.

use proptest::prelude::*;

use super::*;

#[test]
fn numbers_are_those_of_the_header() {
    let header = include_str!("../../../bpf/sampler.h");
    let number = |name: &str| -> u32 {
        let rest = header.split(&format!("{name} = ")).nth(1).unwrap();
        rest.split(',').next().unwrap().parse().unwrap()
    };
    let defined = |name: &str| -> u32 {
        let rest = header.split(&format!("#define {name} ")).nth(1).unwrap();
        rest.lines().next().unwrap().parse().unwrap()
    };
    assert_eq!(defined("GT_USER_FRAMES") as usize, USER_FRAMES);
    assert_eq!(defined("GT_KERNEL_FRAMES") as usize, KERNEL_FRAMES);
    assert_eq!(defined("GT_TARGETS"), SAMPLED_PROCESSES);
    assert_eq!(defined("GT_TABLES"), SAMPLED_FILES);
    assert_eq!(defined("GT_STACKS"), STACKS);
    assert_eq!(defined("GT_THREADS"), OFF_THREADS);
    assert_eq!(defined("GT_INDEX_SHIFT"), INDEX_SHIFT);
    for (name, kind) in [
        ("UNKNOWN", StepKind::Unknown),
        ("DELTA", StepKind::Delta),
        ("OUTERMOST", StepKind::Outermost),
        ("STOPS", StepKind::Stops),
        ("SYSTEM_STACK", StepKind::SystemStack),
        ("MORE_STACK", StepKind::MoreStack),
    ] {
        assert_eq!(number(&format!("GT_STEP_{name}")), kind as u32, "{name}");
    }
    let names =
        ["SEEN", "RING_FULL", "STACKS_FULL", "COLLIDED", "OTHER_PROGRAM", "THREADS_FULL", "UNTOLD"];
    for (name, counter) in names.iter().zip(SampledCounter::ALL) {
        assert_eq!(number(&format!("GT_SAMPLED_{name}")), counter as u32, "{name}");
    }
    assert_eq!(number("GT_SAMPLED_COUNTERS") as usize, SampledCounter::ALL.len());
    let flags = ["DEEP", "BROKEN", "FROM_C", "KERNEL", "KERNEL_CUT", "PREEMPTED"];
    for (name, bit) in flags.iter().zip([DEEP, BROKEN, FROM_C, KERNEL, KERNEL_CUT, PREEMPTED]) {
        assert_eq!(number(&format!("GT_STACK_{name}")), bit, "{name}");
    }
}

/// Each structure's fields stand in the same order and have the same sizes on both sides.
#[test]
fn fields_are_those_of_the_header() {
    let header = include_str!("../../../bpf/sampler.h");
    let source = include_str!("sampled.rs");
    for (c, rust) in [
        ("gt_row", "StackRow"),
        ("gt_sampled", "Sampled"),
        ("gt_stack_count", "StackCount"),
        ("gt_off", "OffThread"),
        ("gt_stack", "Raw"),
        ("gt_told", "ToldSample"),
    ] {
        let body = |text: &'static str, start: String| {
            text.split(&start).nth(1).and_then(|rest| rest.split("\n}").next()).unwrap()
        };
        let in_c = body(header, format!("struct {c} {{")).lines().filter_map(|line| {
            let (kind, name) = line.trim().split(';').next()?.split_once(' ')?;
            (matches!(kind, "u16" | "u32" | "u64") && !name.contains('['))
                .then(|| (name.to_owned(), kind.to_owned()))
        });
        let in_rust = body(source, format!("struct {rust} {{")).lines().filter_map(|line| {
            let line = line.trim().trim_start_matches("pub ");
            let (name, kind) = line.trim_end_matches(',').split_once(": ")?;
            (!line.starts_with('/')).then(|| (name.to_owned(), kind.replace('i', "u")))
        });
        let (in_c, in_rust): (Vec<_>, Vec<_>) = (in_c.collect(), in_rust.collect());
        assert!(in_c.len() > 1 && in_c == in_rust, "{c}: {in_c:?}\n{in_rust:?}");
    }
}

#[test]
fn a_record_is_read_and_a_short_one_is_refused() {
    let mut bytes = Vec::new();
    bytes.extend([7u64, 0].map(u64::to_ne_bytes).concat());
    bytes.extend([1u32, DEEP | KERNEL, 1, 2, 9, 0].map(u32::to_ne_bytes).concat());
    bytes.extend([u64::MAX, 0x40_1000, 0x40_2000].map(u64::to_ne_bytes).concat());
    let stack = decode_sampled(&bytes).unwrap();
    assert_eq!((stack.hash, stack.goid, stack.target), (7, None, 9));
    assert_eq!((&*stack.kernel, &*stack.user), (&[u64::MAX][..], &[0x40_1000, 0x40_2000][..]));
    assert!(stack.is_deep() && stack.is_in_kernel() && !stack.is_broken());
    assert!(decode_sampled(&bytes[..bytes.len() - 1]).is_err());
    assert!(decode_sampled(&bytes[..39]).is_err());
}

#[test]
fn an_absurd_distance_is_unknown() {
    let unknown = StackRow::new(4, StepKind::Unknown, 0);
    assert_eq!(StackRow::new(4, StepKind::Delta, 1 << 24), unknown);
    assert_ne!(StackRow::new(4, StepKind::Delta, 8), unknown);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..128)) {
        let _ = decode_sampled(&bytes);
    }
}
