//! The Go runtime's part of a plan: which goroutine runs, and who started it.

use gobin::Global;
use wire::Probe;
use wire::raw::NONE;

use super::Options;
use super::{Ability, Context, Plan};

/// Gives whether goroutines can be told apart, without which nothing can be traced.
pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan, options: &Options) -> bool {
    let constants = &mut plan.constants;
    constants.g_goid = context.offset("runtime.g", &["goid"]);
    if constants.g_goid == NONE {
        let why = "field runtime.g.goid was not found, without which nothing can be traced";
        plan.miss(Ability::Lineage, why);
        return false;
    }
    constants.g_parent_goid = context.offset("runtime.g", &["parentGoid"]);
    constants.g_gopc = context.offset("runtime.g", &["gopc"]);
    constants.g_panic = context.offset("runtime.g", &["_panic"]);
    constants.panic_arg = context.offset("runtime._panic", &["arg"]);
    constants.g_m = context.offset("runtime.g", &["m"]);
    constants.m_curg = context.offset("runtime.m", &["curg"]);
    plan.tls_g = context.binary.tls_g_offset();
    let constants = &mut plan.constants;
    constants.p_goidcache = context.offset("runtime.p", &["goidcache"]);
    let global = |g| context.binary.global(g).unwrap_or(0).into();
    constants.allgptr = global(Global::Allgptr);
    constants.allglen = global(Global::Allglen);
    constants.allp = global(Global::Allp);
    constants.goidgen = global(Global::Sched);
    let by_reading = context.types.offset("runtime.g", &["parentGoid"]).is_some();
    if options.exact_lineage || !by_reading {
        plan_exact(context, plan);
    } else if !plan.constants.allgptr.is_known() || !plan.constants.goidgen.is_known() {
        plan.miss(Ability::Lineage, "the runtime's list of goroutines was not found");
    } else if !plan.constants.allp.is_known() || plan.constants.p_goidcache == NONE {
        plan.miss(Ability::Lineage, "the runtime's list of processors was not found");
    } else {
        plan.abilities.push(Ability::Lineage);
    }
    true
}

/// Traps each goroutine's creation: asked for, or before Go 1.21, whose g has no `parentGoid`.
fn plan_exact(context: &Context<'_, '_>, plan: &mut Plan) {
    const CREATE: &str = "runtime.newproc1";
    let site = context
        .types
        .offset("runtime.g", &["goid"])
        .zip(context.binary.function(CREATE))
        .and_then(|(goid, function)| context.binary.store_site(&function, goid));
    match site {
        Some((site, register)) => {
            plan.constants.new_g_register = register.into();
            plan.add(Probe::NewGoroutine, CREATE, site, true);
            plan.abilities.push(Ability::Lineage);
        }
        None => plan.miss(Ability::Lineage, "no site found in runtime.newproc1"),
    }
}
