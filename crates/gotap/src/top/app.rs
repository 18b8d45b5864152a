//! What the live table shows, and what keys do to that. Not here: the terminal.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::model::{Operation, Request, View};
use super::table::{Key, Line, Table};

/// Requests that are kept for the last page.
pub(crate) const MAX_REQUESTS: usize = 2000;

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Page {
    /// All processes.
    Processes,
    /// The operations of a process, or of all.
    Operations(Option<u32>),
    /// Requests of an operation, the newest first.
    Requests(u32, Operation),
}

/// The state of the live table.
pub(crate) struct App {
    pub(crate) view: View,
    pub(crate) requests: VecDeque<Request>,
    /// The last one is shown.
    pages: Vec<Page>,
    selected: Option<Key>,
    /// Column by which each sort of page is ordered.
    sort: [usize; 3],
    ascending: bool,
    pub(crate) filter: String,
    /// Whether keys are letters of the filter.
    pub(crate) editing: bool,
    pub(crate) paused: bool,
    pub(crate) help: bool,
    /// What gotap said last.
    pub(crate) said: String,
    /// Rows that fit on a page.
    pub(crate) height: usize,
}

impl Default for App {
    fn default() -> Self {
        Self {
            view: View::default(),
            requests: VecDeque::new(),
            pages: vec![Page::Processes],
            selected: None,
            sort: [2, 2, 0],
            ascending: false,
            filter: String::new(),
            editing: false,
            paused: false,
            help: false,
            said: String::new(),
            height: 10,
        }
    }
}

impl App {
    /// What is shown.
    pub(crate) fn page(&self) -> &Page {
        self.pages.last().unwrap_or(&Page::Processes)
    }

    /// The table of it, filtered and in order.
    pub(crate) fn table(&self) -> Table {
        let mut table = Table::of(self.page(), &self.view, &self.requests);
        let filter = self.filter.to_lowercase();
        table.lines.retain(|line| line.matches(&filter));
        table.sort(self.sort[self.page().sort()], self.ascending);
        table
    }

    /// The column by which it is ordered.
    pub(crate) fn sorted_by(&self) -> (usize, bool) {
        (self.sort[self.page().sort()], self.ascending)
    }

    /// Which line of a table is selected: the first one, if what was is gone.
    pub(crate) fn position(&self, table: &Table) -> usize {
        let found = table.lines.iter().position(|line| Some(&line.key) == self.selected.as_ref());
        found.unwrap_or(0)
    }

    /// Does what a key stands for; true if the table is to be left.
    pub(crate) fn on_key(&mut self, key: KeyEvent) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return matches!(key.code, KeyCode::Char('c' | 'd'));
        }
        if self.editing {
            self.edit(key.code);
            return false;
        }
        if std::mem::take(&mut self.help) {
            return key.code == KeyCode::Char('q');
        }
        match key.code {
            KeyCode::Char('q') => return true,
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('/') => self.editing = true,
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('s') => self.sort_by_next(1),
            KeyCode::Char('S') => self.sort_by_next(-1),
            KeyCode::Char('r') => self.ascending = !self.ascending,
            KeyCode::Up | KeyCode::Char('k') => self.move_by(-1),
            KeyCode::Down | KeyCode::Char('j') => self.move_by(1),
            KeyCode::PageUp => self.move_by(-(self.height as isize)),
            KeyCode::PageDown => self.move_by(self.height as isize),
            KeyCode::Home | KeyCode::Char('g') => self.move_by(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.move_by(isize::MAX / 2),
            KeyCode::Enter | KeyCode::Right => self.enter(),
            KeyCode::Tab => self.switch(),
            KeyCode::Esc | KeyCode::Left | KeyCode::Backspace => self.leave(),
            _ => {}
        }
        false
    }

    fn edit(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.editing = false,
            KeyCode::Esc => {
                self.editing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if self.filter.chars().count() < 60 => self.filter.push(c),
            _ => {}
        }
    }

    fn sort_by_next(&mut self, step: isize) {
        let columns = Table::columns(self.page()).len();
        let sort = &mut self.sort[self.pages.last().map_or(0, Page::sort)];
        *sort = sort.checked_add_signed(step).map_or(columns - 1, |sort| sort % columns);
    }

    fn move_by(&mut self, by: isize) {
        let table = self.table();
        let last = table.lines.len().saturating_sub(1);
        let to = self.position(&table).saturating_add_signed(by).min(last);
        self.selected = table.lines.get(to).map(|line| line.key.clone());
    }

    /// Looks at what is selected.
    fn enter(&mut self) {
        let table = self.table();
        let Some(Line { key, .. }) = table.lines.get(self.position(&table)) else { return };
        let next = match key {
            Key::Process(pid) => Page::Operations(Some(*pid)),
            Key::Operation(pid, operation) => Page::Requests(*pid, operation.clone()),
            Key::Request(..) => return,
        };
        self.go_to(next);
    }

    fn go_to(&mut self, page: Page) {
        self.pages.push(page);
        self.selected = None;
        self.filter.clear();
    }

    /// From processes to the operations of all, and back.
    fn switch(&mut self) {
        let next = match self.page() {
            Page::Processes => vec![Page::Operations(None)],
            _ => vec![Page::Processes],
        };
        self.pages = next;
        self.selected = None;
        self.filter.clear();
    }

    fn leave(&mut self) {
        if !self.filter.is_empty() {
            self.filter.clear();
        } else if self.pages.len() > 1 {
            // What was entered is selected again.
            self.selected = match self.pages.pop() {
                Some(Page::Operations(Some(pid))) => Some(Key::Process(pid)),
                Some(Page::Requests(pid, operation)) => Some(Key::Operation(pid, operation)),
                _ => None,
            };
        }
    }
}

impl Page {
    /// Which order it has.
    fn sort(&self) -> usize {
        match self {
            Page::Processes => 0,
            Page::Operations(_) => 1,
            Page::Requests(..) => 2,
        }
    }
}

#[cfg(test)]
#[path = "app_tests.rs"]
pub(crate) mod tests;
