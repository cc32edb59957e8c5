//! Places on a sheet as people write them: `B3`, `B3:F200`, `B:F`, `3:200`. Within, rows and columns count from 0.

use std::fmt;

/// Rows of a sheet, at most.
pub const ROWS: u32 = 1 << 20;
/// Columns of a sheet, at most.
pub const COLUMNS: u32 = 1 << 14;

/// A cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// Its row.
    pub row: u32,
    /// Its column.
    pub column: u32,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", letters(self.column), self.row + 1)
    }
}

/// A part of a sheet, with its borders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    /// The first and the last row.
    pub rows: (u32, u32),
    /// The first and the last column.
    pub columns: (u32, u32),
}

impl Area {
    /// All of a sheet.
    pub const ALL: Self = Self { rows: (0, ROWS - 1), columns: (0, COLUMNS - 1) };

    /// Reads `B3:F200`, `B:F`, `3:200`, `B3:`, `B3`.
    pub fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.trim().split_once(':').unwrap_or((text, text));
        let (first, last) = (corner(from)?, corner(to)?);
        let area = Self {
            rows: (first.0.unwrap_or(0), last.0.unwrap_or(ROWS - 1)),
            columns: (first.1.unwrap_or(0), last.1.unwrap_or(COLUMNS - 1)),
        };
        let told = first != (None, None);
        (told && area.rows.0 <= area.rows.1 && area.columns.0 <= area.columns.1).then_some(area)
    }

    /// Whether this row is in it.
    pub fn has_row(&self, row: u32) -> bool {
        (self.rows.0..=self.rows.1).contains(&row)
    }

    /// Whether this column is in it.
    pub fn has_column(&self, column: u32) -> bool {
        (self.columns.0..=self.columns.1).contains(&column)
    }
}

/// Row and column of `B3`, `B`, `3` or nothing, as far as they are told.
fn corner(text: &str) -> Option<(Option<u32>, Option<u32>)> {
    let text = text.trim().replace('$', "");
    let split = text.find(|mark: char| !mark.is_ascii_alphabetic()).unwrap_or(text.len());
    let (letters, digits) = text.split_at(split);
    let column = match letters {
        "" => None,
        _ => Some(number(letters)?),
    };
    let row = match digits {
        "" => None,
        _ => Some(digits.parse::<u32>().ok().filter(|row| (1..=ROWS).contains(row))? - 1),
    };
    Some((row, column))
}

/// The number of a column: 0 for `A`, 26 for `AA`.
fn number(letters: &str) -> Option<u32> {
    let digit = |letter: u8| u32::from(letter.to_ascii_uppercase() - b'A') + 1;
    let number = letters.bytes().try_fold(0u32, |sum, letter| sum.checked_mul(26)?.checked_add(digit(letter)))?;
    (number <= COLUMNS).then(|| number - 1)
}

/// The letters of a column: `A` for 0, `AA` for 26.
pub fn letters(column: u32) -> String {
    let mut letters = Vec::new();
    let mut rest = column + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'A' + (rest % 26) as u8));
        rest /= 26;
    }
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_sheet_are_read_as_they_are_written() {
        let area = |rows, columns| Some(Area { rows, columns });
        assert_eq!(Area::parse("B3:F200"), area((2, 199), (1, 5)));
        assert_eq!(Area::parse(" $b$3 : $f$200 "), area((2, 199), (1, 5)));
        assert_eq!(Area::parse("B:F"), area((0, ROWS - 1), (1, 5)));
        assert_eq!(Area::parse("3:200"), area((2, 199), (0, COLUMNS - 1)));
        assert_eq!(Area::parse("AA10:"), area((9, ROWS - 1), (26, COLUMNS - 1)));
        assert_eq!(Area::parse("XFD1048576"), area((ROWS - 1, ROWS - 1), (COLUMNS - 1, COLUMNS - 1)));
        for wrong in ["", ":", "XFE1", "A0", "A1048577", "F1:B1", "B3:B2", "B3:F200:G1", "3B", "A-1", "Ä1", "Sheet1!A1"]
        {
            assert_eq!(Area::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cell_is_shown_as_it_is_written() {
        for (row, column, shown) in [(0, 0, "A1"), (9, 25, "Z10"), (0, 26, "AA1"), (0, 701, "ZZ1"), (0, 702, "AAA1")] {
            assert_eq!(Address { row, column }.to_string(), shown);
            assert_eq!(number(&letters(column)), Some(column));
        }
    }
}
