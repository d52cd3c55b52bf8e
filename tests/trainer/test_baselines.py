import numpy as np

from trainer.baselines import ellipsoid, grow_region, inscribed, seed_of
from trainer.metrics import dice, iou
from trainer.prompts import Prompt


def test_an_ellipse_fills_pi_quarters_of_its_box():
    filled = ellipsoid((200, 300), (10, 20), (189, 279))
    assert abs(filled.sum() / (180 * 260) - np.pi / 4) < 0.002
    assert filled[100, 150] and not filled[11, 21]


def test_a_ball_is_its_own_inscribed_ellipsoid():
    z, y, x = np.mgrid[-20:21, -20:21, -20:21]
    ball = x**2 + y**2 + z**2 <= 15**2
    assert dice(inscribed(ball), ball) > 0.95


def test_a_region_grows_over_one_grey_value_and_stops():
    rng = np.random.default_rng(0)
    truth = np.zeros((12, 40, 40), bool)
    truth[3:9, 10:30, 10:30] = True
    image = np.where(truth, 200.0, 50.0) + rng.normal(0, 5, truth.shape)
    assert dice(grow_region(image, (6, 20, 20)), truth) > 0.9


def test_the_seed_is_the_prompts_voxel():
    assert seed_of(Prompt("y", 7, clicks=(((4.0, 2.0), True),))) == (2, 7, 4)
    assert seed_of(Prompt("z", 7, box=(4.0, 2.0, 8.0, 12.0))) == (7, 7, 6)


def test_overlap_is_dice_and_jaccard():
    a, b = np.array([1, 1, 0, 0], bool), np.array([0, 1, 1, 1], bool)
    assert dice(a, b) == 0.4 and iou(a, b) == 0.25
    assert dice(a & ~a, b & ~b) == 1.0 and iou(a & ~a, b & ~b) == 1.0
