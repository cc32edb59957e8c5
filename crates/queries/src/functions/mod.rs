//! Functions that could fill all memory by one call, or compute for ever, held to a measure or left out.
//!
//! | where | what |
//! |---|---|
//! | here | every function, in a wrapping that holds it to its measure |
//! | [`beforehand`] | what a call comes to before it is made |
//! | [`joined`] | `a || b` as such a function |
//! | [`asked`] | what would be answered wrongly |
//!
//! `repeat('x', 1000000000)` asks for the bytes before anybody can count them. So what such a call is going to make is
//! worked out first; what others make is looked at when it is there, since it is little more than what they are given. Functions
//! that make lists of any length out of two numbers are left out; their namesakes that stand
//! where a table may, as `FROM generate_series(1, 10)`, give row by row what is asked of them.

mod asked;
mod beforehand;
mod joined;

use crate::errand;
use crate::inherited::inherited;
use crate::nans::one_nan_of;
use datafusion::arrow::array::Array;
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, ExprSchema, Result, ScalarValue, plan_err};
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawDictionaryExpr};
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::ExprProperties;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, ExpressionPlacement, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, StructFieldMapping,
};
use std::sync::Arc;

/// Functions that make lists of any length.
const LEFT_OUT: [&str; 4] = ["range", "generate_series", "array_repeat", "array_resize"];
/// Types within a type, at most: `struct(s, s)` of itself, again and again, soon has thousands of millions.
const MOST_TYPES: usize = 10_000;
/// Bytes of a value whose type says how many it has.
pub(crate) const WIDEST: usize = 1 << 20;

/// Replaces and takes out what needs it.
pub(crate) fn hold_to_measure(session: &mut SessionStateBuilder) {
    if let Some(functions) = session.scalar_functions() {
        functions.retain(|function| !LEFT_OUT.contains(&function.name()));
        for function in functions {
            *function = measured(function);
        }
    }
    if let Some(planners) = session.expr_planners() {
        planners.insert(0, Arc::new(Structs));
    }
}

fn measured(function: &Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match function.inner().is::<Measured>() {
        true => function.clone(),
        false => Arc::new(ScalarUDF::new_from_impl(Measured { inner: function.as_ref().clone() })),
    }
}

/// Holds calls to their measure that the planner makes of what is no call, such as `[1, 2]`, and `a || b`.
#[derive(Debug)]
pub(crate) struct Measure;

impl FunctionRewrite for Measure {
    fn name(&self) -> &str {
        "measure"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        match expr {
            Expr::ScalarFunction(call) if !call.func.inner().is::<Measured>() => {
                Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction { func: measured(&call.func), ..call })))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right })
                if joined::takes(&left.get_type(schema)?, &right.get_type(schema)?) =>
            {
                let function = measured(&Arc::new(ScalarUDF::new_from_impl(joined::Joined::default())));
                Ok(Transformed::yes(function.call(vec![*left, *right])))
            }
            other => Ok(Transformed::no(other)),
        }
    }
}

/// Structs as they are written, `{a: 1}`: their types are looked at while the query is planned.
#[derive(Debug)]
struct Structs;

impl ExprPlanner for Structs {
    fn plan_dictionary_literal(
        &self,
        literal: RawDictionaryExpr,
        _schema: &DFSchema,
    ) -> Result<PlannerResult<RawDictionaryExpr>> {
        let parts = literal.keys.into_iter().zip(literal.values).flat_map(|(key, value)| [key, value]);
        Ok(PlannerResult::Planned(measured(&datafusion::functions::core::named_struct()).call(parts.collect())))
    }

    fn plan_struct_literal(&self, args: Vec<Expr>, is_named: bool) -> Result<PlannerResult<Vec<Expr>>> {
        let function = match is_named {
            true => datafusion::functions::core::named_struct(),
            false => datafusion::functions::core::r#struct(),
        };
        Ok(PlannerResult::Planned(measured(&function).call(args)))
    }
}

/// A function that is held to its measure.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Measured {
    inner: ScalarUDF,
}

impl Measured {
    fn call(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        errand::wanted()?;
        let (given, rows) = (args.args.clone(), args.number_rows);
        let value = one_nan_of(self.inner.invoke_with_args(args)?);
        asked::check_made(self.name(), &given, &value)?;
        errand::made(self.name(), &value, &given, rows)?;
        Ok(value)
    }

    /// The same, some rows at a time, where the work for all would take long.
    fn call_in_parts(&self, args: &ScalarFunctionArgs, work: &[u64]) -> Result<ColumnarValue> {
        let mut parts = Vec::new();
        for rows in beforehand::parts(work) {
            let part = |value: &ColumnarValue| match value {
                ColumnarValue::Array(values) => ColumnarValue::Array(values.slice(rows.start, rows.len())),
                ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
            };
            let part = ScalarFunctionArgs {
                args: args.args.iter().map(part).collect(),
                number_rows: rows.len(),
                ..args.clone()
            };
            parts.push(self.call(part)?.into_array(rows.len())?);
        }
        let all: Vec<&dyn Array> = parts.iter().map(|part| part.as_ref()).collect();
        Ok(ColumnarValue::Array(concat(&all)?))
    }
}

impl ScalarUDFImpl for Measured {
    inherited!(name, aliases, signature, return_type, coerce_types, output_ordering, documentation);

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        asked::check(self.name(), &args)?;
        if let Some(bytes) = beforehand::bytes(self.name(), &args)? {
            errand::hold(self.name(), usize::try_from(bytes).unwrap_or(usize::MAX))?;
        }
        match beforehand::work(self.name(), &args)? {
            Some(work) => self.call_in_parts(&args, &work),
            None => self.call(args),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let field = self.inner.return_field_from_args(args)?;
        match check_type(field.data_type()) {
            Some(what) => plan_err!("the type of {} {what}", self.name()),
            None => Ok(field),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(match self.inner.simplify(args, info)? {
            ExprSimplifyResult::Simplified(Expr::ScalarFunction(call)) => {
                let call = ScalarFunction { func: measured(&call.func), ..call };
                ExprSimplifyResult::Simplified(Expr::ScalarFunction(call))
            }
            other => other,
        })
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let updated = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self { inner: updated }))
    }

    // What follows is inherited too, and by nobody else.

    #[expect(deprecated, reason = "a column is called by it")]
    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.display_name(args)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    #[expect(deprecated, reason = "old functions tell it so")]
    fn is_nullable(&self, args: &[Expr], schema: &dyn ExprSchema) -> bool {
        self.inner.is_nullable(args, schema)
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn preimage(&self, args: &[Expr], literal: &Expr, info: &SimplifyContext) -> Result<PreimageResult> {
        self.inner.preimage(args, literal, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.evaluate_bounds(input)
    }

    fn propagate_constraints(&self, interval: &Interval, inputs: &[&Interval]) -> Result<Option<Vec<Interval>>> {
        self.inner.propagate_constraints(interval, inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.preserves_lex_ordering(inputs)
    }

    fn strictly_order_preserving(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.strictly_order_preserving(inputs)
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.struct_field_mapping(literals)
    }

    fn placement(&self, args: &[ExpressionPlacement]) -> ExpressionPlacement {
        self.inner.placement(args)
    }
}

/// What is too large of a type, if anything is.
pub(crate) fn check_type(data_type: &DataType) -> Option<String> {
    if types_in(data_type, MOST_TYPES).is_none() {
        return Some(format!("has more than {MOST_TYPES} types within it"));
    }
    let widest = widest(data_type);
    (widest > WIDEST).then(|| format!("has {widest} bytes in each value, and {WIDEST} is the most"))
}

/// What is left of so many types after those within this one, if there are enough.
fn types_in(data_type: &DataType, enough: usize) -> Option<usize> {
    let left = enough.checked_sub(1)?;
    let fields: Vec<&FieldRef> = match data_type {
        DataType::Struct(fields) => fields.iter().collect(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field],
        DataType::Union(fields, _) => fields.iter().map(|(_, field)| field).collect(),
        DataType::Dictionary(_, values) => return types_in(values, left),
        DataType::RunEndEncoded(_, values) => vec![values],
        _ => Vec::new(),
    };
    fields.into_iter().try_fold(left, |left, field| types_in(field.data_type(), left))
}

/// The bytes of a value, as far as its type says it.
pub(crate) fn widest(data_type: &DataType) -> usize {
    match data_type {
        DataType::FixedSizeBinary(bytes) => usize::try_from(*bytes).unwrap_or(0),
        DataType::FixedSizeList(field, length) => {
            usize::try_from(*length).unwrap_or(0).saturating_mul(widest(field.data_type()).max(1))
        }
        DataType::Struct(fields) => fields.iter().map(|field| widest(field.data_type())).fold(0, usize::saturating_add),
        other => other.primitive_width().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
