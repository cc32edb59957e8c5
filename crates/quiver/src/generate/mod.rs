//! Example data of any size: equal seeds make equal bytes, and the first rows do not depend on how many follow.
//!
//! The values are made up. They are drawn from plausible distributions, some depend on each other (income on job level),
//! a few cells are null, and a few values lie far out, so that the steps have something to do.

mod ecommerce;
mod hr;
mod row;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use row::Row;
use std::io::{self, Write};

/// Which data to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Dataset {
    /// Employees: 35 columns, nulls in five of them.
    Hr,
    /// Orders: 11 columns, nulls in two of them.
    Ecommerce,
}

/// Writes `rows` rows as CSV, with a header.
///
/// # Errors
/// The writer's.
pub fn write(dataset: Dataset, rows: u64, seed: u64, out: &mut impl Write) -> io::Result<()> {
    // A generator whose stream is fixed for good, so that files made once can be made again.
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (header, fill): (&str, fn(u64, &mut ChaCha8Rng, &mut Row)) = match dataset {
        Dataset::Hr => (hr::HEADER, hr::fill),
        Dataset::Ecommerce => (ecommerce::HEADER, ecommerce::fill),
    };
    writeln!(out, "{header}")?;
    let mut row = Row::default();
    for number in 0..rows {
        fill(number, &mut rng, &mut row);
        row.write_to(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn made(dataset: Dataset, rows: u64, seed: u64) -> String {
        let mut out = Vec::new();
        write(dataset, rows, seed, &mut out).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn equal_seeds_make_equal_data_and_the_first_rows_do_not_depend_on_the_count() {
        for dataset in [Dataset::Hr, Dataset::Ecommerce] {
            let long = made(dataset, 300, 7);
            assert_eq!(long, made(dataset, 300, 7));
            assert!(long.starts_with(&made(dataset, 100, 7)));
            assert_ne!(long, made(dataset, 300, 8));
        }
    }

    #[test]
    fn every_row_has_every_column_and_nulls_lie_where_they_should() {
        for (dataset, columns, with_nulls) in [(Dataset::Hr, 35, 5), (Dataset::Ecommerce, 11, 2)] {
            let text = made(dataset, 2000, 42);
            let mut holes = HashSet::new();
            for line in text.lines() {
                let cells: Vec<&str> = line.split(',').collect();
                assert_eq!(cells.len(), columns, "{line}");
                holes.extend(cells.iter().enumerate().filter(|(_, cell)| cell.is_empty()).map(|(place, _)| place));
            }
            assert_eq!(holes.len(), with_nulls);
        }
    }

    #[test]
    fn the_bundled_files_are_what_the_generator_makes() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/data");
        for (dataset, name) in [(Dataset::Hr, "hr_employees.csv"), (Dataset::Ecommerce, "ecommerce_orders.csv")] {
            let bundled = std::fs::read_to_string(folder.join(name)).expect("it is there");
            assert!(bundled == made(dataset, 500, 42), "{name}");
        }
    }
}
