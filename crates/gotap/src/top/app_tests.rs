//! What keys do.

use super::super::model::View;
use super::super::model::tests::{counts, resource, snapshot};
use super::*;

/// Two processes: `shop` with 10 requests a second, and `billing` with 2.
pub(crate) fn app() -> App {
    let (shop, billing) = (resource("shop", 7), resource("billing", 8));
    let before = snapshot(10, vec![counts(&shop, 100, 10), counts(&billing, 10, 0)]);
    let now = snapshot(20, vec![counts(&shop, 200, 60), counts(&billing, 30, 0)]);
    App { view: View::between(&before, &now), ..App::default() }
}

fn press(app: &mut App, keys: &str) -> bool {
    keys.chars().any(|key| {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\x1b' => KeyCode::Esc,
            '↓' => KeyCode::Down,
            c => KeyCode::Char(c),
        };
        app.on_key(KeyEvent::new(code, KeyModifiers::NONE))
    })
}

fn first_cells(app: &App) -> Vec<String> {
    app.table().lines.iter().map(|line| line.cells[0].clone()).collect()
}

#[test]
fn the_busiest_stands_first_and_columns_can_be_chosen() {
    let mut app = app();
    assert_eq!(first_cells(&app), ["shop", "billing"]);
    press(&mut app, "r");
    assert_eq!(first_cells(&app), ["billing", "shop"]);
    // Back over PID to SERVICE, in the order of the alphabet.
    press(&mut app, "rSS");
    assert_eq!(app.sorted_by().0, 0);
    assert_eq!(first_cells(&app), ["billing", "shop"]);
    press(&mut app, "S");
    assert_eq!(app.sorted_by().0, 9, "it goes round");
}

#[test]
fn enter_leads_from_a_process_to_its_requests_and_esc_back() {
    let mut app = app();
    let request = Request {
        pid: 8,
        operation: Operation { made: false, name: "GET /a".to_owned() },
        end_unix_nano: 1,
        seconds: 0.01,
        failed: false,
        outcome: "200".to_owned(),
        what: "/a".to_owned(),
        trace_id: [1; 16],
    };
    app.requests.push_back(Request { pid: 7, ..request.clone() });
    app.requests.push_back(request);
    press(&mut app, "↓\n");
    assert_eq!(*app.page(), Page::Operations(Some(8)));
    press(&mut app, "\n");
    assert!(matches!(app.page(), Page::Requests(8, operation) if operation.name == "GET /a"));
    assert_eq!(app.table().lines.len(), 1);
    press(&mut app, "\x1b\x1b");
    let table = app.table();
    assert_eq!(table.lines[app.position(&table)].cells[0], "billing", "it is selected again");
    press(&mut app, "\t");
    assert_eq!(app.table().lines.len(), 4, "operations of all");
}

#[test]
fn a_filter_takes_letters_and_not_commands() {
    let mut app = app();
    assert!(!press(&mut app, "/BILLq"));
    assert_eq!((app.filter.as_str(), app.table().lines.len()), ("BILLq", 0));
    app.on_key(KeyEvent::new(KeyCode::Backspace, KeyModifiers::NONE));
    assert!(!press(&mut app, "\n"));
    assert_eq!(first_cells(&app), ["billing"]);
    press(&mut app, "\x1b");
    assert_eq!(app.table().lines.len(), 2);
    assert!(press(&mut app, "q"));
}

#[test]
fn what_is_selected_stays_so_when_the_order_changes() {
    let mut app = app();
    press(&mut app, "↓");
    press(&mut app, "r");
    let table = app.table();
    assert_eq!(table.lines[app.position(&table)].cells[0], "billing");
    // And the first one if it is gone.
    app.view.rows.retain(|row| row.service == "shop");
    assert_eq!(app.position(&app.table()), 0);
}

#[test]
fn control_c_leaves_also_while_a_filter_is_written() {
    let mut app = app();
    press(&mut app, "/x");
    assert!(app.on_key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
}
