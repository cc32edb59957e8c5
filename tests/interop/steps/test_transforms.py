"""Transforms and checks, driven by stock pyarrow."""

import json
import unittest

import pyarrow as pa
import pyarrow.flight as flight

from common import PEOPLE, StepTests, command, descriptor, exchange, http_server, schema_text, stage, under_root


class Transforms(StepTests):
    def test_delete_columns(self):
        self.describes("delete-columns", "transform", "columns", "missing")
        rows, report = exchange(self.client, PEOPLE, "delete-columns", {"columns": "age"})
        self.assertEqual(rows, PEOPLE.drop_columns(["age"]))
        self.assertEqual((report["rows_in"], report["rows_out"]), (4, 4))
        self.refuses(pa.ArrowInvalid, 'did you mean "age"', "delete-columns", {"columns": "agee"})

    def test_outliers_by_z_score(self):
        self.describes("outliers", "transform", "column", "columns", "method", "action", "group_by")
        table = pa.table({"x": [1.0] * 30 + [100.0, None]})
        rows, report = exchange(self.client, table, "outliers", {"column": "x"})
        self.assertEqual(rows.num_rows, 31)
        self.assertEqual(report["counters"]["outliers_removed"], 1)
        self.refuses(pa.ArrowInvalid, "z_threshold", "outliers", {"column": "age", "z_threshold": 0})

    def test_outliers_are_flagged_and_clipped_by_their_quartiles(self):
        table = pa.table({"x": pa.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 30], pa.int64()), "g": ["a"] * 10})
        params = {"columns": ["x"], "method": "iqr", "group_by": ["g"]}
        flagged, _ = exchange(self.client, table, "outliers", {**params, "action": "flag"})
        self.assertEqual(flagged["x_outlier"].to_pylist(), [False] * 9 + [True])
        clipped, _ = exchange(self.client, table, "outliers", {**params, "action": "clip"})
        self.assertEqual(clipped["x"].to_pylist(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 14])
        self.assertEqual(clipped.schema, table.schema)

    def test_outliers_of_each_group_by_its_median(self):
        table = pa.table({"g": ["a"] * 6 + ["b"] * 6, "x": [1.0, 2, 3, 4, 5, 90, 100, 101, 102, 103, 104, 2]})
        rows, report = exchange(self.client, table, "outliers", {"columns": ["x"], "method": "mad", "group_by": ["g"]})
        self.assertEqual(rows["x"].to_pylist(), [1.0, 2, 3, 4, 5, 100, 101, 102, 103, 104])
        self.assertEqual(report["counters"]["outliers_removed"], 2)

    def test_clean_nan_by_column(self):
        self.describes("clean-nan", "transform", "strategy", "strategies", "nulls", "fill_value")
        table = pa.table({"n": [1.0, None, 3.0], "s": ["a", "-", None]})
        params = {"strategies": {"n": "interpolate", "s": "ffill"}, "nulls": ["-"]}
        rows, _ = exchange(self.client, table, "clean-nan", params)
        self.assertEqual(rows.to_pydict(), {"n": [1.0, 2.0, 3.0], "s": ["a", "a", "a"]})

    def test_clean_nan_fills_with_means_medians_modes_and_neighbours(self):
        column = pa.array([4, None, 2, 2, 9, None], pa.int64())
        expected = {
            "fill_mean": [4, 4, 2, 2, 9, 4],
            "fill_median": [4, 3, 2, 2, 9, 3],
            "fill_mode": [4, 2, 2, 2, 9, 2],
            "ffill": [4, 4, 2, 2, 9, 9],
            "bfill": [4, 2, 2, 2, 9, None],
            "interpolate": [4, 3, 2, 2, 9, None],
            "keep": [4, None, 2, 2, 9, None],
        }
        for strategy, values in expected.items():
            with self.subTest(strategy=strategy):
                rows, _ = exchange(self.client, pa.table({"n": column}), "clean-nan", {"strategy": strategy})
                self.assertEqual(rows, pa.table({"n": pa.array(values, pa.int64())}))
        self.refuses(pa.ArrowInvalid, '"name".* not a number', "clean-nan", {"strategies": {"name": "interpolate"}})

    def test_clean_nan_keeps_types(self):
        table = pa.table({"n": pa.array([2**53 + 1, None, 5], pa.int64())})
        rows, _ = exchange(self.client, table, "clean-nan", {"strategy": "drop"})
        self.assertEqual(rows, pa.table({"n": pa.array([2**53 + 1, 5], pa.int64())}))
        rows, _ = exchange(self.client, table, "clean-nan", {"strategy": "fill_value", "fill_value": 2**53 + 1})
        self.assertEqual(rows["n"].to_pylist(), [2**53 + 1, 2**53 + 1, 5])

    def test_join_takes_its_second_input_by_do_put(self):
        self.describes("join", "transform", "join_key", "join_type")
        cities = pa.table({"id": pa.array([1, 3], pa.int64()), "city": ["Porto", "Oslo"]})
        stage(self.client, cities, "join", exchange_id="interop-1", input="right")
        rows, _ = exchange(self.client, PEOPLE, "join", {"join_key": "id"}, exchange_id="interop-1")
        self.assertEqual(sorted(rows["city"].to_pylist()), ["Oslo", "Porto"])
        self.assertEqual(rows.schema.names, ["id", "age", "name", "city"])
        self.assertEqual(self.planned("join", {"join_key": "id"}, left=PEOPLE, right=cities), rows.schema)


class Sql(StepTests):
    CITIES = pa.table({"id": pa.array([1, 4], pa.int64()), "city": ["Porto", "Oslo"]})
    JOINED = "SELECT p.name, c.city FROM people AS p JOIN cities AS c USING (id) WHERE p.age > 30 ORDER BY id"

    def test_one_input_is_a_table(self):
        self.describes("sql", "transform", "query")
        query = "SELECT count(*) AS n, CAST(sum(age) AS DECIMAL(38, 2)) AS years, max(name) AS last FROM input"
        rows, report = exchange(self.client, PEOPLE, "sql", {"query": query})
        self.assertEqual([str(field.type) for field in rows.schema], ["int64", "decimal128(38, 2)", "string"])
        self.assertEqual([str(value) for value in rows.to_pylist()[0].values()], ["4", "106.00", "Zoë"])
        self.assertEqual((report["rows_in"], report["rows_out"]), (4, 1))
        self.refuses(pa.ArrowInvalid, "age", "sql", {"query": "SELECT agee FROM input"})
        self.refuses(pa.ArrowInvalid, "SELECT|query", "sql", {"query": "DROP TABLE input"})

    def test_inputs_have_the_names_that_the_caller_gives(self):
        stage(self.client, self.CITIES, "sql", exchange_id="interop-sql", input="cities")
        more = {"exchange_id": "interop-sql", "inputs": ["people", "cities"]}
        rows, report = exchange(self.client, PEOPLE, "sql", {"query": self.JOINED}, **more)
        self.assertEqual(rows, pa.table({"name": ["Ann", "Zoë"], "city": ["Porto", "Oslo"]}))
        self.assertEqual(report["counters"], {"rows_people": 4, "rows_cities": 2})

    def test_the_schema_is_known_before_there_are_rows(self):
        wanted = pa.schema([("name", pa.string()), ("city", pa.string())])
        self.assertEqual(self.planned("sql", {"query": self.JOINED}, people=PEOPLE, cities=self.CITIES), wanted)
        schemas = {"people": schema_text(PEOPLE), "cities": schema_text(self.CITIES)}
        info = self.client.get_flight_info(descriptor("sql", {"query": self.JOINED}, input_schemas=schemas))
        self.assertEqual((info.schema, info.endpoints), (wanted, []))
        with self.assertRaisesRegex(pa.ArrowInvalid, "towns"):
            self.planned("sql", {"query": "SELECT * FROM towns"}, people=PEOPLE)


class Quality(StepTests):
    NOT_NULL = {"rules": {"check_not_null": ["age"]}, "on_failure": {"check_not_null": "reject"}}

    def test_rows_pass_through_and_the_checks_are_reported(self):
        self.describes("data-quality", "transform", "rules", "fail_on_errors", "on_failure", "report")
        rows, report = exchange(self.client, PEOPLE, "data-quality", {"rules": {"min_rows": 10}})
        self.assertEqual(rows, PEOPLE)
        self.assertEqual(report["counters"]["checks_failed"], 1)

    def test_a_failed_gate_is_an_invalid_argument(self):
        self.refuses(pa.ArrowInvalid, "min_rows", "data-quality", {"rules": {"min_rows": 10}, "fail_on_errors": True})

    def test_rows_that_break_a_rule_do_not_pass(self):
        table = pa.table({"mail": ["a@b", "nobody", None]})
        params = {"rules": {"check_pattern": {"mail": "@"}}, "on_failure": {"check_pattern": "reject"}}
        rows, report = exchange(self.client, table, "data-quality", params)
        self.assertEqual(rows["mail"].to_pylist(), ["a@b", None])
        self.assertEqual(report["counters"]["rows_rejected"], 1)

    def test_rows_that_break_a_rule_are_fetched_by_do_get(self):
        more = {"exchange_id": "rejects-of-python"}
        rows, report = exchange(self.client, PEOPLE, "data-quality", self.NOT_NULL, outputs=["rejected"], **more)
        self.assertEqual(rows["id"].to_pylist(), [1, 3, 4])
        self.assertEqual(report["counters"]["rows_rejected"], 1)
        ticket = flight.Ticket(command("data-quality", output="rejected", **more))
        rejected = self.client.do_get(ticket).read_all()
        self.assertEqual(rejected["id"].to_pylist(), [2])
        self.assertIn("age", rejected["reject_reason"][0].as_py())
        with self.assertRaisesRegex(pa.ArrowKeyError, "waits to be fetched"):
            self.client.do_get(ticket).read_all()

    def test_the_schema_of_rejected_rows_is_planned_too(self):
        schemas = {"input": schema_text(PEOPLE)}
        planned = self.client.get_schema(descriptor("data-quality", self.NOT_NULL, output="rejected", input_schemas=schemas))
        self.assertEqual(planned.schema, PEOPLE.schema.append(pa.field("reject_reason", pa.string(), nullable=False)))
        self.refuses(pa.ArrowInvalid, "age", "data-quality", {"rules": {"check_not_null": ["agee"]}})

    def test_rejected_rows_may_be_read_while_the_others_still_come(self):
        more = {"exchange_id": "both-at-once"}
        writer, reader = self.client.do_exchange(descriptor("data-quality", self.NOT_NULL, outputs=["rejected"], **more))
        with writer:
            writer.begin(PEOPLE.schema)
            self.assertEqual(reader.schema, PEOPLE.schema)
            rejected = self.client.do_get(flight.Ticket(command("data-quality", output="rejected", **more)))
            self.assertEqual(rejected.schema.names, ["id", "age", "name", "reject_reason"])
            for _ in range(3):
                writer.write_table(PEOPLE)
            writer.done_writing()
            self.assertEqual(reader.read_all()["id"].to_pylist(), [1, 3, 4] * 3)
        self.assertEqual(rejected.read_all()["id"].to_pylist(), [2] * 3)

    def test_a_report_of_the_checks_is_written(self):
        params = {**self.NOT_NULL, "report": "quality/python"}
        exchange(self.client, PEOPLE, "data-quality", params)
        with open(under_root("quality/python.json")) as file:
            [check] = json.load(file)["checks"]
        self.assertEqual((check["rule"], check["column"], check["passed"]), ("check_not_null", "age", False))


class Completions(StepTests):
    REVIEWS = pa.table({"id": [1, 2, 3], "review": ["lovely", None, "dull"]})

    def setUp(self):
        super().setUp()
        self.asked = []

    def answer(self, path, headers, body):
        """The chat completions of OpenAI, by a model that knows one word."""
        self.asked.append((path, headers["authorization"], body))
        if body["model"] != "judge":
            return 404, "application/json", json.dumps({"error": {"message": "no such model", "code": "model_not_found"}})
        words = "yes" if "lovely" in body["messages"][-1]["content"] else "no"
        choice = {"index": 0, "message": {"role": "assistant", "content": words}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        return 200, "application/json", json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})

    def params(self, url, **more):
        return {"base_url": f"{url}/v1", "model": "judge", "api_key": "sk-secret", **more}

    def test_a_prompt_makes_a_column(self):
        self.describes("llm-complete", "transform", "prompt", "text_column", "base_url", "model", "dry_run")
        with http_server(self.answer) as url:
            params = self.params(url, prompt="Is it positive? {review}", output_column="positive")
            planned = self.planned("llm-complete", params, input=self.REVIEWS)
            self.assertEqual(planned, self.REVIEWS.schema.append(pa.field("positive", pa.string())))
            self.assertEqual(self.asked, [], "planning asks nothing")
            rows, report = exchange(self.client, self.REVIEWS, "llm-complete", params)
        self.assertEqual(rows.schema, planned)
        self.assertEqual(rows["positive"].to_pylist(), ["yes", None, "no"])
        self.assertEqual((report["counters"]["requests_sent"], report["counters"]["prompt_tokens"]), (2, 20))
        self.assertEqual({(path, key) for path, key, _ in self.asked}, {("/v1/chat/completions", "Bearer sk-secret")})

    def test_a_gap_in_a_text_is_filled(self):
        table = pa.table({"text": ["lovely is ___", "nothing is missing", None]})
        with http_server(self.answer) as url:
            params = self.params(url, text_column="text", missing_placeholder="___")
            rows, _ = exchange(self.client, table, "llm-complete", params)
        self.assertEqual(rows, pa.table({"text": ["lovely is yes", "nothing is missing", None]}))

    def test_what_fails_is_told_as_what_it_is(self):
        prompt = {"prompt": "{review}", "output_column": "answer"}
        with http_server(self.answer) as url:
            self.refuses(KeyError, "no such model", "llm-complete", {**self.params(url, **prompt), "model": "nobody"}, self.REVIEWS)
            self.refuses(pa.ArrowInvalid, "reviw", "llm-complete", self.params(url, prompt="{reviw}", output_column="a"), self.REVIEWS)
        gone = {**self.params(url, **prompt), "retries": 0}
        self.refuses(flight.FlightUnavailableError, "cannot be reached", "llm-complete", gone, self.REVIEWS)
        elsewhere = {**gone, "base_url": "http://10.1.2.3/v1"}
        self.refuses(flight.FlightUnauthorizedError, "10.1.2.3", "llm-complete", elsewhere, self.REVIEWS)

    def test_a_dry_run_asks_nothing(self):
        params = {"prompt": "Is it positive? {review}", "output_column": "positive", "dry_run": True}
        rows, report = exchange(self.client, self.REVIEWS, "llm-complete", params)
        self.assertEqual(rows["positive"].to_pylist(), [None] * 3)
        self.assertEqual(report["details"]["estimated_requests"], 2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
