"""What scores of some cases say about all cases: intervals of means, and tests of differences."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from scipy import stats

from engine.random import Stream

_DRAWS = 5000
_LEVEL = 0.95


def interval(values: Sequence[float], cases: Sequence[Hashable]) -> tuple[float, float] | None:
    """The percentile bootstrap's 95 % interval of the mean (Efron 1979, doi 10.1214/aos/1176344552).

    Cases are drawn again, each with all of its values: structures of one patient are not independent. The draws are
    the same at every call. None where there is one case only.

    Args:
        values: to average.
        cases: which case each value belongs to.
    """
    numbers = {case: i for i, case in enumerate(dict.fromkeys(cases))}
    member, count = np.array([numbers[case] for case in cases]), len(numbers)
    if count < 2:
        return None
    sums, sizes = np.bincount(member, weights=values), np.bincount(member)
    drawn = _drawn(count)
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


@lru_cache(maxsize=64)
def _drawn(count: int) -> np.ndarray:
    """Which of `count` cases each bootstrap sample holds `[draws, count]`."""
    return Stream.of(0, "bootstrap").generator().integers(count, size=(_DRAWS, count))


def by_case(values: Iterable[float], cases: Iterable[Hashable]) -> list[float]:
    """The mean value of each case, in the order in which they come up."""
    groups: dict[Hashable, list[float]] = {}
    for value, case in zip(values, cases, strict=True):
        groups.setdefault(case, []).append(value)
    return [float(np.mean(group)) for group in groups.values()]


def signed_rank(differences: Sequence[float]) -> float:
    """p of Wilcoxon's two-sided signed-rank test that paired differences centre on 0 (1945, doi 10.2307/3001968)."""
    given = np.asarray(differences, float)
    return float(stats.wilcoxon(given).pvalue) if given.any() else 1.0


def holm(ps: Sequence[float]) -> list[float]:
    """p values corrected for how many there are: sorted, the i-th times n - i, never falling (Holm 1979)."""
    order = np.argsort(ps, kind="stable")
    raised = np.asarray(ps, float)[order] * np.arange(len(ps), 0, -1)
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return corrected.tolist()
