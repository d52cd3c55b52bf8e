import json

import numpy as np
import pytest

from engine.errors import UserError
from engine.grid import Grid
from engine.io import write_image, write_labels
from tests.viewer.conftest import GRID, ball_volume
from viewer.case import merge, structure_table
from viewer.legend import ordered
from viewer.nesting import holdings, innermost, with_descendants, wraps
from viewer.opening import open_subject
from viewer.subject import Subject


def test_a_volume_brings_names_colours_and_nesting(subject):
    assert subject.names == {1: "body", 2: "liver", 3: "lesion", 4: "spleen"}
    assert subject.colors[3] == "#57c46a"
    assert subject.parents == {2: 1, 3: 2, 4: 1}
    assert subject.holds[1] == {2, 3, 4} and subject.holds[2] == {3}
    assert subject.wraps == [1]


def test_a_label_in_a_part_of_itself_stays_in_the_list():
    fluid = ("fluid", 1, "#4060c0", None, (0.0, 0.0, 0.0), 80.0)
    cerebellum = ("cerebellum", 2, "#c08040", 1, (0.0, 0.0, 0.0), 50.0)
    fissure = ("fluid", 1, "#4060c0", 2, (0.0, 0.0, 0.0), 15.0)
    subject = Subject.from_volume(ball_volume(GRID, (fluid, cerebellum, fissure)))
    assert subject.parents == {2: 1} and ordered(subject) == [(1, 0), (2, 1)]


def test_label_maps_show_their_nesting():
    labels = np.zeros((20, 20, 20), int)
    labels[2:18, 2:18, 2:18] = 5
    labels[6:10, 6:10, 6:10] = 7
    labels[7:8, 7:8, 7:8] = 9
    holds = holdings(labels)
    assert holds == {5: {7, 9}, 7: {9}, 9: frozenset()}
    assert innermost(holds) == {7: 5, 9: 7}


def test_a_tube_that_the_volume_cuts_off_holds_what_runs_through_it():
    labels = np.zeros((10, 14, 14), int)
    labels[:, 2:12, 2:12] = 1
    labels[:, 4:10, 4:10] = 0
    labels[:, 6:8, 6:8] = 2
    assert holdings(labels) == {1: {2}, 2: frozenset()}


def test_a_structure_spread_over_two_is_held_by_both():
    labels = np.zeros((12, 12, 30), int)
    labels[1:11, 1:11, 1:13] = 1
    labels[1:11, 1:11, 17:29] = 2
    labels[5:7, 5:7, 4:9] = labels[5:7, 5:7, 20:25] = 3
    assert holdings(labels) == {1: {3}, 2: {3}, 3: frozenset()}


def test_declared_children_count_and_circles_end():
    assert with_descendants({1: frozenset()}, {2: 1, 3: 2}) == {1: {2, 3}, 2: {3}}
    assert with_descendants({}, {1: 2, 2: 1})[2] == {1}


def test_a_wrap_holds_three_and_a_fifth():
    assert wraps({1: frozenset({2, 3, 4}), 2: frozenset({3})}, 4) == [1]
    assert wraps({1: frozenset({2, 3, 4})}, 40) == []


def test_an_image_turned_in_the_scanner_is_brought_upright(tmp_path):
    # voxel x runs to the patient's right
    grid = Grid((5, 4, 3), (1.0, 2.0, 3.0), (8.0, 0.0, 0.0), (-1, 0, 0, 0, 1, 0, 0, 0, 1))
    data = np.zeros(grid.shape, np.float32)
    data[1, 2, 0] = 100.0  # the leftmost voxel
    write_image(tmp_path / "a.nii.gz", data, grid)
    subject = open_subject(tmp_path / "a.nii.gz")
    assert list(subject.images) == ["mr"]
    assert np.argwhere(subject.images["mr"] == 100.0).tolist() == [[1, 2, 4]]
    np.testing.assert_allclose(subject.grid.to_world([4, 2, 1]), [8.0, 4.0, 3.0])


def test_labels_beside_the_image_are_found(tmp_path):
    grid = Grid.centred((6, 5, 4), (1.0, 1.0, 1.0))
    data = np.full(grid.shape, -1000.0, np.float32)
    data[1:3, 1:4, 1:5] = 40.0
    write_image(tmp_path / "scan.nii.gz", data, grid)
    write_labels(tmp_path / "scan_seg.nii.gz", (data > 0) * 2, grid)
    subject = open_subject(tmp_path / "scan.nii.gz")
    assert list(subject.images) == ["ct"]
    assert subject.names == {2: "label 2"} and subject.labels.sum() == 48


def write_dataset(root):
    grid = Grid.centred((6, 5, 4), (1.0, 1.0, 1.0))
    data = np.random.default_rng(0).normal(size=grid.shape).astype(np.float32)
    for name in ("b_0001", "a_0000"):
        for channel in range(2):
            write_image(root / "imagesTr" / f"{name}_{channel:04d}.nii.gz", data, grid)
        write_labels(root / "labelsTr" / f"{name}.nii.gz", (data > 0) * 1, grid)
    facts = {"channel_names": {"0": "CT", "1": "MR"}, "labels": {"background": 0, "liver": 1}, "file_ending": ".nii.gz"}
    (root / "dataset.json").write_text(json.dumps(facts))


def test_a_dataset_opens_at_its_first_case_or_at_a_file_of_it(tmp_path):
    write_dataset(tmp_path)
    first = open_subject(tmp_path)
    assert first.name == "a_0000" and list(first.images) == ["ct", "mr"] and first.names == {1: "liver"}
    assert open_subject(tmp_path / "imagesTr" / "b_0001_0001.nii.gz").name == "b_0001"
    assert open_subject(tmp_path / "labelsTr" / "b_0001.nii.gz").name == "b_0001"


def test_regions_of_a_dataset_become_structures():
    table = structure_table({"background": 0, "lung": [4, 21], "aorta": 7, "vessels": [6, 21]})
    assert table == {"lung": [4], "aorta": [7], "vessels": [6, 21]}
    assert merge(np.array([0, 4, 6, 7, 21]), table).tolist() == [0, 4, 6, 7, 6]


def test_a_generated_case_looks_as_its_scene_says(tmp_path):
    write_dataset(tmp_path)
    facts = json.loads((tmp_path / "dataset.json").read_text())
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1:3, 1:4, 1:5] = 1
    labels[2, 2, 2] = 2
    write_labels(tmp_path / "labelsTr" / "a_0000.nii.gz", labels, Grid.centred((6, 5, 4), (1.0,) * 3))
    facts["labels"] = {"background": 0, "liver": [1, 2], "lesion": 2}
    facts["viscera"] = {
        "structures": {
            "liver": {"labels": [1, 2], "inside": [], "color": "#112233"},
            "lesion": {"labels": [2], "inside": ["liver"], "color": "#445566"},
        }
    }
    (tmp_path / "dataset.json").write_text(json.dumps(facts))
    subject = open_subject(tmp_path)
    assert subject.names == {1: "liver", 2: "lesion"} and subject.colors == {1: "#112233", 2: "#445566"}
    assert subject.parents == {2: 1} and subject.holds[1] == {2}


def test_labels_of_another_shape_are_refused(tmp_path):
    grid, other = Grid.centred((6, 5, 4), (1.0,) * 3), Grid.centred((6, 5, 3), (1.0,) * 3)
    write_image(tmp_path / "a.nii.gz", np.ones(grid.shape), grid)
    write_labels(tmp_path / "l.nii.gz", np.ones(other.shape), other)
    with pytest.raises(UserError, match=r"6 x 5 x 3 and 6 x 5 x 4"):
        open_subject(tmp_path / "a.nii.gz", labels=tmp_path / "l.nii.gz")
    with pytest.raises(UserError, match="6 x 5 x 3"):
        Subject.from_arrays(grid, {"ct": np.ones(grid.shape)}, np.ones(other.shape, int))


def test_what_is_missing_or_holds_nothing_is_said(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        open_subject(tmp_path / "nowhere.nii.gz")
    grid = Grid.centred((3, 3, 3), (1.0,) * 3)
    with pytest.raises(UserError, match="finite"):
        Subject.from_arrays(grid, {"ct": np.full(grid.shape, np.nan)}, name="scan")
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(UserError, match="no image in imagesTr"):
        open_subject(tmp_path)
