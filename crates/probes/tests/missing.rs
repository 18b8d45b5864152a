//! What a plan does not find it names: a binary is damaged in memory, and its plan looked at. It is
//! never run.

use gobin::Binary;
use gotap_testkit::go::{self, Mode, Version};
use instruments::{Ability, Options, Plan};

/// A program that serves gRPC and links nothing else that is traced.
fn server() -> Vec<u8> {
    let path = go::build("alone/cmd/grpcserver", Version::NEWEST, Mode::Plain);
    std::fs::read(path.expect("grpcserver is built")).expect("it is there")
}

fn plan(data: &[u8]) -> Plan {
    Plan::new(&Binary::parse(data).expect("it is a Go program"), &Options::default())
}

/// What is missing of an ability.
fn missing(plan: &Plan, ability: Ability) -> Vec<&str> {
    plan.missing.iter().filter(|m| m.ability == ability).map(|m| m.why.as_str()).collect()
}

/// Puts `new` in the place of each `old`, which is as long.
fn rename(data: &mut [u8], old: &[u8], new: &[u8]) {
    assert_eq!(old.len(), new.len());
    let places: Vec<_> =
        data.windows(old.len()).enumerate().filter(|(_, w)| *w == old).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    for at in places {
        data[at..at + new.len()].copy_from_slice(new);
    }
}

#[test]
fn nothing_is_missing_of_what_is_whole() {
    let data = server();
    let plan = plan(&data);
    assert!(plan.abilities.contains(&Ability::GrpcServer));
    assert_eq!(missing(&plan, Ability::GrpcServer), <[&str; 0]>::default());
}

#[test]
fn maps_of_an_unknown_layout_are_named() {
    let mut data = server();
    let places: Vec<usize> = {
        let binary = Binary::parse(&data).expect("it is a Go program");
        let types = binary.types();
        let size_of_group = |map: gobin::MapType<'_>| {
            // Behind the common part, key, element, group and hash.
            let rest = binary.image().tail(map.map.vaddr + 48 + 32).expect("a descriptor");
            rest.as_ptr() as usize - data.as_ptr() as usize
        };
        types.maps().map(size_of_group).collect()
    };
    assert!(places.len() > 10, "{} maps", places.len());
    for at in places {
        data[at..at + 8].copy_from_slice(&0x7777_u64.to_le_bytes());
    }
    let plan = plan(&data);
    assert!(plan.abilities.contains(&Ability::GrpcServer));
    let found = missing(&plan, Ability::GrpcServer);
    assert!(found.iter().any(|why| why.contains("the layout of maps")), "{found:?}");
}

#[test]
fn the_key_of_metadata_is_named() {
    let mut data = server();
    rename(&mut data, b"metadata.mdIncomingKey", b"metadata.mdIncomingKez");
    let plan = plan(&data);
    let found = missing(&plan, Ability::GrpcServer);
    for what in ["parents in other processes: ", "parents by context: "] {
        assert!(found.iter().any(|why| why.starts_with(what)), "{found:?}");
    }
}

#[test]
fn without_ids_of_goroutines_nothing_is_traced() {
    let mut data = server();
    // As names of fields are kept: flags, length, text.
    rename(&mut data, b"\x00\x04goid", b"\x00\x04goie");
    let plan = plan(&data);
    assert_eq!((plan.abilities.len(), plan.sites.len()), (0, 0));
    let found = missing(&plan, Ability::Lineage);
    assert!(found.iter().any(|why| why.contains("runtime.g.goid")), "{found:?}");
}
