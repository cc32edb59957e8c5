#!/usr/bin/env python3
"""The benchmark: `python3 tests/bench/bench.py`. One command; figures go to docs/benchmarks.md."""

import argparse
import contextlib
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import time

from common import (CONTENDERS, PYTHON, QUIVER, REPOSITORY, WIRE, WORK, generate, measured, prepare, publish, quiver_output,
                    rounds, rows_of, table)


def hr(sizes, count):
    """The HR pipeline, embedded and over the mesh, beside Polars and DuckDB."""
    shutil.copy(REPOSITORY / "examples/pipelines/hr_analytics.yaml", WORK / "hr.yaml")
    parts = []
    for rows in sizes:
        source = generate("hr", rows)
        outputs = {}

        def ours(name, *words):
            def run():
                result = measured([QUIVER, "run", "hr.yaml", "--json", "--set", f"extract.file_path={source}", *words])
                written = quiver_output(result, "load")
                outputs.setdefault(name, rows_of(written) if rows <= 500_000 else None)
                written.unlink()
                return result
            return run

        def peer(name):
            def run():
                target = WORK / f"{name}.csv"
                result = measured([PYTHON, CONTENDERS, name, source, target])
                outputs.setdefault(name, rows_of(target) if rows <= 500_000 else None)
                target.unlink()
                return result
            return run

        peers = ["polars-eager", "polars-streaming", "duckdb"]
        contenders = {
            "quiver": ours("quiver"),
            "quiver --mesh": ours("quiver --mesh", "--mesh"),
            "quiver --mesh=tcp": ours("quiver --mesh=tcp", "--mesh=tcp"),
            **{name: peer(name) for name in peers},
        }
        results = rounds(contenders, count)
        first = outputs["quiver"]
        for name, found in outputs.items():
            assert found == first, f"{name} gives other rows than quiver at {rows} rows"
        checked = "all outputs hold equal rows" if first else "outputs compared at the smaller sizes"
        parts.append(f"#### {rows:,} rows ({checked})\n\n{table(results, contenders.keys() - set(peers), peers)}")
    return "### The HR pipeline, CSV to CSV\n\nWhole processes, Python's start included.\n\n" + "\n\n".join(parts)


def memory(count):
    """Five million rows within 256 MiB."""
    shutil.copy(REPOSITORY / "examples/pipelines/hr_analytics.yaml", WORK / "hr.yaml")
    lines = ["| contender | µs per row, 500k | µs per row, 5M | peak MB of each process |", "|---|---|---|---|"]
    for name, words in [("quiver", []), ("quiver --mesh", ["--mesh"])]:
        per_row = {}
        for rows in [500_000, 5_000_000]:
            source = generate("hr", rows)
            best = None
            for _ in range(count):
                result = measured([QUIVER, "run", "hr.yaml", "--json", "--memory-limit", "256MiB",
                                   "--set", f"extract.file_path={source}", *words])
                quiver_output(result, "load").unlink()
                best = result if best is None or result["seconds"] < best["seconds"] else best
            per_row[rows] = best["seconds"] / rows * 1e6
        peaks = ", ".join(f"{peak:.0f}" for peak in best["peaks"])
        lines.append(f"| {name} | {per_row[500_000]:.2f} | {per_row[5_000_000]:.2f} | {peaks} |")
    return "### Five million rows within `--memory-limit 256MiB`\n\n" + "\n".join(lines)


def join(count):
    """One million rows against one million."""
    rows, shuffled = 1_000_000, random.Random(1)
    for name, column in [("left", "a"), ("right", "b")]:
        keys = list(range(rows))
        shuffled.shuffle(keys)
        with open(WORK / f"{name}.csv", "w") as file:
            file.write(f"id,{column}\n")
            file.writelines(f"{key},{key * 7 % 1_000_003}\n" for key in keys)
    (WORK / "join.yaml").write_text("""
steps:
  - {id: l, service: extract-csv, params: {file_path: left.csv}}
  - {id: r, service: extract-csv, params: {file_path: right.csv}}
  - {id: j, service: join, params: {join_key: id}, depends_on: [l, r]}
  - {id: load, service: load-data, params: {format: parquet, dataset_name: join}, depends_on: [j]}
""")

    def ours():
        result = measured([QUIVER, "run", "join.yaml", "--json"])
        assert json.loads(result["out"])["steps"][2]["rows_out"] == rows
        quiver_output(result, "load").unlink()
        return result

    peer = lambda name: lambda: measured([PYTHON, CONTENDERS, name, "left.csv", "right.csv", WORK / "join.parquet"])
    results = rounds({"quiver": ours, "polars": peer("polars-join"), "duckdb": peer("duckdb-join")}, count)
    return "### Join of 1M × 1M rows, CSV to Parquet\n\n" + table(results, {"quiver"}, ["polars", "duckdb"])


def wire(count):
    """DoExchange echo of 5M rows × 8 columns: our server and pyarrow's, driven by our client and by pyarrow's, in turns."""
    path = WORK / "wire.sock"
    ours, theirs = [WIRE, "drive"], [PYTHON, CONTENDERS, "echo-drive"]
    pairs = [
        ("quiver", "quiver, TCP", ours, [WIRE, "serve"], None),
        ("quiver", "quiver, Unix socket", ours, [WIRE, "serve", "--unix", path], path),
        ("quiver", "pyarrow (C++), TCP", ours, [PYTHON, CONTENDERS, "echo-server"], None),
        ("pyarrow (C++)", "quiver, TCP", theirs, [WIRE, "serve"], None),
        ("pyarrow (C++)", "pyarrow (C++), TCP", theirs, [PYTHON, CONTENDERS, "echo-server"], None),
    ]

    def driven(driver, command, address):
        """The speeds of the rounds but for the first, and the latencies."""
        path.unlink(missing_ok=True)
        server = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            told = server.stdout.readline().split()[-1]
            words = [str(word) for word in [*driver, address or told]]
            out = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        finally:
            server.kill()
            server.wait()
        *runs, latency = [json.loads(line) for line in out.splitlines()]
        return [run["gb_per_s"] for run in runs[1:]], latency

    results = [[driven(*pair[2:]) for pair in pairs] for _ in range(count)]
    turns = list(zip(*results))
    speeds = [[statistics.median(speed) for speed, _ in turn] for turn in turns]
    lines = ["| client | server | GB/s one way, median | of C++ at both ends | p50 of 500 rows, µs | p99, µs |",
             "|---|---|---|---|---|---|"]
    for (client, name, *_), turn, of_turns in zip(pairs, turns, speeds):
        speed = statistics.median(one for speed, _ in turn for one in speed)
        ratio = statistics.median(mine / cpp for mine, cpp in zip(of_turns, speeds[-1]))
        p50, p99 = [statistics.median(latency[which] for _, latency in turn) for which in ("p50_us", "p99_us")]
        lines.append(f"| {client} | {name} | {speed:.2f} | {ratio:.2f} | {p50:.0f} | {p99:.0f} |")
    return "### The wire: echo of 5M rows × 8 columns\n\n" + "\n".join(lines)


@contextlib.contextmanager
def collector():
    """The endpoint of a collector; the tests have built its program."""
    programs = sorted(REPOSITORY.glob("target/tmp/jaeger-*/jaeger"))
    assert programs, "run the tests first: they build the collector"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    config = REPOSITORY / "tests/bench/collector.yaml"
    env = {**os.environ, "COLLECTOR_OTLP": f"127.0.0.1:{port}"}
    server = subprocess.Popen([programs[-1], "--config", config], env=env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                assert server.poll() is None, "the collector ended"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def telemetry(count):
    """The HR pipeline with traces, metrics and logs sent to a collector, and without."""
    shutil.copy(REPOSITORY / "examples/pipelines/hr_analytics.yaml", WORK / "hr.yaml")
    source = generate("hr", 500_000)

    def run(words, **env):
        result = measured([QUIVER, "run", "hr.yaml", "--json", "--set", f"extract.file_path={source}", *words], **env)
        quiver_output(result, "load").unlink()
        return result

    lines = ["| contender | seconds without | seconds with | ratio |", "|---|---|---|---|"]
    with collector() as endpoint:
        for name, words in [("quiver", []), ("quiver --mesh", ["--mesh"])]:
            results = rounds({"without": lambda: run(words),
                              "with": lambda: run(words, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint)}, count)
            without, sent = [[one["seconds"] for one in results[which]] for which in ("without", "with")]
            ratio = statistics.median(b / a for a, b in zip(without, sent))
            lines.append(f"| {name} | {statistics.median(without):.3f} | {statistics.median(sent):.3f} | {ratio:.2f} |")
    return "### Telemetry: 500k rows with all of it sent to a collector beside\n\n" + "\n".join(lines)


def startup(count):
    """From process start to exit."""
    shutil.copytree(REPOSITORY / "examples", WORK / "examples", dirs_exist_ok=True)

    def median_ms(*words):
        times = []
        for _ in range(count * 5):
            begun = time.perf_counter()
            subprocess.run([QUIVER, *words], cwd=WORK, check=True, capture_output=True)
            times.append(time.perf_counter() - begun)
        return statistics.median(times) * 1e3

    return "\n".join([
        "### From process start to exit\n",
        "| command | ms, median |", "|---|---|",
        f"| `quiver --help` | {median_ms('--help'):.1f} |",
        f"| a pipeline of 500 rows, embedded | {median_ms('run', 'examples/pipelines/hr_analytics.yaml', '--json'):.1f} |",
    ])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=["hr", "memory", "join", "wire", "startup", "telemetry"])
    parser.add_argument("--rows", nargs="*", type=int, default=[10_000, 100_000, 500_000, 2_000_000])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    prepare(["polars", "duckdb", "pyarrow"])
    sections = {
        "hr": lambda: hr(args.rows, args.rounds),
        "memory": lambda: memory(2),
        "join": lambda: join(args.rounds),
        "wire": lambda: wire(args.rounds),
        "startup": lambda: startup(args.rounds),
        "telemetry": lambda: telemetry(4 * args.rounds),
    }
    publish(sections, args.only)


if __name__ == "__main__":
    main()
