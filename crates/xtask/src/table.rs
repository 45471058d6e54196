//! Plain tables: aligned with spaces, without colour, the same on a terminal and in a pipe.

/// Lays out rows below a heading. Columns that hold numbers stand to the right.
///
/// ```text
/// twins      lines  changed
/// core         420      131
/// ```
pub fn render(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let heading = heading.iter().map(ToString::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(rows).collect();
    let rows = rows.as_slice();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: usize, column: usize| rows[row].get(column).map_or("", String::as_str);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            (0..rows.len())
                .map(|row| cell(row, column).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let numeric: Vec<bool> = (0..columns)
        .map(|column| (1..rows.len()).all(|row| is_number(cell(row, column))))
        .collect();
    let mut text = String::new();
    for row in 0..rows.len() {
        let cells = (0..columns).map(|column| match (cell(row, column), widths[column]) {
            (cell, width) if numeric[column] => format!("{cell:>width$}"),
            (cell, width) => format!("{cell:<width$}"),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Whether a cell reads as a quantity: `12`, `31 %`, `0.4 s`, or `-` for none.
fn is_number(cell: &str) -> bool {
    cell == "-" || cell.starts_with(|first: char| first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
        rows.iter()
            .map(|row| row.map(String::from).to_vec())
            .collect()
    }

    #[test]
    fn words_stand_left_and_numbers_right() {
        let text = render(
            &["part", "time"],
            rows(&[["test", "0.4 s"], ["fmt", "12.0 s"]]),
        );
        assert_eq!(text, "part    time\ntest   0.4 s\nfmt   12.0 s\n");
    }

    #[test]
    fn no_line_ends_in_spaces() {
        let text = render(&["part", "result"], rows(&[["test", "ok"]]));
        assert!(text.lines().all(|line| line == line.trim_end()), "{text}");
    }
}
