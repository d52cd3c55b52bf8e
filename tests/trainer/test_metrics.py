import numpy as np
import pytest

from trainer.metrics import surfaces


def _square(shift=0, shape=(60, 60)):
    mask = np.zeros(shape, bool)
    mask[20:40, 15 + shift : 35 + shift] = True
    return mask


@pytest.mark.parametrize("shift", [1, 2, 3, 5])
def test_a_shifted_square(shift):
    nsd, hd95 = surfaces(_square(), _square(shift), (1.0, 1.0), tolerance=2.0)
    assert hd95 == pytest.approx(shift)
    # of each square's outline: the outer edge, the inner one but for 2 at its ends, and what sticks out by more than 2
    beyond = 0 if shift <= 2 else 20 + 16 + 2 * (shift - 2)
    assert nsd == pytest.approx(1 - beyond / 80, abs=0.03)


def test_distances_are_in_the_spacings_unit():
    assert surfaces(_square(), _square(3), (1.0, 0.5))[1] == pytest.approx(1.5)
    assert surfaces(_square(), _square(3), (1.0, 0.5))[0] == 1.0  # 1.5 mm off, 2 mm allowed
    block, moved = np.zeros((2, 24, 24, 24), bool)
    block[6:16, 6:16, 6:16] = moved[8:18, 6:16, 6:16] = True
    assert surfaces(block, moved, (3.0, 1.0, 1.0))[1] == pytest.approx(6.0)
    assert surfaces(block, moved, (3.0, 1.0, 1.0), 6.0)[0] == 1.0


def test_the_same_mask_agrees_and_none_is_as_far_as_can_be():
    mask, none = _square(), _square() & False
    assert surfaces(mask, mask, (1.0, 1.0)) == (1.0, 0.0)
    assert surfaces(none, none, (1.0, 1.0)) == (1.0, 0.0)
    assert surfaces(mask, none, (3.0, 4.0)) == surfaces(none, mask, (3.0, 4.0)) == (0.0, 300.0)


def test_a_mask_at_the_pictures_edge_has_a_surface_there():
    whole = np.ones((12, 12), bool)
    assert surfaces(whole, whole, (1.0, 1.0)) == (1.0, 0.0)


def test_a_ball_in_a_larger_one_is_its_radius_away():
    z, y, x = np.mgrid[-16:17, -16:17, -16:17]
    r = np.sqrt(x**2 + y**2 + z**2)
    nsd, hd95 = surfaces(r <= 8, r <= 13, (1.0, 1.0, 1.0))
    assert nsd == 0 and hd95 == pytest.approx(5, abs=0.5)
