"""Durable runs: a pipeline of three steps over 100 rows, through the REST API of a release build, by each store.

    cargo build --release
    python3 tests/bench/durable.py [--runs 10000] [--submitters 2]

Tells runs per second from the first submission to the last end; for one run at a time, how long it takes from the request
to its end, and how much of that is not the work itself; and how long it takes to list 10,000 of them. PostgreSQL is started here,
if Debian's package is there. Beside it one run alone in Prefect and in Dagster, which pip installs into a folder of their
own. The figures go to docs/benchmarks.md.
"""

import argparse
import http.client
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from common import REPOSITORY, postgres, publish

PIPELINE = """name: small
steps:
  - {id: read, service: extract-csv, params: {file_path: in.csv}}
  - {id: clean, service: clean-nan, params: {strategy: drop}, depends_on: [read]}
  - {id: write, service: load-data, params: {format: csv, dataset_name: out}, depends_on: [clean]}
"""
YAML = {"content-type": "application/yaml"}


class Api:
    """One connection to the orchestrator."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address)

    def ask(self, path, method="GET", body=None, headers=None):
        return json.loads(self.bytes(path, method, body, headers))

    def bytes(self, path, method="GET", body=None, headers=None):
        try:
            self.connection.request(method, "/api/v1" + path, body, headers or {})
            answer = self.connection.getresponse()
        except http.client.RemoteDisconnected:
            # It stood still for so long that it was closed.
            self.connection.close()
            return self.bytes(path, method, body, headers)
        read = answer.read()
        assert answer.status < 300, read
        return read


def submit(address, count, name):
    api = Api(address)
    for number in range(count):
        api.ask("/runs", "POST", PIPELINE, {**YAML, "idempotency-key": f"{name}-{number}"})


def end_of(api, run):
    """Listens to a run, and tells when it has ended."""
    api.connection.request("GET", f"/api/v1/runs/{run}/events", None, {"accept": "text/event-stream"})
    answer = api.connection.getresponse()
    ended = next(time.monotonic() for line in answer if line.strip() in (b"event: done", b"event: failed"))
    # The connection is used again.
    answer.read()
    return ended


def alone(api, count=50):
    """Of one run at a time: milliseconds from request to end, and those that are not the work."""
    whole, beside = [], []
    for _ in range(count):
        begun = time.monotonic()
        run = api.ask("/runs", "POST", PIPELINE, YAML)["id"]
        took = 1000 * (end_of(api, run) - begun)
        report = api.ask(f"/runs/{run}/attempts")[-1]["report"]
        whole.append(took)
        beside.append(took - report["duration_ms"])
    return statistics.median(whole), statistics.median(beside)


def listed(api):
    """Milliseconds from request to answer in which 1,000 runs are listed, and 10,000: the medians of ten."""
    took = {}
    for limit in (1000, 10_000):
        times = []
        for _ in range(10):
            begun = time.monotonic()
            read = api.bytes(f"/runs?limit={limit}")
            times.append(1000 * (time.monotonic() - begun))
            assert len(json.loads(read)["items"]) == limit
        took[limit] = statistics.median(times)
    return took[1000], took[10_000]


def measured(name, store, options, folders):
    # Kept until all is measured: file systems are slow to make files where many were just deleted.
    folder = tempfile.mkdtemp(dir=folders)
    rows = "".join(f"{n},name {n},{n * 1.5}\n" for n in range(100))
    pathlib.Path(folder, "in.csv").write_text("id,name,pay\n" + rows)
    words = [options.program.absolute(), "up", "--json", "--api", "127.0.0.1:0", "--front", "127.0.0.1:0"]
    words += ["--embedded"] if not options.mesh else []
    words += ["--store", store] if store else []
    service = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        address = next(line for line in service.stdout if '"api"' in line).split('"')[3].removeprefix("http://")
        api = Api(address)
        submit(address, 100, "warm")
        wait(api)
        whole, beside = alone(api)
        begun = time.monotonic()
        share = options.runs // options.submitters
        all_of_them = [threading.Thread(target=submit, args=(address, share, n)) for n in range(options.submitters)]
        [one.start() for one in all_of_them]
        [one.join() for one in all_of_them]
        wait(api)
        rate = share * options.submitters / (time.monotonic() - begun)
        assert not api.ask("/runs?state=failed,cancelled&limit=1")["items"]
        thousand, ten_thousand = listed(api)
    finally:
        service.terminate()
        service.wait(60)
    line = f"| {name} | {rate:.0f} | {whole:.1f} | {beside:.1f} | {thousand:.1f} | {ten_thousand:.0f} |"
    print(line, flush=True)
    return line


def peers():
    """One run after the other in each, as lines of the table."""
    env = REPOSITORY / "target/bench/durable"
    subprocess.run([sys.executable, "-m", "venv", env], check=True)
    subprocess.run([env / "bin/pip", "install", "--quiet", "prefect", "dagster"], check=True)
    for tool in ("prefect", "dagster"):
        with tempfile.TemporaryDirectory() as folder:
            words = [env / "bin/python", REPOSITORY / "tests/bench/durable_peers.py", tool, folder]
            told = json.loads(subprocess.check_output(words, stderr=subprocess.DEVNULL).splitlines()[-1])
        whole, work = told["run_ms"], told["work_ms"]
        yield f"| {tool.title()}, SQLite | {1000 / whole:.0f} | {whole:.1f} | {whole - work:.1f} | | |"


def wait(api):
    """Until no run is left to do."""
    while api.ask("/runs?state=queued,running&limit=1")["items"]:
        time.sleep(0.01)


def lines(options):
    """The table, line by line."""
    yield "| store | runs per second | one alone, ms | of them not the work, ms | 1,000 listed, ms | 10,000 listed, ms |"
    yield "|---|---|---|---|---|---|"
    with tempfile.TemporaryDirectory() as folders:
        yield measured("SQLite", None, options, folders)
        with postgres() as address:
            if address:
                yield measured("PostgreSQL", address, options, folders)
    yield from peers()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=REPOSITORY / "target/release/quiver", type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--submitters", type=int, default=2)
    parser.add_argument("--mesh", action="store_true", help="steps behind servers of their own")
    options = parser.parse_args()
    publish({"durable": lambda: "\n".join(lines(options))}, ["durable"])


if __name__ == "__main__":
    main()
