//! The steps that this command brings along: adding one is one line here.

use flight_common::Registry;

/// Every step, in the order of a pipeline.
pub fn registry() -> Registry {
    Registry::new()
        .with(extract_csv::ExtractCsv)
        .with(extract_file::ExtractFile)
        .with(extract_sql::ExtractSql::default())
        .with(extract_api::ExtractApi::default())
        .with(extract_excel::ExtractExcel)
        .with(data_quality::DataQuality)
        .with(delete_columns::DeleteColumns)
        .with(outliers::Outliers)
        .with(clean_nan::CleanNan)
        .with(join::Join)
        .with(sql::Sql)
        .with(llm_complete::LlmComplete::from_env())
        .with(load_data::LoadData)
        .with(load_sql::LoadSql::default())
}
