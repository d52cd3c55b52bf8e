import numpy as np
import pytest
import torch

from engine.grid import Grid
from trainer import aim
from trainer.slices import NARROWEST, Slicing


def _disc(radius, size=64):
    return np.hypot(*np.mgrid[:size, :size] - size / 2) <= radius


def _slicing(size=(200, 100, 5), spacing=(1.0, 1.0, 3.0)):
    return Slicing(Grid.centred(size, spacing), "z", 64)


def test_looks_come_closer_about_the_click():
    views = aim.looks(_slicing(), [(150.0, 40.0)])
    assert views[0].shown == views[0].whole
    widths = [stop - start for view in views for start, stop in [view.shown.columns]]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] == pytest.approx(NARROWEST * 2**0.5, abs=NARROWEST * 0.42)
    assert all(view.holds((150.0, 40.0)) for view in views)
    assert views[-1].to_pixel((150.0, 40.0)) == pytest.approx((31.5, 31.5), abs=2.0)


def test_looks_hold_all_clicks():
    clicks = [(20.0, 20.0), (120.0, 60.0)]
    views = aim.looks(_slicing(), clicks)
    assert len(views) > 1
    assert all(view.holds(click) for view in views for click in clicks)


def test_a_small_slice_is_looked_at_once():
    assert len(aim.looks(_slicing((16, 16, 3)), [(8.0, 8.0)])) == 1


def test_the_mask_that_looks_agree_on_is_taken():
    masks = np.stack([_disc(r) for r in (30, 12, 12, 11, 5)])
    assert aim.best(masks, np.full(5, 0.8), np.ones(5)) == 2
    assert aim.best(masks[:1], np.array([0.1]), np.ones(1)) == 0


def test_of_two_that_last_the_sharper_is_taken():
    masks = np.stack([_disc(r) for r in (25, 25, 25, 8, 8, 8)])
    assert aim.best(masks, np.array([0.5, 0.5, 0.5, 0.9, 0.9, 0.9]), np.ones(6)) == 4
    assert aim.best(masks, np.array([0.9, 0.9, 0.9, 0.5, 0.5, 0.5]), np.ones(6)) in (0, 1)


def test_nothing_found_is_no_object():
    masks = np.stack([np.zeros((64, 64), bool), np.zeros((64, 64), bool), _disc(9), _disc(9)])
    assert aim.best(masks, np.full(4, 0.5), np.ones(4)) == 3


def test_a_sharp_mask_is_more_stable_than_a_faint_one():
    far = torch.from_numpy(np.hypot(*np.mgrid[-16:16, -16:16]).astype(np.float32))
    sharp, faint, nothing = 5.0 * (8 - far), 0.3 * (8 - far), torch.full_like(far, -9.0)
    found = aim.stability(torch.stack([sharp, faint, nothing]))
    assert found[0] > 0.8 > 0.5 > found[1] > 0
    assert found[2] == 0


def test_a_mask_that_more_clicks_agree_with_is_meant_however_faint():
    masks = np.zeros((3, 4, 4), bool)
    masks[:2, :2], masks[2, :1] = True, True
    assert aim.best(masks, np.array([0.9, 0.9, 0.0]), np.array([1, 1, 2])) == 2
