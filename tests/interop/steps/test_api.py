"""`extract-api` on a real HTTP server, driven by stock pyarrow."""

import datetime
import json
import unittest
import urllib.parse

import pyarrow as pa
import pyarrow.flight as flight

from common import StepTests, command, http_server

ORDERS = [
    {"id": 2**53 + 1, "at": "2024-02-29T12:00:00Z", "user": {"name": "Zoë", "zip": "01067"}, "tags": ["a", None], "price": 1.5},
    {"id": 2, "at": None, "user": {"name": None, "zip": "1"}, "tags": [], "price": 2},
    {"id": 3, "at": "1969-12-31T23:59:59Z", "user": None, "tags": None, "price": None},
]


def server_of_orders(path, headers, body):
    """Orders on pages of two for whoever shows the token; lines and tables; and what is no answer."""
    url = urllib.parse.urlparse(path)
    if url.path == "/orders":
        if headers["authorization"] != "Bearer token":
            return 401, "text/plain", "who are you?"
        first = int(urllib.parse.parse_qs(url.query).get("offset", ["0"])[0])
        return 200, "application/json", json.dumps({"meta": {"total": 3}, "data": ORDERS[first : first + 2]})
    if url.path == "/lines":
        return 200, "application/x-ndjson", "".join(json.dumps(order) + "\n" for order in ORDERS)
    if url.path == "/table":
        return 200, "text/csv", "id,zip,day\n1,007,2024-02-29\n2,,\n"
    if url.path == "/hourly":
        return 200, "application/json", json.dumps({"hourly": {"time": ["2024-01-01T00:00"], "temp": [-1.5]}})
    if url.path == "/search":
        return 200, "application/json", json.dumps([{"id": 1, "echo": body["query"]}])
    if url.path == "/wrong":
        return 200, "application/x-ndjson", '{"id": 1}\n{"id": "one"}\n'
    return 503, "text/plain", "not now"


class Api(StepTests):
    @classmethod
    def setUpClass(cls):
        serving = http_server(server_of_orders)
        cls.url = serving.__enter__()
        cls.addClassCleanup(serving.__exit__, None, None, None)

    def orders(self, **more):
        paging = {"type": "offset", "param": "offset"}
        return {"url": f"{self.url}/orders", "records_path": "/data", "pagination": paging, **more}

    def test_all_pages_are_one_table(self):
        self.describes("extract-api", "extract", "url", "auth", "records_path", "pagination", "types")
        rows = self.read("extract-api", self.orders(auth={"type": "bearer", "token": "token"}, sample_rows=3))
        self.assertEqual(rows.schema.names, ["id", "at", "user.name", "user.zip", "tags", "price"])
        self.assertEqual(rows["id"].to_pylist(), [2**53 + 1, 2, 3])
        self.assertEqual(rows["user.zip"].to_pylist(), ["01067", "1", None])
        self.assertEqual(rows["tags"].to_pylist(), [["a", None], [], None])

    def test_types_are_those_that_pyarrow_knows(self):
        rows = self.read("extract-api", {"url": f"{self.url}/lines", "types": {"price": "decimal(10,2)"}})
        types = ["int64", "timestamp[us, tz=UTC]", "string", "string", "list", "decimal128(10, 2)"]
        self.assertEqual([str(field.type).split("<")[0] for field in rows.schema], types)
        before = datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
        self.assertEqual(rows["at"][2].as_py(), before)
        self.assertEqual([str(price) for price in rows["price"].to_pylist()], ["1.50", "2.00", "None"])

    def test_csv_columns_and_the_answer_to_a_post(self):
        rows = self.read("extract-api", {"url": f"{self.url}/table"})
        self.assertEqual(rows.schema, pa.schema([("id", pa.int64()), ("zip", pa.string()), ("day", pa.date32())]))
        rows = self.read("extract-api", {"url": f"{self.url}/hourly", "records_path": "/hourly"})
        self.assertEqual(rows["temp"].to_pylist(), [-1.5])
        params = {"url": f"{self.url}/search", "body": {"query": "open"}, "types": {"id": "int64", "echo": "string"}}
        self.assertEqual(self.read("extract-api", params)["echo"].to_pylist(), ["open"])

    def test_rows_and_counters_come_with_do_get(self):
        reader = self.client.do_get(flight.Ticket(command("extract-api", {"url": f"{self.url}/lines"})))
        rows, report = 0, None
        for chunk in reader:
            rows += chunk.data.num_rows if chunk.data is not None else 0
            report = json.loads(chunk.app_metadata.to_pybytes()) if chunk.app_metadata is not None else report
        self.assertEqual((rows, report["counters"]["requests"], report["counters"]["pages"]), (3, 1, 1))

    def fails(self, kind, text, params):
        with self.assertRaisesRegex(kind, text):
            self.client.do_get(flight.Ticket(command("extract-api", params))).read_all()

    def test_what_fails_is_told_as_what_it_is(self):
        self.fails(flight.FlightUnauthorizedError, "401", self.orders())
        self.fails(flight.FlightUnavailableError, "503", {"url": f"{self.url}/away", "retries": 0})
        self.fails(pa.ArrowInvalid, "one", {"url": f"{self.url}/wrong", "sample_rows": 1})
        self.fails(flight.FlightUnauthorizedError, "10.1.2.3", {"url": "http://10.1.2.3/orders", "retries": 0})
        self.fails(pa.ArrowInvalid, "pages", self.orders(auth={"type": "bearer", "token": "token"}, max_pages=1))


if __name__ == "__main__":
    unittest.main(verbosity=2)
