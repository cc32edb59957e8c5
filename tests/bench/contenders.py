"""The HR pipeline, and a join, as the peers would write them: python contenders.py NAME ARGUMENTS."""

import sys

NULLS = ["", "#N/A", "NA", "N/A", "NULL", "NaN", "None", "n/a", "nan", "null"]
GONE = ["EmployeeCount", "Over18", "StandardHours"]


def polars_hr(source, target, streaming):
    import polars as pl

    rows = pl.scan_csv(source, null_values=NULLS)
    # The gate: enough rows, few nulls, no repeated row.
    engine = "streaming" if streaming else "in-memory"
    if not streaming:
        whole = rows.collect(engine=engine)
        assert whole.height >= 100
        assert sum(whole.null_count().row(0)) / (whole.height * whole.width) <= 0.1
        assert whole.n_unique() == whole.height
        rows = whole.lazy()
    else:
        facts = rows.select(pl.len(), pl.struct(pl.all()).n_unique().alias("distinct")).collect(engine=engine)
        assert facts["len"][0] >= 100 and facts["distinct"][0] == facts["len"][0]
    income = pl.col("MonthlyIncome")
    z = ((income - income.mean()) / income.std(ddof=1)).abs()
    kept = rows.drop(GONE).filter(z.le(3.0) | income.is_null()).drop_nulls()
    if streaming:
        kept.sink_csv(target, engine=engine)
    else:
        kept.collect(engine=engine).write_csv(target)


def duckdb_hr(source, target):
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    nulls = ", ".join(f"'{null}'" for null in NULLS)
    # DuckDB would read Yes and No as booleans, and write them as true and false.
    texts = "{'Attrition': 'VARCHAR', 'OverTime': 'VARCHAR', 'Over18': 'VARCHAR'}"
    db.execute(f"CREATE TABLE t AS SELECT * FROM read_csv('{source}', nullstr=[{nulls}], types={texts})")
    rows, distinct = db.execute("SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT * FROM t)) FROM t").fetchone()
    assert rows >= 100 and distinct == rows
    columns = [name for name, *_ in db.execute("DESCRIBE t").fetchall() if name not in GONE]
    whole = " AND ".join(f'"{name}" IS NOT NULL' for name in columns)
    chosen = ", ".join(f'"{name}"' for name in columns)
    db.execute(f"""
        COPY (
          SELECT {chosen} FROM t, (SELECT avg(MonthlyIncome) m, stddev_samp(MonthlyIncome) s FROM t)
          WHERE (MonthlyIncome IS NULL OR abs(MonthlyIncome - m) / s <= 3.0) AND {whole}
        ) TO '{target}' (HEADER)""")


def polars_join(left, right, target):
    import polars as pl

    pl.scan_csv(left).join(pl.scan_csv(right), on="id", suffix="_y").collect().write_parquet(target, compression="snappy")


def duckdb_join(left, right, target):
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    db.execute(f"""
        COPY (SELECT l.id, l.a, r.b FROM read_csv('{left}') l JOIN read_csv('{right}') r USING (id))
        TO '{target}' (FORMAT parquet)""")


def echo_server():
    """pyarrow's (C++) Flight server, giving back what it gets."""
    import pyarrow.flight as flight

    class Echo(flight.FlightServerBase):
        def do_exchange(self, context, descriptor, reader, writer):
            writer.begin(reader.schema)
            for chunk in reader:
                if chunk.data is not None:
                    writer.write_batch(chunk.data)
            # The report that a Quiver client waits for.
            writer.write_metadata(b'{"step": "echo"}')

    server = Echo("grpc://127.0.0.1:0")
    print(f"listening on 127.0.0.1:{server.port}", flush=True)
    server.serve()


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    {
        "polars-eager": lambda source, target: polars_hr(source, target, False),
        "polars-streaming": lambda source, target: polars_hr(source, target, True),
        "duckdb": duckdb_hr,
        "polars-join": polars_join,
        "duckdb-join": duckdb_join,
        "echo-server": echo_server,
    }[name](*arguments)
