//! Plain text tables: columns as wide as their widest cell, numbers to the right.

use std::io::Write;

use crate::text::shown;

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column titles. A title that starts with `<` is left-aligned.
    pub fn new(header: &[&'static str]) -> Table {
        Table { header: header.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. Cells may hold foreign names.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| shown(cell).into_owned()).collect());
    }

    /// Prints the table.
    pub fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let left: Vec<bool> = self.header.iter().map(|h| h.starts_with('<')).collect();
        let titles: Vec<String> = self.header.iter().map(|h| h.trim_start_matches('<').to_string()).collect();
        let width = |column: usize| {
            let cells = self.rows.iter().chain([&titles]).filter_map(|r| r.get(column));
            cells.map(|c| c.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        for row in [&titles].into_iter().chain(&self.rows) {
            let mut line = String::new();
            for (i, cell) in row.iter().enumerate() {
                let gap = if i == 0 { "" } else { "  " };
                if left.get(i).copied().unwrap_or(false) {
                    line += &format!("{gap}{cell:<width$}", width = widths[i]);
                } else {
                    line += &format!("{gap}{cell:>width$}", width = widths.get(i).copied().unwrap_or(0));
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}
