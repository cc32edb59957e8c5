//! Functions of one value, which are of its type and know of nothing else: what rewrites put around an expression.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// What such a function makes of its values, which are for so many rows.
type Compute = fn(ColumnarValue, usize) -> Result<ColumnarValue>;

/// The function of this name, of an expression.
pub(crate) fn of_one(name: &'static str, compute: Compute, value: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(OfOne { name, compute, signature, may_be_null: false }).call(vec![value])
}

/// The expression, which may be null, whatever is known of it.
pub(crate) fn perhaps(value: Expr) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    let perhaps = OfOne { name: "perhaps", compute: |value, _| Ok(value), signature, may_be_null: true };
    ScalarUDF::from(perhaps).call(vec![value])
}

/// One of them, known by its name.
#[derive(Debug)]
struct OfOne {
    name: &'static str,
    compute: Compute,
    signature: Signature,
    /// Whether what comes of it may be null where its value never is.
    may_be_null: bool,
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

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [value] = args.arg_fields else {
            return internal_err!("{} of {} values", self.name, args.arg_fields.len());
        };
        let may_be_null = self.may_be_null || value.is_nullable();
        Ok(Arc::new(Field::new(self.name, value.data_type().clone(), may_be_null)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match <[ColumnarValue; 1]>::try_from(args.args) {
            Ok([value]) => (self.compute)(value, rows),
            Err(values) => internal_err!("{} of {} values", self.name, values.len()),
        }
    }
}
