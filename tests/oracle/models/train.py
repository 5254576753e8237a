#!/usr/bin/env python3
"""train.py OUT [--seed N] [--small]: trains a model of every kind that LightGBM and XGBoost know, on random data with ties, missing
values, infinities and categories, and writes to the folder OUT

    NAME.txt, NAME.json, NAME.ubj    the model, as the library saves it
    NAME.rows.csv                    rows, a line each; an empty cell is missing
    NAME.raw.csv                     their raw scores or margins by the library; classes are separated by commas
    NAME.predicted.csv               their predictions; not of multi:softmax, which only names a class
    cases.json                       a list of {name, library, files, refused}

With --small, a few rows and trees of the kinds whose files differ: what tests/data/models has. scripts/requirements.txt has the
versions of the libraries.
"""

import argparse
import json
import math
import pathlib

import lightgbm as lgb
import numpy as np
import xgboost as xgb

parser = argparse.ArgumentParser()
parser.add_argument("out", type=pathlib.Path)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--small", action="store_true")
options = parser.parse_args()
options.out.mkdir(parents=True, exist_ok=True)
random = np.random.default_rng(options.seed)
cases = []

TRAINED = 400 if options.small else 1500
ASKED = 40 if options.small else 400
# Columns: ties; missing; mostly zero; a category; a category of few; of all magnitudes.
TIES, HOLES, ZEROS, CATEGORY, FEW, WIDE = range(6)
CATEGORIES = [CATEGORY, FEW]
SMALL = {"binary_nan", "categorical", "zero_as_missing", "multiclass", "rf", "single_leaf", "linear_tree"}
SMALL |= {"logistic", "softprob", "dart", "category", "pruned", "gblinear", "vector_leaf"}


def table(count, finite=True):
    rows = np.empty((count, 6))
    rows[:, TIES] = np.round(random.normal(size=count), 1)
    rows[:, HOLES] = np.where(random.random(count) < 0.3, np.nan, random.normal(size=count))
    rows[:, ZEROS] = np.where(random.random(count) < 0.6, 0.0, np.round(random.normal(size=count), 2))
    rows[:, CATEGORY] = np.where(random.random(count) < 0.1, np.nan, np.floor(random.exponential(12, size=count)))
    rows[:, FEW] = random.integers(0, 4, size=count)
    rows[:, WIDE] = random.choice([-1, 1], size=count) * 10.0 ** random.uniform(-30, 30, size=count)
    return rows


def asked(trained, infinities, any_category):
    """New rows, and rows of the training with cells changed: to values of other rows, and to what no row has."""
    rows = np.concatenate([table(ASKED // 2), trained[: ASKED - ASKED // 2]])
    odd = [np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-35, 1e-34, 3.0e38, -3.0e38, 1e-300]
    odd += [math.inf, -math.inf] if infinities else []
    for row in rows:
        for column in random.choice(6, size=random.integers(0, 4), replace=False):
            if column in CATEGORIES:
                row[column] = random.choice([np.nan, 3, 25, 63, 64, 77, 1000, 16777215] + any_category)
            else:
                row[column] = random.choice(odd) if random.random() < 0.5 else trained[random.integers(len(trained)), column]
    return rows


def labels(rows, kind):
    known = np.nan_to_num(rows[:, HOLES], nan=-1) + rows[:, TIES] + (rows[:, ZEROS] == 0) + np.sin(np.nan_to_num(rows[:, CATEGORY]))
    known += rows[:, FEW] / 3 + np.sign(rows[:, WIDE]) / 2 + random.normal(size=len(rows))
    if kind == "classes":
        return np.clip(np.floor(known), 0, 2)
    if kind == "binary":
        return (known > 1).astype(float)
    if kind == "share":
        return 1 / (1 + np.exp(-known))
    if kind == "positive":
        return np.exp(known / 3)
    if kind == "grades":
        return np.clip(np.floor(known), 0, 4)
    if kind == "constant":
        return np.full(len(rows), 2.5)
    return known


def text(number):
    return "" if math.isnan(number) else repr(float(number))


def write(name, library, files, rows=(), raw=(), predicted=(), refused=None):
    for what, table in [("rows", rows), ("raw", raw), ("predicted", predicted)]:
        if len(table) > 0:
            lines = "".join(",".join(map(text, np.atleast_1d(row))) + "\n" for row in table)
            (options.out / f"{name}.{what}.csv").write_text(lines)
    cases.append({"name": name, "library": library, "files": files, "refused": refused})


def groups(count):
    return [20] * (count // 20)


def lightgbm(name, objective, kind, refused=None, categories=(), rounds=25, **more):
    if options.small and name not in SMALL:
        return
    rows = table(TRAINED)
    if more.get("linear_tree"):
        rows = np.nan_to_num(rows)
    target = labels(rows, kind)
    group = groups(TRAINED) if kind == "grades" else None
    parameters = {"verbose": -1, "num_leaves": 15, "min_data_in_leaf": 5, "min_data_per_group": 10, "cat_smooth": 1}
    parameters |= {"num_threads": 1, "seed": options.seed, "objective": objective} | more
    data = lgb.Dataset(rows, target, group=group, categorical_feature=list(categories), params=parameters)
    model = lgb.train(parameters, data, 3 if options.small else rounds)
    model.save_model(options.out / f"lgb_{name}.txt")
    if refused:
        return write(f"lgb_{name}", "lightgbm", [f"lgb_{name}.txt"], refused=refused)
    rows = asked(rows, True, [-1, -0.5, 2.7, 1e9, 1e10, math.inf, -math.inf])
    write(f"lgb_{name}", "lightgbm", [f"lgb_{name}.txt"], rows, model.predict(rows, raw_score=True), model.predict(rows))


def squared(scores, data):
    return scores - data.get_label(), np.ones_like(scores)


for objective in ["regression", "regression_l1", "huber", "fair", "quantile", "mape"]:
    lightgbm(objective, objective, "any")
for objective in ["regression", "huber", "quantile"]:
    lightgbm(f"{objective}_sqrt", objective, "any", reg_sqrt=True)
for objective in ["poisson", "gamma", "tweedie"]:
    lightgbm(objective, objective, "positive")
for objective in ["cross_entropy", "cross_entropy_lambda"]:
    lightgbm(objective, objective, "share")
for objective in ["lambdarank", "rank_xendcg"]:
    lightgbm(objective, objective, "grades")
lightgbm("binary_nan", "binary", "binary")
lightgbm("sigmoid", "binary", "binary", sigmoid=1.7)
lightgbm("categorical", "binary", "binary", categories=CATEGORIES)
lightgbm("one_hot", "binary", "binary", categories=CATEGORIES, max_cat_to_onehot=100)
lightgbm("categorical_classes", "multiclass", "classes", categories=CATEGORIES, num_class=3)
lightgbm("categorical_zero", "binary", "binary", categories=CATEGORIES, zero_as_missing=True)
lightgbm("zero_as_missing", "binary", "binary", zero_as_missing=True)
lightgbm("no_missing", "binary", "binary", categories=CATEGORIES, use_missing=False)
lightgbm("multiclass", "multiclass", "classes", num_class=3)
lightgbm("multiclassova", "multiclassova", "classes", num_class=3, sigmoid=0.6)
lightgbm("dart", "binary", "binary", boosting="dart", drop_rate=0.4)
lightgbm("dart_classes", "multiclass", "classes", boosting="dart", drop_rate=0.4, num_class=3)
lightgbm("rf", "binary", "binary", boosting="rf", bagging_fraction=0.6, bagging_freq=1, feature_fraction=0.7)
lightgbm("rf_classes", "multiclass", "classes", boosting="rf", bagging_fraction=0.6, bagging_freq=1, num_class=3)
lightgbm("rf_poisson", "poisson", "positive", boosting="rf", bagging_fraction=0.6, bagging_freq=1)
lightgbm("goss", "binary", "binary", data_sample_strategy="goss")
lightgbm("monotone", "regression", "any", monotone_constraints=[1, 0, 0, 0, 0, -1])
lightgbm("deep", "regression", "any", num_leaves=120, min_data_in_leaf=1, rounds=5)
lightgbm("custom", squared, "any")
lightgbm("single_leaf", "regression", "constant")
lightgbm("stumps", "binary", "binary", num_leaves=2, rounds=40)
lightgbm("linear_tree", "regression", "any", linear_tree=True, refused="linear tree")


def xgboost(name, objective, kind, refused=None, categories=(), rounds=25, **more):
    if options.small and name not in SMALL:
        return
    rows = table(TRAINED)
    target = labels(rows, kind)
    if name == "vector_leaf" or name == "targets":
        target = np.c_[target, -target, target * 2]
    types = ["c" if column in categories else "q" for column in range(6)]
    data = xgb.DMatrix(rows, target, feature_types=types, enable_categorical=True)
    if kind == "grades":
        data.set_group(groups(TRAINED))
    if objective == "survival:aft":
        data.set_float_info("label_lower_bound", target)
        data.set_float_info("label_upper_bound", target * 1.5)
    parameters = {"nthread": 1, "seed": options.seed, "objective": objective}
    parameters |= {} if more.get("booster") == "gblinear" else {"max_depth": 4}
    parameters |= more
    model = xgb.train(parameters, data, 3 if options.small else rounds)
    files = [f"xgb_{name}.json", f"xgb_{name}.ubj"]
    for file in files:
        model.save_model(options.out / file)
    if refused:
        return write(f"xgb_{name}", "xgboost", files, refused=refused)
    rows = asked(rows, False, [])
    data = xgb.DMatrix(rows, feature_types=types, enable_categorical=True)
    predicted = () if objective == "multi:softmax" else model.predict(data)
    write(f"xgb_{name}", "xgboost", files, rows, model.predict(data, output_margin=True), predicted)


for objective in ["reg:squarederror", "reg:pseudohubererror", "reg:absoluteerror"]:
    xgboost(objective[4:], objective, "any")
for objective in ["reg:squaredlogerror", "count:poisson", "reg:gamma", "reg:tweedie", "survival:cox", "survival:aft"]:
    xgboost(objective.split(":")[1], objective, "positive")
for objective in ["rank:pairwise", "rank:ndcg", "rank:map"]:
    xgboost(objective.replace(":", "_"), objective, "binary" if objective == "rank:map" else "grades")
xgboost("quantile", "reg:quantileerror", "any", quantile_alpha=0.3)
xgboost("quantiles", "reg:quantileerror", "any", quantile_alpha=[0.1, 0.5, 0.9])
xgboost("logistic", "binary:logistic", "binary")
xgboost("reg_logistic", "reg:logistic", "share")
xgboost("logitraw", "binary:logitraw", "binary")
xgboost("hinge", "binary:hinge", "binary")
xgboost("base_score", "binary:logistic", "binary", base_score=0.03)
xgboost("base_rate", "count:poisson", "positive", base_score=3.5)
xgboost("softmax", "multi:softmax", "classes", num_class=3)
xgboost("softprob", "multi:softprob", "classes", num_class=3)
xgboost("targets", "reg:squarederror", "any")
xgboost("forest", "binary:logistic", "binary", num_parallel_tree=4, subsample=0.6, rounds=4)
xgboost("forest_classes", "multi:softprob", "classes", num_parallel_tree=3, subsample=0.6, num_class=3, rounds=4)
xgboost("dart", "binary:logistic", "binary", booster="dart", rate_drop=0.5)
xgboost("dart_classes", "multi:softprob", "classes", booster="dart", rate_drop=0.5, num_class=3)
xgboost("category", "binary:logistic", "binary", categories=CATEGORIES, max_cat_to_onehot=1, max_cat_threshold=64)
xgboost("one_hot", "binary:logistic", "binary", categories=CATEGORIES, max_cat_to_onehot=1000)
xgboost("category_dart", "multi:softprob", "classes", categories=CATEGORIES, num_class=3, booster="dart", rate_drop=0.5)
xgboost("lossguide", "binary:logistic", "binary", tree_method="hist", grow_policy="lossguide", max_leaves=40, max_depth=0)
xgboost("pruned", "binary:logistic", "binary", tree_method="exact", gamma=4.0, max_depth=6)
xgboost("approx", "reg:squarederror", "any", tree_method="approx")
xgboost("single_leaf", "reg:squarederror", "constant")
xgboost("gblinear", "reg:squarederror", "any", booster="gblinear", refused="linear model")
xgboost("vector_leaf", "reg:squarederror", "any", multi_strategy="multi_output_tree", refused="leaves are vectors")

(options.out / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")
