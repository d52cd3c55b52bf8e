"""Results of a model in the viewer: what is drawn, what is told, and what cannot be opened."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import viewer
from engine.errors import UserError
from engine.grid import Grid
from engine.io import write_image, write_labels
from viewer.desk import Desk
from viewer.html import page_of
from viewer.legend import ordered
from viewer.meshes import surfaces
from viewer.opening import open_source, open_subject
from viewer.orbit import Orbit
from viewer.organs import Organs
from viewer.panel import _STEP, draw_panel
from viewer.panes import caption, column_row, draw_pane, pane
from viewer.places import Mark
from viewer.results import records_in
from viewer.screenshot import draw_page

SIZE = (400, 400)
GRID = Grid.centred((40, 40, 20), (1.0, 1.0, 2.0))
TRUTH, FOUND = (slice(6, 14), slice(10, 20), slice(10, 20)), (slice(6, 14), slice(10, 20), slice(14, 26))
STRUCTURES = {
    "prediction": {"labels": [2, 3], "color": "#56b4e9", "hollow": False},
    "truth": {"labels": [1, 3], "color": "#e69f00", "hollow": True},
}
BLUE, ORANGE, GREEN, RED, YELLOW = (86, 180, 233), (230, 159, 0), (0, 224, 128), (255, 64, 64), (240, 228, 66)


def place(x, y, z):
    return GRID.to_world(np.array([x, y, z], float)).tolist()


MARKS = [
    {"kind": "box", "points": [place(9.5, 9.5, 10), place(19.5, 19.5, 10)]},
    {"kind": "dots", "points": [place(x, 35, 10) for x in range(5, 35)]},
    {"kind": "on", "points": [place(12, 15, 10)]},
    {"kind": "off", "points": [place(30, 30, 10)]},
]


def write(folder, name="0001", dice=0.4, **changes):
    """A record of two boxes that overlap."""
    image = folder / "scan.nii.gz"
    if not image.exists():
        write_image(image, np.full(GRID.shape, 100.0, np.float32), GRID)
    labels = np.zeros(GRID.shape, np.uint8)
    labels[TRUTH] |= 1
    labels[FOUND] |= 2
    out = folder / "out" / "results"
    write_labels(out / f"{name}.nii.gz", labels, GRID)
    record = {
        "viscera": "result",
        "title": f"scan: organ {name}",
        "notes": [f"Dice {dice:.2f}", "prompt: click"],
        "dice": dice,
        "image": [str(image), "../../scan.nii.gz"],
        "modality": "mr",
        "labels": f"{name}.nii.gz",
        "structures": STRUCTURES,
        "marks": MARKS,
        **changes,
    }
    (out / f"{name}.json").write_text(json.dumps(record))
    return out / f"{name}.json"


@pytest.fixture
def record(tmp_path):
    return write(tmp_path)


def picture(subject, view, plane="axial"):
    return np.asarray(draw_pane(subject, replace(view, lines=False), plane, SIZE))


def seen(image, color):
    return int((image == color).all(axis=-1).sum())


def desk_on(target):
    desk = Desk(open_source(target))
    assert desk.poll()
    return desk


def test_prompt_truth_and_prediction_are_on_the_prompted_slice(record):
    desk = desk_on(record)
    assert desk.view.cursor == (12, 15, 10)  # where the click was
    image = picture(desk.shown, desk.view)
    for color, least in ((BLUE, 100), (ORANGE, 200), (GREEN, 50), (RED, 30), (YELLOW, 200)):
        assert seen(image, color) >= least
    at = pane(desk.shown, desk.view, "axial", SIZE)

    def pixel(*voxel):
        x, y = at.pixel(*column_row(desk.shown, "axial", voxel))
        return tuple(int(v) for v in image[round(y), round(x)])

    assert pixel(12, 15, 10) == GREEN and pixel(30, 30, 10) == RED
    both, missed = pixel(16, 13, 10), pixel(11, 11, 10)
    assert both[2] > both[0] and missed[0] == missed[1] == missed[2]  # prediction is filled, the truth is not


def test_a_prompt_is_on_its_slice_alone_and_goes_with_the_labels(record):
    desk = desk_on(record)
    desk.page(1)
    image = picture(desk.shown, desk.view)
    assert seen(image, GREEN) == seen(image, RED) == seen(image, YELLOW) == 0 and seen(image, ORANGE) > 200
    desk.page(-1)
    assert seen(picture(desk.shown, desk.view, "coronal"), GREEN) > 50
    desk.press("g")
    image = picture(desk.shown, desk.view)
    assert all(seen(image, color) == 0 for color in (BLUE, ORANGE, GREEN, YELLOW))


def test_truth_and_prediction_are_hidden_by_themselves(record):
    desk = desk_on(record)
    desk.view = replace(desk.view, hidden=frozenset({1}))
    image = picture(desk.shown, desk.view)
    assert seen(image, BLUE) == 0 and seen(image, ORANGE) > 200
    assert [desk.shown.names[label] for label, _ in ordered(desk.shown)] == ["prediction", "truth"]


def test_surfaces_and_the_readout_know_both(record):
    subject = open_subject(record)
    volumes = {label: mesh.volume for label, mesh in surfaces(subject).items()}
    assert volumes[2] == pytest.approx(8 * 10 * 10 * 2, rel=0.1) and volumes[1] == pytest.approx(1920, rel=0.1)
    desk = desk_on(record)
    assert [desk.readout(v).anatomy for v in ((11, 15, 10), (16, 15, 10), (24, 15, 10), (1, 1, 1))] == [
        "truth",
        "prediction and truth",
        "prediction",
        "background",
    ]


def test_dice_is_on_the_picture_and_in_the_panel(record):
    desk = desk_on(record)
    assert caption(desk.shown, desk.view, "axial")[-1] == "Dice 0.40"
    assert caption(desk.shown, desk.view, "coronal")[-1] != "Dice 0.40"
    with_notes, _ = draw_panel(desk, 600)
    desk.subject = replace(desk.shown, notes=())
    assert not np.array_equal(with_notes, draw_panel(desk, 600)[0])


def test_small_structures_are_looked_at_closely_and_the_camera_follows(tmp_path, monkeypatch):
    monkeypatch.setattr(Organs, "software", False)  # as where a GPU draws: at once
    write(tmp_path, "0001", 0.1)
    wide = Grid.centred((160, 160, 40), (1.0, 1.0, 2.0))
    write_image(tmp_path / "wide.nii.gz", np.ones(wide.shape, np.float32), wide)
    second = write(tmp_path, "0002", 0.2, image=[str(tmp_path / "wide.nii.gz")])
    labels = np.zeros(wide.shape, np.uint8)
    labels[18:22, 70:90, 75:85] = 3
    write_labels(second.with_suffix(".nii.gz"), labels, wide)
    desk = desk_on(tmp_path / "out")
    orbit = Orbit(desk)
    try:
        orbit.picture((80, 60))
        near = orbit.plotter.camera.distance
        desk.press("n")
        desk.poll()
        before = orbit.picture((80, 60))
        assert orbit.plotter.camera.distance > 2 * near and desk.view.zoom == pytest.approx(160 / 60)
        assert np.array_equal(before, orbit.plotter.screenshot(return_img=True)[..., :3])
    finally:
        orbit.close()


def test_results_are_leafed_through_worst_first(tmp_path):
    for name, dice in (("0001", 0.9), ("0002", 0.1), ("0003", 0.5)):
        write(tmp_path, name, dice)
    desk = desk_on(tmp_path / "out")  # and from the folder above, as of viscera run
    told = []
    for key in ("n", "]", "n", "["):
        told.append(desk.shown.notes[0])
        desk.press(key)
        desk.poll()
    assert told == ["Dice 0.10", "Dice 0.50", "Dice 0.90", "Dice 0.10"]
    assert desk.source.place == "result 3 of 3, worst first"
    assert any(hit.does is _STEP[2] for hit in draw_panel(desk, 600)[1])
    assert len(records_in(tmp_path)) == 3


def test_a_result_whose_image_is_gone_is_told_of_beside_the_next_one(tmp_path):
    write(tmp_path, "0001", 0.1, image=[str(tmp_path / "gone.nii.gz")])
    write(tmp_path, "0002", 0.2)
    desk = desk_on(tmp_path / "out")
    assert desk.shown.notes[0] == "Dice 0.20" and "gone.nii.gz is gone" in desk.error
    assert desk.source.place == "result 2 of 2, worst first"
    (tmp_path / "scan.nii.gz").unlink()
    with pytest.raises(UserError, match=r"gone\.nii\.gz is gone"):
        open_source(tmp_path / "out")


def test_a_record_opens_by_its_label_map_and_an_image_beside_it_stays_an_image(record):
    assert open_subject(record.with_suffix(".nii.gz")).notes
    shutil.copy(record.with_suffix(".nii.gz"), record.with_suffix(".nrrd"))
    assert records_in(record.with_suffix(".nrrd")) == []


def test_a_folder_that_was_moved_as_a_whole_finds_its_image(record, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for name in ("out", "scan.nii.gz"):
        shutil.move(tmp_path / name, tmp_path / "elsewhere" / name)
    assert open_subject(tmp_path / "elsewhere" / "out").notes[0] == "Dice 0.40"


def test_an_image_that_is_gone_is_said_and_the_others_stay_open(tmp_path):
    write(tmp_path, "0001", 0.1)
    write(tmp_path, "0002", 0.2, image=["/nowhere/scan.nii.gz", "nowhere.nii.gz"])
    desk = desk_on(tmp_path / "out")
    desk.press("n")
    assert desk.poll() and "/nowhere/scan.nii.gz is gone" in desk.error and desk.shown.notes[0] == "Dice 0.10"
    desk.press("n")
    assert desk.poll() and desk.error == ""
    with pytest.raises(UserError, match=r"0002\.json: its image /nowhere/scan\.nii\.gz is gone"):
        open_subject(tmp_path / "out" / "results" / "0002.json")


@pytest.mark.parametrize(
    "changes",
    [{"marks": [{"kind": "star", "points": [[0, 0, 0]]}]}, {"image": 3}, {"structures": [1]}, {"marks": None}],
)
def test_a_damaged_record_is_said(tmp_path, changes):
    with pytest.raises(UserError, match="damaged record"):
        open_subject(write(tmp_path, **changes))


def test_an_image_on_another_grid_is_said(record, tmp_path):
    write_image(tmp_path / "scan.nii.gz", np.ones((3, 4, 5), np.float32), Grid.centred((5, 4, 3), (1.0, 1.0, 1.0)))
    with pytest.raises(UserError, match="its grid differs"):
        open_subject(record)


def test_an_evaluation_without_results_is_said(tmp_path):
    (tmp_path / "scores.json").write_text("{}")
    with pytest.raises(UserError, match="kept no results to view"):
        open_source(tmp_path)


def test_the_screenshot_shows_the_prompt_and_pages_show_the_structures(record, tmp_path):
    image = draw_page(open_subject(record), width=1000)
    assert all(seen(image, color) > 30 for color in (GREEN, RED, YELLOW, ORANGE, BLUE))
    assert viewer.view(record.parents[1], screenshot=tmp_path / "shot.png").is_file()
    page = page_of(open_subject(record))
    assert "prediction" in page and "truth" in page


def test_marks_are_for_any_subject(subject):
    x, y, z = subject.grid.to_world(np.array([20.0, 18.0, 16.0])).tolist()
    desk = Desk(open_source(replace(subject, marks=(Mark("on", ((x, y, z),)),), focus=(x, y, z))))
    desk.poll()
    assert desk.view.cursor == (20, 18, 16)
    assert seen(picture(desk.shown, desk.view), GREEN) > 50
