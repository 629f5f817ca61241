//! Pure: columns as Go's tabwriter lays them out for docker: three blanks between, no borders.

/// A cell's width is at least this much with its gap (docker: a tabwriter with minwidth 10).
const LEAST: usize = 10;
/// The same for `top`, an older table.
const LEAST_WIDE: usize = 20;
const GAP: usize = 3;

/// [`layout`] with wider columns.
pub fn layout_wide(text: &str) -> String {
    lay_out(text, LEAST_WIDE)
}

/// Lays out lines whose cells are separated by tabs. A column ends where a line without it stands between, as in
/// tabwriter; the last cell of a line is not padded.
pub fn layout(text: &str) -> String {
    lay_out(text, LEAST)
}

fn lay_out(text: &str, least: usize) -> String {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let mut widths: Vec<Vec<usize>> = lines.iter().map(|cells| vec![0; cells.len()]).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns {
        let mut start = 0;
        while start < lines.len() {
            // A block: neighbouring lines in which this cell is ended by a tab.
            let ended = |at: usize| lines.get(at).is_some_and(|cells| cells.len() > column + 1);
            if !ended(start) {
                start += 1;
                continue;
            }
            let end = (start..lines.len()).find(|at| !ended(*at)).unwrap_or(lines.len());
            let widest = (start..end)
                .filter_map(|at| lines.get(at).and_then(|cells| cells.get(column)))
                .map(|cell| width(cell))
                .max()
                .unwrap_or(0);
            for row in widths.iter_mut().take(end).skip(start) {
                if let Some(slot) = row.get_mut(column) {
                    *slot = (widest + GAP).max(least);
                }
            }
            start = end;
        }
    }
    let mut out = String::with_capacity(text.len() * 2);
    for (cells, widths) in lines.iter().zip(&widths) {
        let last = cells.len().saturating_sub(1);
        for (column, (cell, wide)) in cells.iter().zip(widths).enumerate() {
            out.push_str(cell);
            if column < last {
                out.extend(std::iter::repeat_n(' ', wide.saturating_sub(width(cell))));
            }
        }
        out.push('\n');
    }
    out
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::layout;

    #[test]
    fn columns_line_up() {
        assert_eq!(
            layout("ID\tNAMES\tX\nabcdefghijkl\tb\ty\n"),
            "ID             NAMES     X\nabcdefghijkl   b         y\n"
        );
    }

    #[test]
    fn the_last_cell_is_not_padded_and_empty_cells_keep_their_place() {
        assert_eq!(layout("A\tB\n\tlonger than ten\n"), "A         B\n          longer than ten\n");
        assert_eq!(layout("one\n"), "one\n");
        assert_eq!(layout("ä\tb\n"), "ä         b\n");
        assert_eq!(layout(""), "");
    }

    #[test]
    fn a_block_ends_where_a_line_lacks_the_column() {
        assert_eq!(
            layout("a very long cell\tx\nplain\nb\tx\n"),
            "a very long cell   x\nplain\nb         x\n"
        );
    }
}
