//! A statement and the values of its parameters, as they travel in a handle.
//!
//! Nothing is kept between calls, so that any replica can answer the next one: a handle is the text of its statement, and
//! once values are bound, those too.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::FlightData;
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use flight_common::Fault;
use flight_common::wire::{Decoder, Encoder, Frame};
use prost::Message;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bytes of the longest handle.
const LONGEST: usize = 2 << 20;
/// What a handle with values begins with: no text of a statement does.
const BOUND: u8 = 0;

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    /// Its text, as it was given.
    pub text: String,
    /// One row: a value for each parameter.
    values: Option<RecordBatch>,
}

impl Statement {
    /// One without values.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), values: None }
    }

    /// The statement in a handle.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] for a handle that is none of ours.
    pub fn of_handle(handle: &Bytes) -> Result<Self, Fault> {
        let foreign = || Fault::bad_params("this statement is not one of ours");
        let Some(rest) = handle.strip_prefix(&[BOUND]) else {
            return Ok(Self::new(std::str::from_utf8(handle).map_err(|_| foreign())?));
        };
        let (length, rest) = rest.split_first_chunk().ok_or_else(foreign)?;
        let (text, row) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(foreign)?;
        let row = row_of(Bytes::copy_from_slice(row)).ok_or_else(foreign)?;
        Ok(Self { values: Some(row), ..Self::new(std::str::from_utf8(text).map_err(|_| foreign())?) })
    }

    /// Its handle.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] when it is too long.
    pub fn handle(&self) -> Result<Bytes, Fault> {
        let Some(values) = &self.values else { return Ok(self.text.clone().into()) };
        let length = u32::try_from(self.text.len()).map_err(Fault::internal)?;
        let mut handle = vec![BOUND];
        handle.extend(length.to_le_bytes());
        handle.extend(self.text.as_bytes());
        let mut frames = vec![Encoder::schema_frame(&values.schema())?];
        Encoder::new(values.schema())?.encode(values, &mut frames)?;
        for frame in frames {
            FlightData::from(frame).encode_length_delimited(&mut handle).map_err(Fault::internal)?;
        }
        if handle.len() > LONGEST {
            return Err(Fault::bad_params(format!("a query and its values may have {LONGEST} bytes, and no more")));
        }
        Ok(handle.into())
    }

    /// The statement with these values in place of those it had.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] unless there is one row of them.
    pub fn bind(self, values: RecordBatch) -> Result<Self, Fault> {
        match values.num_rows() {
            1 => Ok(Self { values: Some(values), ..self }),
            0 => Err(Fault::bad_params("no row of values came for the parameters")),
            _ => Err(one_row()),
        }
    }

    /// Its plan, with its values in the places of the parameters.
    ///
    /// # Errors
    /// [`flight_common::FaultKind::BadParams`] when these are more or fewer.
    pub fn fill(&self, plan: LogicalPlan) -> Result<LogicalPlan, Fault> {
        let parameters = parameters(&plan)?;
        let wanted = parameters.fields().len();
        let given = self.values.as_ref().map_or(0, RecordBatch::num_columns);
        if wanted != given {
            let fault = Fault::bad_params(format!("the query has {wanted} parameters, and {given} values are bound"));
            return Err(fault.help("prepare the statement, and bind one row with a value for each of $1, $2, …"));
        }
        let Some(values) = self.values.as_ref().filter(|_| wanted > 0) else { return Ok(plan) };
        let values = values.columns().iter().map(|column| ScalarValue::try_from_array(column, 0));
        let values: Vec<ScalarValue> = values.collect::<Result<_, _>>().map_err(queries::fault)?;
        plan.with_param_values(ParamValues::from(values)).map_err(queries::fault)
    }
}

/// The row of values in a handle: Flight messages, each after its length. Handles come from clients.
fn row_of(mut messages: Bytes) -> Option<RecordBatch> {
    let next = |messages: &mut Bytes| FlightData::decode_length_delimited(messages).ok().map(Frame::from);
    let mut decoder = Decoder::from_schema_frame(&next(&mut messages)?).ok()?;
    let mut row = None;
    while !messages.is_empty() {
        row = decoder.decode(next(&mut messages)?).ok()?.or(row);
    }
    row
}

/// Why several rows of values are refused.
pub(super) fn one_row() -> Fault {
    Fault::bad_params("several rows of values came; a query takes one").help("ask once for each row")
}

/// The parameters of a plan, in their order. The type of one of which nothing is known is `Null`.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for parameters that have names.
pub(super) fn parameters(plan: &LogicalPlan) -> Result<SchemaRef, Fault> {
    let mut found = BTreeMap::new();
    for (name, kind) in plan.get_parameter_types().map_err(queries::fault)? {
        let place: usize = name.trim_start_matches('$').parse().map_err(|_| {
            Fault::bad_params(format!("the parameter {name} has a name")).help("write parameters as $1, $2, or as ?")
        })?;
        found.insert(place, kind);
    }
    let last = found.last_key_value().map_or(0, |(place, _)| *place);
    if last > found.len() {
        let missing = (1..last).find(|place| !found.contains_key(place)).unwrap_or(1);
        return Err(Fault::bad_params(format!("the query has a parameter ${last}, and none ${missing}"))
            .help("number parameters from $1 on, without a gap"));
    }
    let field = |(place, kind): (usize, Option<DataType>)| {
        Field::new(format!("${place}"), kind.unwrap_or(DataType::Null), true)
    };
    Ok(std::sync::Arc::new(Schema::new(found.into_iter().map(field).collect::<Vec<_>>())))
}

/// The text with each `?` numbered: JDBC writes parameters so, and DataFusion reads `$1`.
///
/// # Errors
/// [`flight_common::FaultKind::BadParams`] for a text with both.
pub(super) fn numbered(text: &str) -> Result<Cow<'_, str>, Fault> {
    if !text.contains('?') {
        return Ok(text.into());
    }
    let dialect = PostgreSqlDialect {};
    // What is no SQL is told by the parser.
    let Ok(tokens) = Tokenizer::new(&dialect, text).tokenize_with_location() else { return Ok(text.into()) };
    let marks: Vec<Location> = tokens
        .iter()
        .filter(|token| !is_text(&token.token))
        // The dialect knows operators with one in them; DataFusion has none of those, and `>?` is two words to it.
        .flat_map(|token| {
            let (start, text) = (token.span.start, token.token.to_string());
            let marks = text.chars().zip(start.column..).filter(|(letter, _)| *letter == '?');
            marks.map(|(_, column)| Location { line: start.line, column }).collect::<Vec<_>>()
        })
        .collect();
    if !marks.is_empty() && tokens.iter().any(|token| matches!(token.token, Token::Placeholder(_))) {
        return Err(Fault::bad_params("the query has parameters as ? and as $1").help("write all of them in one way"));
    }
    let mut marks = marks.into_iter().zip(1..).peekable();
    let (mut line, mut column) = (1, 1);
    let mut numbered = String::with_capacity(text.len() + 8);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match marks.next_if(|(mark, _)| (mark.line, mark.column) == (line, column)) {
            Some((_, number)) => {
                numbered.push_str(&format!("${number}"));
                if letters.peek().is_some_and(|next| next.is_alphanumeric() || *next == '_') {
                    numbered.push(' ');
                }
            }
            None => numbered.push(letter),
        }
        (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    Ok(numbered.into())
}

/// Whether a token may hold any letter: what is quoted, and what is between the words.
fn is_text(token: &Token) -> bool {
    use Token::{Char, Number, SingleQuotedString, Whitespace, Word};
    matches!(token, Word(_) | Whitespace(_) | Char(_) | Number(..) | SingleQuotedString(_))
        || token.to_string().contains(['\'', '"', '$'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_common::testing::batch;

    #[test]
    fn a_handle_carries_the_text_and_the_values() {
        let plain = Statement::new("SELECT 1");
        assert_eq!(plain.handle().expect("a handle"), "SELECT 1");
        let bound = plain.clone().bind(batch!("$1" => Int64Array [7], "$2" => StringArray ["ü"])).expect("one row");
        let back = Statement::of_handle(&bound.handle().expect("a handle")).expect("ours");
        assert_eq!(back, bound);
        let again = back.bind(batch!("$1" => Int64Array [8])).expect("one row");
        assert_ne!(again.handle().expect("a handle"), bound.handle().expect("a handle"));
        assert!(plain.clone().bind(batch!("$1" => Int64Array [7, 8])).is_err());
        let long = batch!("$1" => StringArray [Some("x".repeat(LONGEST))]);
        assert!(plain.bind(long).expect("one row").handle().is_err());
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        let endless = b"\0\x01\0\0\0S\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
        for handle in [&b"\0"[..], b"\0\x04\0\0\0SEL", b"\0\x01\0\0\0Sx", endless, b"\xff"] {
            assert!(Statement::of_handle(&Bytes::copy_from_slice(handle)).is_err(), "{handle:?}");
        }
    }

    #[test]
    fn question_marks_are_numbered_where_they_are_parameters() {
        let numbered = |text| numbered(text).map(Cow::into_owned);
        assert_eq!(numbered("SELECT '?' FROM \"a?\" -- ?").as_deref(), Ok("SELECT '?' FROM \"a?\" -- ?"));
        let text = "SELECT 'ü'\nWHERE a = ? AND b IN (?,?) AND c > ?-1";
        assert_eq!(numbered(text).as_deref(), Ok("SELECT 'ü'\nWHERE a = $1 AND b IN ($2,$3) AND c > $4-1"));
        let text = "SELECT a WHERE a>? AND b >=? AND c<>?AND d BETWEEN ?and ?";
        let told = "SELECT a WHERE a>$1 AND b >=$2 AND c<>$3 AND d BETWEEN $4 and $5";
        assert_eq!(numbered(text).as_deref(), Ok(told));
        assert!(numbered("SELECT ? + $1").is_err());
    }
}
