//! `date_trunc` of any year.
//!
//! DataFusion's own goes by way of nanoseconds, which end in 2262: one day of the year 9999, which stands for "never" in
//! many tables, would be an error. The calendar repeats itself every 400 years to the day of the week, so what lies beyond
//! is truncated as its likeness near to 1970, and put back.

use crate::inherited::inherited;
use datafusion::arrow::array::{AsArray, Int64Array};
use datafusion::arrow::compute::kernels::aggregate::{max, min};
use datafusion::arrow::compute::{binary, cast, try_binary, unary};
use datafusion::arrow::datatypes::{DataType, FieldRef, Int64Type, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::types::{NativeType, logical_date, logical_string};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    Coercion, ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature,
    TypeSignatureClass, Volatility,
};
use std::sync::Arc;

/// Seconds after which the calendar repeats itself.
const CYCLE: i64 = 146_097 * 24 * 3600;

/// Lets `date_trunc` take times of any year.
pub(crate) fn truncate_any_year(functions: &mut [Arc<ScalarUDF>]) {
    for function in functions.iter_mut().filter(|function| function.name() == "date_trunc") {
        let inner = function.as_ref().clone();
        *function = Arc::new(ScalarUDF::new_from_impl(DateTrunc { inner, signature: signature() }));
    }
}

/// As DataFusion's own, but that days and texts become microseconds.
fn signature() -> Signature {
    let precision = || Coercion::new_exact(TypeSignatureClass::Native(logical_string()));
    let dates = vec![TypeSignatureClass::Native(logical_string()), TypeSignatureClass::Native(logical_date())];
    let timestamp = NativeType::Timestamp(TimeUnit::Microsecond, None);
    let timestamps = Coercion::new_implicit(TypeSignatureClass::Timestamp, dates, timestamp);
    let forms = vec![
        TypeSignature::Coercible(vec![precision(), timestamps]),
        TypeSignature::Coercible(vec![precision(), Coercion::new_exact(TypeSignatureClass::Time)]),
    ];
    Signature::one_of(forms, Volatility::Immutable)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    inner: ScalarUDF,
    signature: Signature,
}

impl ScalarUDFImpl for DateTrunc {
    inherited!(name, aliases, return_type, output_ordering, documentation);

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [_, times] = args.args.as_mut_slice() else { return self.inner.invoke_with_args(args) };
        let data_type = times.data_type();
        let DataType::Timestamp(unit, _) = &data_type else { return self.inner.invoke_with_args(args) };
        let Some(cycle) = cycle_in(*unit) else { return self.inner.invoke_with_args(args) };
        let is_constant = matches!(times, ColumnarValue::Scalar(_));
        let counts = cast(&times.to_array(if is_constant { 1 } else { args.number_rows })?, &DataType::Int64)?;
        let counts = counts.as_primitive::<Int64Type>();
        if are_near(counts, cycle) {
            return self.inner.invoke_with_args(args);
        }
        let near: Int64Array = unary(counts, |count| near(count, cycle));
        *times = ColumnarValue::Array(cast(&near, &data_type)?);
        let rows = counts.len();
        args.number_rows = rows;
        let truncated = cast(&self.inner.invoke_with_args(args)?.to_array(rows)?, &DataType::Int64)?;
        let less: Int64Array =
            binary(&near, truncated.as_primitive::<Int64Type>(), |near, truncated| near - truncated)?;
        let there: Int64Array = try_binary(counts, &less, |count, less| {
            count.checked_sub(less).ok_or_else(|| ArrowError::ArithmeticOverflow("a time before all times".to_owned()))
        })?;
        let there = cast(&there, &data_type)?;
        match is_constant {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&there, 0)?)),
            false => Ok(ColumnarValue::Array(there)),
        }
    }
}

/// The cycle in this unit. All nanoseconds are near.
fn cycle_in(unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => Some(CYCLE),
        TimeUnit::Millisecond => Some(CYCLE * 1_000),
        TimeUnit::Microsecond => Some(CYCLE * 1_000_000),
        TimeUnit::Nanosecond => None,
    }
}

/// Whether all of them are within half a cycle from 1970, which nanoseconds reach.
fn are_near(counts: &Int64Array, cycle: i64) -> bool {
    let is_near = |count: Option<i64>| count.is_none_or(|count| near(count, cycle) == count);
    is_near(min(counts)) && is_near(max(counts))
}

/// The same time of a year within half a cycle from 1970.
fn near(count: i64, cycle: i64) -> i64 {
    let within = count.rem_euclid(cycle);
    if within < cycle / 2 { within } else { within - cycle }
}
