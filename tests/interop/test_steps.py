"""Every step, driven by stock pyarrow: no SDK, nothing of Quiver on this side of the wire."""

import base64
import json
import os
import unittest

import pyarrow as pa
import pyarrow.flight as flight

SEVEN = {"extract-csv", "data-quality", "delete-columns", "outliers", "clean-nan", "join", "load-data"}  # and others
PEOPLE = pa.table({
    "id": pa.array([1, 2, 3, 4], pa.int64()),
    "age": pa.array([31, None, 35, 40], pa.int64()),
    "name": pa.array(["Ann", "", None, "Zoë"]),
})


def connect():
    return flight.connect(os.environ["QUIVER_ADDRESS"])


def command(step, params=None, **more):
    return json.dumps({"step": step, "params": params or {}, **more}).encode()


def descriptor(*args, **more):
    return flight.FlightDescriptor.for_command(command(*args, **more))


def exchange(client, table, *args, **more):
    """Sends a table, and returns what comes back: the rows, and the closing report."""
    writer, reader = client.do_exchange(descriptor(*args, **more))
    with writer:
        writer.begin(table.schema)
        writer.write_table(table)
        writer.done_writing()
        batches, report = [], None
        while True:
            try:
                chunk = reader.read_chunk()
            except StopIteration:
                break
            if chunk.data is not None:
                batches.append(chunk.data)
            if chunk.app_metadata is not None:
                report = json.loads(chunk.app_metadata.to_pybytes())
        return pa.Table.from_batches(batches, reader.schema), report


class Steps(unittest.TestCase):
    def setUp(self):
        self.client = connect()
        self.addCleanup(self.client.close)

    def test_describe_tells_every_step(self):
        answers = [json.loads(one.body.to_pybytes()) for one in self.client.do_action(flight.Action("describe", b""))]
        self.assertLessEqual(SEVEN, {one["name"] for one in answers})
        for one in answers:
            self.assertIn("properties", one["params_schema"], one["name"])
        [only] = self.client.do_action(flight.Action("describe", b"outlier_detection"))
        self.assertEqual(json.loads(only.body.to_pybytes())["name"], "outliers")

    def test_actions_are_listed(self):
        self.assertEqual({one.type for one in self.client.list_actions()}, {"describe", "CancelFlightInfo"})

    def test_get_schema_plans_without_rows(self):
        schemas = {"input": base64.b64encode(PEOPLE.schema.serialize().to_pybytes()).decode()}
        planned = self.client.get_schema(descriptor("delete-columns", {"columns": ["age"]}, input_schemas=schemas))
        self.assertEqual(planned.schema.names, ["id", "name"])
        planned = self.client.get_schema(descriptor("extract-csv", {"file_path": "examples/data/hr_employees.csv"}))
        self.assertEqual(len(planned.schema), 35)

    def test_delete_columns(self):
        rows, report = exchange(self.client, PEOPLE, "delete-columns", {"columns": "age"})
        self.assertEqual(rows, PEOPLE.drop_columns(["age"]))
        self.assertEqual((report["rows_in"], report["rows_out"]), (4, 4))

    def test_outliers(self):
        table = pa.table({"x": [1.0] * 30 + [100.0, None]})
        rows, report = exchange(self.client, table, "outliers", {"column": "x"})
        self.assertEqual(rows.num_rows, 31)
        self.assertEqual(report["counters"]["outliers_removed"], 1)

    def test_outliers_are_flagged_and_clipped_by_their_quartiles(self):
        table = pa.table({"x": pa.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 30], pa.int64()), "g": ["a"] * 10})
        params = {"columns": ["x"], "method": "iqr", "group_by": ["g"]}
        flagged, _ = exchange(self.client, table, "outliers", {**params, "action": "flag"})
        self.assertEqual(flagged["x_outlier"].to_pylist(), [False] * 9 + [True])
        clipped, _ = exchange(self.client, table, "outliers", {**params, "action": "clip"})
        self.assertEqual(clipped["x"].to_pylist(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 14])
        self.assertEqual(clipped.schema, table.schema)

    def test_clean_nan_by_column(self):
        table = pa.table({"n": [1.0, None, 3.0], "s": ["a", "-", None]})
        params = {"strategies": {"n": "interpolate", "s": "ffill"}, "nulls": ["-"]}
        rows, _ = exchange(self.client, table, "clean-nan", params)
        self.assertEqual(rows.to_pydict(), {"n": [1.0, 2.0, 3.0], "s": ["a", "a", "a"]})

    def test_rows_that_break_a_rule_do_not_pass(self):
        table = pa.table({"mail": ["a@b", "nobody", None]})
        params = {"rules": {"check_pattern": {"mail": "@"}}, "on_failure": {"check_pattern": "reject"}}
        rows, report = exchange(self.client, table, "data-quality", params)
        self.assertEqual(rows["mail"].to_pylist(), ["a@b", None])
        self.assertEqual(report["counters"]["rows_rejected"], 1)

    def test_clean_nan_keeps_types(self):
        table = pa.table({"n": pa.array([2**53 + 1, None, 5], pa.int64())})
        rows, _ = exchange(self.client, table, "clean-nan", {"strategy": "drop"})
        self.assertEqual(rows, pa.table({"n": pa.array([2**53 + 1, 5], pa.int64())}))
        rows, _ = exchange(self.client, table, "clean-nan", {"strategy": "fill_value", "fill_value": 2**53 + 1})
        self.assertEqual(rows["n"].to_pylist(), [2**53 + 1, 2**53 + 1, 5])

    def test_data_quality_passes_rows_through_and_reports(self):
        rows, report = exchange(self.client, PEOPLE, "data-quality", {"rules": {"min_rows": 10}})
        self.assertEqual(rows, PEOPLE)
        self.assertEqual(report["counters"]["checks_failed"], 1)

    def test_a_failed_gate_is_an_invalid_argument(self):
        with self.assertRaisesRegex(pa.ArrowInvalid, "min_rows"):
            exchange(self.client, PEOPLE, "data-quality", {"rules": {"min_rows": 10}, "fail_on_errors": True})

    def test_join_takes_its_second_input_by_do_put(self):
        cities = pa.table({"id": pa.array([1, 3], pa.int64()), "city": ["Porto", "Oslo"]})
        staged = flight.FlightDescriptor.for_command(command("join", exchange_id="interop-1", input="right"))
        writer, _ = self.client.do_put(staged, cities.schema)
        writer.write_table(cities)
        writer.close()
        rows, _ = exchange(self.client, PEOPLE, "join", {"join_key": "id"}, exchange_id="interop-1")
        self.assertEqual(sorted(rows["city"].to_pylist()), ["Oslo", "Porto"])
        self.assertEqual(rows.schema.names, ["id", "age", "name", "city"])

    def test_sql_takes_inputs_under_names_of_the_callers(self):
        query = "SELECT p.name, c.city FROM people AS p JOIN cities AS c USING (id) WHERE p.age > 30 ORDER BY id"
        cities = pa.table({"id": pa.array([1, 4], pa.int64()), "city": ["Porto", "Oslo"]})
        schemas = {
            name: base64.b64encode(table.schema.serialize().to_pybytes()).decode()
            for name, table in [("people", PEOPLE), ("cities", cities)]
        }
        planned = self.client.get_schema(descriptor("sql", {"query": query}, input_schemas=schemas))
        staged = flight.FlightDescriptor.for_command(command("sql", exchange_id="interop-sql", input="cities"))
        writer, _ = self.client.do_put(staged, cities.schema)
        writer.write_table(cities)
        writer.close()
        names = ["people", "cities"]
        rows, report = exchange(self.client, PEOPLE, "sql", {"query": query}, exchange_id="interop-sql", inputs=names)
        self.assertEqual(rows, pa.table({"name": ["Ann", "Zoë"], "city": ["Porto", "Oslo"]}))
        self.assertEqual(rows.schema, planned.schema)
        self.assertEqual(report["counters"], {"rows_people": 4, "rows_cities": 2})
        rows, _ = exchange(self.client, PEOPLE, "sql", {"query": "SELECT count(*) AS n FROM input"})
        self.assertEqual(rows["n"].to_pylist(), [4])
        with self.assertRaisesRegex(pa.ArrowInvalid, "age"):
            exchange(self.client, PEOPLE, "sql", {"query": "SELECT agee FROM input"})

    def test_rows_that_break_a_rule_are_fetched_by_do_get(self):
        params = {"rules": {"check_not_null": ["age"]}, "on_failure": {"check_not_null": "reject"}}
        more = {"exchange_id": "rejects-of-python"}
        rows, report = exchange(self.client, PEOPLE, "data-quality", params, outputs=["rejected"], **more)
        self.assertEqual(rows["id"].to_pylist(), [1, 3, 4])
        ticket = flight.Ticket(command("data-quality", output="rejected", **more))
        rejected = self.client.do_get(ticket).read_all()
        self.assertEqual(rejected["id"].to_pylist(), [2])
        self.assertIn("age", rejected["reject_reason"][0].as_py())
        with self.assertRaisesRegex(pa.ArrowKeyError, "waits to be fetched"):
            self.client.do_get(ticket).read_all()

    def test_an_extract_is_read_by_do_get(self):
        ticket = flight.Ticket(command("extract-csv", {"file_path": "examples/data/hr_employees.csv"}))
        rows = self.client.do_get(ticket).read_all()
        self.assertEqual((rows.num_rows, rows.num_columns), (500, 35))
        self.assertEqual(rows.schema.field("Age").type, pa.int64())
        info = self.client.get_flight_info(descriptor("extract-csv", {"file_path": "examples/data/hr_employees.csv"}))
        self.assertEqual(self.client.do_get(info.endpoints[0].ticket).read_all(), rows)

    def test_files_of_folders_are_one_table_of_the_wanted_rows(self):
        params = {"file_path": "examples/data/visits/month=*/*.ndjson", "select": ["site", "visitors", "month"],
                  "where": "month = 2 AND visitors >= 200"}
        rows = self.client.do_get(flight.Ticket(command("extract-file", params))).read_all()
        self.assertEqual(rows.schema.names, ["site", "visitors", "month"])
        self.assertEqual((rows.num_rows, sum(rows["visitors"].to_pylist())), (46, 13619))
        with self.assertRaisesRegex(pa.ArrowInvalid, "visitors"):
            self.client.get_schema(descriptor("extract-file", {**params, "where": "visitor > 1"}))

    def test_a_load_takes_rows_by_do_put_and_gives_a_receipt(self):
        writer, results = self.client.do_put(
            descriptor("load-data", {"format": "parquet", "dataset_name": "interop"}, run_id="r1"), PEOPLE.schema)
        writer.write_table(PEOPLE)
        writer.done_writing()
        receipt = json.loads(results.read().to_pybytes())["receipt"]
        writer.close()
        self.assertEqual((receipt["rows"], receipt["format"]), (4, "parquet"))
        import pyarrow.parquet
        written = pyarrow.parquet.read_table(os.path.join(os.environ["QUIVER_DATA_ROOT"], receipt["path"]))
        self.assertEqual(written, PEOPLE)

    def test_errors_are_the_right_exceptions(self):
        cases = [
            (pa.ArrowInvalid, "outliers", {"colum": "age"}, "did you mean"),
            (pa.ArrowInvalid, "outliers", {"column": "agee"}, "age"),
            (pa.ArrowInvalid, "outliers", {"column": "name"}, "name"),
            (KeyError, "outlierz", {}, "outliers"),
        ]
        for kind, step, params, text in cases:
            with self.subTest(step=step, params=params), self.assertRaisesRegex(kind, text):
                exchange(self.client, PEOPLE, step, params)
        # Calls without a stream lose the class on pyarrow's side, and keep the word.
        with self.assertRaisesRegex((flight.FlightUnauthorizedError, OSError), "outside the data root"):
            self.client.get_schema(descriptor("extract-csv", {"file_path": "../outside.csv"}))
        with self.assertRaises(KeyError):
            self.client.get_schema(descriptor("extract-csv", {"file_path": "missing.csv"}))

    def test_garbage_is_refused_and_the_service_goes_on(self):
        for garbage in [b"", b"{", b"\xff\xfe", b"[]", b'{"step": 1}']:
            with self.subTest(garbage=garbage), self.assertRaises(pa.ArrowInvalid):
                writer, reader = self.client.do_exchange(flight.FlightDescriptor.for_command(garbage))
                with writer:
                    writer.begin(PEOPLE.schema)
                    writer.done_writing()
                    reader.read_all()
        with self.assertRaises(pa.ArrowInvalid):
            writer, reader = self.client.do_exchange(flight.FlightDescriptor.for_path("no", "command"))
            with writer:
                writer.begin(PEOPLE.schema)
                writer.done_writing()
                reader.read_all()
        self.test_delete_columns()

    def test_dictionary_view_and_compressed_bodies_are_read(self):
        words = ["a", None, "a long text that no view holds inline"]
        table = pa.table({"d": pa.array(words).dictionary_encode(), "v": pa.array(words, pa.string_view()), "x": [1, 2, 3]})
        plain = pa.table({"d": words, "v": words})
        for codec in [None, "lz4", "zstd"]:
            options = flight.FlightCallOptions(write_options=pa.ipc.IpcWriteOptions(compression=codec))
            writer, reader = self.client.do_exchange(descriptor("delete-columns", {"columns": "x"}), options)
            with writer, self.subTest(codec=codec):
                writer.begin(table.schema)
                writer.write_table(table)
                writer.done_writing()
                self.assertEqual(reader.read_all(), plain)

    def test_a_client_that_writes_everything_before_it_reads_does_not_hang(self):
        table = pa.table({"a": pa.array(range(3_000_000), pa.int64()), "b": pa.array(range(3_000_000), pa.int64()), "x": [0] * 3_000_000})
        rows, report = exchange(self.client, table, "delete-columns", {"columns": "x"})
        self.assertEqual(rows.num_rows, 3_000_000)
        self.assertEqual(report["rows_out"], 3_000_000)

    def test_a_client_that_vanishes_leaves_the_service_well(self):
        client = connect()
        writer, _ = client.do_exchange(descriptor("outliers", {"column": "a"}))
        writer.begin(pa.schema([("a", pa.int64())]))
        writer.write_batch(pa.record_batch({"a": [1, 2, 3]}))
        del writer
        client.close()
        self.test_outliers()

    def test_a_stream_without_rows_has_the_planned_schema(self):
        rows, report = exchange(self.client, PEOPLE.slice(0, 0), "outliers", {"column": "age"})
        self.assertEqual(rows, PEOPLE.slice(0, 0))
        self.assertEqual(report["rows_in"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
