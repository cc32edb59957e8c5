"""What all steps have in common on the wire: actions, planning, faults as exceptions, and callers of all manners."""

import json
import unittest

import pyarrow as pa
import pyarrow.flight as flight

from common import PEOPLE, StepTests, command, connect, descriptor, exchange

ALL = {  # and perhaps more
    "extract-csv", "extract-file", "extract-excel", "extract-sql", "extract-api",
    "sql", "join", "delete-columns", "clean-nan", "outliers", "llm-complete", "data-quality", "load-data", "load-sql",
}


class Wire(StepTests):
    def test_describe_tells_every_step(self):
        answers = [json.loads(one.body.to_pybytes()) for one in self.client.do_action(flight.Action("describe", b""))]
        self.assertLessEqual(ALL, {one["name"] for one in answers})
        for one in answers:
            self.assertIn("properties", one["params_schema"], one["name"])
            self.assertTrue(one["examples"], one["name"])
        [only] = self.client.do_action(flight.Action("describe", b"outlier_detection"))
        self.assertEqual(json.loads(only.body.to_pybytes())["name"], "outliers")

    def works(self):
        rows, _ = exchange(self.client, PEOPLE, "delete-columns", {"columns": "age"})
        self.assertEqual(rows, PEOPLE.drop_columns(["age"]))

    def test_actions_are_listed(self):
        self.assertEqual({one.type for one in self.client.list_actions()}, {"describe", "CancelFlightInfo", "permit"})

    def test_get_schema_plans_without_rows(self):
        planned = self.planned("delete-columns", {"columns": ["age"]}, input=PEOPLE)
        self.assertEqual(planned.names, ["id", "name"])
        self.assertEqual(len(self.planned("extract-csv", {"file_path": "examples/data/hr_employees.csv"})), 35)

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
        self.works()

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
        self.works()

    def test_a_stream_without_rows_has_the_planned_schema(self):
        rows, report = exchange(self.client, PEOPLE.slice(0, 0), "outliers", {"column": "age"})
        self.assertEqual(rows, PEOPLE.slice(0, 0))
        self.assertEqual(report["rows_in"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
