"""Extracts from files, and the load that writes them, driven by stock pyarrow. Files are written by others, and read by others."""

import datetime
import decimal
import json
import os
import unittest

import fastavro
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.flight as flight
import pyarrow.parquet

from common import PEOPLE, StepTests, command, exchange, put, under_root

UTC = datetime.timezone.utc
# What is easily lost on the way.
AWKWARD = pa.table({
    "big": pa.array([2**53 + 1, None], pa.int64()),
    "price": pa.array([decimal.Decimal("12345678901234567890123456.12"), None], pa.decimal128(38, 2)),
    "at": pa.array([datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC), None], pa.timestamp("us", "UTC")),
    "day": pa.array([datetime.date(1900, 2, 28), None], pa.date32()),
    "raw": pa.array([b"\x00\xff", None], pa.binary()),
    "tags": pa.array([["a", None], None], pa.list_(pa.string())),
    "zip": pa.array(["01067", "😀"]),
    "a.b": pa.array([True, None], pa.bool_()),
})


def folder(name):
    path = under_root(name)
    os.makedirs(path, exist_ok=True)
    return path


class Csv(StepTests):
    def test_a_ticket_reads_it(self):
        self.describes("extract-csv", "extract", "file_path", "types", "delimiter")
        params = {"file_path": "examples/data/hr_employees.csv"}
        rows = self.read("extract-csv", params)
        self.assertEqual((rows.num_rows, rows.num_columns), (500, 35))
        self.assertEqual(rows.schema.field("Age").type, pa.int64())
        self.assertEqual(self.client.do_get(flight.Ticket(command("extract-csv", params))).read_all(), rows)
        with self.assertRaisesRegex(KeyError, "missing.csv"):
            self.read("extract-csv", {"file_path": "missing.csv"})


class File(StepTests):
    def test_types_of_parquet_and_arrow_are_kept(self):
        self.describes("extract-file", "extract", "file_path", "format", "select", "where")
        target = folder("python/kept")
        pa.parquet.write_table(AWKWARD, f"{target}/a.parquet")
        pa.feather.write_feather(AWKWARD, f"{target}/a.feather", compression="zstd")
        with pa.OSFile(f"{target}/a.arrows", "wb") as file, pa.ipc.new_stream(file, AWKWARD.schema) as writer:
            writer.write_table(AWKWARD)
        for name in ["a.parquet", "a.feather", "a.arrows"]:
            with self.subTest(name=name):
                rows = self.read("extract-file", {"file_path": f"python/kept/{name}"})
                # Which kind of list, and what its items are called, is up to the writer.
                self.assertEqual(rows.drop_columns(["tags"]), AWKWARD.drop_columns(["tags"]))
                self.assertEqual(rows["tags"].to_pylist(), AWKWARD["tags"].to_pylist())

    def test_json_in_lines_and_in_a_list(self):
        records = [{"id": 2**53 + 1, "tags": ["a"], "at": {"x": 1.5}}, {"id": None, "name": "Zoë"}]
        target = folder("python/json")
        with open(f"{target}/a.json", "w") as file:
            json.dump(records, file)
        with open(f"{target}/a.ndjson", "w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records)
        for name in ["a.json", "a.ndjson"]:
            with self.subTest(name=name):
                rows = self.read("extract-file", {"file_path": f"python/json/{name}"})
                self.assertEqual(rows["id"].to_pylist(), [2**53 + 1, None])
                self.assertEqual(rows["name"].to_pylist(), [None, "Zoë"])
                self.assertEqual(rows["at"].to_pylist(), [{"x": 1.5}, None])

    def test_avro_by_another_writer(self):
        fields = [
            {"name": "id", "type": "long"},
            {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
            {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        ]
        records = [{"id": 2**53 + 1, "day": datetime.date(2024, 2, 29), "price": decimal.Decimal("1.50")},
                   {"id": -1, "day": None, "price": decimal.Decimal("-0.01")}]
        with open(f"{folder('python/avro')}/a.avro", "wb") as file:
            fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, records, codec="deflate")
        rows = self.read("extract-file", {"file_path": "python/avro/a.avro"})
        self.assertEqual([str(field.type) for field in rows.schema], ["int64", "date32[day]", "decimal128(10, 2)"])
        self.assertEqual(rows.to_pylist(), records)

    def test_files_of_folders_are_one_table_of_the_wanted_rows(self):
        params = {"file_path": "examples/data/visits/month=*/*.ndjson", "select": ["site", "visitors", "month"],
                  "where": "month = 2 AND visitors >= 200"}
        rows = self.read("extract-file", params)
        self.assertEqual(rows.schema.names, ["site", "visitors", "month"])
        self.assertEqual((rows.num_rows, sum(rows["visitors"].to_pylist())), (46, 13619))
        with self.assertRaisesRegex(pa.ArrowInvalid, "visitors"):
            self.read("extract-file", {**params, "where": "visitor > 1"})

    def test_folders_that_pyarrow_has_partitioned(self):
        table = pa.table({"n": range(6), "region": ["north", "south"] * 3, "year": [2023, 2023, 2024, 2024, 2024, 2024]})
        pa.parquet.write_to_dataset(table, folder("python/parts"), partition_cols=["year", "region"])
        params = {"file_path": "python/parts/**/*.parquet", "where": "region = 'north' AND year >= 2024"}
        rows = self.read("extract-file", params)
        self.assertEqual(rows.schema, pa.schema([("n", pa.int64()), ("year", pa.int64()), ("region", pa.string())]))
        self.assertEqual(rows["n"].to_pylist(), [2, 4])

    def test_what_is_damaged_or_not_there_is_told(self):
        with open(f"{folder('python/bad')}/a.parquet", "wb") as file:
            file.write(b"PAR1 and no more")
        with self.assertRaisesRegex(pa.ArrowInvalid, "a.parquet"):
            self.read("extract-file", {"file_path": "python/bad/a.parquet"})
        with self.assertRaisesRegex(KeyError, "b.parquet"):
            self.read("extract-file", {"file_path": "python/bad/b.parquet"})


class Excel(StepTests):
    def workbook(self, name, *rows, title="Staff"):
        book = openpyxl.Workbook()
        book.active.title = title
        for row in rows:
            book.active.append(row)
        book.save(f"{folder('python/sheets')}/{name}")
        return f"python/sheets/{name}"

    def test_a_sheet_of_another_writer(self):
        self.describes("extract-excel", "extract", "file_path", "sheet", "range", "types")
        path = self.workbook(
            "staff.xlsx",
            ["id", "name", "hired", "seen", "share", "zip", "active"],
            [1, "Ann", datetime.date(2024, 2, 29), datetime.datetime(2024, 2, 29, 12, 30), 0.5, "01067", True],
            [None, "Zoë 😀", None, None, 2, None, False],
        )
        rows = self.read("extract-excel", {"file_path": path})
        types = ["int64", "string", "date32[day]", "timestamp[us]", "double", "string", "bool"]
        self.assertEqual([str(field.type).replace("[ms]", "[us]") for field in rows.schema], types)
        self.assertEqual(rows["zip"].to_pylist(), ["01067", None])
        self.assertEqual(rows["hired"].to_pylist(), [datetime.date(2024, 2, 29), None])
        self.assertEqual(rows["seen"].to_pylist(), [datetime.datetime(2024, 2, 29, 12, 30), None])
        self.assertEqual(rows["name"].to_pylist(), ["Ann", "Zoë 😀"])

    def test_a_part_of_a_sheet_in_types_that_are_told(self):
        path = self.workbook("part.xlsx", ["A title"], [], ["id", "price", "note"], [1, 1.5, "x"], [2, 20, "y"], title="2024")
        params = {"file_path": path, "sheet": "2024", "range": "A3:B5", "types": {"price": "decimal(10,2)"}}
        rows = self.read("extract-excel", params)
        self.assertEqual(rows.schema, pa.schema([("id", pa.int64()), ("price", pa.decimal128(10, 2))]))
        self.assertEqual([str(price) for price in rows["price"].to_pylist()], ["1.50", "20.00"])

    def test_mistakes_name_sheet_and_cell(self):
        path = self.workbook("wrong.xlsx", ["id", "n"], [1, 1], [2, "#DIV/0!"])
        book = openpyxl.load_workbook(under_root(path))
        book.active["B3"].data_type = "e"
        book.save(under_root(path))
        with self.assertRaisesRegex(pa.ArrowInvalid, "B3"):
            self.read("extract-excel", {"file_path": path})
        with self.assertRaisesRegex((pa.ArrowInvalid, KeyError), "Staff"):
            self.read("extract-excel", {"file_path": path, "sheet": "Staf"})


class LoadData(StepTests):
    def test_rows_by_do_put_give_a_receipt_and_a_file(self):
        self.describes("load-data", "load", "format", "dataset_name")
        receipt = put(self.client, PEOPLE, "load-data", {"format": "parquet", "dataset_name": "interop"}, run_id="r1")
        self.assertEqual((receipt["rows"], receipt["format"]), (4, "parquet"))
        self.assertEqual(pyarrow.parquet.read_table(under_root(receipt["path"])), PEOPLE)

    def test_types_survive_in_parquet_and_arrow(self):
        for format, read in [("parquet", pa.parquet.read_table), ("arrow", lambda path: pa.ipc.open_file(path).read_all())]:
            with self.subTest(format=format):
                params = {"format": format, "dataset_name": "awkward"}
                receipt = put(self.client, AWKWARD, "load-data", params, run_id=f"r-{format}")
                self.assertEqual(read(under_root(receipt["path"])).to_pylist(), AWKWARD.to_pylist())

    def test_the_receipt_has_a_schema_and_comes_by_an_exchange_too(self):
        params = {"format": "csv", "dataset_name": "exchanged"}
        rows, _ = exchange(self.client, PEOPLE, "load-data", params, run_id="r2")
        self.assertEqual(rows.schema, self.planned("load-data", params, input=PEOPLE))
        self.assertEqual((rows["rows"].to_pylist(), rows["format"].to_pylist()), ([4], ["csv"]))
        with open(under_root(rows["path"][0].as_py())) as file:
            self.assertEqual(file.readline(), "id,age,name\n")

    def test_a_format_that_is_none_is_refused(self):
        self.refuses(pa.ArrowInvalid, "parquet", "load-data", {"format": "parket", "dataset_name": "x"})


if __name__ == "__main__":
    unittest.main(verbosity=2)
