//! Programs that have to do with telemetry themselves: collectors of it, those with an SDK, and others that
//! may send a trace context along.

use wire::raw::{HAS_SDK, IS_COLLECTOR, READS_B3, SENDS_TRACE, TELLS_HEADERS};

use super::{Context, Plan};

/// Modules that only collectors of telemetry link.
const COLLECTORS: [&str; 2] =
    ["go.opentelemetry.io/collector/otelcol", "go.opentelemetry.io/collector/service"];

/// The function without which OpenTelemetry's SDK makes no spans.
const SDK: &str = "go.opentelemetry.io/otel/sdk/trace.NewTracerProvider";

/// Header names are compared in lower case, and are written in Go's canonical form, too.
const SENT: &[u8] = b"raceparent";

pub(super) fn plan(context: &Context<'_, '_>, plan: &mut Plan) {
    let info = context.binary.build_info();
    plan.is_collector = COLLECTORS.iter().any(|path| info.module(path).is_some());
    if plan.is_collector {
        plan.constants.tells |= IS_COLLECTOR;
    }
    plan.has_sdk = context.binary.function(SDK).is_some();
    if context.options.b3 {
        plan.constants.tells |= READS_B3;
    }
    if context.options.headers.count > 0 {
        plan.constants.tells |= TELLS_HEADERS;
    }
    if plan.has_sdk {
        plan.constants.tells |= HAS_SDK;
    }
    // Who writes the header has its name as a constant; a proxy passes on what it was sent itself.
    if context.binary.has_constant(SENT) {
        plan.constants.tells |= SENDS_TRACE;
    }
}
