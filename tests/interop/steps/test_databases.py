"""`extract-sql` and `load-sql` on real databases, driven by stock pyarrow; the databases are filled and looked at by others."""

import contextlib
import datetime
import decimal
import os
import sqlite3
import unittest
import urllib.parse

import psycopg
import pyarrow as pa
import pyarrow.flight as flight
import pymysql

from common import PEOPLE, StepTests, exchange, put, under_root

POSTGRES = os.environ["QUIVER_POSTGRES"]
MARIADB = os.environ["QUIVER_MARIADB"]
FEBRUARY = datetime.datetime(2024, 2, 29, 12, 30)
BEFORE = datetime.datetime(1969, 12, 31, 23, 59, 59, 999999, datetime.timezone.utc)


def postgres(*statements):
    """The rows of the last of these statements, if it gives any."""
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else None


def mariadb(*statements):
    url = urllib.parse.urlparse(MARIADB)
    socket = urllib.parse.parse_qs(url.query)["socket"][0]
    with contextlib.closing(pymysql.connect(unix_socket=socket, user=url.username, database=url.path[1:], autocommit=True)) as connection:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


def sqlite(path, *statements):
    os.makedirs(os.path.dirname(under_root(path)), exist_ok=True)
    with contextlib.closing(sqlite3.connect(under_root(path))) as connection:
        for statement in statements:
            cursor = connection.execute(statement)
        connection.commit()
        return cursor.fetchall()


class ExtractSql(StepTests):
    def types(self, table):
        return {field.name: str(field.type) for field in table.schema}

    def test_postgres(self):
        self.describes("extract-sql", "extract", "db_url", "query", "params", "partition_column")
        postgres(
            "CREATE TABLE orders (id int8, price numeric(38,2), at timestamptz, day date, raw bytea, tags text[], "
            "what jsonb, key uuid, \"a.b\" bool)",
            "INSERT INTO orders VALUES (9007199254740993, 123456789012345678901234567890123456.12, "
            "'1969-12-31 23:59:59.999999+00', '2024-02-29', '\\x00ff', ARRAY['a', NULL], '{\"k\": 1}', "
            "'123e4567-e89b-12d3-a456-426614174000', true), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
        rows = self.read("extract-sql", {"db_url": POSTGRES, "query": "SELECT * FROM orders ORDER BY id DESC"})
        self.assertEqual(self.types(rows), {
            "id": "int64", "price": "decimal128(38, 2)", "at": "timestamp[us, tz=UTC]", "day": "date32[day]",
            "raw": "binary", "tags": str(rows.schema.field("tags").type), "what": "string", "key": "string", "a.b": "bool"})
        self.assertEqual(rows.schema.field("tags").type.value_type, pa.string())
        self.assertEqual(rows.to_pylist()[0], {
            "id": 2**53 + 1, "price": decimal.Decimal("123456789012345678901234567890123456.12"), "at": BEFORE,
            "day": datetime.date(2024, 2, 29), "raw": b"\x00\xff", "tags": ["a", None], "what": '{"k": 1}',
            "key": "123e4567-e89b-12d3-a456-426614174000", "a.b": True})
        self.assertEqual(set(list(rows.to_pylist()[1].values())[1:]), {None})

    def test_values_go_apart_from_the_query_and_ranges_at_once(self):
        postgres("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 10000) AS n")
        params = {"db_url": POSTGRES, "query": "SELECT n FROM numbers WHERE n % $1 = 0", "params": [2]}
        rows = self.read("extract-sql", {**params, "partition_column": "n", "partitions": 3})
        self.assertEqual(sorted(rows["n"].to_pylist()), list(range(2, 10001, 2)))

    def test_mariadb(self):
        mariadb(
            "CREATE TABLE orders (id BIGINT UNSIGNED, price DECIMAL(10,2), at DATETIME, name VARCHAR(20), ok BOOLEAN, raw BLOB)",
            "INSERT INTO orders VALUES (18446744073709551615, 1.50, '2024-02-29 12:30:00', 'Zoë 😀', TRUE, X'00FF'), "
            "(2, NULL, NULL, NULL, NULL, NULL)")
        query = "SELECT * FROM orders WHERE id >= ? ORDER BY id DESC"
        rows = self.read("extract-sql", {"db_url": MARIADB, "query": query, "params": [2]})
        self.assertEqual(self.types(rows), {"id": "uint64", "price": "decimal128(10, 2)", "at": "timestamp[us]", "name": "string",
                                            "ok": "int8", "raw": "binary"})
        self.assertEqual(rows.to_pylist()[0], {"id": 2**64 - 1, "price": decimal.Decimal("1.50"), "at": FEBRUARY,
                                               "name": "Zoë 😀", "ok": 1, "raw": b"\x00\xff"})

    def test_sqlite(self):
        sqlite("python/db/shop.db", "CREATE TABLE orders (id INTEGER, price DECIMAL(10,2), at DATETIME, name TEXT)",
               "INSERT INTO orders VALUES (9007199254740993, '1.50', '2024-02-29 12:30:00', 'Zoë'), (2, NULL, NULL, NULL)")
        rows = self.read("extract-sql", {"db_url": "sqlite:python/db/shop.db", "query": "SELECT * FROM orders"})
        self.assertEqual(self.types(rows), {"id": "int64", "price": "decimal128(10, 2)", "at": "timestamp[us]", "name": "string"})
        self.assertEqual(rows.to_pylist()[0], {"id": 2**53 + 1, "price": decimal.Decimal("1.50"), "at": FEBRUARY, "name": "Zoë"})

    def test_nothing_but_reading_is_allowed_and_mistakes_are_told(self):
        for url in [POSTGRES, MARIADB, "sqlite:examples/data/shop.db"]:
            for kind, text, query in [
                (pa.ArrowInvalid, "nowhere", "SELECT * FROM nowhere"),
                (flight.FlightUnauthorizedError, "DELETE", "DELETE FROM orders"),
                (pa.ArrowInvalid, "one", "SELECT 1; SELECT 2"),
            ]:
                with self.subTest(url=url, query=query), self.assertRaisesRegex(kind, text):
                    self.read("extract-sql", {"db_url": url, "query": query})
        with self.assertRaises(Exception) as caught:
            self.read("extract-sql", {"db_url": "postgres://ann:hunter2@127.0.0.1:1/db", "query": "SELECT 1"})
        self.assertIn("127.0.0.1", str(caught.exception))
        self.assertNotIn("hunter2", str(caught.exception))


class LoadSql(StepTests):
    TYPED = PEOPLE.append_column("price", pa.array([decimal.Decimal("1.50"), None, None, None], pa.decimal128(10, 2))) \
        .append_column("at", pa.array([BEFORE, None, None, None], pa.timestamp("us", "UTC")))

    def test_postgres_takes_rows_by_do_put(self):
        self.describes("load-sql", "load", "db_url", "table", "mode", "keys")
        params = {"db_url": POSTGRES, "table": "people", "mode": "replace"}
        receipt = put(self.client, self.TYPED, "load-sql", params, run_id="p1")
        self.assertEqual((receipt["table"].split(".")[-1], receipt["mode"], receipt["rows"]), ("people", "replace", 4))
        rows = postgres("SELECT * FROM people ORDER BY id")
        self.assertEqual(rows[0], (1, 31, "Ann", decimal.Decimal("1.50"), BEFORE))
        self.assertEqual(rows[1], (2, None, "", None, None))

    def test_an_upsert_takes_the_place_of_rows_with_its_keys(self):
        params = {"db_url": POSTGRES, "table": "people_by_id", "mode": "upsert", "keys": ["id"]}
        put(self.client, PEOPLE, "load-sql", params, run_id="p2")
        changed = pa.table({"id": [4, 5], "age": [41, 1], "name": ["Zoe", "Bob"]})
        put(self.client, changed, "load-sql", params, run_id="p3")
        rows = postgres("SELECT id, age, name FROM people_by_id WHERE id > 3 ORDER BY id")
        self.assertEqual(rows, [(4, 41, "Zoe"), (5, 1, "Bob")])

    def test_a_run_that_is_repeated_adds_its_rows_once(self):
        params = {"db_url": POSTGRES, "table": "people_added", "mode": "append"}
        for _ in range(2):
            put(self.client, PEOPLE, "load-sql", params, run_id="p4")
        self.assertEqual(postgres("SELECT count(*) FROM people_added"), [(4,)])

    def test_sqlite_takes_rows_and_the_receipt_has_a_schema(self):
        params = {"db_url": "sqlite:people.db", "table": "people", "mode": "append"}
        planned = self.planned("load-sql", params, input=self.TYPED)
        rows, _ = exchange(self.client, self.TYPED, "load-sql", params, run_id="s1")
        self.assertEqual(rows.schema, planned)
        self.assertEqual((rows.schema.names, rows["rows"].to_pylist()), (["table", "mode", "rows"], [4]))
        kept = sqlite("people.db", "SELECT id, age, name, price FROM people ORDER BY id")
        self.assertEqual([row[:3] for row in kept], [(1, 31, "Ann"), (2, None, ""), (3, 35, None), (4, 40, "Zoë")])
        self.assertEqual(float(kept[0][3]), 1.5)

    def test_rows_that_do_not_fit_change_nothing(self):
        postgres("CREATE TABLE small (id int2)", "INSERT INTO small VALUES (7)")
        params = {"db_url": POSTGRES, "table": "small", "mode": "replace"}
        too_large = pa.table({"id": pa.array([1, 100_000], pa.int32())})
        with self.assertRaisesRegex(pa.ArrowInvalid, "100000"):
            put(self.client, too_large, "load-sql", params, run_id="p5")
        self.assertEqual(postgres("SELECT * FROM small"), [(7,)])
        self.refuses(pa.ArrowInvalid, 'no column "age"', "load-sql", params)


if __name__ == "__main__":
    unittest.main(verbosity=2)
