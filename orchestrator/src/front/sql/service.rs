//! What JDBC, ODBC and ADBC drivers ask.
//!
//! A prepared statement is in its handle: see [`super::statement`].

use super::super::PATIENCE;
use super::super::kept::messages;
use super::Engine;
use super::query::CATALOG;
use super::statement::{Statement, one_row};
use crate::access::Caller;
use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult,
    CommandGetCatalogs, CommandGetDbSchemas, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables,
    CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest, CommandStatementQuery,
    CommandStatementUpdate, DoPutPreparedStatementResult, ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{Action, FlightDescriptor, FlightEndpoint, FlightInfo, Ticket};
use flight_common::wire::{decode_messages, schema_to_bytes};
use flight_common::{BatchStream, Fault};
use futures::StreamExt;
use prost::Message;
use std::sync::Arc;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

type Rows<T> = Result<Response<<T as FlightService>::DoGetStream>, Status>;

/// What Flight says of rows that are had by this ticket.
fn info(
    schema: &SchemaRef,
    ticket: Vec<u8>,
    request: Request<FlightDescriptor>,
) -> Result<Response<FlightInfo>, Status> {
    let ticket = Some(Ticket { ticket: ticket.into() });
    Ok(Response::new(FlightInfo {
        schema: schema_to_bytes(schema)?,
        flight_descriptor: Some(request.into_inner()),
        endpoint: vec![FlightEndpoint { ticket, ..FlightEndpoint::default() }],
        total_records: -1,
        total_bytes: -1,
        ..FlightInfo::default()
    }))
}

fn one(batch: RecordBatch) -> Rows<Engine> {
    let rows = BatchStream::once(batch.schema(), std::future::ready(Ok(batch)));
    Ok(Response::new(messages(rows).boxed()))
}

fn only_read() -> Status {
    Fault::denied("kept outputs can only be read").into()
}

/// The one row of values that a client sends.
async fn row(messages: PeekableFlightDataStream) -> Result<RecordBatch, Fault> {
    let late = |_| Fault::timed_out(format!("no row came for {} s", PATIENCE.as_secs()));
    let mut rows = timeout(PATIENCE, decode_messages(messages)).await.map_err(late)??;
    let mut found: Option<RecordBatch> = None;
    while let Some(batch) = timeout(PATIENCE, rows.next()).await.map_err(late)?.transpose()? {
        if found.replace(batch).is_some() {
            return Err(one_row());
        }
    }
    Ok(found.unwrap_or_else(|| RecordBatch::new_empty(rows.schema())))
}

fn table_types() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("table_type", DataType::Utf8, false)]))
}

fn internal(error: impl std::fmt::Display) -> Status {
    Fault::internal(error).into()
}

#[tonic::async_trait]
impl FlightSqlService for Engine {
    type FlightService = Self;

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = self.columns(&Statement::new(&*query.query)).await?;
        let ticket = TicketStatementQuery { statement_handle: query.query.into() };
        info(&schema, ticket.as_any().encode_to_vec(), request)
    }

    async fn do_get_statement(&self, ticket: TicketStatementQuery, request: Request<Ticket>) -> Rows<Self> {
        let rows = self.run(&Statement::of_handle(&ticket.statement_handle)?, &Caller::known(&request)?).await?;
        Ok(Response::new(messages(rows).boxed()))
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let (schema, parameters) = self.prepared(&query.query).await?;
        Ok(ActionCreatePreparedStatementResult {
            prepared_statement_handle: query.query.into(),
            dataset_schema: schema_to_bytes(&schema)?,
            parameter_schema: schema_to_bytes(&parameters)?,
        })
    }

    async fn do_action_close_prepared_statement(
        &self,
        _query: ActionClosePreparedStatementRequest,
        _request: Request<Action>,
    ) -> Result<(), Status> {
        Ok(())
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = self.columns(&Statement::of_handle(&query.prepared_statement_handle)?).await?;
        info(&schema, query.as_any().encode_to_vec(), request)
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Rows<Self> {
        let rows =
            self.run(&Statement::of_handle(&query.prepared_statement_handle)?, &Caller::known(&request)?).await?;
        Ok(Response::new(messages(rows).boxed()))
    }

    async fn do_put_statement_update(
        &self,
        _ticket: CommandStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(only_read())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let statement = Statement::of_handle(&query.prepared_statement_handle)?;
        let bound = statement.bind(row(request.into_inner()).await?)?;
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(bound.handle()?) })
    }

    async fn do_put_prepared_statement_update(
        &self,
        _query: CommandPreparedStatementUpdate,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(only_read())
    }

    async fn do_put_statement_ingest(
        &self,
        _ticket: CommandStatementIngest,
        _request: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        Err(only_read())
    }

    async fn get_flight_info_catalogs(
        &self,
        query: CommandGetCatalogs,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.into_builder().schema(), query.as_any().encode_to_vec(), request)
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _request: Request<Ticket>) -> Rows<Self> {
        let mut found = query.into_builder();
        found.append(CATALOG);
        one(found.build().map_err(internal)?)
    }

    async fn get_flight_info_schemas(
        &self,
        query: CommandGetDbSchemas,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.clone().into_builder().schema(), query.as_any().encode_to_vec(), request)
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _request: Request<Ticket>) -> Rows<Self> {
        let mut found = query.into_builder();
        let mut schemas: Vec<String> = self.listed().await?.into_iter().map(|one| one.schema).collect();
        schemas.dedup();
        schemas.iter().for_each(|schema| found.append(CATALOG, schema));
        one(found.build().map_err(internal)?)
    }

    async fn get_flight_info_tables(
        &self,
        query: CommandGetTables,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&query.clone().into_builder().schema(), query.as_any().encode_to_vec(), request)
    }

    async fn do_get_tables(&self, query: CommandGetTables, _request: Request<Ticket>) -> Rows<Self> {
        let mut found = query.into_builder();
        for one in self.listed().await? {
            // It may have expired meanwhile.
            let Ok(schema) = self.schema_of(&one.kept).await else { continue };
            found.append(CATALOG, one.schema, one.table, "TABLE", &schema).map_err(internal)?;
        }
        one(found.build().map_err(internal)?)
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        info(&table_types(), query.as_any().encode_to_vec(), request)
    }

    async fn do_get_table_types(&self, _query: CommandGetTableTypes, _request: Request<Ticket>) -> Rows<Self> {
        let types = Arc::new(StringArray::from(vec!["TABLE"]));
        one(RecordBatch::try_new(table_types(), vec![types]).map_err(internal)?)
    }

    async fn get_flight_info_sql_info(
        &self,
        query: CommandGetSqlInfo,
        request: Request<FlightDescriptor>,
    ) -> Result<Response<FlightInfo>, Status> {
        let schema = query.clone().into_builder(&self.about).schema();
        info(&schema, query.as_any().encode_to_vec(), request)
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _request: Request<Ticket>) -> Rows<Self> {
        one(query.into_builder(&self.about).build().map_err(internal)?)
    }

    async fn register_sql_info(&self, _id: i32, _result: &SqlInfo) {}
}
