//! Which kept output a name means, and its rows as a table.

use super::super::kept::{columns_of, rows_of};
use super::Engine;
use super::query::CATALOG;
use crate::service::Service;
use crate::store::KeptOutput;
use arrow::datatypes::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemorySchemaProvider, SchemaProvider, Session, TableProvider};
use datafusion::common::TableReference;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::SessionContext;
use flight_common::wire::outward;
use flight_common::{BatchStream, Fault, MemoryBudget, OUTPUT};
use futures::{StreamExt, TryStreamExt};
use queries::{WorkingMemory, into_error};
use std::fmt;
use std::sync::Arc;

/// A kept output as it is listed: under the name of its pipeline, where it is the newest of its step.
pub(super) struct Listed {
    pub schema: String,
    pub table: String,
    pub kept: KeptOutput,
}

/// A table that a query reads.
pub(super) struct Registered {
    pub columns: SchemaRef,
    /// The bytes of a row in its file, on average.
    pub row_bytes: usize,
    /// The bytes of its file.
    pub bytes: usize,
}

impl Engine {
    /// Every table, by the pipelines' names: the newest kept output of each step.
    pub(super) async fn listed(&self) -> Result<Vec<Listed>, Fault> {
        let newest = self.service.store().newest_kept(None).await?;
        let newest = newest.into_iter().map(|(schema, kept)| Listed { schema, table: table_name(&kept), kept });
        let mut listed: Vec<Listed> = newest.collect();
        listed.sort_by(|a, b| (&a.schema, &a.table).cmp(&(&b.schema, &b.table)));
        Ok(listed)
    }

    /// Makes a table that a query names known to its session.
    pub(super) async fn register(&self, context: &SessionContext, name: &TableReference) -> Result<Registered, Fault> {
        let missing = |what: String| Fault::not_found(what).help(how_to_name(name));
        let Some(schema) = name.schema() else {
            return Err(missing(format!("the table {} needs a schema", name.table())));
        };
        let kept = self.find(schema, name.table()).await?;
        let kept = kept.ok_or_else(|| missing(format!("{schema} has kept no output {}", name.table())))?;
        let bytes = usize::try_from(kept.bytes).unwrap_or(usize::MAX);
        let row_bytes = bytes / usize::try_from(kept.rows).unwrap_or(0).max(1);
        let tables = tables_of(context, schema)?;
        if let Some(table) = tables.table(name.table()).await.map_err(queries::fault)? {
            return Ok(Registered { columns: table.schema(), row_bytes, bytes });
        }
        let table = self.table(&kept).await?;
        let columns = table.schema();
        tables.register_table(name.table().to_owned(), table).map_err(queries::fault)?;
        Ok(Registered { columns, row_bytes, bytes })
    }

    /// Makes every table that is listed known to a session: for a query about the tables themselves.
    pub(super) async fn register_all(&self, context: &SessionContext) -> Result<(), Fault> {
        for one in self.listed().await? {
            let tables = tables_of(context, &one.schema)?;
            // It may have expired meanwhile.
            let Ok(table) = self.table(&one.kept).await else { continue };
            if !tables.table_exist(&one.table) {
                tables.register_table(one.table, table).map_err(queries::fault)?;
            }
        }
        Ok(())
    }

    async fn find(&self, schema: &str, table: &str) -> Result<Option<KeptOutput>, Fault> {
        let store = self.service.store();
        let mut all = store.kept(schema).await?;
        all.extend(store.newest_kept(Some(schema)).await?.into_iter().map(|(_, kept)| kept));
        // Steps may differ in case alone.
        let exact = all.iter().position(|kept| table_name(kept) == table);
        let found = exact.or_else(|| all.iter().position(|kept| table_name(kept).eq_ignore_ascii_case(table)));
        Ok(found.map(|place| all.swap_remove(place)))
    }

    async fn table(&self, kept: &KeptOutput) -> Result<Arc<dyn TableProvider>, Fault> {
        let schema = self.schema_of(kept).await?;
        let (service, kept, memory) = (self.service.clone(), kept.clone(), self.space.budget().clone());
        let part = Rows { schema: schema.clone(), service, kept, memory };
        let rows = StreamingTable::try_new(schema, vec![Arc::new(part)]).map_err(queries::fault)?;
        Ok(Arc::new(KeptTable(rows)))
    }

    /// The columns of a kept output, as clients see them.
    pub(super) async fn schema_of(&self, kept: &KeptOutput) -> Result<SchemaRef, Fault> {
        columns_of(&self.service, kept, self.space.budget()).await
    }
}

/// The tables of a schema of a session, which is made if it is not there.
fn tables_of(context: &SessionContext, schema: &str) -> Result<Arc<dyn SchemaProvider>, Fault> {
    let catalog = context.catalog(CATALOG).ok_or_else(|| Fault::internal("a session without its catalog"))?;
    if let Some(tables) = catalog.schema(schema) {
        return Ok(tables);
    }
    let tables: Arc<dyn SchemaProvider> = Arc::new(MemorySchemaProvider::new());
    catalog.register_schema(schema, tables.clone()).map_err(queries::fault)?;
    Ok(tables)
}

/// A table is called after its step, a further output after both: `quality.rejected`.
fn table_name(kept: &KeptOutput) -> String {
    match kept.output.as_str() {
        main if main == OUTPUT[0] => kept.step.clone(),
        further => format!("{}.{further}", kept.step),
    }
}

/// How a table is to be named, for who has named one that there is not.
fn how_to_name(name: &TableReference) -> String {
    let (schema, table) = (name.schema().unwrap_or_default(), name.table());
    // As paths of Flight begin, or as people speak of a run.
    let run = schema.strip_prefix("runs/").or_else(|| schema.strip_prefix("run ")).map(str::trim);
    if let Some(id) = run.filter(|id| !id.is_empty()) {
        return format!("a run is named by its id alone, as in \"{id}\".\"{table}\"");
    }
    let files = if names_a_file(table) { "files are not read here: " } else { "" };
    format!("{files}name a table as \"pipeline\".\"step\", or that of one run as \"<id of the run>\".\"step\"")
}

/// Whether a table is called as a file is, or as a function that reads files elsewhere.
fn names_a_file(table: &str) -> bool {
    const FORMATS: [&str; 12] =
        ["arrow", "avro", "blob", "csv", "delta", "iceberg", "json", "jsonl", "ndjson", "parquet", "text", "xlsx"];
    let table = table.to_ascii_lowercase();
    let ending = table.rsplit_once('.').map(|(_, ending)| ending);
    let read = table.strip_prefix("read_").and_then(|rest| rest.split('_').next());
    let format = ending.or(read).or(table.strip_suffix("_scan"));
    table.contains(['/', '\\']) || format.is_some_and(|format| FORMATS.contains(&format))
}

/// A kept output as a table. DataFusion lists what streams as a view, and drivers are told of tables.
#[derive(Debug)]
struct KeptTable(StreamingTable);

#[tonic::async_trait]
impl TableProvider for KeptTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        self.0.scan(state, projection, filters, limit).await
    }
}

/// The rows of a kept output, read anew for each query.
struct Rows {
    schema: SchemaRef,
    service: Service,
    kept: KeptOutput,
    memory: MemoryBudget,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kept.fmt(f)
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, task: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (service, kept, memory) = (self.service.clone(), self.kept.clone(), self.memory.clone());
        let schema = self.schema.clone();
        let most = WorkingMemory::new(&memory).most();
        let opened = async move { rows_of(&service, &kept, &memory).await };
        let rows = futures::stream::once(opened).try_flatten();
        let rows = rows.map(move |batch| batch.and_then(|batch| outward(&batch, &schema)));
        let rows =
            queries::shaped(BatchStream::new(self.schema.clone(), rows), most).map(|batch| batch.map_err(into_error));
        queries::cut(rows, self.schema.clone(), &task)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_what_reads_them_are_told_by_their_names() {
        for name in ["/etc/passwd", "in/orders", "orders.CSV", "read_csv", "read_json_auto", "parquet_scan"] {
            assert!(names_a_file(name), "{name}");
        }
        for name in ["orders", "read_customers", "quality.rejected", "csv"] {
            assert!(!names_a_file(name), "{name}");
        }
    }
}
