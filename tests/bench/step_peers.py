"""What the further steps do, as their peers would write it: python step_peers.py NAME ARGUMENTS. Each prints its rows."""

import sys


def to_arrow_file(rows, target):
    import pyarrow as pa

    with pa.OSFile(target, "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
        writer.write(rows)
    return rows.num_rows


def adbc_read(url, query, target):
    import adbc_driver_postgresql.dbapi as adbc

    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return to_arrow_file(cursor.fetch_arrow_table(), target)


def connectorx_read(url, query, target):
    import connectorx

    return to_arrow_file(connectorx.read_sql(url, query, return_type="arrow"), target)


def adbc_write(url, source):
    import adbc_driver_postgresql.dbapi as adbc
    import pyarrow.csv

    rows = pyarrow.csv.read_csv(source)
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("orders_adbc", rows, mode="replace")
        connection.commit()
    return rows.num_rows


def duckdb_sql(source, query, target):
    import duckdb

    db = duckdb.connect()
    db.execute("SET threads = 2")
    db.execute(f"CREATE VIEW orders AS SELECT * FROM read_csv('{source}')")
    db.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet)")
    return db.execute(f"SELECT count(*) FROM '{target}'").fetchone()[0]


def polars_group(source, target):
    import polars as pl

    rows = pl.scan_csv(source).group_by("Category", "Region").agg(
        pl.len().alias("orders"), pl.col("Quantity").sum().alias("pieces"), pl.col("TotalAmount").mean().alias("mean"),
        pl.col("UnitPrice").max().alias("dearest"))
    rows.sink_parquet(target)
    return pl.scan_parquet(target).select(pl.len()).collect().item()


def polars_join(source, target):
    import polars as pl

    orders = pl.scan_csv(source)
    totals = orders.group_by("CustomerID").agg(pl.len().alias("orders"), pl.col("TotalAmount").sum().alias("total"))
    rows = orders.filter(pl.col("Discount") > 0).join(totals, on="CustomerID").select("OrderID", "TotalAmount", "orders", "total")
    rows.sink_parquet(target)
    return pl.scan_parquet(target).select(pl.len()).collect().item()


def polars_excel(source, target):
    import polars as pl

    rows = pl.read_excel(source, engine="calamine")
    rows.write_parquet(target)
    return rows.height


def pyarrow_ndjson(address, target):
    import urllib.request

    import pyarrow.json
    import pyarrow.parquet

    rows = 0
    with urllib.request.urlopen(address) as answer:
        reader = pyarrow.json.open_json(answer)
        with pyarrow.parquet.ParquetWriter(target, reader.schema) as writer:
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
    return rows


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    print({
        "adbc-read": adbc_read,
        "adbc-write": adbc_write,
        "connectorx-read": connectorx_read,
        "duckdb-sql": duckdb_sql,
        "pyarrow-ndjson": pyarrow_ndjson,
        "polars-group": polars_group,
        "polars-join": polars_join,
        "polars-excel": polars_excel,
    }[name](*arguments))
