"""Beams: what is drawn as the field of view is what the image shows, wherever and however the scanner stands."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from engine.dataset import Request, generate
from engine.errors import UserError
from engine.generate import Sample, draw
from engine.grid import Grid
from engine.picture import PLANES
from engine.random import Stream
from engine.render.ct import CT
from engine.render.mr import MR
from engine.render.us import US
from engine.render.us.probe import PROBES
from engine.scene import Scene
from tests.engine.phantoms import Part, build
from viewer import system
from viewer.beams import beams_of, cut
from viewer.desk import Desk
from viewer.opening import open_subject
from viewer.orbit import Orbit
from viewer.organs import Organs
from viewer.page import Page
from viewer.panel import draw_panel
from viewer.panes import BEAMS, caption, draw_pane, draw_panes
from viewer.screenshot import draw_page
from viewer.sources import Still
from viewer.state import first_view
from viewer.subject import Subject

STREAM = Stream.of(3, "beams")
GRID = Grid.centred((60, 50, 40), (2.0, 2.5, 3.0))
#: Tilted frames are interpolated, which carries them to the next voxel, across a corner too.
_INTERPOLATED = 1.5
#: Voxel axes that run to the head, to the right and to the back, a little tilted.
TURN = np.linalg.qr(np.array([[0.05, -1.0, 0.1], [-0.1, 0.1, 1.0], [1.0, 0.05, 0.1]]))[0]
TURNED = replace(GRID, direction=tuple((TURN * np.sign(TURN[[2, 0, 1], [0, 1, 2]]) * (1, -1, 1)).ravel()))
PROBE = {"curved": {"radius_mm": 30}, "linear": {"width_mm": 44}, "phased": {}}
POSES = {
    "in front": {},
    "tilted and moved": {"rotation_deg": 70, "tilt_deg": -12, "offset_mm": 9, "press_mm": 6},
    "behind, swept by tilting": {"rotation_deg": 170, "sweep_deg": 40},
    "by hand": {"position_mm": (-14.0, -50.0), "rotation_deg": 20, "sweep_deg": 25, "pivot_mm": 0, "tilt_deg": -9},
}


def imaged(protocol, grid=GRID):
    """An image of a volume of water or liver that is nowhere black where it was seen, and its subject."""
    volume = build(Part("liver", lambda x, y, z: -1e6 + 0 * (x + y + z)), grid=grid)
    image = protocol.render(volume, STREAM)
    return image, Subject.from_sample(Sample("sample", None, volume, {image.modality: image}))


def ultrasound(kind, grid=GRID, **pose):
    probe = {"kind": kind, **PROBE[kind]}
    return imaged(US.model_validate({"probe": probe, "depth_mm": 85, "gain_db": 300, **pose}), grid)


def enclosed(beams, grid, axis, index):
    """Which voxels of a slice the lines drawn in it enclose."""
    across = [a for a in range(3) if a != axis]
    columns, rows = (grid.size[a] for a in across)
    column, row = np.meshgrid(np.arange(columns) + 1e-4, np.arange(rows) + 1e-4)
    inside = np.zeros(column.shape, bool)
    for (x0, y0), (x1, y1) in cut(beams.seen, grid, axis, index)[..., across]:
        crossed = (y0 > row) != (y1 > row)
        inside ^= crossed & (column < x0 + (row - y0) / (y1 - y0 or 1.0) * (x1 - x0))
    return inside


def check(subject, modality, black, most=1.0):
    """The lines in the slices of all planes bound what is not black, to within `most` voxels."""
    beams, grid, bright = subject.beams[modality], subject.grid, subject.images[modality] > black
    inside = np.stack([enclosed(beams, grid, 2, index) for index in range(grid.size[2])])
    assert min(inside.sum(), (~inside).sum()) > 1000
    assert distance_transform_edt(inside)[~bright].max() <= most
    assert distance_transform_edt(~inside)[bright].max() <= most
    for axis in (0, 1):
        for index in range(0, grid.size[axis], 7):
            assert (enclosed(beams, grid, axis, index) != np.take(inside, index, 2 - axis)).mean() < 0.002


@pytest.mark.parametrize("pose", POSES.values(), ids=POSES)
@pytest.mark.parametrize("kind", PROBES)
def test_a_probes_field_of_view_bounds_its_image(kind, pose):
    _, subject = ultrasound(kind, **pose)
    check(subject, "us", 0, _INTERPOLATED if "sweep_deg" in pose else 1.0)


def test_axes_in_any_order_and_tilted_change_nothing():
    image, subject = ultrasound("curved", TURNED, rotation_deg=40, sweep_deg=30)
    assert subject.grid.size != image.grid.size  # brought upright
    check(subject, "us", 0, _INTERPOLATED)


@pytest.mark.parametrize("geometry", ["parallel", "fan", "cone"])
def test_a_gantrys_circle_bounds_what_was_measured(geometry):
    scanner = {"geometry": geometry, "fov_mm": 90, "views": 60, "detector_mm": 2}
    image, subject = imaged(CT(fidelity="projection", noise_hu=0, scanner=scanner))
    assert image.meta["scanner"]["fov_mm"] == pytest.approx(92, abs=4)
    check(subject, "ct", -1024)
    assert geometry in subject.beams["ct"].title
    turned = [subject.beams["ct"].face.reshape(-1, 3), *subject.beams["ct"].paths]
    radius = {r for line in turned for r in np.round(np.hypot(*line[:, :2].T), 3)}
    assert radius == (set() if geometry == "parallel" else {image.meta["scanner"]["source_mm"]})


def test_only_what_is_known_is_drawn():
    for protocol in (CT(), MR()):
        image, subject = imaged(protocol)
        assert beams_of(image.modality, image.meta, image.grid) is None and not subject.beams


@pytest.mark.parametrize("kind", PROBES)
def test_the_face_lies_where_the_probe_does(kind):
    image, subject = ultrasound(kind, rotation_deg=90, offset_mm=5)
    beams, index = subject.beams["us"], GRID.size[2] // 2
    face = GRID.to_world(cut(beams.face, GRID, 2, index)).reshape(-1, 3)[:, :2]
    wide = {"curved": 2 * 30 * np.sin(np.radians(35)), "linear": 44, "phased": image.meta["probe"]["aperture_mm"]}
    across = np.array([-image.meta["axis"][1], image.meta["axis"][0]])
    assert np.ptp(face @ across) == pytest.approx(wide[kind], abs=0.01)
    assert np.hypot(*(face - image.meta["face_mm"]).T).min() < 1.5
    (path,) = beams.paths
    np.testing.assert_allclose(path[:, :2], [image.meta["face_mm"]] * 2)
    assert np.ptp(path[:, 2]) == pytest.approx(120)


@pytest.fixture(scope="module")
def scanned():
    return ultrasound("curved")[1]


def lit(picture):
    return (np.asarray(picture) == BEAMS).all(axis=-1).sum()


@pytest.mark.parametrize("plane", PLANES)
def test_slices_show_it_unless_switched_off(scanned, plane):
    view = first_view(scanned)
    on, off = (replace(view, beams=shown) for shown in (True, False))
    assert lit(draw_pane(scanned, on, plane, (300, 300))) > 100 and not lit(draw_pane(scanned, off, plane, (300, 300)))
    assert "curved probe, 85 mm deep" in caption(scanned, on, "axial")
    assert not any("probe" in line for line in caption(scanned, off, "axial"))


def test_a_datasets_case_shows_what_its_scene_does(tmp_path):
    scene = Scene.model_validate(
        {
            "viscera": 1,
            "name": "water",
            "grid": {"size": [30, 26, 20], "spacing": [3, 3, 3]},
            "structures": {"ball": {"kind": "sphere", "material": "liver", "radius": 30}},
            "acquire": [{"modality": "us", "probe": {"kind": "curved"}, "depth_mm": 60, "rotation_deg": 20}],
        }
    )
    generate(Request((scene,), tmp_path / "out", count=1, modalities=("ct", "us")))
    subject = open_subject(tmp_path / "out")
    beams = Subject.from_sample(draw(scene, scene.seed, 0, ("ct", "us"))).beams
    assert list(subject.beams) == list(beams) == ["us"] and subject.beams["us"].title == beams["us"].title
    np.testing.assert_allclose(subject.beams["us"].seen, beams["us"].seen, atol=1e-3)
    assert lit(draw_pane(subject, first_view(subject, "us"), "axial", (300, 300))) > 100
    header = tmp_path / "out/headers/water_0000.json"
    header.write_text(header.read_text().replace('"depths_mm"', '"depths"'))
    with pytest.raises(UserError, match="the header of water_0000 is damaged"):
        open_subject(tmp_path / "out")


def test_another_image_shows_nothing_of_it(scanned):
    both = replace(scanned, images={"mr": scanned.images["us"], **scanned.images})
    assert not lit(draw_pane(both, first_view(both, "mr"), "axial", (300, 300)))
    beside = replace(first_view(both, "mr"), beside=True)
    assert lit(draw_panes(both, beside, (600, 400)).crop((0, 0, 600, 198))) == 0
    assert lit(draw_panes(both, beside, (600, 400)).crop((0, 202, 600, 400))) > 100


def test_it_goes_with_a_subject_to_another_process(scanned):
    (again,) = pickle.loads(pickle.dumps(scanned)).beams.values()
    np.testing.assert_array_equal(again.seen, scanned.beams["us"].seen)


def test_the_panels_have_a_button_only_where_something_is_known(scanned, subject, offscreen):
    for shown, count in ((scanned, 1), (subject, 0)):
        desk = Desk(Still(shown))
        desk.poll()
        page = Page(desk, name=f"beams {count}")
        page.refresh()
        page.orbit.close()
        assert [flag["key"] for flag in page.state.panel["flags"]].count("p") == count
        before = desk.view
        for hit in draw_panel(desk, 800)[1]:
            desk.view = before
            hit.does(desk, 0.5)
            count -= not desk.view.beams
        assert count == 0


def test_the_fan_is_drawn_in_3d_and_follows_the_axial_slice(scanned, offscreen, monkeypatch):
    monkeypatch.setattr(Organs, "software", False)  # as where a GPU draws: at once
    desk = Desk(Still(scanned))
    desk.poll()
    desk.view = replace(desk.view, cursor=(30, 25, 10))
    orbit = Orbit(desk)
    try:
        below = np.argwhere(_cyan(orbit.picture((300, 300))))[:, 0]
        desk.page(20)
        above = np.argwhere(_cyan(orbit.picture((300, 300))))[:, 0]
        assert np.median(above) < np.median(below) - 10
        desk.press("p")
        assert not _cyan(orbit.picture((300, 300))).any()
    finally:
        orbit.close()


def _cyan(picture):
    return (picture.astype(int) @ [-1, 0, 1] > 150) & (picture[..., 1] > 150)


def test_screenshots_show_it(scanned, offscreen):
    with system.offscreen_windows():
        assert lit(draw_page(scanned, width=800)) > 300
