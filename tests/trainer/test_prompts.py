import numpy as np
import pytest

from engine.errors import UserError
from engine.grid import Grid
from trainer.prompts import (
    Prompt,
    box_around,
    box_between,
    central_click,
    click_at,
    inner_click,
    largest_slice,
    random_click,
    voxel_of,
)
from trainer.protocols import prompt_of


def _bar():
    mask = np.zeros((5, 12, 20), bool)
    mask[2:4, 3:8, 4:15] = True
    mask[3, 8, 4:15] = True
    return mask


def test_the_central_click_is_deepest_inside():
    assert central_click(_bar()[2]) == (6.0, 5.0)  # column, row: three pixels from the nearest edge, the first such
    ring = np.hypot(*np.mgrid[-10:11, -10:11])
    ring = (ring > 5) & (ring < 9)
    column, row = central_click(ring)
    assert ring[int(row), int(column)]


def test_random_clicks_lie_on_the_mask_and_differ():
    mask, rng = _bar()[2], np.random.default_rng(0)
    clicks = [random_click(mask, rng) for _ in range(30)]
    assert all(mask[int(row), int(column)] for column, row in clicks)
    assert len(set(clicks)) > 10


def test_inner_clicks_are_deep_and_differ():
    disc = np.hypot(*np.mgrid[-20:21, -20:21]) <= 15
    rng = np.random.default_rng(0)
    clicks = {inner_click(disc, rng) for _ in range(200)}
    assert len(clicks) > 20
    away = [np.hypot(column - 20, row - 20) for column, row in clicks]
    assert 3 < max(away) < 5.5  # 0.7 of the depth at the middle is 4.8 pixels from it


def test_the_box_holds_the_outermost_pixels():
    assert box_around(_bar()[2]) == (4.0, 3.0, 14.0, 7.0)


def test_the_largest_slice_is_prompted():
    mask = _bar()
    assert largest_slice(mask, "z") == 3
    assert prompt_of(mask, "box").index == 3
    assert prompt_of(mask, "box").box == (4.0, 3.0, 14.0, 8.0)
    assert prompt_of(mask, "click", "x").axis == "x"


def test_positions_are_voxels_or_millimetres():
    grid = Grid.centred((20, 12, 5), (1.0, 2.0, 3.0))
    world = tuple(grid.to_world(np.array([6, 5, 3])))
    assert voxel_of(grid, world) == pytest.approx((6, 5, 3))
    prompt = click_at(grid, (6, 5, 3), "y")
    assert (prompt.axis, prompt.index, prompt.clicks) == ("y", 5, (((6, 3), True),))


def test_a_box_in_space_is_shown_on_its_middle_slice():
    grid = Grid.centred((20, 12, 9), (1.0, 1.0, 1.0))
    prompt = box_between(grid, (15, 2, 8), (4, 10, 2))
    assert (prompt.index, prompt.box, prompt.ends) == (5, (4, 2, 15, 10), (2, 8))
    assert prompt.shows(2) and prompt.shows(8) and not prompt.shows(9)
    assert box_between(grid, (15, 2, 3), (4, 10, 3)).ends is None  # a box on one slice


def test_a_prompt_lies_on_a_slice_that_can_show_the_structure():
    with pytest.raises(ValueError, match="can show"):
        Prompt("z", 4, clicks=(((1.0, 1.0), True),), ends=(5, 8))


def test_a_position_outside_is_refused():
    with pytest.raises(UserError, match=r"\(25, 5, 3\) is outside the image"):
        click_at(Grid.centred((20, 12, 5), (1.0, 1.0, 1.0)), (25, 5, 3))


def test_an_empty_mask_is_refused():
    with pytest.raises(UserError, match="empty"):
        prompt_of(np.zeros((4, 4, 4), bool), "click")
