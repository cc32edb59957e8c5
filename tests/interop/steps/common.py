"""What the tests of the steps share: calls of a step by stock pyarrow, and servers that steps talk to."""

import base64
import contextlib
import http.server
import json
import os
import threading
import unittest

import pyarrow as pa
import pyarrow.flight as flight

PEOPLE = pa.table({
    "id": pa.array([1, 2, 3, 4], pa.int64()),
    "age": pa.array([31, None, 35, 40], pa.int64()),
    "name": pa.array(["Ann", "", None, "Zoë"]),
})


def connect():
    return flight.connect(os.environ["QUIVER_ADDRESS"])


def under_root(path):
    """Where a path beneath the data root is."""
    return os.path.join(os.environ["QUIVER_DATA_ROOT"], path)


def command(step, params=None, **more):
    return json.dumps({"step": step, "params": params or {}, **more}).encode()


def descriptor(*args, **more):
    return flight.FlightDescriptor.for_command(command(*args, **more))


def schema_text(table):
    return base64.b64encode(table.schema.serialize().to_pybytes()).decode()


def exchange(client, table, *args, **more):
    """Sends a table, and returns what comes back: the rows, and the closing report. The schema comes before the rows go."""
    writer, reader = client.do_exchange(descriptor(*args, **more))
    with writer:
        writer.begin(table.schema)
        schema = reader.schema
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
        return pa.Table.from_batches(batches, schema), report


def put(client, table, *args, **more):
    """Sends a table to a load, and returns its receipt."""
    writer, results = client.do_put(descriptor(*args, **more), table.schema)
    with writer:
        writer.write_table(table)
        writer.done_writing()
        return json.loads(results.read().to_pybytes())["receipt"]


def stage(client, table, *args, **more):
    """Sends a further input of an exchange."""
    writer, _ = client.do_put(descriptor(*args, **more), table.schema)
    writer.write_table(table)
    writer.close()


class StepTests(unittest.TestCase):
    def setUp(self):
        self.client = connect()
        self.addCleanup(self.client.close)

    def describes(self, step, kind, *params):
        """A step says of itself what it is, and that it has these parameters."""
        [answer] = self.client.do_action(flight.Action("describe", step.encode()))
        said = json.loads(answer.body.to_pybytes())
        self.assertEqual((said["name"], said["kind"]), (step, kind))
        self.assertLessEqual(set(params), set(said["params_schema"]["properties"]))

    def planned(self, step, params, **inputs):
        """The schema that a step is going to give for inputs like these."""
        schemas = {name: schema_text(table) for name, table in inputs.items()}
        return self.client.get_schema(descriptor(step, params, input_schemas=schemas)).schema

    def read(self, step, params):
        """The rows of an extract, by the ticket that planning gives, in the schema that it tells."""
        info = self.client.get_flight_info(descriptor(step, params))
        self.assertEqual(self.planned(step, params), info.schema)
        reader = self.client.do_get(info.endpoints[0].ticket)
        self.assertEqual(reader.schema, info.schema)
        return reader.read_all()

    def refuses(self, kind, text, step, params, table=PEOPLE):
        """An exchange fails as this exception, with this text."""
        with self.assertRaisesRegex(kind, text):
            exchange(self.client, table, step, params)


@contextlib.contextmanager
def http_server(answer):
    """A real HTTP server. `answer` is given the path, the headers and the JSON of a request, and gives status, type and body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status, kind, text = answer(self.path, self.headers, json.loads(body) if body else None)
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
