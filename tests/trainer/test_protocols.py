import numpy as np
import pytest
from scipy import ndimage

from engine.errors import UserError
from engine.random import Stream
from trainer.prompts import box_around, central_click
from trainer.protocols import PROTOCOLS, correction, prompt_of


def _disc(radius=14, at=(30, 36), shape=(64, 80)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - at[0]) ** 2 + (columns - at[1]) ** 2 <= radius**2


def _ball():
    mask = np.zeros((7, 64, 80), bool)
    for z, radius in enumerate((0, 6, 10, 14, 10, 6, 0)):
        if radius:
            mask[z] = _disc(radius)
    return mask


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_shows_the_largest_slice(name):
    prompt = prompt_of(_ball(), name)
    assert prompt.index == 3 and prompt.axis == "z"
    shown = _disc()
    for (column, row), on in prompt.clicks:
        assert shown[int(row), int(column)] == on


def test_clicks_and_boxes_are_where_they_should_be():
    mask = _ball()
    assert prompt_of(mask, "click").clicks == (((36.0, 30.0), True),)
    assert prompt_of(mask, "clicks-9").clicks == prompt_of(mask, "click").clicks
    assert [PROTOCOLS[f"clicks-{n}"].corrections for n in (3, 5, 9)] == [2, 4, 8]
    assert prompt_of(mask, "box").box == (22.0, 16.0, 50.0, 44.0)
    assert np.array_equal(prompt_of(mask, "mask").mask, mask[3])


def test_the_ends_are_told_where_the_protocol_says_so():
    mask = _ball()
    assert [prompt_of(mask, name).ends for name in ("box", "mask", "box-ends", "mask-ends")] == [
        None,
        None,
        (1, 5),
        (1, 5),
    ]
    assert prompt_of(mask, "box-ends").box == prompt_of(mask, "box").box


def test_negative_clicks_lie_near_and_opposite():
    clicks = prompt_of(_ball(), "clicks-1p2n", stream=Stream.of(3)).clicks
    assert [on for _, on in clicks] == [True, False, False]
    (cx, cy), first, second = (np.array(position) for position, _ in clicks)
    for place in (first, second):
        assert 14 < np.hypot(*(place - (cx, cy))) < 14 + 0.3 * 29 + 1.5
    assert np.hypot(*(first - second)) > 2 * 14  # on either side of the disc


def test_a_structure_that_fills_the_picture_gets_no_negative_click():
    assert len(prompt_of(np.ones((1, 8, 8), bool), "clicks-1p2n").clicks) == 1


def test_jittered_boxes_stay_within_a_tenth_of_the_side():
    true = np.array(box_around(_disc()))
    boxes = np.array([prompt_of(_ball(), "box-jittered", stream=Stream.of(i)).box for i in range(50)])
    moved = np.abs(boxes - true)
    assert moved.max() <= 2.9
    assert moved.max(axis=0).min() > 1.5  # every edge moves
    edge = np.zeros((1, 20, 20), bool)
    edge[0, :10, :10] = True
    corner = np.array([prompt_of(edge, "box-jittered", stream=Stream.of(i)).box for i in range(20)])
    assert corner.min() >= 0 and corner.max() <= 19


@pytest.mark.parametrize("name", ["box-jittered", "click-off-centre", "clicks-1p2n"])
def test_chance_follows_the_streams_name(name):
    def drawn(*path):
        prompt = prompt_of(_ball(), name, stream=Stream.of(0, *path))
        return prompt.box, prompt.clicks

    assert drawn("case", "liver") == drawn("case", "liver") != drawn("case", "kidney")


def test_a_correction_is_at_the_centre_of_the_largest_error():
    truth = _disc()
    missing = truth & ~_disc(7, (30, 44))
    assert correction(truth, missing) == (central_click(truth & ~missing), True)
    spill = _disc(5, (10, 70))
    assert correction(truth, truth | spill) == ((70.0, 10.0), False)
    assert correction(truth, missing | _disc(2, (10, 70)))[1]  # the larger of the two
    assert correction(truth, truth) is None


def test_corrections_lead_a_perfect_listener_to_the_truth():
    rng = np.random.default_rng(0)
    truth = _disc()
    found = truth ^ (ndimage.gaussian_filter(rng.normal(size=truth.shape), 3) > 0.07)
    errors = [int((truth ^ found).sum())]
    while (click := correction(truth, found)) is not None:
        (column, row), on = click
        assert truth[int(row), int(column)] == on
        wrong = (truth & ~found) if on else (found & ~truth)
        regions, _ = ndimage.label(wrong)
        found = found ^ (regions == regions[int(row), int(column)])
        errors.append(int((truth ^ found).sum()))
    assert errors[-1] == 0 and len(errors) > 4
    fixed = -np.diff(errors)
    assert (fixed > 0).all() and (np.diff(fixed) <= 0).all()  # the largest first


def test_an_unknown_protocol_names_the_known_ones():
    with pytest.raises(UserError, match=r"telepathy.*known: box, click"):
        prompt_of(_ball(), "telepathy")
