#!/usr/bin/env python3
"""The benchmark of the further steps: `python3 tests/bench/steps.py`. Figures go to docs/benchmarks.md.

Databases are a PostgreSQL of its own, from Debian's package, with its defaults.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys

from common import PYTHON, QUIVER, REPOSITORY, WORK, generate, measured, postgres, prepare, publish, quiver_output, rounds, table

PEERS = str(REPOSITORY / "tests/bench/step_peers.py")
ANSWERS = str(REPOSITORY / "tests/bench/answers.py")
PACKAGES = ["polars", "duckdb", "pyarrow", "connectorx", "adbc-driver-postgresql", "fastexcel"]


def ours(name, pipeline, *options, step="load"):
    """A pipeline as a contender. What it has written is looked at, and removed."""
    (WORK / f"{name}.yaml").write_text(json.dumps(pipeline))

    def run():
        result = measured([QUIVER, "run", f"{name}.yaml", "--json", *options])
        steps = {step["id"]: step for step in json.loads(result["out"])["steps"]}
        result["rows"] = steps[step]["rows_in"]
        if "path" in steps[step]["receipt"]:
            quiver_output(result, step).unlink()
        return result

    return run


def peer(*words):
    """A function of step_peers.py as a contender: it prints how many rows it had."""

    def run():
        result = measured([PYTHON, PEERS, *words])
        result["rows"] = int(result["out"].split()[-1])
        return result

    return run


def compared(contenders, peers, count):
    """A table of contenders, all of which had as many rows."""
    results = rounds(contenders, count)
    rows = {name: {run["rows"] for run in runs} for name, runs in results.items()}
    assert len(set().union(*rows.values())) == 1, rows
    return table(results, {name for name in contenders if name.startswith("quiver")}, peers)


def chain(*steps):
    """A pipeline of steps one after the other: pairs of a service and its parameters."""
    names = [service for service, _ in steps[:-1]] + ["load"]
    listed = [{"id": name, "service": service, "params": params} for name, (service, params) in zip(names, steps)]
    for before, step in zip(names, listed[1:]):
        step["depends_on"] = [before]
    return {"steps": listed}


def databases(count):
    """One million rows out of a table of PostgreSQL into an Arrow file, and from CSV into a table."""
    source = generate("ecommerce", 1_000_000)
    to_file = ("load-data", {"format": "arrow", "dataset_name": "rows"})
    with postgres() as url:
        assert url, "there is no PostgreSQL: apt-get install postgresql"
        psql = ["psql", url, "-qAtc"]
        filled = chain(("extract-csv", {"file_path": source}), ("load-sql", {"db_url": url, "table": "orders", "mode": "replace"}))
        ours("fill", filled)()
        subprocess.run([*psql, "VACUUM ANALYZE orders"], check=True)
        query = "SELECT * FROM orders"

        def copy():
            result = measured(["sh", "-c", f"psql '{url}' -qAtc 'COPY ({query}) TO STDOUT' > copy.csv && wc -l < copy.csv"])
            result["rows"] = int(result["out"])
            return result

        read = compared({
            "quiver: extract-sql": ours("read", chain(("extract-sql", {"db_url": url, "query": query}), to_file)),
            "ADBC": peer("adbc-read", url, query, "adbc.arrow"),
            "connectorx": peer("connectorx-read", url, query, "connectorx.arrow"),
            "psql, COPY to a text file": copy,
        }, ["ADBC", "connectorx"], count)
        write = compared({
            "quiver: load-sql": ours("write", filled),
            "ADBC: ingest": peer("adbc-write", url, source),
        }, ["ADBC: ingest"], count)
    return (f"#### 1,000,000 rows × 11 columns out of PostgreSQL, into an Arrow file\n\n{read}\n\n"
            f"#### The same from CSV into a table of PostgreSQL, in place of its old rows\n\n{write}")


def sql(count):
    """Group-by and join of five million rows, CSV to Parquet."""
    source = generate("ecommerce", 5_000_000)
    with open(WORK / "regions.csv", "w") as file:
        file.write("Region,Zone\n" + "".join(f"{region},{zone}\n" for zone, region in enumerate(["North", "South", "East", "West"])))
    group = ("SELECT Category, Region, count(*) AS orders, sum(Quantity) AS pieces, avg(TotalAmount) AS mean, "
             "max(UnitPrice) AS dearest FROM input GROUP BY Category, Region")
    join = ("SELECT o.OrderID, o.TotalAmount, c.orders, c.total FROM orders AS o JOIN (SELECT CustomerID, count(*) AS orders, "
            "sum(TotalAmount) AS total FROM orders GROUP BY CustomerID) AS c ON o.CustomerID = c.CustomerID "
            "WHERE o.Discount > 0")
    to_file = ("load-data", {"format": "parquet", "dataset_name": "rows"})
    read = ("extract-csv", {"file_path": source})
    parts = []
    for title, name, query in [("Group by two columns", "group", group), ("Each customer's total joined to the orders", "join", join)]:
        query_of_ours = query.replace("FROM orders AS o", "FROM input AS o").replace("FROM orders GROUP", "FROM input GROUP")
        figures = compared({
            "quiver: sql": ours(name, chain(read, ("sql", {"query": query_of_ours}), to_file)),
            "duckdb": peer("duckdb-sql", source, query.replace("FROM input", "FROM orders"), f"{name}.parquet"),
            "polars": peer(f"polars-{name}", source, f"{name}.parquet"),
        }, ["duckdb", "polars"], count)
        parts.append(f"#### {title}, 5,000,000 rows, CSV to Parquet\n\n{figures}")
    return "\n\n".join(parts)


def excel(count):
    """A sheet of 300,000 rows."""
    source = generate("ecommerce", 300_000)
    made = chain(("extract-csv", {"file_path": source}), ("load-data", {"path": "orders.xlsx"}))
    if not (WORK / "orders.xlsx").exists():
        (WORK / "made.yaml").write_text(json.dumps(made))
        subprocess.run([QUIVER, "run", "made.yaml", "--json"], cwd=WORK, check=True, capture_output=True)
    to_file = ("load-data", {"format": "parquet", "dataset_name": "rows"})
    figures = compared({
        "quiver: extract-excel": ours("excel", chain(("extract-excel", {"file_path": "orders.xlsx"}), to_file)),
        "polars (calamine)": peer("polars-excel", "orders.xlsx", "excel.parquet"),
    }, ["polars (calamine)"], count)
    return f"#### 300,000 rows × 11 columns of a sheet (.xlsx), to Parquet\n\n{figures}"


@contextlib.contextmanager
def answers(rows):
    """A server of so many rows of NDJSON: its address, and the bytes of its answer."""
    server = subprocess.Popen([sys.executable, ANSWERS, str(rows)], stdout=subprocess.PIPE, text=True)
    try:
        address, size = server.stdout.readline().split()
        yield address, int(size)
    finally:
        server.kill()
        server.wait()


def api(count):
    """An answer of 2 GB within 256 MiB."""
    rows = 12_000_000
    seconds = []
    with answers(rows) as (address, size):
        read = chain(("extract-api", {"url": address}), ("load-data", {"format": "parquet", "dataset_name": "rows"}))
        run = ours("api", read, "--memory-limit", "256MiB", "--http-allow", "127.0.0.1")

        def timed():
            result = run()
            seconds.append(result["seconds"])
            return result

        figures = compared({
            "quiver: extract-api": timed,
            "pyarrow, a stream": peer("pyarrow-ndjson", address, "api.parquet"),
        }, ["pyarrow, a stream"], count)
    pace = rows / statistics.median(seconds[1:])
    return (f"#### {rows:,} rows of NDJSON over HTTP, {size / 1e9:.1f} GB in one answer, to Parquet\n\n{figures}\n\n"
            f"With `--memory-limit 256MiB`: {pace:,.0f} rows a second, with the server that makes them on the same cores.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = {"databases": databases, "sql": sql, "excel": excel, "api": api}
    parser.add_argument("--only", nargs="*", default=list(sections), choices=list(sections))
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    prepare(PACKAGES)
    publish({name: lambda section=section: section(args.rounds) for name, section in sections.items()}, args.only)


if __name__ == "__main__":
    main()
