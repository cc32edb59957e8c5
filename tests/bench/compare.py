#!/usr/bin/env python3
"""Random queries to the step `sql` beside DuckDB: `python3 tests/bench/compare.py --seconds 300 --seed 7`.

Not a benchmark: it is run when DataFusion is updated, which has answered otherwise than SQL has it before. Each query
runs over random tables of 0 to 60,000 rows with little memory, so that joins, sorts and groups go to disk, and some by
`--mesh`. A fault that says what is wrong is no difference; another answer ends this with the folder of what led to it.
"""

import argparse
import collections
import decimal
import json
import math
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

from common import PYTHON, QUIVER, prepare

COLUMNS = ["u", "k", "g", "x", "m", "d", "b"]
JOINS = ["INNER", "LEFT", "RIGHT", "FULL"]
MEMORY = ["16MiB", "32MiB", "64MiB", "256MiB"]
# What does not begin so has no words of our own: a library's text, or a panic.
CLEAR = ("bad_params", "bad_data", "busy", "bad_schema")


def table(dice, rows, path):
    """u is unique and not null; k, g and b repeat; all but u have nulls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    few, many = dice.choice([3, 50, 5000]), dice.choice([0.0, 0.1, 0.6])
    maybe = lambda make: [None if dice.random() < many else make() for _ in range(rows)]
    floats = [0.0, -0.0, math.nan, math.inf, 1.5, -2.25]
    columns = {
        "u": pa.array(dice.sample(range(-rows, rows), rows), pa.int64()),
        "k": pa.array(maybe(lambda: dice.randrange(few)), pa.int32()),
        "g": pa.array(maybe(lambda: dice.choice(["", "a", "A", "é", "zz", "日本"]) + str(dice.randrange(few) % 7)), pa.string()),
        "x": pa.array(maybe(lambda: dice.choice(floats) if dice.random() < 0.05 else dice.uniform(-1e3, 1e3)), pa.float64()),
        "m": pa.array(maybe(lambda: decimal.Decimal(dice.randrange(-10**6, 10**6)).scaleb(-2)), pa.decimal128(12, 2)),
        "d": pa.array(maybe(lambda: dice.randrange(-30_000, 30_000)), pa.int32()).cast(pa.date32()),
        "b": pa.array(maybe(lambda: dice.random() < 0.5), pa.bool_()),
    }
    pq.write_table(pa.table(columns), path)


def condition(dice, name):
    return dice.choice([
        f"{name}.k > {dice.randrange(40)}", f"{name}.g LIKE '%{dice.randrange(7)}'", f"{name}.x IS NULL", f"{name}.b",
        f"{name}.m BETWEEN -500 AND {dice.randrange(9000)}", f"{name}.d >= DATE '2001-05-17'", f"{name}.x < 12.5",
        f"NOT ({name}.k = {dice.randrange(9)} OR {name}.b)", f"{name}.g IN ('a1', 'é2', 'zz')", f"{name}.g <> 'a1'",
        f"coalesce({name}.k, -1) % 3 = 0", f"{name}.u IN (SELECT u FROM q WHERE k < 20)",
        f"EXISTS (SELECT 1 FROM q AS s WHERE s.k = {name}.k AND s.u > 0)",
    ])


def query(dice):
    where = lambda name: "" if dice.random() < 0.4 else f" WHERE {condition(dice, name)}"
    groups = ", ".join(dice.sample(["p.g", "p.b", "p.k"], dice.randint(1, 2)))
    aggregates = ", ".join(f"{call} AS a{place}" for place, call in enumerate(dice.sample([
        "count(*)", "count(p.x)", "count(DISTINCT p.k)", "sum(p.u)", "min(p.x)", "max(p.x)", "min(p.g)", "max(p.d)",
        "sum(p.m)", "bool_or(p.b)", "avg(p.u)", "sum(p.u) FILTER (WHERE p.b)"], 3)))
    kind = dice.randrange(7)
    if kind == 0:
        order = ", ".join(f"{name}{dice.choice(['', ' DESC'])} NULLS {dice.choice(['FIRST', 'LAST'])}"
                          for name in dice.sample(["g", "k", "d", "m"], 2))
        return f"SELECT {', '.join(COLUMNS)} FROM p{where('p')} ORDER BY {order}, u LIMIT {dice.choice([0, 7, 5000])} OFFSET {dice.choice([0, 3])}"
    if kind in (1, 2):
        on = ["p.k = q.k" if dice.random() < 0.7 else "p.g = q.g", *dice.sample(["p.u < q.u", "p.d = q.d", "p.b = q.b", "p.m > q.m"], dice.randrange(3))]
        return (f"SELECT count(*) AS n, sum(p.u) AS pu, sum(q.u) AS qu, count(p.g) AS pg, max(q.m) AS qm "
                f"FROM p {dice.choice(JOINS)} JOIN q ON {' AND '.join(on)}{where('p')}")
    if kind == 3:
        having = dice.choice(["", " HAVING count(*) > 2"])
        return f"SELECT {groups}, {aggregates} FROM p{where('p')} GROUP BY {groups}{having}"
    if kind == 4:
        frame = dice.choice(["", " ROWS BETWEEN 2 PRECEDING AND CURRENT ROW", " ROWS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING"])
        call = dice.choice(["sum(u)", "count(x)", "min(m)", "max(d)", "first_value(g)"])
        return (f"SELECT u, {call} OVER (PARTITION BY g ORDER BY u{frame}) AS w, row_number() OVER (ORDER BY k, u) AS r, "
                f"lag(k) OVER (PARTITION BY b ORDER BY u) AS l FROM p{where('p')}")
    if kind == 5:
        names = ", ".join(dice.sample(["k", "g", "b", "d", "m"], 2))
        return f"SELECT {names} FROM p{where('p')} {dice.choice(['UNION', 'UNION ALL', 'INTERSECT', 'EXCEPT'])} SELECT {names} FROM q{where('q')}"
    return (f"WITH t AS (SELECT k, count(*) AS n, max(u) AS top FROM q{where('q')} GROUP BY k) "
            f"SELECT p.u, t.n, t.top FROM p {dice.choice(JOINS[:2])} JOIN t ON p.k = t.k AND p.u <> t.top{where('p')}")


def plain(value):
    """A value as both tell it: numbers by their worth, to twelve digits where they are floats."""
    if isinstance(value, float) or (isinstance(value, decimal.Decimal) and value != value.to_integral_value()):
        value = float(value)
        return "nan" if math.isnan(value) else float(f"{value + 0.0:.12g}")
    return int(value) if isinstance(value, (int, decimal.Decimal)) and not isinstance(value, bool) else value


def bag(rows):
    return collections.Counter(tuple(map(plain, row)) for row in rows)


def run(folder, sql, dice):
    """The rows, or the fault."""
    import pyarrow.parquet as pq

    read = [name for name in "pq" if re.search(rf"(FROM|JOIN) {name}\b", sql)]
    steps = [{"id": name, "service": "extract-file", "params": {"file_path": f"{name}.parquet"}} for name in read]
    steps.append({"id": "ask", "service": "sql", "params": {"query": sql}, "inputs": {name: name for name in read}})
    steps.append({"id": "load", "service": "load-data", "params": {"format": "parquet", "dataset_name": "out"}, "depends_on": ["ask"]})
    (folder / "run.yaml").write_text(json.dumps({"name": "compare", "steps": steps}))
    words = [QUIVER, "run", "run.yaml", "--json", "--memory-limit", dice.choice(MEMORY), *(["--mesh"] if dice.random() < 0.2 else [])]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    if done.returncode == 0:
        path = next(step["receipt"]["path"] for step in report["steps"] if step["id"] == "load")
        found = pq.read_table(folder / path)
        (folder / path).unlink()
        return list(zip(*(column.to_pylist() for column in found.columns))), None
    fault = report.get("fault") or {"kind": "bad_params", "message": str(report.get("errors"))}
    return None, f"{fault['kind']}: {fault['message']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    import duckdb

    dice, ended = random.Random(args.seed), time.monotonic() + args.seconds
    equal, refused, folder = 0, collections.Counter(), pathlib.Path(tempfile.mkdtemp())
    while time.monotonic() < ended:
        for name in "pq":
            table(dice, dice.choice([0, 1, 40, 2000, 60_000]), folder / f"{name}.parquet")
        database = duckdb.connect()
        for name in "pq":
            database.execute(f"CREATE TABLE {name} AS FROM '{folder / name}.parquet'")
        for _ in range(6):
            sql = query(dice)
            if database.execute(f"SELECT count(*) FROM ({sql})").fetchone()[0] > 2_000_000:
                continue
            found, fault = run(folder, sql, dice)
            if fault is not None:
                refused[fault[:90]] += 1
                if not fault.startswith(CLEAR):
                    raise SystemExit(f"{fault}\n{sql}\n{folder}")
                continue
            expected = database.execute(sql).fetchall()
            if bag(found) != bag(expected):
                raise SystemExit(f"{len(found)} rows, and {len(expected)} by DuckDB\n{sql}\n{folder}")
            equal += 1
    print(f"{equal} equal, {sum(refused.values())} refused")
    for fault, count in refused.most_common():
        print(f"  {count} {fault}")


if __name__ == "__main__":
    if pathlib.Path(sys.prefix) != PYTHON.parents[1]:
        prepare(["duckdb", "pyarrow"])
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    main()
