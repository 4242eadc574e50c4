//! Tables for people.

use crate::telemetry::logs::printable;

/// Rows of cells below their headings.
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Starts with the headings.
    pub(super) fn new<const COLUMNS: usize>(headings: [&str; COLUMNS]) -> Self {
        Self {
            rows: vec![headings.map(str::to_owned).to_vec()],
        }
    }

    /// Adds a row; what could disturb the terminal is escaped, nothing is shown as a dash.
    pub(super) fn row<const COLUMNS: usize>(&mut self, cells: [&str; COLUMNS]) {
        let shown = |cell: &str| match printable(cell) {
            cell if cell.is_empty() => "-".to_owned(),
            cell => cell.into_owned(),
        };
        self.rows.push(cells.map(shown).to_vec());
    }

    /// The lines, with columns as wide as their widest cell.
    pub(super) fn lines(&self) -> impl Iterator<Item = String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        self.rows.iter().map(move |row| {
            let cells = row.iter().zip(&widths);
            let padded = cells.map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_harmless() {
        let mut table = Table::new(["PEER", "WHY"]);
        table.row(["kamailio", ""]);
        table.row(["p", "a\u{1b}[2Jb"]);

        let lines: Vec<String> = table.lines().collect();
        assert_eq!(
            lines,
            ["PEER      WHY", "kamailio  -", "p         a\\u{1b}[2Jb"]
        );
    }
}
