//! What a step's test brings to the contract check.

use crate::outbound::AllowList;
use crate::testing::make_batch;
use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Parameters and inputs to hold a step to its contract with.
pub struct ContractCase {
    pub(super) params: Value,
    pub(super) readme: PathBuf,
    pub(super) inputs: Vec<RecordBatch>,
    /// What they are called, for a step that takes any.
    pub(super) names: Vec<String>,
    pub(super) larger: Option<Vec<RecordBatch>>,
    pub(super) data_root: Option<PathBuf>,
    pub(super) memory: usize,
    pub(super) http_allow: AllowList,
    pub(super) apart: Option<Apart>,
}

type Apart = Box<dyn Fn(&[RecordBatch], &RecordBatch) -> Result<(), String> + Send + Sync>;

impl ContractCase {
    /// A case with these parameters. The README is that of the step's folder:
    /// `concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")`.
    pub fn new(params: Value, readme: impl Into<PathBuf>) -> Self {
        Self {
            params,
            readme: readme.into(),
            inputs: Vec::new(),
            names: Vec::new(),
            larger: None,
            data_root: None,
            memory: 256 << 10,
            http_allow: AllowList::default(),
            apart: None,
        }
    }

    /// Adds the rows of the next input, in the order in which the step declares its inputs.
    pub fn input(mut self, rows: RecordBatch) -> Self {
        self.inputs.push(rows);
        self
    }

    /// Adds the rows of the next input under this name, for a step that takes any inputs.
    pub fn input_called(mut self, name: &str, rows: RecordBatch) -> Self {
        self.names.push(name.to_owned());
        self.input(rows)
    }

    /// The inputs of the check of memory, of ten times its bytes. Without them the first input is repeated until it is
    /// that large, and the others stay as they are.
    pub fn larger(mut self, inputs: Vec<RecordBatch>) -> Self {
        self.larger = Some(inputs);
        self
    }

    /// The data root, for a step that reads files. Without it the step gets an empty one.
    pub fn data_root(mut self, folder: &Path) -> Self {
        self.data_root = Some(folder.to_owned());
        self
    }

    /// The memory of the check of memory, in bytes; 256 KiB unless told.
    pub fn memory(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// What the step may reach over HTTP: the server that the test has started.
    pub fn http_allow(mut self, allowed: AllowList) -> Self {
        self.http_allow = allowed;
        self
    }

    /// Says how to see that nulls, NaN and empty texts are still told apart, given the inputs and the rows that came out.
    pub fn keeps_apart(
        mut self,
        holds: impl Fn(&[RecordBatch], &RecordBatch) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.apart = Some(Box::new(holds));
        self
    }

    /// Says that rows of the first input come out one for one, in order, and that columns of the same name are equal to
    /// the last bit.
    pub fn passes_values_through(self) -> Self {
        self.keeps_apart(|inputs, output| {
            let schema = output.schema();
            for (field, column) in schema.fields().iter().zip(output.columns()) {
                match inputs[0].column_by_name(field.name()) {
                    Some(given) if given != column => return Err(format!("column {} was changed", field.name())),
                    _ => {}
                }
            }
            Ok(())
        })
    }
}

/// A table of everything that is easily lost: nulls, NaN, infinities, zeros of both signs, empty texts, texts that look
/// like numbers or nulls, integers that no float can hold, dates before 1970, decimals, dictionaries.
///
/// `id` counts from 0 and has no nulls; `group` has few different values; both are integers.
pub fn awkward(rows: usize) -> RecordBatch {
    fn cycle<T: Clone>(rows: usize, values: &[Option<T>]) -> Vec<Option<T>> {
        values.iter().cloned().cycle().take(rows).collect()
    }
    let large = (1i64 << 53) + 1;
    let texts = [Some("plain"), None, Some(""), Some("007"), Some("NaN"), Some("a,\"b\"\nc"), Some("übergroß")];
    let texts: ArrayRef = Arc::new(StringArray::from(cycle(rows, &texts)));
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let floats = [Some(1.5), None, Some(f64::NAN), Some(0.0), Some(-0.0), Some(0.1), Some(1e300), Some(-2.25)];
    let decimals = Decimal128Array::from(cycle(rows, &[Some(1250i128), None, Some(-1), Some(99_999_999_999)]));
    let times = [Some(0), None, Some(1_700_000_000_123_456), Some(-1)];
    make_batch(vec![
        ("id", Arc::new(Int64Array::from_iter_values(0..rows as i64))),
        ("group", Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row % 5)))),
        ("count", Arc::new(Int64Array::from(cycle(rows, &[Some(1), None, Some(large), Some(-7), Some(0)])))),
        ("amount", Arc::new(Float64Array::from(cycle(rows, &floats)))),
        ("name", texts.clone()),
        ("flag", Arc::new(BooleanArray::from(cycle(rows, &[Some(true), None, Some(false)])))),
        ("day", Arc::new(Date32Array::from(cycle(rows, &[Some(19_000), None, Some(-1)])))),
        ("seen", Arc::new(TimestampMicrosecondArray::from(cycle(rows, &times)).with_timezone("UTC"))),
        ("price", Arc::new(decimals.with_precision_and_scale(12, 2).expect("they fit"))),
        ("word", cast(&texts, &dictionary).expect("texts have a dictionary")),
    ])
}
