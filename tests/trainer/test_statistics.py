import numpy as np
import pytest
from scipy import stats

from trainer.statistics import by_case, holm, interval, signed_rank


def test_holms_correction_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.9: times 4, 3, 2, 1, never falling
    assert holm([0.03, 0.9, 0.01, 0.02]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.4, 0.6]) == pytest.approx([0.8, 0.8])
    assert holm([0.7, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_interval_of_the_mean_agrees_with_scipys_bootstrap():
    values = np.random.default_rng(1).normal(0.7, 0.1, 40)
    low, high = interval(values, range(40))
    theirs = stats.bootstrap([values], np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    assert interval(values, range(40)) == (low, high)


def test_values_of_one_case_are_drawn_together():
    values, cases = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0], ["a", "a", "a", "b", "b", "b"]
    assert interval(values, cases) == (0.0, 1.0)  # of two cases the mean may be either's
    low, high = interval(values, range(6))
    assert 0 < low < high < 1
    assert interval(values, ["a"] * 6) is None


def test_an_interval_holds_the_true_mean_as_often_as_it_says():
    rng = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        low, high = interval(rng.normal(0, 1, 30), range(30))
        held += low <= 0 <= high
    assert 0.88 < held / 200 < 0.99


def test_signed_ranks_by_hand():
    assert signed_rank([0.1, 0.2, 0.3, 0.4, 0.5]) == pytest.approx(2 / 2**5)  # all of one sign
    assert signed_rank([0.0, 0.0, 0.0]) == 1.0
    assert signed_rank([-1.0, 2.0]) > 0.5


def test_a_case_counts_once():
    assert by_case([1.0, 3.0, 5.0], ["a", "b", "a"]) == [3.0, 3.0]
