//! `extract-excel` keeps the contract of steps.

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int64Type};
use extract_excel::ExtractExcel;
use flight_common::testing::contract::{ContractCase, assert_kept};
use rust_xlsxwriter::Workbook;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_is_kept() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut book = Workbook::new();
    let sheet = book.add_worksheet_with_constant_memory()?;
    for (column, name) in ["id", "name", "amount"].into_iter().enumerate() {
        sheet.write(0, column as u16, name)?;
    }
    for row in 0..20_000u32 {
        sheet.write(row + 1, 0, row)?;
        match row {
            0 => {}
            1 => drop(sheet.write(2, 1, "007")?),
            _ => drop(sheet.write(row + 1, 1, format!("a rather, long\nname {row}"))?),
        }
        if row > 1 {
            sheet.write(row + 1, 2, f64::from(row) + 0.5)?;
        }
    }
    book.save(folder.path().join("rows.xlsx"))?;

    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let case = ContractCase::new(json!({"file_path": "rows.xlsx"}), readme).data_root(folder.path());
    let case = case.memory(16 << 20).keeps_apart(|_, output| {
        let (names, amounts) = (output["name"].as_string::<i32>(), output["amount"].as_primitive::<Float64Type>());
        let ids = output["id"].as_primitive::<Int64Type>();
        let kept = names.is_null(0)
            && names.value(1) == "007"
            && amounts.null_count() == 2
            && ids.values().iter().copied().eq(0..20_000);
        if kept { Ok(()) } else { Err(format!("the first rows are {:?}", output.slice(0, 3))) }
    });
    assert_kept(ExtractExcel, case).await;
    Ok(())
}
