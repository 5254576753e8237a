#!/usr/bin/env python3
"""A model from the logs of a bidder: rows and outcomes in, a version of a registry out (docs/TRAINING.md)."""

import argparse
import datetime
import glob
import hashlib
import html
import importlib.metadata
import io
import json
import os
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Which outcomes make a row one of the population, and which of those make it positive.
TARGETS = {
    "click": ({"win", "bill"}, {"click"}),
    "conversion": ({"win", "bill"}, {"conversion"}),
    "win": (None, {"win", "bill"}),
}
# Minutes that an outcome takes to come.
WAITS = {"click": 60, "conversion": 24 * 60, "win": 60}
# Shares of the rows, by time: what is left is for the test.
TRAINING, CALIBRATION = 0.70, 0.15
# Rows of each class that a part needs.
ENOUGH = 20
# Bins of the distribution that drift is measured against (src/model/drift.rs).
BINS = 10
# Rows whose scores `serve` compares.
PARITY = 256
# Points of an isotonic calibration at most (limits::MODEL_POINTS is 4096).
POINTS = 512
FOLDS = 5

# What only a model that is trained takes, and takes seconds to load, is imported where it is used.


class Unfit(Exception):
    """What keeps a model from being trained, in one line."""


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/train", description=__doc__)
    parser.add_argument("logs", metavar="LOGDIR", help="the folder of `training.dir`: rows-*.parquet and outcomes-*.parquet")
    parser.add_argument("registry", metavar="REGISTRY", help="the folder of `score.registry`; made if it is not there")
    parser.add_argument("name", metavar="NAME", help="the model; its versions stand in REGISTRY/NAME")
    parser.add_argument("--target", choices=TARGETS, default="click", help="what is predicted (default: click)")
    parser.add_argument("--trees", type=int, default=100, help="trees (default: 100)")
    parser.add_argument("--leaves", type=int, default=31, help="leaves of a tree (default: 31)")
    parser.add_argument("--learning-rate", type=float, default=0.1, help="(default: 0.1)")
    parser.add_argument("--min-rows", type=int, default=100, help="rows of a leaf at least (default: 100)")
    parser.add_argument(
        "--categories", type=int, default=256,
        help="columns of codes with so many values at most are categories; others are compared as numbers (default: 256)",
    )
    parser.add_argument("--since", type=moment, help="leave out bids before, as 2026-11-01 or 2026-11-01T12:00:00Z")
    parser.add_argument("--until", type=moment, help="leave out bids from then on")
    parser.add_argument(
        "--wait", type=float, metavar="MINUTES",
        help="leave out the last bids, whose outcomes may still come (default: 60, for conversions 1440)",
    )
    parser.add_argument("--schema", metavar="FINGERPRINT", help="of several schemas in the logs, take the rows of this one")
    parser.add_argument("--seed", type=int, default=1, help="the same rows and seed make the same model (default: 1)")
    args = parser.parse_args()
    plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    if not args.name or len(args.name) > 64 or args.name.startswith(".") or not all(c in plain for c in args.name):
        parser.error(f"NAME {args.name!r}: up to 64 letters, digits, `-`, `_` and `.`, and no `.` first")
    for option, least in [("trees", 1), ("leaves", 2), ("min_rows", 1), ("categories", 0), ("seed", 0)]:
        if getattr(args, option) < least:
            parser.error(f"--{option.replace('_', '-')}: at least {least}")
    return args


def moment(text):
    """A date or time, UTC where it does not say, in ms since 1970."""
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    return int(time.timestamp() * 1000)


def iso(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="seconds")


# The logs.


def opened(logs, kind):
    paths = sorted(glob.glob(os.path.join(glob.escape(logs), f"{kind}-*.parquet")))
    for path in paths:
        try:
            yield path, pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise Unfit(f"{path}: cannot be read: {error}") from None


def rows_of(args):
    """The rows of one schema, by time; the schema's text and fingerprint."""
    schemas, tables = {}, {}
    for path, file in opened(args.logs, "rows"):
        meta = file.schema_arrow.metadata or {}
        text, fingerprint = (meta.get(key, b"").decode() for key in (b"corebid.schema", b"corebid.fingerprint"))
        if not text or not fingerprint:
            raise Unfit(f"{path}: its metadata have no corebid.schema and corebid.fingerprint: a bidder wrote no such file")
        features = [name for name in file.schema_arrow.names if name.startswith("f.")]
        schemas.setdefault(fingerprint, (text, features, path))
        table = file.read(["bid_id", "time_ms", *features])
        table = table.filter(within(table["time_ms"], args))
        if table.num_rows:
            tables.setdefault(fingerprint, []).append(table)
    if not schemas:
        raise Unfit(f"{args.logs}: no rows-*.parquet in it")
    if args.schema:
        tables = {fingerprint: found for fingerprint, found in tables.items() if fingerprint == args.schema}
    if not tables:
        raise Unfit(f"{args.logs}: no rows within --since, --until and --schema")
    if len(tables) > 1:
        named = ", ".join(f"{fingerprint} from {schemas[fingerprint][2]}" for fingerprint in tables)
        raise Unfit(f"{args.logs}: rows of several schemas: {named}: say --schema FINGERPRINT, or --since")
    (fingerprint, found), = tables.items()
    text, features, path = schemas[fingerprint]
    declared = [f"f.{feature['name']}" for feature in tomllib.loads(text)["features"]]
    if features != declared:
        raise Unfit(f"{path}: its columns are not those of its schema")
    # A bid is logged once; a file that was copied would count twice.
    table = pa.concat_tables(found).sort_by([("time_ms", "ascending"), ("bid_id", "ascending")])
    first = np.unique(table["bid_id"].to_numpy(zero_copy_only=False), return_index=True)[1]
    return table.take(pa.array(np.sort(first))), features, text, fingerprint


def within(times, args):
    kept = pc.greater_equal(times, args.since if args.since is not None else 0)
    return kept if args.until is None else pc.and_(kept, pc.less(times, args.until))


def outcomes_of(args):
    """The bids of each kind of outcome, and when the last one came."""
    bids, last = {}, 0
    for _, file in opened(args.logs, "outcomes"):
        table = file.read(["bid_id", "time_ms", "kind"])
        if table.num_rows:
            last = max(last, pc.max(table["time_ms"]).as_py())
            for kind in pc.unique(table["kind"]).to_pylist():
                bids.setdefault(kind, []).append(table.filter(pc.equal(table["kind"], kind))["bid_id"])
    return {kind: pa.chunked_array([c for found in every for c in found.chunks]) for kind, every in bids.items()}, last


class Rows:
    """What a model learns from: features, label and time of every bid that counts; and the features of every bid."""

    def __init__(self, args):
        table, features, self.schema, self.fingerprint = rows_of(args)
        outcomes, last = outcomes_of(args)
        population, positive = TARGETS[args.target]
        wait = WAITS[args.target] if args.wait is None else args.wait
        time = table["time_ms"].to_numpy()
        end = max(last, int(time.max())) - wait * 60_000
        table = table.filter(pc.less_equal(table["time_ms"], int(end)))
        if not table.num_rows:
            raise Unfit(f"{args.logs}: no bid is older than {wait:g} minutes, which its outcome may take: see --wait")

        def has(kinds):
            found = [outcomes[kind] for kind in kinds if kind in outcomes]
            known = np.zeros(table.num_rows, bool)
            for bids in found:
                known |= pc.is_in(table["bid_id"], value_set=bids).to_numpy(zero_copy_only=False)
            return known

        self.names = [name.removeprefix("f.") for name in features]
        columns = [table[name].to_numpy(zero_copy_only=False).astype(np.float32) for name in features]
        self.every = np.column_stack(columns)
        self.every_time = table["time_ms"].to_numpy()
        counts = np.ones(table.num_rows, bool) if population is None else has(population)
        self.label = has(positive)[counts].astype(np.int8)
        self.values, self.time = self.every[counts], self.every_time[counts]
        if not len(self.label):
            raise Unfit(f"{args.logs}: {table.num_rows} bids, and none of them is known to have won")
        self.parts = self.split(args.target)

    def split(self, target):
        count = len(self.label)
        ends = int(count * TRAINING), int(count * (TRAINING + CALIBRATION)), count
        parts = dict(zip(["training", "calibration", "test"], map(slice, (0, *ends), ends)))
        for name, part in parts.items():
            positive = int(self.label[part].sum())
            few = min(positive, part.stop - part.start - positive)
            if few < ENOUGH:
                raise Unfit(
                    f"too little to learn from: of the {part.stop - part.start} rows for the {name}, {positive} had a {target}; "
                    f"{ENOUGH} with and {ENOUGH} without are wanted"
                )
        return parts

    def of(self, part):
        part = self.parts[part]
        return self.values[part], self.label[part]

    def categorical(self, most):
        """Columns that hold codes, of so many values at most."""
        columns = []
        for at, feature in enumerate(tomllib.loads(self.schema)["features"]):
            codes = len(feature["values"]) + 1 if "values" in feature else feature.get("buckets", 0)
            if ("cross" in feature or feature.get("as") in ("hash", "vocabulary")) and codes <= most:
                columns.append(at)
        return columns


# The model.


def trained(args, rows):
    import lightgbm

    values, label = rows.of("training")
    parameters = {
        "objective": "binary",
        "num_leaves": args.leaves,
        "learning_rate": args.learning_rate,
        "min_data_in_leaf": args.min_rows,
        "seed": args.seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    data = lightgbm.Dataset(
        values.astype(np.float64), label, feature_name=rows.names, categorical_feature=rows.categorical(args.categories)
    )
    return lightgbm.train(parameters, data, num_boost_round=args.trees)


def raw_scores(booster, values):
    return booster.predict(values.astype(np.float64), raw_score=True)


def sigmoid(raw):
    return 1.0 / (1.0 + np.exp(-raw))


def log_loss(label, probability):
    probability = np.clip(probability, 1e-15, 1.0 - 1e-15)
    return float(-np.mean(np.where(label == 1, np.log(probability), np.log1p(-probability))))


class Calibration:
    """From raw scores to probabilities, as src/model/calibration.rs has it."""

    def __init__(self, kind, **of):
        self.kind, self.of = kind, of

    def probability(self, raw):
        if self.kind == "platt":
            return sigmoid(self.of["a"] * raw + self.of["b"])
        if self.kind == "isotonic":
            return np.interp(raw, *np.transpose(self.of["points"]))
        return sigmoid(raw)

    def file(self):
        return None if self.kind == "none" else {self.kind: self.of}


def platt(raw, label):
    """Maximum likelihood of a slope and an offset, by Newton's method."""
    weights, design = np.array([1.0, 0.0]), np.column_stack([raw, np.ones_like(raw)])
    for _ in range(50):
        probability = sigmoid(design @ weights)
        gradient = design.T @ (probability - label)
        hessian = (design * (probability * (1.0 - probability))[:, None]).T @ design + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    slope, offset = map(float, weights)
    return Calibration("platt", a=slope, b=offset) if np.isfinite(weights).all() and slope > 0 else None


def isotonic(raw, label):
    """Pool adjacent violators. No probability is 0 or 1: half an event in all rows is the least that they can tell."""
    from sklearn.isotonic import IsotonicRegression

    fit = IsotonicRegression(out_of_bounds="clip").fit(raw, label)
    least = 0.5 / len(raw)
    probability = np.clip(fit.y_thresholds_, least, 1.0 - least)
    kept = np.unique(np.linspace(0, len(probability) - 1, min(POINTS, len(probability))).round().astype(int))
    points = list(zip(fit.X_thresholds_[kept].tolist(), probability[kept].tolist()))
    return Calibration("isotonic", points=points)


def calibrated(raw, label):
    """The calibration with the least log loss on rows that it was not fitted to, fitted to all; and those losses."""
    methods = {"none": lambda *_: Calibration("none"), "platt": platt, "isotonic": isotonic}
    fold = np.arange(len(raw)) % FOLDS
    losses = {}
    for name, fit in methods.items():
        probability = np.empty(len(raw))
        for held in range(FOLDS):
            fitted = fit(raw[fold != held], label[fold != held])
            probability[fold == held] = np.nan if fitted is None else fitted.probability(raw[fold == held])
        if np.isfinite(probability).all():
            losses[name] = log_loss(label, probability)
    best = min(losses, key=losses.get)
    return methods[best](raw, label) or Calibration("none"), losses


# The report.


def wilson(positive, count):
    """The 95 % interval of a share (Wilson, 1927)."""
    z = 1.959964
    share = positive / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * np.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return float(middle - half), float(middle + half)


def reliability(label, probability, bins=15):
    """What was predicted and what was seen, in bins of as many rows each."""
    table = []
    for part in np.array_split(np.argsort(probability, kind="stable"), bins):
        if len(part):
            low, high = wilson(int(label[part].sum()), len(part))
            table.append({
                "rows": len(part), "predicted": float(probability[part].mean()), "seen": float(label[part].mean()),
                "low": low, "high": high,
            })
    return table


def measured(label, raw, probability, base):
    """How good predictions are, on rows that nothing was fitted to. `base` is the rate of the rows before them."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    loss, loss_base = log_loss(label, probability), log_loss(label, np.full(len(label), base))
    table = reliability(label, probability)
    return {
        "auc": float(roc_auc_score(label, raw)),
        "pr_auc": float(average_precision_score(label, raw)),
        "log_loss": loss,
        "log_loss_uncalibrated": log_loss(label, sigmoid(raw)),
        "log_loss_of_base_rate": loss_base,
        "log_loss_ratio": loss / loss_base,
        "mean_predicted": float(probability.mean()),
        "rate": float(label.mean()),
        "calibration_ratio": float(probability.sum() / label.sum()),
        "calibration_error": float(sum(r["rows"] * abs(r["predicted"] - r["seen"]) for r in table) / len(label)),
    }, table


def distribution(probability):
    """Edges of the tenths, each a prediction that was made, and the share of each bin (src/model/drift.rs)."""
    probability = probability.astype(np.float32)
    edges = np.quantile(probability, np.arange(1, BINS) / BINS, method="inverted_cdf")
    counts = np.bincount(np.searchsorted(edges, probability, side="left"), minlength=BINS)
    return {"edges": edges.astype(float).tolist(), "shares": (counts / len(probability)).tolist()}


def plot(table, probability):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot, ticker

    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(6.4, 7.2), height_ratios=[3, 1], sharex=True, layout="constrained"
    )
    predicted, seen = (np.array([row[key] for row in table]) for key in ("predicted", "seen"))
    errors = np.array([[row["seen"] - row["low"], row["high"] - row["seen"]] for row in table]).T.clip(0)
    low, high = max(1e-6, min(predicted.min(), seen[seen > 0].min()) * 0.7), max(predicted.max(), seen.max()) * 1.4
    above.plot([low, high], [low, high], color="0.6", linewidth=1, label="as predicted")
    above.errorbar(predicted, seen, yerr=errors, fmt="o", markersize=4, capsize=2, label="seen, with 95 % interval")
    above.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), ylabel="seen rate")
    above.set_title("Reliability on the test rows")
    above.legend(frameon=False)
    below.hist(probability.clip(low, high), bins=np.geomspace(low, high, 50), color="0.5")
    below.set(xscale="log", xlabel="calibrated prediction", ylabel="rows")
    for axes in (above, below):
        for axis in (axes.xaxis, axes.yaxis)[: 2 if axes is above else 1]:
            axis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(ticker.FuncFormatter(lambda share, _: f"{share:.4%}".rstrip("0%").rstrip(".") + " %"))
            axis.set_minor_formatter(ticker.NullFormatter())
        axes.spines[["top", "right"]].set_visible(False)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return drawn.getvalue()


def page(meta, report, drawn):
    def table(rows):
        cells = "\n".join(f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"

    def number(value):
        return f"{value:.6g}" if isinstance(value, float) else value

    said = [("target", meta["target"]), ("library", " ".join(meta["library"].values())), ("schema", meta["fingerprint"])]
    said += [(f"rows for the {name}", f"{part['rows']}, of which {part['positive']} had a {meta['target']}; "
                                      f"{part['from']} to {part['until']}") for name, part in meta["parts"].items()]
    said += [("calibration", meta["calibration"])]
    said += [(f"log loss, cross-validated, {name}", number(loss)) for name, loss in report["calibration_losses"].items()]
    gains = [(row["feature"], number(row["gain"])) for row in report["features"][:20]]
    title = html.escape(f"{meta['name']}/{meta['version']}")
    return f"""<!doctype html>
<meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 15px/1.5 sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }} td {{ border-top: 1px solid #ddd; padding: .15rem 1rem .15rem 0 }}
svg {{ max-width: 100%; height: auto }}</style>
<h1>{title}</h1>
{table(said)}
<h2>On the test rows</h2>
{table((name.replace("_", " "), number(value)) for name, value in meta["metrics"].items())}
{drawn[drawn.index("<svg"):]}
<h2>Features by gain</h2>
{table(gains)}
"""


# The version.


def parity(booster, calibration, rows, seed):
    """Rows with what the library says of them: drawn from all bids, and one of zeros and one that is all missing."""
    drawn = np.random.default_rng(seed).choice(len(rows.every), min(PARITY - 2, len(rows.every)), replace=False)
    width = rows.every.shape[1]
    values = np.vstack([
        rows.every[np.sort(drawn)], np.zeros((1, width), np.float32), np.full((1, width), np.nan, np.float32)
    ])
    raw = raw_scores(booster, values)
    every = np.column_stack([values.astype(np.float64), raw, calibration.probability(raw)])
    return "".join(",".join("" if np.isnan(cell) else repr(float(cell)) for cell in row) + "\n" for row in every)


def write(path, content):
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def imported(corebid, folder, calibration, note):
    """The forest and its calibration as one file of the bidder's own."""
    command = [corebid, "model", "import", "--format", "lightgbm", "--note", note]
    beside = os.path.join(folder, "calibration.json")
    if calibration.file():
        write(beside, json.dumps(calibration.file()))
        command += ["--calibration", beside]
    done = subprocess.run(
        [*command, os.path.join(folder, "model.txt"), os.path.join(folder, "model.corebid")], capture_output=True, text=True
    )
    if done.returncode:
        raise Unfit(f"corebid refuses the model: {done.stderr.strip()}")


def publish(args, folder, model, files, calibration):
    """Writes a version beside its place and renames it: whoever looks finds it whole, or not at all."""
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    making = os.path.join(os.path.dirname(folder), f".{os.path.basename(folder)}-{os.getpid()}")
    os.mkdir(making)
    try:
        write(os.path.join(making, "model.txt"), model)
        for name, content in files.items():
            write(os.path.join(making, name), content)
        imported(os.environ.get("COREBID", "corebid"), making, calibration, f"{args.name}/{os.path.basename(folder)}")
        for path in (making, os.path.dirname(folder)):
            synced(path)
        os.rename(making, folder)
        synced(os.path.dirname(folder))
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


def synced(folder):
    handle = os.open(folder, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def main():
    args = arguments()
    rows = Rows(args)
    booster = trained(args, rows)
    raw = raw_scores(booster, rows.values)
    part = rows.parts
    calibration, losses = calibrated(raw[part["calibration"]], rows.label[part["calibration"]])
    label, test = rows.label[part["test"]], raw[part["test"]]
    probability = calibration.probability(test)
    before = rows.label[: part["calibration"].stop].mean()
    metrics, table = measured(label, test, probability, before)
    # Bids as they are scored, won or not, of the days that nothing was fitted to.
    recent = rows.every[rows.every_time >= rows.time[part["test"].start]]
    scored = calibration.probability(raw_scores(booster, recent))

    model = booster.model_to_string()
    now = datetime.datetime.now(datetime.timezone.utc)
    version = f"{now:%Y%m%dT%H%M%SZ}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    meta = {
        "name": args.name,
        "version": version,
        "created": now.isoformat(timespec="seconds"),
        "target": args.target,
        "library": {"name": "lightgbm", "version": importlib.metadata.version("lightgbm")},
        "options": {
            "trees": args.trees, "leaves": args.leaves, "learning_rate": args.learning_rate, "min_rows": args.min_rows,
            "categories": args.categories, "seed": args.seed, "wait_minutes": WAITS[args.target] if args.wait is None else args.wait,
        },
        "parts": {
            name: {
                "rows": part.stop - part.start,
                "positive": int(rows.label[part].sum()),
                "from": iso(rows.time[part.start]),
                "until": iso(rows.time[part.stop - 1]),
            }
            for name, part in rows.parts.items()
        },
        "calibration": calibration.kind,
        "metrics": metrics,
        "average": float(probability.mean()),
        "scores": distribution(scored),
        # Of the schema, as the rows had it.
        "fingerprint": rows.fingerprint,
    }
    gains = sorted(zip(booster.feature_importance("gain"), rows.names), key=lambda pair: (-pair[0], pair[1]))
    report = {
        "reliability": table,
        "calibration_losses": losses,
        "features": [{"feature": name, "gain": float(gain)} for gain, name in gains],
    }
    files = {
        "schema.toml": rows.schema,
        "meta.json": json.dumps(meta, indent=1) + "\n",
        "report.json": json.dumps({**meta["metrics"], **report}, indent=1) + "\n",
        "report.html": page(meta, report, plot(table, probability)),
        "parity.csv": parity(booster, calibration, rows, args.seed),
    }
    publish(args, os.path.join(args.registry, args.name, version), model, files, calibration)
    said = " ".join(f"{name} {metrics[name]:.4g}" for name in ("auc", "pr_auc", "log_loss", "log_loss_of_base_rate"))
    print(f"{len(rows.label)} rows; on the {len(label)} for the test: {said}; calibration {calibration.kind}", file=sys.stderr)
    print(f"{args.name}/{version}")


if __name__ == "__main__":
    try:
        main()
    except Unfit as error:
        sys.exit(f"train: {error}")
