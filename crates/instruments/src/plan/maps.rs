//! How the entries of a map of headers lie in memory, which is what remote parents are found in:
//! `http.Header`, gRPC's metadata. All maps of strings to slices lie alike, and a group of one has the
//! same order as a group of any other: so any map type of the binary tells it.
//!
//! Not here: where a request has its headers, and searching them.

use gobin::{GoMinor, Kind, MapType, SwissMap};
use wire::raw::Slots;

use super::{Ability, Context, Plan};

/// Bytes of a group of a Swiss table with eight strings and eight slices, in either order.
const GROUP: u16 = 8 + 8 * (16 + 24);

/// Why remote parents are missing.
const UNKNOWN: &str = "parents in other processes: the layout of maps was not found";

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    plan.constants.map_slots = slots(context) as u16;
    plan.constants.map_group_size = GROUP;
}

/// Whether the programs can search a map of headers.
pub(crate) fn are_known(plan: &Plan) -> bool {
    plan.constants.map_slots != Slots::Unknown as u16
}

/// Says of what is served if its headers can't be searched.
pub(crate) fn tell(plan: &mut Plan, ability: Ability) {
    if !are_known(plan) {
        plan.miss(ability, UNKNOWN);
    }
}

fn slots(context: &Context<'_, '_>) -> Slots {
    if context.binary.minor() < GoMinor(24) {
        return Slots::Bucket;
    }
    let own = || context.types.maps().filter(is_of_headers);
    let mut found = own().chain(context.types.maps()).filter_map(|map| {
        let Some(swiss) = context.types.swiss_map(&map.map) else { return Some(Slots::Bucket) };
        order(&swiss, is_of_headers(&map))
    });
    found.next().unwrap_or(Slots::Unknown)
}

/// Whether a map has strings as keys and slices as elements, as all those of headers have.
fn is_of_headers(map: &MapType<'_>) -> bool {
    map.key.kind == Kind::String && map.elem.kind == Kind::Slice
}

/// The order of keys and elements in a group, if it is one that the programs know.
fn order(map: &SwissMap, is_of_headers: bool) -> Option<Slots> {
    let known = !is_of_headers || map.group_size == u64::from(GROUP);
    match (map.is_in_pairs(), map.is_split()) {
        (true, false) if known => Some(Slots::Pairs),
        (false, true) if known => Some(Slots::Split),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Slots, SwissMap, order};

    fn map(numbers: [u64; 5]) -> SwissMap {
        let [group_size, keys_offset, key_stride, elems_offset, elem_stride] = numbers;
        SwissMap { group_size, keys_offset, key_stride, elems_offset, elem_stride }
    }

    #[test]
    fn the_order_is_known_or_unknown_and_never_guessed() {
        let headers = [
            ([328, 8, 40, 24, 40], Some(Slots::Pairs)),
            ([328, 8, 16, 136, 24], Some(Slots::Split)),
            // Sixteen slots, and no control word.
            ([656, 16, 40, 32, 40], None),
            ([320, 0, 40, 16, 40], None),
            ([80, 8, 1, 16, 8], None),
        ];
        for (numbers, expected) in headers {
            assert_eq!(order(&map(numbers), true), expected, "{numbers:?}");
        }
        // Of bytes to words.
        assert_eq!(order(&map([80, 8, 1, 16, 8]), false), Some(Slots::Split));
        assert_eq!(order(&map([136, 8, 16, 16, 16]), false), Some(Slots::Pairs));
    }
}
