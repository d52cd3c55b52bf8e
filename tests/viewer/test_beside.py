"""Real scans beside ours: figures of known images, tables, and the sets of real scans where they are at hand."""

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from engine.errors import UserError
from engine.render.protocols import PROTOCOLS
from viewer import beside
from viewer.counterpart import COUNTERPARTS, SCENES, Slices

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
RNG = np.random.default_rng(3)
CT, MR, US = (next(one for one in COUNTERPARTS if one.modality == m) for m in ("ct", "mr", "us"))


def phantom(noise: float) -> Slices:
    """A disc of muscle (50 HU) in a ring of fat (-100 HU), edges blurred by 1.2 pixels, 0.5 mm pixels."""
    y, x = np.mgrid[-80:80, -80:80]
    r = np.hypot(x, y)
    plain = np.where(r < 50, 50.0, np.where(r < 70, -100.0, -1000.0))
    blurred = ndimage.gaussian_filter(plain, 1.2)
    return Slices("disc", blurred + noise * RNG.standard_normal((5, 160, 160)), (0.5, 0.5))


def test_figures_of_a_known_image():
    found = beside.measured(phantom(12.0), CT)
    assert found["texture"] == pytest.approx(12, rel=0.05)
    assert found["centroid"] == pytest.approx(0.36, abs=0.01)
    assert found["edge"] == pytest.approx(2.563 * 1.2 * 0.5, rel=0.1)
    assert max(found["down"], found["across"]) < 0.35
    assert (found["fat"], found["soft"]) == (pytest.approx(-100, abs=4), pytest.approx(50, abs=4))


def test_decibels_of_developed_speckle():
    """Log-compressed exponential intensities fill 255 levels with the dynamic range that they were compressed by."""
    intensity = RNG.exponential(1.0, (2, 400, 400))
    slices = Slices("speckle", 120 + 255 / 60 * 10 * np.log10(intensity), (0.1, 0.1))
    assert beside.measured(slices, US)["decibels"] == pytest.approx(60, rel=0.05)


def test_an_image_without_tissue_is_measured_as_far_as_it_goes():
    found = beside.measured(Slices("air", -1000 + RNG.standard_normal((2, 64, 64)), (1.0, 1.0)), CT)
    assert np.isnan(found["noise"])
    assert found["entropy"] == 0


def test_tables_stand_between_their_marks():
    one = beside.Compared(CT, [phantom(30.0), phantom(20.0)], [phantom(10.0)])
    text = beside.tables([one])
    real, ours = (row for row in text.splitlines() if row.startswith("| CT head and neck"))
    assert "real (2)" in real and " to " in real
    assert "ours (1)" in ours and " to " not in ours
    page = beside.with_tables(f"# Top\n{beside.BEGIN}\nold\n{beside.END}\nrest", text)
    assert page.startswith("# Top") and page.endswith("rest") and text in page and "old" not in page
    with pytest.raises(UserError, match="lacks the lines"):
        beside.with_tables("# Top", text)


def test_only_our_images_are_drawn_for_the_docs():
    one = beside.Compared(CT, [phantom(30.0)], [phantom(10.0)])
    titles = [axes.get_title() for axes in beside.sheet([one], with_real=False).axes]
    assert not any("real" in title for title in titles)
    assert any("real" in axes.get_title() for axes in beside.sheet([one], with_real=True).axes)


@pytest.mark.parametrize("one", COUNTERPARTS, ids=lambda one: one.title)
def test_every_counterpart_has_a_scene_and_a_protocol(one):
    PROTOCOLS[one.modality].model_validate(one.protocol)
    assert (SCENES / f"{one.scene}.yaml").is_file()


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no openkbp"):
        CT.real(tmp_path)


@pytest.mark.skipif(not REAL.is_dir(), reason="real scans are not at hand")
@pytest.mark.parametrize("one", [CT, MR, US], ids=lambda one: one.title)
def test_real_scans_are_measured(one):
    figures = [beside.measured(stack, one) for stack in one.real(REAL)[:2]]
    for found in figures:
        assert all(np.isfinite(value) for value in found.values())
        assert 0 < found["noise"] < found["texture"]
        assert 0.01 < found["centroid"] < 0.45
