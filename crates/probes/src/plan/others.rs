//! Servers that bring an implementation of their own and are not traced yet: a program that uses one
//! is told apart, so that silence is not taken for idleness.

use super::{Ability, Context, Plan};

/// A function that is linked in when the server is used, and what is missing then.
const SERVERS: [(&str, Ability, &str); 1] = [(
    "github.com/cloudwego/hertz/pkg/protocol/http1.(*Server).Serve",
    Ability::Hertz,
    "github.com/cloudwego/hertz has an HTTP of its own, which is not traced yet",
)];

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    for (function, ability, why) in SERVERS {
        if context.binary.function(function).is_some() {
            plan.miss(ability, why);
        }
    }
}
