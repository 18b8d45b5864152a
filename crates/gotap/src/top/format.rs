//! Numbers in few characters. What is not known is a dash, not zero.

/// Shown for what is not known.
pub(crate) const UNKNOWN: &str = "-";

/// A text for a value, or a dash.
pub(crate) fn or_dash<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), text)
}

/// A number of at most five characters.
pub(crate) fn number(n: f64) -> String {
    match n {
        0.0 => "0".to_owned(),
        n if n < 9.995 => format!("{n:.2}"),
        n if n < 99.95 => format!("{n:.1}"),
        n if n < 99_999.5 => format!("{n:.0}"),
        n if n < 9.995e6 => format!("{:.0}k", n / 1e3),
        n => format!("{:.0}M", n / 1e6),
    }
}

/// A count of at most five characters.
pub(crate) fn count(n: u64) -> String {
    if n < 100_000 { n.to_string() } else { number(n as f64) }
}

/// A time of at most six characters.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 1e-3 => format!("{:.0}µs", s * 1e6),
        s if s < 9.995e-3 => format!("{:.2}ms", s * 1e3),
        s if s < 1.0 => format!("{:.0}ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2}s"),
        s if s < 600.0 => format!("{s:.0}s"),
        s => format!("{:.0}m", s / 60.0),
    }
}

/// A share as a percentage without its sign.
pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0".to_owned(),
        p if p < 9.95 => format!("{p:.1}"),
        p => format!("{p:.0}"),
    }
}

/// Bytes in at most five characters.
pub(crate) fn bytes(n: u64) -> String {
    let units = [(1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K")];
    match units.iter().find(|(unit, _)| n >= *unit) {
        Some((unit, name)) => {
            let n = n as f64 / *unit as f64;
            if n < 9.95 { format!("{n:.1}{name}") } else { format!("{n:.0}{name}") }
        }
        None => format!("{n}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.0, 0.05, 9.996, 99.96, 1234.0, 99_999.6, 2e7].map(number);
        assert_eq!(numbers, ["0", "0.05", "10.0", "100", "1234", "100k", "20M"]);
        assert_eq!([34, 99_999, 123_456].map(count), ["34", "99999", "123k"]);
        let times = [2.5e-5, 0.00123, 0.0321, 1.5, 30.0, 1200.0].map(seconds);
        assert_eq!(times, ["25µs", "1.23ms", "32ms", "1.50s", "30s", "20m"]);
        assert_eq!([0.0, 0.001, 0.5].map(percent), ["0", "0.1", "50"]);
        assert_eq!([5, 2048, 50 << 20, 3 << 30].map(bytes), ["5B", "2.0K", "50M", "3.0G"]);
        assert_eq!(or_dash(None, number), "-");
    }
}
