#!/usr/bin/env python3
"""A training log whose clicks follow a known function: planted.py DIR SCHEMA FINGERPRINT [--bids N] [--flat] [--seed N]

The columns of the schema are drawn at random; the chance of a click is logistic in a few of them. Prints what that function itself
reaches on the last 15 % of the impressions, as JSON: no model can do better but by chance."""

import argparse
import json
import os
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import roc_auc_score

DAY = 86_400_000
FIRST = 1_780_000_000_000

parser = argparse.ArgumentParser()
parser.add_argument("dir")
parser.add_argument("schema")
parser.add_argument("fingerprint")
parser.add_argument("--bids", type=int, default=120_000)
parser.add_argument("--flat", action="store_true", help="nobody clicks")
parser.add_argument("--seed", type=int, default=7)
args = parser.parse_args()
random = np.random.default_rng(args.seed)
count = args.bids

with open(args.schema, encoding="utf-8") as file:
    schema = file.read()
columns, effect = {}, np.full(count, -2.6)
for feature in tomllib.loads(schema)["features"]:
    name = feature["name"]
    if "buckets" in feature:
        values = random.integers(0, feature["buckets"], count).astype(np.float32)
        # Each code has an effect of its own, in no order.
        effect += random.normal(0, 0.5, feature["buckets"])[values.astype(int)]
    elif name == "hour":
        values = random.integers(0, 24, count).astype(np.float32)
        effect += 0.8 * np.sin(values / 24 * 2 * np.pi)
    else:
        values = random.gamma(2.0, 1.0, count).astype(np.float32)
        effect += 0.4 * (values > 2.0)
        # What is not known is a value of its own.
        missing = random.random(count) < 0.2
        values[missing] = np.nan
        effect -= np.where(missing, 0.6, 0.0)
    columns[f"f.{name}"] = values

chance = np.zeros(count) if args.flat else 1 / (1 + np.exp(-effect))
time = np.sort(random.integers(FIRST, FIRST + 10 * DAY, count))
won, clicked = random.random(count) < 0.6, random.random(count) < chance
clicked &= won
converted = clicked & (random.random(count) < 0.4)
ids = np.array([f"{number:x}" for number in random.permutation(count)])

os.makedirs(args.dir, exist_ok=True)
rows = pa.table({
    "bid_id": ids, "time_ms": time, "exchange": np.full(count, "generic"),
    "campaign": np.ones(count, np.int32), "creative": np.ones(count, np.int32), "arm": np.full(count, ""),
    "price_cpm_micros": np.full(count, 2_000_000), "predicted": np.full(count, np.nan, np.float32), **columns,
}).replace_schema_metadata({"corebid.schema": schema, "corebid.fingerprint": args.fingerprint})
half = count // 2
pq.write_table(rows.slice(0, half), os.path.join(args.dir, "rows-0000000000001.parquet"))
# A copy of a file must not count twice.
pq.write_table(rows.slice(half - 10), os.path.join(args.dir, "rows-0000000000002.parquet"))
outcomes = []
for kind, which, after, micros in [("win", won, 100, 0), ("bill", won, 900, 2_000), ("click", clicked, 30_000, 0),
                                ("conversion", converted, 60_000, 0)]:
    outcomes.append(pa.table({
        "bid_id": ids[which], "time_ms": time[which] + after, "kind": np.full(which.sum(), kind),
        "micros": np.full(which.sum(), micros),
    }))
pq.write_table(pa.concat_tables(outcomes), os.path.join(args.dir, "outcomes-0000000000001.parquet"))

counted = won & (time <= time.max() - 3_600_000)
last = np.flatnonzero(counted)[int(counted.sum() * 0.85):]
label = clicked[last].astype(int)
print(json.dumps({
    "auc": None if args.flat else float(roc_auc_score(label, chance[last])),
    "rate": float(chance[last].mean()),
}))
