//! A piece of the file as record batches. This is the work that goes on in parallel.

use crate::column::{self, BadField, Column};
use crate::field::Rules;
use crate::layout::Layout;
use crate::rows::{Block, Rows};
use crate::text::Text;
use crate::trouble::Trouble;
use arrow::array::{RecordBatch, RecordBatchOptions};
use flight_common::values::Forms;
use flight_common::{BATCH_ROWS, Fault};
use std::sync::Arc;

/// Reads pieces.
#[derive(Clone, Debug)]
pub struct Reader {
    /// How fields are read.
    pub rules: Arc<Rules>,
    /// How dates and timestamps are written.
    pub forms: Arc<Forms>,
    /// What the file holds.
    pub layout: Arc<Layout>,
}

/// What a piece held.
pub struct Parsed {
    /// Its rows.
    pub batches: Vec<RecordBatch>,
    /// Their number.
    pub rows: u64,
    /// Its lines.
    pub lines: u64,
}

/// Why a piece cannot be read.
pub enum PieceError {
    /// The text is wrong.
    Trouble(Trouble),
    /// Something else is.
    Fault(Fault),
}

impl From<Trouble> for PieceError {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl Reader {
    /// Reads a piece.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn read(&self, piece: &Text) -> Result<Parsed, PieceError> {
        let view = piece.view();
        let mut rows = Rows::new(view, self.layout.columns.len(), self.rules.dialect);
        let mut batch = Batch::new(self, view.text());
        let mut batches = Vec::new();
        loop {
            match rows.next_block() {
                Ok(Some(block)) => batch.append(&block)?,
                Ok(None) => break,
                Err(ragged) => return Err(Trouble::ragged(view.text(), batch.rows_in_all(), ragged).into()),
            }
            if batch.starts.len() >= BATCH_ROWS {
                batches.push(batch.finish()?);
            }
        }
        if !batch.starts.is_empty() {
            batches.push(batch.finish()?);
        }
        Ok(Parsed { batches, rows: batch.finished as u64, lines: rows.lines() })
    }
}

/// A batch being filled.
struct Batch<'a> {
    reader: &'a Reader,
    text: &'a [u8],
    columns: Vec<Box<dyn Column>>,
    /// Where each of its rows begins.
    starts: Vec<u32>,
    /// Rows of the batches before it.
    finished: usize,
    /// As many rows are expected in the piece.
    expected: usize,
}

impl<'a> Batch<'a> {
    fn new(reader: &'a Reader, text: &'a [u8]) -> Self {
        // A few more than by their average length, so that there is seldom too little room.
        // No row is shorter than its delimiters.
        let row_bytes = reader.layout.row_bytes.max(reader.layout.columns.len());
        let expected = text.len() / row_bytes * 17 / 16;
        let columns = reader.layout.columns.iter();
        let columns = columns.map(|plan| column::new(plan, &reader.rules, &reader.forms)).collect();
        Self { reader, text, columns, starts: Vec::new(), finished: 0, expected }
    }

    fn rows_in_all(&self) -> usize {
        self.finished + self.starts.len()
    }

    fn append(&mut self, block: &Block<'_>) -> Result<(), Trouble> {
        if self.starts.is_empty() {
            // A batch is closed by the block that fills it.
            let expected = self.expected.saturating_sub(self.finished).min(BATCH_ROWS) + block.rows();
            self.starts.reserve(expected);
            self.columns.iter_mut().for_each(|column| column.reserve(expected));
        }
        self.starts.extend(block.starts());
        let read = |(place, column): (usize, &mut Box<dyn Column>)| Some((column.append(block, place).err()?, place));
        // All columns are read, and of what is wrong the first row is told, so that it is the same however the file is
        // cut.
        let wrong = self.columns.iter_mut().enumerate().filter_map(read).min_by_key(|(bad, place)| (bad.row, *place));
        wrong.map_or(Ok(()), |(bad, place)| Err(self.trouble(bad, place)))
    }

    fn finish(&mut self) -> Result<RecordBatch, PieceError> {
        let mut arrays = Vec::with_capacity(self.columns.len());
        for place in 0..self.columns.len() {
            arrays.push(self.columns[place].finish().map_err(|bad| self.trouble(bad, place))?);
        }
        self.finished += self.starts.len();
        let options = RecordBatchOptions::new().with_row_count(Some(self.starts.len()));
        self.starts.clear();
        let batch = RecordBatch::try_new_with_options(self.reader.layout.schema.clone(), arrays, &options);
        batch.map_err(|error| PieceError::Fault(error.into()))
    }

    fn trouble(&self, bad: BadField, place: usize) -> Trouble {
        let start = self.starts[bad.row] as usize;
        Trouble::field(self.text, start, self.finished + bad.row, place, bad)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cut::Cutter;
    use crate::layout::look;
    use crate::options::Options;
    use arrow::array::AsArray;
    use arrow::compute::concat_batches;
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::io::Cursor;

    /// The rows of a text that is cut into pieces of about `target` bytes.
    fn read(text: &str, params: Value, target: usize) -> RecordBatch {
        let options = Options::new(serde_json::from_value(params).expect("params")).expect("good params");
        let layout = look(Box::new(Cursor::new(text.as_bytes().to_vec())), &options).expect("good text");
        let (rules, forms, layout) = (options.rules.clone(), options.forms.clone(), Arc::new(layout));
        let mut cutter = Cutter::new(text.as_bytes(), rules.dialect, target, 1 << 20);
        cutter.skip_bytes(layout.body).expect("readable");
        let reader = Reader { rules, forms, layout };
        let (mut batches, mut rows) = (Vec::new(), 0);
        let mut lines_read = reader.layout.lines;
        while let Some(piece) = cutter.next_piece().expect("good text") {
            let Ok(parsed) = reader.read(&piece) else { panic!("good text") };
            batches.extend(parsed.batches);
            rows += parsed.rows;
            lines_read += parsed.lines;
        }
        assert_eq!(lines_read, crate::trouble::lines(text.as_bytes()));
        let whole = concat_batches(&reader.layout.schema, &batches).expect("one schema");
        assert_eq!(whole.num_rows() as u64, rows);
        whole
    }

    /// A field as it is written, and the text it stands for.
    fn field() -> impl Strategy<Value = (String, Option<String>)> {
        let plain = "[a-zé€ ][a-z\" é€]{0,20}".prop_map(|text| (text.clone(), Some(text)));
        let number = any::<i64>().prop_map(|number| (number.to_string(), Some(number.to_string())));
        let quoted = "[a-z,\"\n\r€ ]{0,30}".prop_map(|text| (format!("\"{}\"", text.replace('"', "\"\"")), Some(text)));
        let null = prop::sample::select(vec!["", "NA", "null"]).prop_map(|null| (null.to_owned(), None));
        prop_oneof![plain, number, quoted, null]
    }

    /// A number as it is written.
    fn number() -> impl Strategy<Value = (String, Option<i64>)> {
        let small = (-99_999_999i64..99_999_999).prop_map(|number| (number.to_string(), Some(number)));
        let any = any::<i64>().prop_map(|number| (format!("\"{number}\""), Some(number)));
        let null = prop::sample::select(vec!["", "NA", "\"\""]).prop_map(|null| (null.to_owned(), None));
        prop_oneof![4 => small, 1 => any, 1 => null]
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_however_the_text_is_cut(
            rows in prop::collection::vec((number(), field(), field()), 1..60),
            line_break in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
            target in 1usize..300,
        ) {
            let mut text = "n,a,b\n".to_owned();
            for ((number, _), (a, _), (b, _)) in &rows {
                text += &format!("{number},{a},{b}{line_break}");
            }
            let params = json!({"file_path": "", "types": {"n": "int64", "a": "string", "b": "string"}});
            let found = read(&text, params, target);
            prop_assert_eq!(found.num_rows(), rows.len());
            let numbers = found.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            prop_assert!(numbers.iter().eq(rows.iter().map(|row| row.0.1)));
            for (place, column) in [(1, rows.iter().map(|row| &row.1).collect::<Vec<_>>()), (2, rows.iter().map(|row| &row.2).collect())] {
                let texts = found.column(place).as_string::<i32>();
                prop_assert!(texts.iter().eq(column.into_iter().map(|(_, text)| text.as_deref())));
            }
            let guessed = json!({"file_path": ""});
            prop_assert_eq!(read(&text, guessed.clone(), target), read(&text, guessed, 1 << 20));
        }
    }

    #[test]
    fn a_piece_of_short_rows_makes_several_batches() {
        let text = format!("n\n{}", "1\n".repeat(3 * BATCH_ROWS));
        assert_eq!(read(&text, json!({"file_path": ""}), 1 << 20).num_rows(), 3 * BATCH_ROWS);
    }
}
