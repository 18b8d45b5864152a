//! The table as it looks on a small terminal.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::app::tests::app;
use super::*;

/// What 80 × 24 characters show, line by line.
fn screen(app: &mut App) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, app)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells = buffer.content().chunks(80);
    cells.map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>()).collect()
}

#[test]
fn a_small_terminal_shows_all_columns() {
    let lines = screen(&mut app());
    assert!(lines[0].starts_with("gotap top  2 processes  12.0/s over 10s"), "{lines:#?}");
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let head = ["SERVICE", "PID", "RATEv", "ERR%", "P50", "P99", "GOROUT", "GC/S", "HEAP", "CPU%"];
    assert_eq!(words(&lines[1]), head);
    let shop = words(&lines[2]);
    assert_eq!(
        (shop[0].as_str(), &shop[2..4]),
        ("shop", &["10.0".to_owned(), "50".to_owned()][..])
    );
    assert_eq!(shop[6..], ["34", "10.0", "-", "10"]);
    assert!(lines[3].starts_with("billing"), "{lines:#?}");
    assert!(lines[23].starts_with("q quit  ? help"), "{lines:#?}");
}

#[test]
fn help_names_the_keys_and_fits() {
    let mut app = app();
    app.help = true;
    let all = screen(&mut app).join("\n");
    for text in ["keys", "esc, left", "q, ctrl-c", "- is not known."] {
        assert!(all.contains(text), "no {text:?} in {all}");
    }
}

#[test]
fn what_is_empty_says_why() {
    let mut app = App::default();
    assert!(screen(&mut app)[1].starts_with("no Go process that is selected runs"));
    let mut filtered = super::super::app::tests::app();
    filtered.filter = "zzz".to_owned();
    let lines = screen(&mut filtered);
    assert!(lines[1].starts_with("nothing matches"), "{lines:#?}");
    assert!(lines[23].starts_with("filter: zzz"), "{lines:#?}");
}
