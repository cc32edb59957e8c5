"""The front door of the orchestrator, driven by stock pyarrow and by the ADBC driver for Flight SQL."""

import json
import os
import time
import unittest

import adbc_driver_flightsql.dbapi as adbc
import pyarrow as pa
import pyarrow.flight as flight

ADDRESS = os.environ["QUIVER_FRONT"]
TOKEN = os.environ["QUIVER_TOKEN"]
OTHER_TOKEN = os.environ["QUIVER_OTHER_TOKEN"]
PEOPLE = pa.table({
    "id": pa.array([1, 2, 3, 4], pa.int64()),
    "age": pa.array([31, None, 35, 40], pa.int64()),
    "name": pa.array(["Ann", "", None, "Zoë"]),
})
PIPELINE = """
name: people
steps:
  - {id: read, service: extract-csv, params: {file_path: in/people.csv}, checkpoint: true}
  - {id: clean, service: clean-nan, params: {strategy: drop}, depends_on: [read], checkpoint: true}
  - {id: write, service: load-data, params: {format: csv, dataset_name: people}, depends_on: [clean]}
"""


def connect(token=TOKEN):
    options = flight.FlightCallOptions(headers=[(b"authorization", f"Bearer {token}".encode())])
    return flight.connect(ADDRESS), options


def exchange(client, options, table, command):
    writer, reader = client.do_exchange(flight.FlightDescriptor.for_command(json.dumps(command)), options)
    with writer:
        writer.begin(table.schema)
        writer.write_table(table)
        writer.done_writing()
        return reader.read_all()


def upload(client, options, path, table):
    writer, reader = client.do_put(flight.FlightDescriptor.for_path("datasets", *path.split("/")), table.schema, options)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        return json.loads(reader.read().to_pybytes())


class Front(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.client, cls.options = connect()
        receipt = upload(cls.client, cls.options, "in/people.csv", PEOPLE)
        assert receipt == {"path": "in/people.csv", "format": "csv", "rows": 4}, receipt
        cls.run_id = cls.submit(PIPELINE)

    @classmethod
    def submit(cls, text):
        """Submits a pipeline by an action of Flight that every client has, and waits for its end."""
        request = flight.Action("quiver.submit", json.dumps({"yaml": text}).encode())
        run = json.loads(next(iter(cls.client.do_action(request, cls.options))).body.to_pybytes())
        while True:
            look = flight.Action("quiver.run", run["id"].encode())
            run = json.loads(next(iter(cls.client.do_action(look, cls.options))).body.to_pybytes())
            if run["state"] in ("done", "failed", "cancelled"):
                assert run["state"] == "done", run
                return run["id"]
            time.sleep(0.05)

    def test_a_step_is_called_by_its_name(self):
        command = {"step": "clean-nan", "params": {"strategy": "drop"}}
        rows = exchange(self.client, self.options, PEOPLE, command)
        self.assertEqual(rows.column("id").to_pylist(), [1, 4])

    def test_an_extract_is_read_by_its_ticket(self):
        command = {"step": "extract-csv", "params": {"file_path": "in/people.csv"}}
        info = self.client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command)), self.options)
        rows = self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
        self.assertEqual(rows.num_rows, 4)

    def quality(self, exchange_id, **more):
        params = {"rules": {"check_not_null": ["age"]}, "on_failure": {"check_not_null": "reject"}}
        return {"step": "data-quality", "params": params, "exchange_id": exchange_id, **more}

    def rejected(self, exchange_id, options=None):
        ticket = {"step": "data-quality", "exchange_id": exchange_id, "output": "rejected"}
        return self.client.do_get(flight.Ticket(json.dumps(ticket)), options or self.options)

    def test_a_further_output_is_fetched_after_its_exchange(self):
        rows = exchange(self.client, self.options, PEOPLE, self.quality("after", outputs=["rejected"]))
        self.assertEqual(rows.column("id").to_pylist(), [1, 3, 4])
        rejected = self.rejected("after").read_all()
        self.assertEqual(rejected.column("id").to_pylist(), [2])
        self.assertIn("age", rejected.column("reject_reason")[0].as_py())
        with self.assertRaisesRegex(KeyError, "no exchange|waits to be fetched"):
            self.rejected("after").read_all()

    def test_a_further_output_is_read_beside_its_exchange(self):
        descriptor = flight.FlightDescriptor.for_command(json.dumps(self.quality("beside", outputs=["rejected"])))
        writer, reader = self.client.do_exchange(descriptor, self.options)
        with writer:
            writer.begin(PEOPLE.schema)
            self.assertEqual(reader.schema, PEOPLE.schema)
            rejected = self.rejected("beside")
            self.assertEqual(rejected.schema.names, ["id", "age", "name", "reject_reason"])
            many = pa.concat_tables([PEOPLE] * 1000).combine_chunks()
            for _ in range(100):
                writer.write_table(many)
            writer.done_writing()
            self.assertEqual(reader.read_all().num_rows, 300_000)
        self.assertEqual(rejected.read_all().num_rows, 100_000)

    def test_a_further_output_is_for_whoever_began_the_exchange(self):
        exchange(self.client, self.options, PEOPLE, self.quality("mine", outputs=["rejected"]))
        others, theirs = connect(OTHER_TOKEN)
        self.addCleanup(others.close)
        with self.assertRaisesRegex(flight.FlightUnauthorizedError, "somebody else"):
            self.rejected("mine", theirs).read_all()
        _, nobody = connect("")
        with self.assertRaises(flight.FlightUnauthenticatedError):
            self.rejected("mine", nobody).read_all()
        with self.assertRaisesRegex(KeyError, "no exchange"):
            self.rejected("nobodys").read_all()
        self.assertEqual(self.rejected("mine").read_all().num_rows, 1)

    def test_a_further_input_is_staged_by_do_put(self):
        cities = pa.table({"id": [1, 3], "city": ["Porto", "Oslo"]})
        staged = json.dumps({"step": "join", "exchange_id": "staged", "input": "right"})
        writer, _ = self.client.do_put(flight.FlightDescriptor.for_command(staged), cities.schema, self.options)
        writer.write_table(cities)
        writer.close()
        joined = {"step": "join", "params": {"join_key": "id"}, "exchange_id": "staged"}
        rows = exchange(self.client, self.options, PEOPLE, joined)
        self.assertEqual(sorted(rows.column("city").to_pylist()), ["Oslo", "Porto"])

    def test_faults_come_through_as_they_are(self):
        with self.assertRaisesRegex(pa.ArrowInvalid, "salary"):
            exchange(self.client, self.options, PEOPLE, {"step": "outliers", "params": {"column": "salary"}})
        with self.assertRaisesRegex(Exception, "outliers"):
            exchange(self.client, self.options, PEOPLE, {"step": "outlires", "params": {}})

    def test_a_client_that_writes_all_before_it_reads_does_not_hang(self):
        many = pa.table({"n": pa.array(range(4_000_000), pa.int64())})
        rows = exchange(self.client, self.options, many, {"step": "delete-columns", "params": {"columns": []}})
        self.assertEqual(rows.num_rows, many.num_rows)

    def test_kept_outputs_are_listed_and_read_again_and_again(self):
        listed = list(self.client.list_flights(f"runs/{self.run_id}".encode(), self.options))
        paths = {b"/".join(info.descriptor.path).decode() for info in listed}
        self.assertEqual(paths, {f"runs/{self.run_id}/read", f"runs/{self.run_id}/clean"})
        descriptor = flight.FlightDescriptor.for_path("runs", self.run_id, "clean")
        info = self.client.get_flight_info(descriptor, self.options)
        self.assertEqual(info.total_records, 2)
        self.assertIsNotNone(info.endpoints[0].expiration_time)
        for _ in range(2):
            rows = self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
            self.assertEqual(rows.schema, info.schema)
            self.assertEqual(rows.column("name").to_pylist(), ["Ann", "Zoë"])
        self.assertEqual(self.client.get_schema(descriptor, self.options).schema, info.schema)
        with self.assertRaisesRegex(Exception, "no such output"):
            self.client.get_flight_info(flight.FlightDescriptor.for_path("runs", self.run_id, "cleen"), self.options)

    def test_who_shows_no_token_comes_in_nowhere(self):
        for token in ("", "qv_wrong"):
            client, options = connect(token)
            calls = [
                lambda: list(client.list_flights(b"", options)),
                lambda: client.do_get(flight.Ticket(f"runs/{self.run_id}/read"), options).read_all(),
                lambda: exchange(client, options, PEOPLE, {"step": "clean-nan", "params": {}}),
                lambda: list(client.do_action(flight.Action("describe", b""), options)),
                lambda: upload(client, options, "in/x.csv", PEOPLE),
            ]
            for call in calls:
                with self.assertRaises(flight.FlightUnauthenticatedError):
                    call()

    def test_a_token_is_a_password_too(self):
        client = flight.connect(ADDRESS)
        header = client.authenticate_basic_token("anybody", TOKEN)
        options = flight.FlightCallOptions(headers=[header])
        self.assertTrue(list(client.list_flights(b"", options)))

    def test_an_upload_is_written_as_a_load_would_write_it(self):
        texts = pa.table({"id": [1, 2, 3, 4], "text": ["", None, "NA", "a,b"]})
        upload(self.client, self.options, "in/texts.csv", texts)
        command = {"step": "extract-csv", "params": {"file_path": "in/texts.csv"}}
        info = self.client.get_flight_info(flight.FlightDescriptor.for_command(json.dumps(command)), self.options)
        rows = self.client.do_get(info.endpoints[0].ticket, self.options).read_all()
        self.assertEqual(rows.column("text").to_pylist(), ["", None, "NA", "a,b"])
        lists = pa.table({"list": [[1], [2, 3]]})
        with self.assertRaisesRegex(pa.ArrowInvalid, "list"):
            upload(self.client, self.options, "in/lists.csv", lists)
        receipt = upload(self.client, self.options, "in/lists.jsonl", lists)
        self.assertEqual(receipt, {"path": "in/lists.jsonl", "format": "jsonl", "rows": 2})

    def test_an_upload_to_nowhere_is_refused(self):
        for path in ("../x.csv", ".quiver/x.csv", "in/x.txt"):
            with self.assertRaises(Exception):
                upload(self.client, self.options, path, PEOPLE)

    def test_a_thousand_exchanges_at_once_hurt_nobody(self):
        command = json.dumps({"step": "clean-nan", "params": {"strategy": "drop"}})
        opened, refused = [], 0
        for _ in range(1000):
            writer, reader = self.client.do_exchange(flight.FlightDescriptor.for_command(command), self.options)
            try:
                writer.begin(PEOPLE.schema)
                opened.append((writer, reader))
            except flight.FlightError:
                refused += 1
        for writer, reader in opened:
            reader.cancel()
        again = exchange_when_free(self.client, self.options)
        self.assertEqual(again.column("id").to_pylist(), [1, 4])


def exchange_when_free(client, options):
    for _ in range(200):
        try:
            return exchange(client, options, PEOPLE, {"step": "clean-nan", "params": {"strategy": "drop"}})
        except (flight.FlightError, pa.ArrowException):
            time.sleep(0.1)
    raise AssertionError("no exchange is taken any more")


class Sql(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        client, options = connect()
        upload(client, options, "in/people.csv", PEOPLE)
        Front.client, Front.options = client, options
        cls.run_id = Front.submit(PIPELINE)
        cls.db = adbc.connect(ADDRESS, db_kwargs={"adbc.flight.sql.authorization_header": f"Bearer {TOKEN}"})

    @classmethod
    def tearDownClass(cls):
        cls.db.close()

    def rows(self, query):
        with self.db.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def test_a_token_is_a_password_whatever_the_name_is(self):
        for name in ("o", "op", "opp", "oppp"):
            with adbc.connect(ADDRESS, db_kwargs={"username": name, "password": TOKEN}) as db, db.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM people.read")
                self.assertEqual(cursor.fetchall(), [(4,)], name)

    def test_kept_outputs_are_tables(self):
        self.assertEqual(self.rows("SELECT count(*), avg(age) FROM people.read"), [(4, (31 + 35 + 40) / 3)])
        joined = 'SELECT r.name FROM people.read r JOIN people.clean c ON r.id = c.id ORDER BY r.id'
        self.assertEqual(self.rows(joined), [("Ann",), ("Zoë",)])
        self.assertEqual(self.rows(f'SELECT max(id) FROM "{self.run_id}".read'), [(4,)])

    def test_values_are_bound_to_parameters(self):
        with self.db.cursor() as cursor:
            # The same text again and again: ADBC keeps the statement prepared.
            for age, names in ((31, ["Ann"]), (40, ["Zoë"]), (7, [])):
                cursor.execute("SELECT name FROM people.read WHERE age = $1", (age,))
                self.assertEqual(cursor.fetchall(), [(name,) for name in names])
            cursor.execute("SELECT id FROM people.read WHERE age > ? AND name IN (?, ?)", (30, "Ann", "Zoë"))
            self.assertEqual(sorted(cursor.fetchall()), [(1,), (4,)])
            cursor.execute("SELECT id FROM people.read ORDER BY id LIMIT $2 OFFSET $1", (1, 2))
            self.assertEqual(cursor.fetchall(), [(2,), (3,)])
            cursor.execute("SELECT count(*) FROM people.read WHERE name = $1", (None,))
            self.assertEqual(cursor.fetchall(), [(0,)])
            cursor.execute("SELECT $1 AS it", ("as it was",))
            self.assertEqual(cursor.fetchall(), [("as it was",)])

    def test_the_types_of_parameters_are_told(self):
        with self.db.cursor() as cursor:
            schema = cursor.adbc_prepare("SELECT $2 AS it FROM people.read WHERE age = $1 AND name = $3")
        self.assertEqual(schema.names, ["$1", "$2", "$3"])
        self.assertEqual((schema.types[0], schema.types[2]), (pa.int64(), pa.string()))

    def test_values_that_do_not_fit_are_refused(self):
        query = "SELECT id FROM people.read WHERE age = $1"
        with self.db.cursor() as cursor:
            with self.assertRaisesRegex(Exception, "1 parameters, and 2 values"):
                cursor.execute(query, (1, 2))
                cursor.fetchall()
        with self.db.cursor() as cursor:
            with self.assertRaisesRegex(Exception, "1 parameters, and 0 values"):
                cursor.execute(query)
                cursor.fetchall()
        with self.db.cursor() as cursor:
            with self.assertRaisesRegex(Exception, "several rows"):
                cursor.execute(query, pa.record_batch({"1": [1, 2]}))
        with self.db.cursor() as cursor:
            with self.assertRaisesRegex(Exception, "only be read"):
                cursor.adbc_ingest("people", PEOPLE)

    def test_tables_are_found(self):
        objects = self.db.adbc_get_objects(depth="tables").read_all().to_pylist()
        schemas = {schema["db_schema_name"]: schema for schema in objects[0]["catalog_db_schemas"]}
        tables = {table["table_name"] for table in schemas["people"]["db_schema_tables"]}
        self.assertEqual(tables, {"read", "clean"})

    def test_tables_are_told_by_queries_too(self):
        shown = {(schema, table) for _, schema, table, _ in self.rows("SHOW TABLES")}
        self.assertLessEqual({("people", "read"), ("people", "clean")}, shown)
        columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'read'"
        with self.db.cursor() as cursor:
            cursor.execute(columns, ("people",))
            self.assertEqual(sorted(cursor.fetchall()), [("age",), ("id",), ("name",)])
        self.assertEqual(len(self.rows("SHOW COLUMNS FROM people.read")), 3)
        joined = "SELECT count(*) FROM people.read, information_schema.tables t WHERE t.table_name = 'clean'"
        self.assertEqual(self.rows(joined), [(4,)])

    def test_settings_are_not_shown(self):
        for query in ("SHOW ALL", "SHOW datafusion.runtime.temp_directory",
                      "SELECT 1 WHERE EXISTS (SELECT * FROM information_schema.df_settings)"):
            with self.assertRaisesRegex(Exception, "settings are not shown"):
                self.rows(query)

    def test_nothing_but_reading_is_allowed(self):
        for query in (
            "CREATE TABLE x AS SELECT 1",
            "INSERT INTO people.read VALUES (1, 2, 'x')",
            "COPY people.read TO '/tmp/x.csv'",
            "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
            "DROP TABLE people.read",
            "SET datafusion.execution.batch_size = 1",
        ):
            with self.assertRaises(Exception, msg=query):
                self.rows(query)

    def test_mistakes_are_told(self):
        with self.assertRaisesRegex(Exception, "salary"):
            self.rows("SELECT salary FROM people.read")
        with self.assertRaisesRegex(Exception, "nobody"):
            self.rows("SELECT * FROM nobody.read")


if __name__ == "__main__":
    unittest.main()
