import numpy as np

from tests.trainer.phantoms import inscribed
from trainer.baselines import BASELINES, COPY, ELLIPSE, REGION, ellipsoid, grow_region, seed_of
from trainer.metrics import dice, iou
from trainer.prompts import Prompt
from trainer.protocols import PROTOCOLS, prompt_of


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


def _cone():
    """A disc that shrinks from slice to slice, in an image that shows it."""
    rows, columns = np.mgrid[:40, :48]
    far = np.hypot(rows - 20, columns - 22)
    truth = np.stack([far <= radius if radius else far < 0 for radius in (0, 12, 11, 10, 9, 0)])
    image = np.where(truth, 200.0, 50.0) + np.random.default_rng(0).normal(0, 5, truth.shape)
    return image, truth


def test_the_ellipse_is_the_boxs_and_moves_with_it():
    image, truth = _cone()
    on_slice, volume = BASELINES[ELLIPSE](image, truth, prompt_of(truth, "box"))
    assert dice(on_slice, truth[1]) > 0.93
    assert np.array_equal(volume, inscribed(truth))
    shifted = Prompt("z", 1, box=(12.0, 8.0, 36.0, 32.0))  # the true one and 2 columns
    beside, other = BASELINES[ELLIPSE](image, truth, shifted)
    assert np.array_equal(beside, np.roll(on_slice, 2, axis=1))
    assert np.array_equal(other, np.roll(volume, 2, axis=2))


def test_the_copy_fills_the_true_extent():
    image, truth = _cone()
    on_slice, volume = BASELINES[COPY](image, truth, prompt_of(truth, "mask"))
    assert np.array_equal(on_slice, truth[1])
    assert all(np.array_equal(volume[z], truth[1]) for z in (1, 2, 3, 4)) and not volume[[0, 5]].any()


def test_regions_grow_on_the_slice_and_in_the_volume():
    image, truth = _cone()
    on_slice, volume = BASELINES[REGION](image, truth, prompt_of(truth, "click"))
    assert dice(on_slice, truth[1]) > 0.95
    assert np.array_equal(volume, grow_region(image, seed_of(prompt_of(truth, "click"))))
    on_slice, volume = BASELINES[REGION](image[1:2], truth[1:2], prompt_of(truth[1:2], "click"))
    assert np.array_equal(volume[0], on_slice)


def test_every_protocol_has_a_baseline():
    assert {p.baseline for p in PROTOCOLS.values()} == set(BASELINES)
