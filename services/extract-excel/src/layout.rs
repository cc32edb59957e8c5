//! What a sheet holds: names and types of its columns, and where its rows begin. Found by looking at its first rows.

use crate::area::{Area, COLUMNS, letters};
use crate::column::ColumnPlan;
use crate::options::Options;
use crate::params::DuplicateHeaders;
use crate::rows::Sink;
use crate::value::Cell;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use flight_common::Fault;
use flight_common::values::{Forms, Seen, types};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a sheet holds.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Its schema. Every column may hold nulls.
    pub schema: SchemaRef,
    /// Its columns.
    pub columns: Vec<ColumnPlan>,
    /// Where the first of them stands.
    pub first: u32,
    /// The row that its rows begin with.
    pub body: u32,
}

impl Layout {
    /// The columns as a range: `A:F`.
    pub fn range(&self) -> String {
        format!("{}:{}", letters(self.first), letters(self.last()))
    }

    /// Where the last column stands.
    pub fn last(&self) -> u32 {
        self.first + (self.columns.len() as u32).saturating_sub(1)
    }
}

/// The part of the sheet that is read: from the row with the names on, which may lie before the range.
pub fn read_area(options: &Options) -> Area {
    let (first, last) = options.area.rows;
    Area { rows: (options.header_row.unwrap_or(first).min(first), last), ..options.area }
}

/// Looks at the first rows.
pub struct Look<'a> {
    options: &'a Options,
    /// What messages begin with.
    place: &'a str,
    /// The row with the names, and its cells.
    header: Option<(u32, Vec<(u32, Cell)>)>,
    /// The first row, if there are no names.
    body: Option<u32>,
    guesses: BTreeMap<u32, Guess>,
    rows: u64,
}

impl<'a> Look<'a> {
    /// Nothing seen yet.
    pub fn new(options: &'a Options, place: &'a str) -> Self {
        Self { options, place, header: None, body: None, guesses: BTreeMap::new(), rows: 0 }
    }

    /// What was seen.
    ///
    /// # Errors
    /// What is wrong with the names, or that there is nothing.
    pub fn layout(self) -> Result<Layout, Fault> {
        let (first, names, body) = self.names()?;
        let mut columns: Vec<ColumnPlan> = names
            .into_iter()
            .zip(first..)
            .map(|(name, at)| {
                let guess = self.guesses.get(&at).copied().unwrap_or_default();
                ColumnPlan { name, data_type: guess.data_type(), given: false, has_dates: guess.dates && !guess.times }
            })
            .collect();
        let text = |plan: &ColumnPlan| Field::new(&plan.name, DataType::Utf8, true);
        let named = Schema::new(columns.iter().map(text).collect::<Vec<_>>());
        for (place, (_, data_type)) in types::places(&named, &self.options.types)?.into_iter().zip(&self.options.types)
        {
            let plan = &mut columns[place];
            (plan.data_type, plan.given) = (data_type.clone(), true);
        }
        let field = |plan: &ColumnPlan| Field::new(&plan.name, plan.data_type.clone(), true);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        Ok(Layout { schema, columns, first, body })
    }

    /// The first column, the names from there on, and the row that rows begin with.
    fn names(&self) -> Result<(u32, Vec<String>, u32), Fault> {
        let Area { columns: (left, right), rows: (top, _) } = self.options.area;
        let seen = match &self.header {
            Some((_, cells)) => cells.first().zip(cells.last()).map(|(first, last)| (first.0, last.0)),
            None => self.guesses.first_key_value().zip(self.guesses.last_key_value()).map(|(a, b)| (*a.0, *b.0)),
        };
        let Some(seen) = seen else { return Err(self.empty()) };
        // A range with two sides is taken at its word; otherwise there are as many columns as there are names.
        let (first, last) = if right < COLUMNS - 1 { (left, right) } else { seen };
        let Some((row, cells)) = &self.header else {
            let numbered = (1..=last - first + 1).map(|place| format!("column_{place}"));
            return Ok((first, numbered.collect(), self.body.unwrap_or(top)));
        };
        let mut given = vec![String::new(); (last - first + 1) as usize];
        for (column, cell) in cells {
            cell.write(&mut given[(column - first) as usize]);
        }
        let place = format!("{}, row {}", self.place, row + 1);
        Ok((first, unique(given, first, self.options.duplicates, &place)?, top.max(row + 1)))
    }

    fn empty(&self) -> Fault {
        let place = self.place;
        match self.options.header_row {
            Some(row) => Fault::bad_data(format!("{place}: row {} holds no names", row + 1))
                .help("set `header_row` to the one that does, or `header: false`"),
            None => Fault::bad_data(format!("{place} holds nothing where it is read"))
                .help("is it the right `sheet`, and the right `range`?"),
        }
    }

    /// Takes a row that comes before the first row of the table.
    fn before_body(&mut self, number: u32, cells: &[(u32, Cell)]) -> bool {
        let is_header = match self.options.header_row {
            Some(row) => row == number,
            None => !cells.is_empty(),
        };
        if is_header {
            self.header = Some((number, cells.to_vec()));
        }
        self.options.header_row.is_none_or(|row| number < row) || !cells.is_empty()
    }
}

impl Sink for Look<'_> {
    fn row(&mut self, number: u32, cells: &[(u32, Cell)]) -> Result<bool, Fault> {
        if self.options.header && self.header.is_none() {
            return Ok(self.before_body(number, cells));
        }
        if !self.options.area.has_row(number) || (!self.options.header && self.body.is_none() && cells.is_empty()) {
            return Ok(true);
        }
        self.body.get_or_insert(number);
        let guess = self.rows < self.options.sample_rows;
        for (column, cell) in cells {
            let seen = self.guesses.entry(*column).or_default();
            if guess {
                seen.add(cell, self.options);
            }
        }
        self.rows += 1;
        Ok(self.rows < self.options.sample_rows)
    }
}

/// What the cells of a column have in common.
#[derive(Clone, Copy, Debug, Default)]
struct Guess {
    seen: Seen,
    /// Whether there are times of day, which texts are not taken for.
    times: bool,
    /// Whether there are numbers shown as dates.
    dates: bool,
    /// Whether there are zeros, which are dates among dates, and else times of day.
    zeros: bool,
}

impl Guess {
    fn add(&mut self, cell: &Cell, options: &Options) {
        let forms = Forms::default();
        let mut text = String::new();
        cell.write(&mut text);
        match cell {
            Cell::Text(text) if options.nulls.contain(text.trim().as_bytes()) => {}
            Cell::Text(text) => self.seen.add_text(text.trim().as_bytes(), &forms),
            Cell::Span(_) => self.seen.add_text(b"", &forms),
            Cell::Moment(moment) if moment.as_bytes().get(2) == Some(&b':') => self.times = true,
            Cell::Zero { .. } => self.zeros = true,
            Cell::Moment(_) | Cell::Number(_) | Cell::Truth(_) => {
                self.dates |= matches!(cell, Cell::Moment(_));
                self.seen.add(text.as_bytes(), &forms);
            }
            Cell::Error(_) | Cell::NoDate(_) | Cell::NoNumber(_) | Cell::Uncalculated => {}
        }
    }

    fn data_type(self) -> DataType {
        match self.times || (self.zeros && !self.dates) {
            false => self.seen.data_type(),
            true if self.seen == Seen::default() => DataType::Time64(TimeUnit::Microsecond),
            true => DataType::Utf8,
        }
    }
}

/// Names for columns: empty ones become `column_1` by their place, and of two equal ones the later is renamed, or both
/// are refused.
fn unique(given: Vec<String>, first: u32, duplicates: DuplicateHeaders, place: &str) -> Result<Vec<String>, Fault> {
    let numbered = given.into_iter().zip(1..);
    let given: Vec<String> =
        numbered.map(|(name, number)| if name.is_empty() { format!("column_{number}") } else { name }).collect();
    let mut taken: HashMap<String, usize> = HashMap::new();
    let mut names = Vec::with_capacity(given.len());
    for (at, name) in given.iter().enumerate() {
        let mut free = name.clone();
        if let Some(before) = taken.get(name) {
            if duplicates == DuplicateHeaders::Refuse {
                let column = |at: usize| letters(first + at as u32);
                let message =
                    format!("{place}: columns {} and {} are both called \"{name}\"", column(*before), column(at));
                return Err(Fault::bad_data(message)
                    .help("rename one of them, or set `duplicate_headers: rename` to tell them apart by a number"));
            }
            let mut number = 1;
            while taken.contains_key(&free) || given.contains(&free) {
                free = format!("{name}.{number}");
                number += 1;
            }
        }
        taken.insert(free.clone(), at);
        names.push(free);
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str], duplicates: DuplicateHeaders) -> Result<Vec<String>, Fault> {
        unique(names.iter().map(|&name| name.to_owned()).collect(), 1, duplicates, "a.xlsx")
    }

    #[test]
    fn two_columns_of_one_name_are_refused_by_their_letters() {
        let fault = named(&["a", "b", "a"], DuplicateHeaders::Refuse).expect_err("refused");
        assert!(fault.message().contains("columns B and D"), "{fault}");
    }

    #[test]
    fn later_ones_are_renamed_to_names_that_are_free() {
        let renamed = named(&["a", "a.1", "a", "", "a", "A"], DuplicateHeaders::Rename).expect("renamed");
        assert_eq!(renamed, ["a", "a.1", "a.2", "column_4", "a.3", "A"]);
    }
}
