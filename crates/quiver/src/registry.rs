//! The steps that this command brings along: adding one is one line here.

use flight_common::Registry;

/// Every step, in the order of a pipeline.
pub fn registry() -> Registry {
    Registry::new().with(delete_columns::DeleteColumns).with(outliers::Outliers).with(load_data::LoadData)
}
