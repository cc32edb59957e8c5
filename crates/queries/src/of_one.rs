//! Functions of one value, which are of its type and know of nothing else: what rewrites put around an expression.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{Hash, Hasher};

/// What such a function makes of its values, which are for so many rows.
type Compute = fn(ColumnarValue, usize) -> Result<ColumnarValue>;

/// The function of this name, of an expression. To who plans it, what comes of it may be null.
pub(crate) fn of_one(name: &'static str, compute: Compute, value: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(OfOne { name, compute, signature }).call(vec![value])
}

/// One of them, known by its name.
#[derive(Debug)]
struct OfOne {
    name: &'static str,
    compute: Compute,
    signature: Signature,
}

impl PartialEq for OfOne {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for OfOne {}

impl Hash for OfOne {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for OfOne {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => (self.compute)(value, rows),
            Err(values) => internal_err!("{} of {} values", self.name, values.len()),
        }
    }
}
