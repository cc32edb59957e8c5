"""What the benchmarks share: how contenders are run and compared, and where figures go.

Contenders run as whole processes, in interleaved rounds after a warm-up round, and must all give equal rows. CPU seconds
are those of the whole tree of processes of a contender; its peak memory is the greatest sum of their resident memory at
one moment.
"""

import contextlib
import csv
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
WORK = REPOSITORY / "target/bench"
PYTHON = WORK / "env/bin/python"
QUIVER = REPOSITORY / "target/release/quiver"
WIRE = REPOSITORY / "target/release/examples/wire"
CONTENDERS = str(REPOSITORY / "tests/bench/contenders.py")


def prepare(packages):
    """The contenders in a Python of their own, and a release build."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not PYTHON.exists():
        subprocess.run([sys.executable, "-m", "venv", WORK / "env"], check=True)
    subprocess.run([PYTHON, "-m", "pip", "install", "--quiet", *packages], check=True)
    subprocess.run(["cargo", "build", "--release", "-p", "quiver", "-p", "flight-common", "--bin", "quiver", "--example", "wire"],
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


@contextlib.contextmanager
def postgres():
    """The address of a database of our own; nothing where there is no PostgreSQL."""
    bins = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    if not bins:
        yield None
        return
    folder = pathlib.Path(tempfile.mkdtemp())
    as_user = []
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
        as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    subprocess.run([*as_user, bins[-1] / "initdb", "-D", folder / "data", "-A", "trust", "-U", "postgres"], check=True,
                   stdout=subprocess.DEVNULL)
    server = subprocess.Popen([*as_user, bins[-1] / "postgres", "-D", folder / "data", "-k", folder, "-c",
                               "listen_addresses="], stderr=subprocess.DEVNULL)
    psql = [bins[-1] / "psql", "-h", folder, "-U", "postgres", "-qc"]
    try:
        while subprocess.run([*psql, "CREATE DATABASE quiver"], stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.1)
        yield f"postgres://postgres@localhost/quiver?host={folder}"
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder)


def publish(sections, chosen):
    """Measures the sections that were chosen, and puts each into its place in docs/benchmarks.md."""
    page = REPOSITORY / "docs/benchmarks.md"
    for name in chosen:
        result = sections[name]()
        print(result, flush=True)
        begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
        before, rest = page.read_text().split(begin)
        page.write_text(before + begin + result + end + rest.split(end)[1])
    facts = f"Last run: {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {platform.machine()}, Linux."
    before, rest = page.read_text().split("<!-- when -->")
    page.write_text(before + "<!-- when -->" + facts + "<!-- /when -->" + rest.split("<!-- /when -->")[1])
