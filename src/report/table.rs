//! Rows under headings, for a terminal.

use std::io;

/// A table whose columns are as wide as what is in them.
#[derive(Clone, Debug)]
pub(super) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// On which side of its column a text stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Align {
    /// Texts.
    Left,
    /// Figures.
    Right,
}

impl Table {
    /// A table without rows.
    pub(super) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(name, align)| (name.to_owned(), align));
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// Adds a row with a text for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Writes it, indented; where it is wider than `columns`, with a line for each cell under the first of its row.
    pub(super) fn write(&self, columns: Option<usize>, out: &mut dyn io::Write) -> io::Result<()> {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(index));
                cells.map(|cell| shown(cell)).chain([shown(name)]).max().unwrap_or(0)
            })
            .collect();
        let whole = widths.iter().map(|width| width + INDENT.len()).sum::<usize>();
        if columns.is_some_and(|columns| whole > columns) {
            return self.write_narrow(out);
        }
        let heading: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        let heading = Some(&heading).filter(|names| names.iter().any(|name| !name.is_empty()));
        for row in heading.into_iter().chain(&self.rows) {
            let mut line = String::new();
            for ((cell, (_, align)), &width) in row.iter().zip(&self.columns).zip(&widths) {
                let gap = " ".repeat(width.saturating_sub(shown(cell)));
                line.push_str(INDENT);
                match align {
                    Align::Left => line.extend([cell, gap.as_str()]),
                    Align::Right => line.extend([gap.as_str(), cell]),
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    fn write_narrow(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for row in &self.rows {
            for (index, (cell, (name, _))) in row.iter().zip(&self.columns).enumerate() {
                let depth = INDENT.repeat(if index > 0 { 2 } else { 1 });
                let name =
                    if index > 0 && !name.is_empty() { format!("{name}: ") } else { String::new() };
                writeln!(out, "{depth}{name}{cell}")?;
            }
        }
        Ok(())
    }
}

/// How many columns of a terminal a text takes, without what only colours it.
fn shown(text: &str) -> usize {
    anstream::adapter::strip_str(text).map(|part| part.chars().count()).sum()
}

/// What stands before a row, and between its columns.
const INDENT: &str = "  ";

#[cfg(test)]
mod tests {
    use super::*;

    fn written(table: &Table, columns: Option<usize>) -> String {
        let mut out = Vec::new();
        table.write(columns, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn table() -> Table {
        let mut table = Table::new([("what", Align::Left), ("n", Align::Right), ("", Align::Left)]);
        table.row(["calls".to_owned(), "7".to_owned(), "\u{1b}[32mok\u{1b}[0m".to_owned()]);
        table.row(["a longer one".to_owned(), "1234".to_owned(), "OFF".to_owned()]);
        table
    }

    #[test]
    fn columns_are_as_wide_as_what_a_terminal_shows_of_them() {
        let expected = "  what             n\n  calls            7  \u{1b}[32mok\u{1b}[0m\n  a longer one  1234  OFF\n";
        assert_eq!(written(&table(), None), expected);
        assert_eq!(written(&table(), Some(25)), expected);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_a_list() {
        let expected =
            "  calls\n    n: 7\n    \u{1b}[32mok\u{1b}[0m\n  a longer one\n    n: 1234\n    OFF\n";
        assert_eq!(written(&table(), Some(24)), expected);
    }
}
