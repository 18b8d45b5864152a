//! Arguments of `gotap xray`.

use std::time::Duration;

use clap::Args;

use super::{Format, ProbeArgs, RouteArgs};

/// Requests are traced; the goroutines of those that take long are looked at in memory again and again, without
/// stopping them, and processors are sampled. Of each route it says how long its requests ran, could have run and
/// waited, for what, and where.
#[derive(Debug, Clone, Args)]
pub(crate) struct XrayArgs {
    /// Process id
    #[arg(value_name = "PID")]
    pub(crate) pid: u32,
    /// Only requests of this route, as /orders/{id} or "GET /orders/{id}", or of this procedure of gRPC
    #[arg(long, value_name = "ROUTE")]
    pub(crate) route: Option<String>,
    /// Only requests that took longer. They are looked at when they have taken a 50th of it, 1ms to 5ms
    #[arg(long, value_name = "DURATION", default_value = "10ms")]
    pub(crate) slower_than: humantime::Duration,
    /// For how long; SIGINT ends it early
    #[arg(short, long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// How many stacks to show of each route
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) top: usize,
    /// How to print: text, or one JSON object a route
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) routes: RouteArgs,
    #[command(flatten)]
    pub(crate) probes: ProbeArgs,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn flags_that_change_nothing_that_is_shown_are_refused() {
        let takes = |arguments: &[&str]| {
            Cli::try_parse_from(["gotap"].iter().chain(arguments)).map_err(|error| error.kind())
        };
        let unknown = clap::error::ErrorKind::UnknownArgument;
        assert!(takes(&["xray", "1", "--cluster-paths"]).is_ok());
        assert_eq!(takes(&["xray", "1", "--query-strings"]).unwrap_err(), unknown);
        assert_eq!(takes(&["xray", "1", "--request-headers", "x"]).unwrap_err(), unknown);
        // The newest requests have the URLs that the program calls, and no headers.
        assert!(takes(&["top", "--cluster-paths", "--query-strings"]).is_ok());
        assert_eq!(takes(&["top", "--request-headers", "x"]).unwrap_err(), unknown);
    }
}
