"""What scipy says of the samples of src/lab/gate/stats/vectors.json: target/python/bin/python tests/oracle/gate/vectors.py > src/lab/gate/stats/vectors.json

Samples are rounded to six decimals, so that both sides read the same numbers. Where there are ties or zeros, the exact test is scipy's
permutation of all signs; the interval is scipy's own bootstrap, stretched as the documentation of `interval` says.
"""

import json
import math

import numpy
from scipy import stats

random = numpy.random.default_rng(41)


def tested(sample):
    kept = [value for value in sample if value != 0.0]
    if not kept:
        return 1.0
    if len(set(map(abs, kept))) == len(kept):
        return stats.wilcoxon(kept, method="exact").pvalue
    # Every way to give the signs.
    method = stats.PermutationMethod(n_resamples=numpy.inf)
    return stats.wilcoxon(kept, zero_method="wilcox", method=method).pvalue


def bounds(sample):
    n, estimate = len(sample), stats.trim_mean(sample, 0.2)
    result = stats.bootstrap(
        (sample,), lambda x, axis: stats.trim_mean(x, 0.2, axis=axis), n_resamples=200_000, method="percentile",
        vectorized=True, batch=10_000, rng=numpy.random.default_rng(7),
    ).confidence_interval
    stretch = math.sqrt(n / (n - 1))
    return [float(estimate + (bound - estimate) * stretch) for bound in (result.low, result.high)]


def vector(sample):
    sample = [round(float(value), 6) for value in sample]
    return {
        "sample": sample,
        "trimmed_mean": float(stats.trim_mean(sample, 0.2)),
        "median": float(numpy.median(sample)),
        "p": float(tested(sample)),
        # Where values are few or whole, so are the bounds, and two bootstraps may land on neighbours.
        "interval": bounds(sample) if len(sample) > 5 and any(value % 0.5 for value in sample) else None,
    }


samples = [
    [0.01], [0.02, -0.01], [0.01, 0.02, 0.03], [1, 2, 3, 4, 5, 6], [0.0, 0.0, 0.0],
    # Ties within a sign and between them, and zeros.
    [1, -1, 2, 2, -3, 0, 4, 4, 4], [0.5, 0.5, 0.5, -0.5, -0.5, 1.5, 0, 0],
    *(random.normal(shift, 0.02, n) for n in (6, 10, 24, 50) for shift in (0.0, 0.01, 0.05)),
    # Heavy tails, and one run far off.
    random.standard_t(2, 24) * 0.01, numpy.append(random.normal(0.02, 0.01, 23), 3.0),
]
families = [[0.01, 0.04, 0.03, 0.005], [0.2, 0.9, 0.5], [0.04], [0.001, 0.001, 0.8], [0.6, 0.7, 0.8, 0.9]]


def holm(p):
    """By the definition: hypothesis i falls at level a if all that are as small or smaller do, each at a over those that are left."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    steps = [min(1.0, (len(p) - rank) * p[i]) for rank, i in enumerate(order)]
    return [max(steps[: order.index(i) + 1]) for i in range(len(p))]


rates = [(0, 1000), (7, 1000), (50, 1000), (93, 100), (100, 100), (1, 2)]
print(json.dumps({
    "samples": [vector(sample) for sample in samples],
    "holm": [{"p": p, "adjusted": holm(p)} for p in families],
    "wilson": [
        {"hits": hits, "trials": trials, "bounds": list(map(float, stats.binomtest(hits, trials).proportion_ci(method="wilson")))}
        for hits, trials in rates
    ],
}, indent=1))
