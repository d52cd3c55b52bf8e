import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from engine.io import write_image
from tests.trainer.phantoms import ball_case, write_dataset, write_real
from trainer.folders import find
from trainer.layouts.nnunet import NnUnet
from trainer.layouts.scans import Scans

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"


def test_a_set_of_scans_is_read_with_its_names(tmp_path):
    write_real(tmp_path / "balls", count=2)
    (found,) = find(tmp_path / "balls")
    assert isinstance(found.layout, Scans) and len(found) == 2
    case = found[1]
    assert (case.name, case.modality, case.dataset, case.expert, case.unit) == ("ball_1", "mr", "balls", True, "mm")
    assert case.structures == {"shell": (1,), "core": (2,)}  # label 7 is in no voxel
    assert case.spacing == (2.0, 1.0, 1.0)
    assert np.array_equal(case.labels, ball_case(seed=1).labels)


def test_pictures_are_a_set_too(tmp_path):
    folder = write_real(tmp_path / "us", count=0, modality="US", dim=2, labels={"1": "lesion"})
    for part, value in (("images", 200), ("labels", 1)):
        picture = np.zeros((20, 30), np.uint8)
        picture[5:15, 8:20] = value
        Image.fromarray(picture).save(folder / part / "a.png")
    case = find(folder)[0][0]
    assert (case.modality, case.unit, case.flat) == ("us", "px", True)
    assert case.mask("lesion").sum() == 120


@pytest.mark.parametrize("said", [{"spacing": "nominal"}, {"notes": "from PNGs; spacing nominal 1.4x1.4x8"}])
def test_a_spacing_that_is_made_up_is_measured_in_pixels(tmp_path, said):
    write_real(tmp_path / "set", count=1, spacing_mm=(1.4, 1.4, 8.0), **said)
    case = find(tmp_path / "set")[0][0]
    assert case.unit == "px" and case.spacing == pytest.approx((8 / 1.4, 1, 1))


def test_masks_that_no_expert_drew_are_marked(tmp_path):
    write_real(tmp_path / "a", count=1, mask_quality="model predictions")
    write_real(tmp_path / "b", count=1, mask_quality=None)
    assert [dataset[0].expert for dataset in find(tmp_path)] == [False, False]


def test_a_folder_of_sets_holds_them_all(tmp_path):
    write_real(tmp_path / "scans", count=1)
    write_dataset(tmp_path / "made", count=1)
    (tmp_path / "notes").mkdir()
    made, scans = find(tmp_path)
    assert isinstance(made.layout, NnUnet) and isinstance(scans.layout, Scans)
    assert made[0].dataset == "made" and made[0].expert and made[0].unit == "mm"


def test_what_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no dataset"):
        find(tmp_path)
    with pytest.raises(UserError, match="no such folder"):
        find(tmp_path / "none")


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("[1]", "needs to be a mapping"),
        ('{"labels": {"1": "liver"}}', "needs 'modality'"),
        ('{"modality": "CT", "labels": {"liver": 1}}', "label values to names"),
        ("{", "not JSON"),
    ],
)
def test_a_header_that_is_wrong_says_what_it_needs(tmp_path, header, says):
    folder = write_real(tmp_path / "set", count=1)
    (folder / "dataset.json").write_text(header)
    with pytest.raises(UserError, match=says):
        find(folder)[0][0]


def test_images_without_labels_are_no_cases(tmp_path):
    folder = write_real(tmp_path / "set", count=1)
    case = ball_case()
    write_image(folder / "images" / "more.nii.gz", case.image, case.grid)
    assert len(find(folder)[0]) == 1
    (folder / "labels" / "ball_0.nii.gz").unlink()
    with pytest.raises(UserError, match="same name in labels"):
        len(find(folder)[0])


@pytest.mark.skipif(not REAL.is_dir(), reason="no real scans here")
def test_the_real_sets_are_read():
    sets = {dataset.path.name: dataset for dataset in find(REAL)}
    assert len(sets) == 9 and all(isinstance(dataset.layout, Scans) for dataset in sets.values())
    units = {name: (dataset[0].unit, dataset[0].expert) for name, dataset in sets.items() if "spleen" not in name}
    assert units["sunnybrook_mr3d"] == units["busbra_us2d"] == ("px", True)
    assert units["openkbp_hn_ct3d"] == ("mm", True)
    assert [name for name, (_, expert) in units.items() if not expert] == ["totalseg_example_ct3d"]
    for dataset in sets.values():
        assert json.loads((dataset.path / "dataset.json").read_text())["n"] == len(dataset)
    case = sets["msd_hippocampus_mr3d"][0]
    assert all(case.mask(name).any() for name in case.structures) and len(case.structures) == 2
