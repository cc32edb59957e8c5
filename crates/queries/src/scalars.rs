//! `(SELECT …)` as a value, which is null where the query has no row. DataFusion (55.2) takes it for a value that is never null if the
//! column of the query is, and answers `IS NULL` and `coalesce` by that.

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, internal_err};
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// Puts [`Perhaps`] around such queries.
#[derive(Debug)]
pub struct NoRowIsNull;

impl FunctionRewrite for NoRowIsNull {
    fn name(&self) -> &str {
        "no_row_is_null"
    }

    fn rewrite(&self, expr: Expr, _schema: &DFSchema, _config: &ConfigOptions) -> Result<Transformed<Expr>> {
        let never_null = match &expr {
            Expr::ScalarSubquery(query) => query.subquery.schema().fields().iter().any(|field| !field.is_nullable()),
            _ => false,
        };
        Ok(match never_null {
            true => Transformed::yes(ScalarUDF::from(Perhaps::new()).call(vec![expr])),
            false => Transformed::no(expr),
        })
    }
}

/// A value that may be null.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Perhaps {
    signature: Signature,
}

impl Perhaps {
    fn new() -> Self {
        Self { signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for Perhaps {
    fn name(&self) -> &str {
        "perhaps"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types[0].clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let [value] = args.arg_fields else { return internal_err!("perhaps of other than one value") };
        Ok(Arc::new(Field::new(self.name(), value.data_type().clone(), true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Ok([value]) = <[ColumnarValue; 1]>::try_from(args.args) else {
            return internal_err!("perhaps of other than one value");
        };
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{MEMORY, number, within};

    #[tokio::test]
    async fn a_query_without_a_row_is_null() {
        for (sql, expected) in [
            ("SELECT count(*) FROM t WHERE n < 5 AND (SELECT 1 FROM t WHERE n = -1) IS NULL", 5),
            ("SELECT count(*) FROM t WHERE (SELECT 1 FROM t WHERE n = -1) IS NOT NULL", 0),
            ("SELECT count(*) FROM t WHERE n < 5 AND coalesce((SELECT 1 FROM t WHERE n = -1), 7) = 7", 5),
            ("SELECT coalesce((SELECT 1 WHERE false), 3)", 3),
            ("SELECT sum(CASE WHEN (SELECT 2 FROM t WHERE n = -1) IS NULL THEN 1 ELSE 0 END) FROM t WHERE n < 5", 5),
            (
                "SELECT count(*) FROM t WHERE n < 9 AND (SELECT count(*) FROM t AS i WHERE i.n = t.n + 19995 \
                 HAVING count(*) > 0) IS NULL",
                4,
            ),
            ("SELECT count(*) FROM t WHERE n < 9 AND (SELECT count(*) FROM t AS i WHERE i.n = t.n + 19995) = 0", 4),
            ("SELECT max((SELECT max(n) FROM t)) FROM t", 19_999),
        ] {
            assert_eq!(number(&within(MEMORY, sql)).await, expected, "{sql}");
        }
    }
}
