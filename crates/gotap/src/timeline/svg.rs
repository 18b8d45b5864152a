//! A timeline as a picture: processors, and below them threads. It needs nothing but a browser; what a slice
//! is shows when the pointer rests on it.

use std::collections::HashMap;
use std::io::{self, Write};

use goruntime::runs::{Doing, Slice, Track};

use super::Recorded;

/// Width of the time axis, and what stands left of it.
const WIDTH: f64 = 1200.0;
const LEFT: f64 = 110.0;
const ROW: usize = 20;
const TOP: usize = 70;
/// Slices and rows that are drawn: a browser has to hold them.
const MAX_SLICES: usize = 50_000;
const MAX_ROWS: usize = 200;

/// Writes the file.
pub(super) fn write(recorded: &Recorded<'_, '_, '_>, to: &mut dyn Write) -> io::Result<()> {
    let tracks = recorded.tracks(|track| !matches!(track, Track::Goroutine(_)));
    let mut tracks: Vec<Track> = tracks.into_iter().map(|slice| slice.track).collect();
    let all_rows = tracks.len();
    tracks.truncate(MAX_ROWS);
    let rows: HashMap<Track, usize> = tracks.iter().enumerate().map(|(i, t)| (*t, i)).collect();
    let slices = recorded.timeline.slices.iter();
    let drawn: Vec<(usize, &Slice)> =
        slices.filter_map(|slice| Some((*rows.get(&slice.track)?, slice))).collect();
    let (width, height) = (WIDTH + LEFT + 20.0, TOP + ROW * (tracks.len() + 2));
    writeln!(
        to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    )?;
    let (service, pid) = (&recorded.target.service, recorded.target.process.pid);
    let seconds = recorded.elapsed.as_secs_f64();
    let heading = format!("{service}[{pid}]: processors and threads, {seconds:.3} s");
    text(to, 10.0, 18.0, &heading)?;
    let (sampled, counted) = recorded.split_resolution();
    text(to, 10.0, 34.0, &sampled)?;
    text(to, 10.0, 48.0, &counted)?;
    for (index, track) in tracks.iter().enumerate() {
        let label = match track {
            Track::Processor(id) => format!("P {id}"),
            Track::Thread(id) => format!("thread {id}"),
            Track::Goroutine(goid) => format!("goroutine {goid}"),
        };
        text(to, 10.0, (TOP + ROW * index + 14) as f64, &label)?;
    }
    let scale = WIDTH / (recorded.elapsed.as_nanos().max(1) as f64);
    for (row, slice) in drawn.iter().take(MAX_SLICES) {
        rectangle(recorded, to, *row, slice, scale)?;
    }
    axis(to, seconds, TOP + ROW * tracks.len() + 14)?;
    let left_out = drawn.len().saturating_sub(MAX_SLICES);
    if left_out > 0 || all_rows > tracks.len() {
        let more = format!("not drawn: {left_out} slices, {} rows", all_rows - tracks.len());
        text(to, LEFT, (height - 6) as f64, &more)?;
    }
    writeln!(to, "</svg>")
}

fn rectangle(
    recorded: &Recorded<'_, '_, '_>,
    to: &mut dyn Write,
    row: usize,
    slice: &Slice,
    scale: f64,
) -> io::Result<()> {
    let (name, colour) = match slice.doing {
        Doing::Goroutine(running) => {
            let name = recorded.name(running.start);
            let light = if running.in_syscall { 85 } else { 60 };
            let colour = format!("hsl({} 60% {light}%)", hue(&name));
            let what = if running.in_syscall { ", in a system call" } else { "" };
            (format!("{name}, goroutine {}{what}", running.goid), colour)
        }
        Doing::Working => ("goroutine not known".to_owned(), "#999".to_owned()),
        Doing::Syscall => ("system call".to_owned(), "#ddd".to_owned()),
        Doing::Stopped => ("stopped for the garbage collector".to_owned(), "#c33".to_owned()),
    };
    let on = slice.processor.map(|id| format!(" on P {id}")).unwrap_or_default();
    let (start, end) = (slice.start as f64 * scale, slice.end as f64 * scale);
    writeln!(
        to,
        "<rect x=\"{:.2}\" y=\"{}\" width=\"{:.2}\" height=\"{}\" fill=\"{colour}\">\
         <title>{}{on}, {:.3} to {:.3} ms</title></rect>",
        LEFT + start,
        TOP + ROW * row,
        (end - start).max(0.2),
        ROW - 3,
        escaped(&name),
        slice.start as f64 / 1e6,
        slice.end as f64 / 1e6,
    )
}

fn axis(to: &mut dyn Write, seconds: f64, y: usize) -> io::Result<()> {
    for tenth in 0..=10 {
        let (x, at) = (LEFT + WIDTH * f64::from(tenth) / 10.0, seconds * f64::from(tenth) / 10.0);
        writeln!(to, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{at:.3} s</text>")?;
    }
    Ok(())
}

fn text(to: &mut dyn Write, x: f64, y: f64, text: &str) -> io::Result<()> {
    writeln!(to, "<text x=\"{x}\" y=\"{y}\">{}</text>", escaped(text))
}

/// Without what XML takes for its own, and without control characters.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// The same for the same name.
fn hue(name: &str) -> u32 {
    name.bytes().fold(7u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into())) % 360
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_not_break_out() {
        assert_eq!(
            escaped("main.f[<-chan int]&\"\u{1b}"),
            "main.f[&lt;-chan int]&amp;&quot;\u{fffd}"
        );
    }
}
