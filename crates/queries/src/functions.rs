//! Functions that could fill all memory by one call, held to a measure or left out.
//!
//! `repeat('x', 1000000000)` asks for the bytes before anybody can count them. So what such a call is going to make is
//! worked out first. Functions that make lists of any length out of two numbers are left out; their namesakes that stand
//! where a table may, as `FROM generate_series(1, 10)`, give row by row what is asked of them.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::compute::cast;
use datafusion::arrow::compute::kernels::length::length;
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use std::sync::Arc;

/// The most that one call makes, for all rows of a batch together.
const MOST_BYTES: u64 = 64 << 20;

/// Functions that repeat or pad a text as often or as far as their second argument says.
const MEASURED: [&str; 3] = ["repeat", "lpad", "rpad"];
/// Functions that make lists of any length.
const LEFT_OUT: [&str; 4] = ["range", "generate_series", "array_repeat", "array_resize"];

/// Replaces and takes out what needs it.
pub(crate) fn hold_to_measure(functions: &mut Vec<Arc<ScalarUDF>>) {
    functions.retain(|function| !LEFT_OUT.contains(&function.name()));
    for function in functions.iter_mut().filter(|function| MEASURED.contains(&function.name())) {
        *function = Arc::new(ScalarUDF::new_from_impl(Measured { inner: function.as_ref().clone() }));
    }
}

/// A function whose result is measured before it is made.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Measured {
    inner: ScalarUDF,
}

impl ScalarUDFImpl for Measured {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let bytes = bytes_of(self.name() == "repeat", &args)?;
        if bytes > MOST_BYTES {
            return exec_err!("{} would make {bytes} bytes at once, and {MOST_BYTES} is the most", self.name());
        }
        self.inner.invoke_with_args(args)
    }
}

/// The most bytes that a call can make: the text so many times, or so many characters.
fn bytes_of(repeats: bool, args: &ScalarFunctionArgs) -> Result<u64> {
    const CHARACTER: u64 = 4;
    let [text, times, ..] = args.args.as_slice() else { return Ok(0) };
    let times = cast(&times.to_array(rows_of(args))?, &DataType::Int64)?;
    let times = times.as_primitive::<Int64Type>().iter().map(|times| times.unwrap_or(0).max(0).unsigned_abs());
    if !repeats {
        return Ok(times.fold(0, |sum, characters| sum.saturating_add(characters.saturating_mul(CHARACTER))));
    }
    let lengths = length(&text.to_array(rows_of(args))?)?;
    let lengths = cast(&lengths, &DataType::Int64)?;
    let lengths = lengths.as_primitive::<Int64Type>().iter().map(|bytes| bytes.unwrap_or(0).unsigned_abs());
    Ok(times.zip(lengths).fold(0, |sum, (times, bytes)| sum.saturating_add(times.saturating_mul(bytes))))
}

/// Constants alone are computed once.
fn rows_of(args: &ScalarFunctionArgs) -> usize {
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    if constant { 1 } else { args.number_rows }
}
