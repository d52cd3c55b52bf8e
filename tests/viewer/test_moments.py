"""Volumes of several phases: read from a file of four dimensions or beside a dataset's case, and moved through."""

import numpy as np
import pytest

from engine.dataset import Request, generate
from engine.errors import UserError
from engine.generate import draw, moved
from engine.grid import Grid
from engine.io import write_labels, write_phases
from engine.scene import Scene
from viewer.desk import Desk
from viewer.opening import open_source, open_subject
from viewer.panel import draw_panel

#: Axes that run to the right, to the front and to the feet: what is shown is turned.
GRID = Grid((10, 9, 8), (2.0, 2.0, 3.0), (5.0, 5.0, 5.0), (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0))


def _phases(count=4):
    labels = np.zeros((count, *GRID.shape), np.uint8)
    for t in range(count):
        labels[t, 3:5, 3:6, 1 + t : 4 + t] = 2
    return 100.0 * labels + np.arange(count)[:, None, None, None], labels


@pytest.fixture
def desk(tmp_path):
    images, labels = _phases()
    write_phases(tmp_path / "beat.nii.gz", images.astype(np.float32), GRID)
    write_phases(tmp_path / "beat_labels.nii.gz", labels, GRID)
    desk = Desk(open_source(tmp_path / "beat.nii.gz"))
    desk.poll()
    return desk


def test_a_slider_moves_through_the_phases_of_a_file(desk):
    images, labels = _phases()
    assert desk.phase == 0.0
    for phase, t in ((0.3, 1), (0.99, 3), (0.0, 0), (0.5, 2)):
        view, version = desk.view, desk.version
        desk.move(phase)
        assert desk.phase == t / 4 and desk.version > version and desk.view.cursor == view.cursor
        np.testing.assert_array_equal(desk.shown.images["mr"], images[t, ::-1, ::-1, ::-1])
        np.testing.assert_array_equal(desk.shown.labels, labels[t, ::-1, ::-1, ::-1])
    with_slider = len(draw_panel(desk, 600)[1])
    desk.subject = open_subject(desk.subject)
    assert with_slider == len(draw_panel(desk, 600)[1])


def test_a_key_goes_round_the_phases(desk):
    phases = []
    for _ in range(5):
        desk.press("t")
        phases.append(desk.phase)
    assert phases == [0.25, 0.5, 0.75, 0.0, 0.25]


def test_labels_of_one_phase_stand_still_and_a_damaged_file_is_told(tmp_path):
    images, labels = _phases()
    write_phases(tmp_path / "beat.nii.gz", images.astype(np.float32), GRID)
    write_labels(tmp_path / "still.nii.gz", labels[0], GRID)
    desk = Desk(open_source(tmp_path / "beat.nii.gz", labels=tmp_path / "still.nii.gz"))
    desk.poll()
    (tmp_path / "beat.nii.gz").write_bytes(b"broken")
    desk.move(0.5)
    assert "beat.nii.gz" in desk.error and desk.phase == 0.0
    write_phases(tmp_path / "beat.nii.gz", images[:3].astype(np.float32), GRID)
    desk.move(0.5)
    assert "does not hold the 4 phases" in desk.error
    write_phases(tmp_path / "beat.nii.gz", images.astype(np.float32), GRID)
    desk.move(0.5)
    assert desk.phase == 0.5
    np.testing.assert_array_equal(desk.shown.labels, labels[0, ::-1, ::-1, ::-1])


def test_vectors_are_no_phases(tmp_path):
    write_phases(tmp_path / "field.nii.gz", np.zeros((2, *GRID.shape, 3), np.float32), GRID)
    with pytest.raises(UserError, match="5 dimensions"):
        open_subject(tmp_path / "field.nii.gz")


def test_a_cases_phases_are_those_of_its_scene(tmp_path):
    scene = Scene.model_validate(
        {
            "viscera": 1,
            "name": "chest",
            "grid": {"size": [20, 18, 16], "spacing": [6, 6, 6]},
            "structures": {
                "body": {"kind": "ellipsoid", "material": "fat", "radii": [55, 48, 44]},
                "liver": {"kind": "sphere", "material": "liver", "inside": "body", "radius": 25},
            },
            "motion": [{"breathing": {"amplitude": 12, "centre": [0, 0, 0], "radii": [90, 80, 90]}}],
        }
    )
    generate(Request((scene,), tmp_path / "out", modalities=("ct",), phases=4))
    for target in ("out", "out/phases/chest_0000_0000.nii.gz"):
        desk = Desk(open_source(tmp_path / target))
        desk.poll()
        assert desk.shown.name == "chest_0000" and desk.phase == 0.0
        desk.move(0.5)
        truth = moved(draw(scene, scene.seed, 0, ("ct",)), 0.5).volume
        liver = next(label for label, name in desk.shown.names.items() if name == "liver")
        np.testing.assert_array_equal(desk.shown.labels == liver, truth.mask("liver").numpy())
        assert (desk.shown.labels != open_subject(tmp_path / "out").labels).any()
