//! How it is with the watch: for messages and metrics.

/// Whether what is known is all there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// No answer yet.
    #[default]
    Starting,
    /// All pods of the node are known.
    Current,
    /// The API server has named all pods of the node, and there is no room for some of them.
    Partial,
    /// The API server can't be asked: there may be pods that are not known.
    Away,
}

/// Why a watch ended or could not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// No connection.
    Unreachable,
    /// 401: the token is wrong or has expired.
    Unauthorized,
    /// 403: the account may not list and watch pods.
    Forbidden,
    /// 410: the server does not know any more what happened since. All pods are listed anew.
    Expired,
    /// The server can't send a list as a stream. All pods are listed.
    NoStreaming,
    /// What was sent could not be read, or broke off.
    Broken,
    /// Another answer of the server's.
    Refused,
}

impl Failure {
    /// All of them.
    pub const ALL: [Failure; 7] = [
        Failure::Unreachable,
        Failure::Unauthorized,
        Failure::Forbidden,
        Failure::Expired,
        Failure::NoStreaming,
        Failure::Broken,
        Failure::Refused,
    ];

    /// Its name in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Failure::Unreachable => "unreachable",
            Failure::Unauthorized => "unauthorized",
            Failure::Forbidden => "forbidden",
            Failure::Expired => "expired",
            Failure::NoStreaming => "no_streaming",
            Failure::Broken => "broken",
            Failure::Refused => "refused",
        }
    }

    /// Whether pods may be missing until it is over. The others are made up for at once.
    pub fn is_outage(self) -> bool {
        !matches!(self, Failure::Expired | Failure::NoStreaming)
    }
}

/// How it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether what is known is all there is.
    pub state: State,
    /// Pods that are known.
    pub pods: usize,
    /// Pods for which there was no room, each once.
    pub left_out: u64,
    /// How often the watch failed, in the order of [`Failure::ALL`].
    pub failures: [u64; Failure::ALL.len()],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_where_they_stand() {
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(at, failure as usize, "{}", failure.label());
        }
    }
}
