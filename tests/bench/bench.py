#!/usr/bin/env python3
"""The benchmark: `python3 tests/bench/bench.py`. One command; figures go to docs/benchmarks.md.

Contenders run as whole processes, in interleaved rounds after a warm-up round, and must all give equal rows. CPU seconds
are those of the whole tree of processes of a contender; its peak memory is the greatest sum of their resident memory at
one moment.
"""

import argparse
import contextlib
import csv
import json
import os
import pathlib
import platform
import random
import shutil
import socket
import statistics
import subprocess
import sys
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "target/bench"
PYTHON = WORK / "env/bin/python"
QUIVER = REPOSITORY / "target/release/quiver"
WIRE = REPOSITORY / "target/release/examples/wire"
CONTENDERS = str(REPOSITORY / "tests/bench/contenders.py")
PACKAGES = ["polars", "duckdb", "pyarrow"]


def prepare():
    WORK.mkdir(parents=True, exist_ok=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "env"], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    subprocess.run(["cargo", "build", "--release", "--workspace", "--bin", "quiver", "--example", "wire"],
                   cwd=REPOSITORY, check=True)


def tree(pid):
    """A process and all below it."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            children = pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()
            for child in children:
                found += tree(int(child))
    except OSError:
        pass
    return found


def peak_mb(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def memory_mb(pid):
    """The resident memory of a process at this moment."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measured(command, **env):
    """Runs a command: seconds, CPU seconds, peak memory in MB of each process and of all at a time, standard output."""
    before = os.times()
    begun = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=WORK,
                               env={**os.environ, **env})
    peaks, together, done = {}, [0.0], threading.Event()

    def watch():
        while not done.is_set():
            pids = tree(process.pid)
            for pid in pids:
                peaks[pid] = max(peaks.get(pid, 0.0), peak_mb(pid))
            together[0] = max(together[0], sum(map(memory_mb, pids)))
            done.wait(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    out, err = process.communicate()
    seconds = time.perf_counter() - begun
    done.set()
    watcher.join()
    after = os.times()
    if process.returncode != 0:
        raise SystemExit(f"{command} failed:\n{err.decode()}\n{out.decode()}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    return {"seconds": seconds, "cpu": cpu, "peaks": sorted(peaks.values(), reverse=True),
            # What was there between two looks is seen by the peak of a single process alone.
            "together": max(together[0], max(peaks.values(), default=0.0)), "out": out.decode()}


def rounds(contenders, count):
    """Each contender once a round, in turn; the first round only warms up."""
    results = {name: [] for name in contenders}
    for number in range(count + 1):
        for name, run in contenders.items():
            result = run()
            if number:
                results[name].append(result)
    return results


def table(results, ours, peers):
    """Medians, and the ratio of each round to the fastest peer of that round."""
    lines = ["| contender | seconds | of the faster peer | CPU s | peak MB, all processes |", "|---|---|---|---|---|"]
    fastest = [min(results[peer][n]["seconds"] for peer in peers) for n in range(len(results[peers[0]]))]
    for name, runs in results.items():
        median = lambda key: statistics.median(run[key] for run in runs)
        ratio = statistics.median(run["seconds"] / best for run, best in zip(runs, fastest))
        memory = statistics.median(run["together"] for run in runs)
        shown = f"**{name}**" if name in ours else name
        lines.append(f"| {shown} | {median('seconds'):.3f} | {ratio:.2f} | {median('cpu'):.2f} | {memory:.0f} |")
    return "\n".join(lines)


def rows_of(path):
    with open(path, newline="") as file:
        return sorted(tuple(row) for row in csv.reader(file))


def quiver_output(result, step):
    report = json.loads(result["out"])
    path = next(one for one in report["steps"] if one["id"] == step)["receipt"]["path"]
    return WORK / path


def generate(dataset, rows):
    path = WORK / f"{dataset}_{rows}.csv"
    if not path.exists():
        subprocess.run([QUIVER, "generate", dataset, "--rows", str(rows), "-o", path], check=True)
    return path.name


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


def wire():
    """DoExchange echo of 5M rows × 8 columns: our server and pyarrow's, driven by our client and by pyarrow's."""
    path = WORK / "wire.sock"
    path.unlink(missing_ok=True)
    ours, theirs = [WIRE, "drive"], [PYTHON, CONTENDERS, "echo-drive"]
    pairs = [
        ("quiver", "quiver, TCP", ours, [WIRE, "serve"], None),
        ("quiver", "quiver, Unix socket", ours, [WIRE, "serve", "--unix", path], path),
        ("quiver", "pyarrow (C++), TCP", ours, [PYTHON, CONTENDERS, "echo-server"], None),
        ("pyarrow (C++)", "quiver, TCP", theirs, [WIRE, "serve"], None),
        ("pyarrow (C++)", "pyarrow (C++), TCP", theirs, [PYTHON, CONTENDERS, "echo-server"], None),
    ]
    lines = ["| client | server | GB/s one way, median | p50 of 500 rows, µs | p99, µs |", "|---|---|---|---|---|"]
    for client, name, driver, command, address in pairs:
        server = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            told = server.stdout.readline().split()[-1]
            address = address or told
            driven = [str(word) for word in [*driver, address]]
            out = subprocess.run(driven, check=True, capture_output=True, text=True).stdout
        finally:
            server.kill()
        *runs, latency = [json.loads(line) for line in out.splitlines()]
        speed = statistics.median(run["gb_per_s"] for run in runs[1:])
        lines.append(f"| {client} | {name} | {speed:.2f} | {latency['p50_us']} | {latency['p99_us']} |")
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
    prepare()
    sections = {
        "hr": lambda: hr(args.rows, args.rounds),
        "memory": lambda: memory(2),
        "join": lambda: join(args.rounds),
        "wire": wire,
        "startup": lambda: startup(args.rounds),
        "telemetry": lambda: telemetry(4 * args.rounds),
    }
    page = REPOSITORY / "docs/benchmarks.md"
    text = page.read_text()
    for name in args.only:
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        result = sections[name]()
        print(result, flush=True)
        text = before + begin + result + end + after
        page.write_text(text)
    facts = f"Last run: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Linux."
    before, rest = text.split("<!-- when -->")
    page.write_text(before + "<!-- when -->" + facts + "<!-- /when -->" + rest.split("<!-- /when -->")[1])


if __name__ == "__main__":
    main()
