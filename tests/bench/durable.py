"""Durable runs per second: a pipeline of three steps over 100 rows, through the REST API of a release build.

    cargo build --release
    python3 tests/bench/durable.py [--store postgres://…] [--runs 2000] [--submitters 4]

Prints runs per second from the first submission to the last end, and how long a run took from queued to done.
"""

import argparse
import http.client
import json
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

PIPELINE = """name: small
steps:
  - {id: read, service: extract-csv, params: {file_path: in.csv}}
  - {id: clean, service: clean-nan, params: {strategy: drop}, depends_on: [read]}
  - {id: write, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [clean]}
"""


def submit(address, count, offset):
    connection = http.client.HTTPConnection(address)
    for number in range(count):
        headers = {"content-type": "application/yaml", "idempotency-key": f"{offset}-{number}"}
        connection.request("POST", "/api/v1/runs", PIPELINE, headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 202, body


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", default="target/release/quiver")
    parser.add_argument("--store")
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--submitters", type=int, default=4)
    parser.add_argument("--mesh", action="store_true", help="steps behind servers of their own")
    options = parser.parse_args()
    program = pathlib.Path(options.program).absolute()
    with tempfile.TemporaryDirectory() as folder:
        rows = "".join(f"{n},name {n},{n * 1.5}\n" for n in range(100))
        pathlib.Path(folder, "in.csv").write_text("id,name,pay\n" + rows)
        words = [program, "up", "--json", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0"]
        words += [] if options.mesh else ["--embedded"]
        words += ["--store", options.store] if options.store else []
        service = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            address = next(line for line in service.stdout if '"api"' in line).split('"')[3].removeprefix("http://")
            submit(address, 50, "warm")
            time.sleep(1)
            begun = time.monotonic()
            share = options.runs // options.submitters
            submitters = [threading.Thread(target=submit, args=(address, share, n)) for n in range(options.submitters)]
            [one.start() for one in submitters]
            [one.join() for one in submitters]
            submitted = time.monotonic() - begun
            connection = http.client.HTTPConnection(address)

            def ask(path):
                connection.request("GET", "/api/v1" + path)
                return json.loads(connection.getresponse().read())

            while ask("/runs?state=queued,running&limit=1")["items"]:
                time.sleep(0.01)
            took = time.monotonic() - begun
            listed = time.monotonic()
            runs = ask("/runs?limit=1000")["items"]
            listed = time.monotonic() - listed
            failed = ask("/runs?state=failed,cancelled&limit=1")["items"]
            assert not failed, failed
            begun = time.monotonic()
            for _ in range(20):
                connection.request("POST", "/api/v1/runs", PIPELINE, {"content-type": "application/yaml"})
                run = json.loads(connection.getresponse().read())
                while ask(f"/runs/{run['id']}")["state"] != "done":
                    pass
            alone = (time.monotonic() - begun) / 20
            own = statistics.median(run["ended_at"] - run["started_at"] for run in runs)
            print(f"{options.store or 'sqlite'}: {share * options.submitters / took:.0f} runs/s "
                  f"(submitted in {submitted:.2f} s, done in {took:.2f} s); under load a run took {own:.0f} ms, "
                  f"alone {1000 * alone:.1f} ms from request to done; 1,000 runs listed in {1000 * listed:.0f} ms")
        finally:
            service.terminate()
            service.wait(30)


if __name__ == "__main__":
    main()
