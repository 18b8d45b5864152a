//! What brings an implementation of HTTP of its own and is not traced yet: a program that uses one
//! is told apart, so that silence is not taken for idleness.

use super::{Ability, Context, Plan};

/// Functions of servers and clients that are not traced, and what is missing. A program that uses such a server or
/// client links at least one function of its list.
const OTHERS: [(&[&str], Ability, &str); 2] = [
    (
        &["github.com/cloudwego/hertz/pkg/protocol/http1.(*Server).Serve"],
        Ability::Hertz,
        "github.com/cloudwego/hertz has an HTTP of its own, which is not traced yet",
    ),
    (
        &[
            "github.com/quic-go/quic-go/http3.(*Server).handleConn",
            "github.com/quic-go/quic-go/http3.(*Server).handleRequest",
            "github.com/quic-go/quic-go/http3.(*Server).ServeListener",
            "github.com/quic-go/quic-go/http3.(*Server).ServeQUICConn",
            "github.com/quic-go/quic-go/http3.(*Transport).roundTripOpt",
            "github.com/quic-go/quic-go/http3.(*RoundTripper).RoundTripOpt",
        ],
        Ability::Http3,
        "github.com/quic-go/quic-go/http3 is not traced yet: no request over HTTP/3 is seen or counted",
    ),
];

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    for (functions, ability, why) in OTHERS {
        if functions.iter().any(|function| context.binary.function(function).is_some()) {
            plan.miss(ability, why);
        }
    }
}
