"""Models and rows for benches/score.rs: trees on made-up rows that look like click logs, and the C that tl2cgen makes of them."""

import sys
from pathlib import Path

import lightgbm
import numpy
import tl2cgen
import treelite

CATEGORICAL = [14, 15]
WITH_GAPS = [2, 3, 5, 12, 17, 20]
MODELS = [(100, 31), (1000, 63)]

random = numpy.random.default_rng(8)


def rows(count):
    columns = [
        random.integers(0, 24, count),  # hour, day
        random.integers(0, 7, count),
        random.lognormal(0, 1, count),
        random.gamma(2, 2, count),
        random.exponential(3, count),
        random.normal(0, 1, count),
        random.uniform(0, 1, count),
        *[random.zipf(1.5, count).clip(1, 5000) for _ in range(3)],  # names, by their rank
        random.poisson(2, count),  # counts and rates
        random.poisson(8, count),
        random.beta(1, 30, count),
        random.beta(2, 60, count),
        random.integers(0, 12, count),  # categories
        random.integers(0, 40, count),
        random.lognormal(1, 1, count),
        random.normal(3, 2, count),
        random.uniform(0, 100, count),
        random.exponential(1, count),
        random.normal(0, 5, count),
        random.gamma(1, 3, count),
        random.beta(1, 10, count),
        random.poisson(1, count),
    ]
    table = numpy.column_stack(columns).astype(numpy.float32)
    for column in WITH_GAPS:
        table[random.random(count) < 0.15, column] = numpy.nan
    return table


def clicks(table):
    x = numpy.nan_to_num(table)
    weight = random.normal(0, 1, 40)
    score = (
        -4
        + 0.8 * numpy.sin(x[:, 0] / 24 * 6.28)
        + 0.5 * numpy.log1p(x[:, 2])
        + 10 * x[:, 12]
        + 0.6 * weight[x[:, 15].astype(int)]
        + 0.5 * weight[x[:, 14].astype(int) + 20] * numpy.tanh(x[:, 5])
        - 0.3 * numpy.log1p(x[:, 7])
        + 0.4 * (x[:, 10] > 2) * (x[:, 16] < 3)
        - 0.2 * numpy.isnan(table[:, 3])
        + 0.02 * x[:, 18] * (x[:, 4] > 2)
        + 0.3 * numpy.sin(x[:, 20])
        + 0.2 * numpy.log1p(x[:, 8]) * numpy.cos(x[:, 17])
    )
    return random.random(len(table)) < 1 / (1 + numpy.exp(-score))


out = Path(sys.argv[1])
table = rows(200_000)
label = clicks(table)
rows(20_000).tofile(out / "rows.f32")
(out / "lightgbm").write_text(str(Path(lightgbm.__file__).parent / "lib" / "lib_lightgbm.so"))
for trees, leaves in MODELS:
    path = out / f"{trees}x{leaves}"
    path.mkdir(exist_ok=True)
    data = lightgbm.Dataset(table, label, categorical_feature=CATEGORICAL)
    settings = {"objective": "binary", "num_leaves": leaves, "learning_rate": 0.05, "seed": 1, "verbose": -1}
    lightgbm.train(settings, data, trees).save_model(path / "model.txt")
    model = treelite.frontend.load_lightgbm_model(path / "model.txt")
    # One file of 1,000 trees takes gcc minutes.
    tl2cgen.generate_c_code(model, path / "c", params={"parallel_comp": 8 if trees > 100 else 0})
