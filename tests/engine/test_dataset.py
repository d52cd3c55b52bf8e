"""Datasets on disk: whole or not at all, the same bytes for the same request, read by those they are made for."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk

from engine import io
from engine.atomic import write_text
from engine.dataset import Request, case, generate, headers, pool
from engine.dataset.table import Table
from engine.distance import normals, signed_distance
from engine.errors import UserError
from engine.generate import draw
from engine.scene import Scene

ORGANS = """
viscera: 1
name: organs
seed: 5
grid: {size: [24, 22, 20], spacing: [3, 3, 3]}
structures:
  body: {kind: ellipsoid, material: fat, radii: [33, 30, 28]}
  kidney:
    kind: ellipsoid
    inside: body
    material: kidney
    at: [{uniform: [14, 16]}, 0, 0]
    radii: [9, 9, 12]
    mirror: {labels: [2, 3]}
  medulla: {kind: sphere, label: 4, inside: kidney, material: liver, at: [15, 0, 0], radius: 5, mirror: {axis: x}}
  stone: {kind: sphere, label: 9, probability: 0.5, material: bone, at: [0, 0, 0], radius: 5}
"""


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Scene:
    path = tmp_path_factory.mktemp("scenes") / "organs.yaml"
    path.write_text(ORGANS)
    return Scene.load(path)


@pytest.fixture
def request_of(scene, tmp_path):
    def make(**changes) -> Request:
        given = {"scenes": (scene,), "out": tmp_path / "out", "count": 3, "modalities": ("ct",), **changes}
        return Request(**given)

    return make


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def header_of(folder: Path) -> dict:
    return json.loads((folder / "dataset.json").read_text())


def test_images_and_labels_lie_on_one_grid(request_of):
    request = request_of(modalities=("mr", "ct", "us"), count=1)
    result = generate(request)
    assert result.made == ("organs_0000",)
    labels = nib.load(request.out / "labelsTr/organs_0000.nii.gz")
    assert labels.get_data_dtype() == np.uint8
    for channel in range(3):
        path = request.out / f"imagesTr/organs_0000_{channel:04d}.nii.gz"
        np.testing.assert_array_equal(nib.load(path).affine, labels.affine)
        assert sitk.ReadImage(str(path)).GetSize() == (24, 22, 20)
    ct, grid = io.read_image(request.out / "imagesTr/organs_0000_0001.nii.gz")
    assert ct.min() < -900  # air around the body, in HU
    np.testing.assert_allclose(grid.affine_lps, request.scenes[0].grid.grid().affine_lps, atol=1e-4)


def test_header_is_what_nnunet_reads(request_of):
    request = request_of(modalities=("us", "ct"))
    generate(request)
    header = header_of(request.out)
    assert header["channel_names"] == {"0": "US", "1": "CT"}
    assert header["numTraining"] == 3
    assert header["file_ending"] == ".nii.gz"
    values = {v for entry in header["labels"].values() for v in (entry if isinstance(entry, list) else [entry])}
    assert values == set(range(len(values)))
    assert len(header["regions_class_order"]) == len(header["labels"]) - 1
    names = list(header["labels"])
    assert names.index("body") < names.index("kidney_left") < names.index("medulla")
    assert header["viscera"]["units"]["ct"] == "HU"
    assert header["viscera"]["structures"]["kidney_left"]["inside"] == ["body"]


def test_every_structure_is_exactly_its_labels(request_of, scene):
    request = request_of(truth=("coverage",))
    generate(request)
    stated = header_of(request.out)["labels"]
    for index in range(3):
        volume = draw(scene, scene.seed, index, ()).volume
        written, _ = io.read_labels(request.out / f"labelsTr/organs_{index:04d}.nii.gz")
        for name in volume.names():
            np.testing.assert_array_equal(np.isin(written, stated[name]), volume.mask(name).numpy())
        coverage, _ = io.read_labels(request.out / f"truth/organs_{index:04d}/coverage.nii.gz")
        np.testing.assert_array_equal(coverage, volume.coverage.numpy())
        under, _ = io.read_labels(request.out / f"truth/organs_{index:04d}/under.nii.gz")
        share = np.isin(written, stated["body"]) * (coverage / 255) + np.isin(under, stated["body"]) * (
            1 - coverage / 255
        )
        np.testing.assert_allclose(share, volume.fraction("body").numpy(), atol=1e-6)


def test_own_labels_are_a_structure_without_its_children(request_of, scene):
    request = request_of(count=1)
    generate(request)
    volume = draw(scene, scene.seed, 0, ()).volume
    written, _ = io.read_labels(request.out / "labelsTr/organs_0000.nii.gz")
    for name, entry in header_of(request.out)["viscera"]["structures"].items():
        if name in volume.names():
            np.testing.assert_array_equal(np.isin(written, entry["own"]), volume.mask(name, children=False).numpy())
            np.testing.assert_array_equal(np.isin(written, entry["labels"]), volume.mask(name).numpy())


@pytest.mark.parametrize("layout", ["nnunet", "sam2"])
def test_headers_say_how_each_image_was_made(request_of, scene, layout):
    request = request_of(count=1, layout=layout)
    generate(request)
    sample = draw(scene, scene.seed, 0, request.modalities)
    read = headers.read(request.out, "organs_0000")
    assert read == {name: json.loads(json.dumps(image.meta)) for name, image in sample.images.items()}
    assert set(read) == set(request.modalities)
    assert headers.read(request.out, "organs_0001") == {}
    (request.out / "headers/organs_0000.json").write_text("[]")
    with pytest.raises(UserError, match="damaged header"):
        headers.read(request.out, "organs_0000")


@pytest.mark.parametrize("layout", ["nnunet", "sam2"])
def test_truth_is_written_beside_either_layout(request_of, scene, layout):
    request = request_of(count=1, layout=layout, truth=("normals", "organs", "distance", "coverage"))
    generate(request)
    volume = draw(scene, scene.seed, 0, ()).volume
    folder = request.out / "truth/organs_0000"
    files = {"coverage.nii.gz", "under.nii.gz", "organs.csv"}
    assert {f.name for f in folder.iterdir()} == files | {
        f"{kind}_{name}.nii.gz" for kind in ("distance", "normals") for name in volume.names()
    }
    table = pd.read_csv(folder / "organs.csv", dtype={"labels": str})
    assert list(table.columns[1:]) == list(header_of(request.out)["viscera"]["organs"])
    whole = table[table.children].set_index("structure")
    stated = header_of(request.out)["viscera"]["structures"]
    for name in volume.names():
        assert whole.volume_mm3[name] == pytest.approx(volume.measure(name), rel=1e-5)
        assert [int(n) for n in whole.labels[name].split()] == stated[name]["labels"]
    distance, grid = io.read_image(folder / "distance_kidney_left.nii.gz")
    expected = signed_distance(volume, "kidney_left").cpu().numpy()
    np.testing.assert_allclose(distance, expected, atol=0.0051)
    assert io.same_place(grid, volume.grid)
    image = sitk.ReadImage(str(folder / "normals_kidney_left.nii.gz"))
    assert image.GetNumberOfComponentsPerPixel() == 3
    near = np.abs(expected) < 5
    np.testing.assert_allclose(
        sitk.GetArrayFromImage(image)[near], normals(volume, "kidney_left").cpu().numpy()[near], atol=2e-4
    )


def test_images_without_noise_differ_by_noise_alone(request_of):
    request = request_of(count=1, truth=("noiseless",))
    generate(request)
    for channel, modality in enumerate(request.modalities):
        image, grid = io.read_image(request.out / f"imagesTr/organs_0000_{channel:04d}.nii.gz")
        clean, place = io.read_image(request.out / f"truth/organs_0000/noiseless_{modality}.nii.gz")
        assert io.same_place(grid, place)
        noise = image - clean
        assert 0.0 < noise.std() < 0.2 * clean.std() and abs(noise.mean()) < 0.2 * noise.std() + 0.5


def test_the_medulla_of_one_kidney_is_not_in_the_other(request_of):
    request = request_of(count=1)
    generate(request)
    labels, _ = io.read_labels(request.out / "labelsTr/organs_0000.nii.gz")
    stated = header_of(request.out)["labels"]
    left, right = (np.isin(labels, stated[f"kidney_{side}"]) for side in ("left", "right"))
    assert np.nonzero(left)[2].min() > np.nonzero(right)[2].max()  # x grows to the patient's left
    np.testing.assert_array_equal(np.isin(labels, stated["medulla"]), (left | right) & ~np.isin(labels, [2, 3]))


def test_scenes_that_disagree_share_one_table(scene):
    other = Scene.model_validate(
        {
            "viscera": 1,
            "name": "other",
            "grid": {"size": [8, 8, 8], "spacing": [1, 1, 1]},
            "structures": {
                "tumour": {"kind": "sphere", "label": 1, "material": "liver", "radius": 2},
                "medulla": {"kind": "sphere", "label": 7, "material": "liver", "radius": 2},
            },
        }
    )
    table = Table.of([scene, other])
    assert list(table.colors) == ["body", "kidney_left", "kidney_right", "medulla", "stone", "tumour"]
    assert sorted(table.cells.values()) == list(range(1, 9))
    assert len(table.members("medulla")) == 3  # in either kidney, and by itself


def test_the_saved_scene_makes_the_same_volume(request_of, tmp_path):
    request = request_of(size=18, modalities=("ct", "mr", "us"), count=2)
    generate(request)
    again = Scene.load(request.out / "scenes/organs_0001.yaml")
    generate(replace(request, scenes=(again,), out=tmp_path / "again", count=1, size=None))
    for channel in range(3):
        before = request.out / f"imagesTr/organs_0001_{channel:04d}.nii.gz"
        after = tmp_path / f"again/imagesTr/organs_0000_{channel:04d}.nii.gz"
        assert before.read_bytes() == after.read_bytes()


def test_same_seed_same_bytes_with_any_number_of_workers(request_of, tmp_path):
    one = request_of(modalities=("us",), truth=("coverage", "organs", "distance", "normals"))
    two = replace(one, out=tmp_path / "two", workers=2)
    generate(one)
    generate(two)
    assert contents(one.out) == contents(two.out)
    other = replace(one, out=tmp_path / "other", seed=6, count=1)
    generate(other)
    image = "imagesTr/organs_0000_0000.nii.gz"
    assert contents(other.out)[image] != contents(one.out)[image]


def test_what_is_complete_is_kept(request_of):
    request = request_of(count=2)
    generate(request)
    before = contents(request.out)
    (request.out / "scenes/organs_0001.yaml").unlink()  # as a kill before the last step leaves it
    result = generate(replace(request, count=3))
    assert result.kept == ("organs_0000",)
    assert result.made == ("organs_0001", "organs_0002")
    after = contents(request.out)
    assert {name: after[name] for name in before if name != "dataset.json"} == {
        name: data for name, data in before.items() if name != "dataset.json"
    }
    assert header_of(request.out)["numTraining"] == 3


@pytest.mark.parametrize("layout", ["nnunet", "sam2"])
def test_a_stop_at_any_step_leaves_whole_volumes_only(request_of, tmp_path, monkeypatch, layout):
    request = request_of(count=1, layout=layout, truth=("coverage", "organs"))
    generate(replace(request, out=tmp_path / "whole"))
    whole = contents(tmp_path / "whole")

    class Killed(BaseException):
        pass

    real = os.replace
    for step in range(12):
        left = [step]

        def dying(a, b, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            real(a, b)

        monkeypatch.setattr(os, "replace", dying)
        try:
            generate(request)
        except Killed:
            shown = {name: data for name, data in contents(request.out).items() if name != "dataset.json"}
            assert shown.items() <= whole.items()
        monkeypatch.setattr(os, "replace", real)
    generate(request)
    assert contents(request.out) == whole


RUN = """
# makes a dataset of noise: what is tested is the writing, and kernels take seconds to load in every process
import signal, sys, time
from pathlib import Path

import torch

from engine.atomic import write_text
from engine.dataset import Request, case, generate
from engine.generate import Sample
from engine.scene import Scene
from engine.tissue import tissue
from engine.volume import Image, Structure, Volume

def draw(scene, seed, index, modalities):
    grid = scene.grid.grid()
    time.sleep(0.02)
    empty = torch.zeros(grid.shape, dtype=torch.uint8)
    volume = Volume(grid, empty, empty, empty + 255, (Structure("background", 0, "background", tissue("air")),))
    noise = torch.randn(grid.shape, generator=torch.Generator().manual_seed(index)) * 100
    image = Image(grid, noise, "ct", "HU")
    return Sample(f"{scene.name}_{index:04d}", scene.sample(seed, index), volume, {"ct": image})

case.draw = draw
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    scenes, out, workers = (Scene.load(sys.argv[1]),), Path(sys.argv[2]), int(sys.argv[3])
    try:
        generate(Request(scenes, out, count=1000, modalities=("ct",), workers=workers))
    except KeyboardInterrupt as stop:
        sys.exit(str(stop))
"""


def start(tmp_path: Path, workers: int) -> subprocess.Popen:
    """A process that makes 1000 volumes, returned when three are there."""
    (tmp_path / "organs.yaml").write_text(ORGANS)
    (tmp_path / "run.py").write_text(RUN)
    arguments = [sys.executable, "run.py", "organs.yaml", "out", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(arguments, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(list((tmp_path / "out/scenes").glob("*.yaml"))) < 3:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


def test_kill_nine_loses_nothing(request_of, tmp_path):
    process = start(tmp_path, workers=2)
    process.kill()
    process.communicate()
    done = [file.stem for file in (tmp_path / "out/scenes").glob("[!.]*.yaml")]
    half = tmp_path / "out/scenes/.part-999999999-organs_0000.yaml"  # as a kill in the middle of writing leaves it
    half.write_text("viscera: 1")
    for file in (tmp_path / "out").glob("*Tr/*"):
        assert np.isfinite(io.read_image(file)[0]).all()
    request = request_of(count=max(int(name[-4:]) for name in done) + 2)
    result = generate(request)
    assert set(done) <= set(result.kept)
    assert not half.exists()
    assert header_of(request.out)["numTraining"] == request.count
    assert len(list((tmp_path / "out/imagesTr").iterdir())) == request.count


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupt_stops_cleanly_and_says_how_to_go_on(tmp_path, workers):
    process = start(tmp_path, workers)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert "run the same command again" in said
    assert "Traceback" not in said
    names = {file.stem for file in (tmp_path / "out/scenes").glob("*.yaml")}
    assert {file.name.removesuffix(".nii.gz") for file in (tmp_path / "out/labelsTr").iterdir()} == names
    assert not list((tmp_path / "out").glob(".partial*"))
    assert header_of(tmp_path / "out")["numTraining"] == len(names)


def test_an_interrupt_between_two_files_finishes_the_volume_first(request_of, monkeypatch):
    def interrupted(path, text):
        os.kill(os.getpid(), signal.SIGINT)
        return write_text(path, text)

    monkeypatch.setattr(case, "write_text", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match="1 of 3 volumes are complete"):
            generate(request_of(count=3))
    finally:
        signal.signal(signal.SIGINT, before)
    out = request_of().out
    assert [file.name for file in (out / "labelsTr").iterdir()] == ["organs_0000.nii.gz"]
    assert [file.name for file in (out / "scenes").iterdir()] == ["organs_0000.yaml"]
    assert not list(out.glob(".partial*"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"seed": 8}, "scenes.organs.seed: 5 there, 8 asked for"),
        ({"size": 12}, r"scenes.organs.size: \[24, 22, 20\] there, \[12, 11, 10\] asked for"),
        ({"modalities": ("mr",)}, r"modalities: \['ct'\] there, \['mr'\] asked for"),
        ({"layout": "sam2"}, "format: nnunet there, sam2 asked for"),
        ({"truth": ("organs",)}, r"truth: \[\] there, \['organs'\] asked for"),
    ],
)
def test_datasets_are_not_mixed(request_of, changes, says):
    generate(request_of(count=1))
    before = contents(request_of().out)
    with pytest.raises(UserError, match=says):
        generate(request_of(**changes))
    assert contents(request_of().out) == before


def test_folders_of_others_are_left_alone(request_of, tmp_path):
    (tmp_path / "out/imagesTr").mkdir(parents=True)
    (tmp_path / "out/imagesTr/mine.nii.gz").write_text("")
    with pytest.raises(UserError, match="holds imagesTr of something else"):
        generate(request_of())
    (tmp_path / "out/dataset.json").write_text("{}")
    with pytest.raises(UserError, match="not made here"):
        generate(request_of())
    with pytest.raises(UserError, match="is a file"):
        generate(request_of(out=tmp_path / "out/dataset.json"))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"count": 0}, "count is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"size": 0}, "size is 0"),
        ({"spacing": -1.0}, "spacing is -1.0 mm"),
        ({"modalities": ("pet",)}, "modality 'pet' is unknown; use ct, mr, us"),
        ({"modalities": ("ct", "ct")}, "listed twice"),
        ({"modalities": ()}, "no modality"),
        ({"truth": ("depth",)}, "truth 'depth' is unknown; use coverage, organs, distance, normals, noiseless"),
        ({"truth": ("organs", "organs")}, "kind of truth is listed twice"),
        ({"layout": "dicom"}, "format 'dicom' is unknown; use nnunet, sam2"),
        ({"scenes": ()}, "no scene"),
        ({"size": 20000}, r"needs \d+\.\d GiB, \d+\.\d GiB are free"),
    ],
)
def test_impossible_requests_write_nothing(request_of, changes, says):
    request = request_of(**changes)
    with pytest.raises(UserError, match=says):
        generate(request)
    assert not request.out.exists()


def test_names_that_no_file_can_have(request_of):
    body = {"kind": "sphere", "material": "liver", "radius": 2}
    grid = {"size": [8, 8, 8], "spacing": [1, 1, 1]}
    odd = Scene.model_validate({"viscera": 1, "name": "odd", "grid": grid, "structures": {"a/b": body}})
    with pytest.raises(UserError, match="structure 'a/b' cannot be part of a file's name; rename it"):
        generate(request_of(scenes=(odd,), count=1, truth=("distance",)))


def test_drawn_and_equally_named_scenes(request_of, scene):
    with pytest.raises(UserError, match="varies in nothing"):
        generate(request_of(scenes=(scene.sample(1),)))
    with pytest.raises(UserError, match="two scenes are called 'organs'"):
        generate(request_of(scenes=(scene, scene)))


def test_a_full_disk_is_said_plainly(request_of, monkeypatch):
    request = request_of()
    generate(replace(request, count=1))
    before = contents(request.out)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("engine.atomic._flush", full)
    with pytest.raises(UserError, match="the disk is full"):
        generate(request)
    assert contents(request.out) == before


def test_a_worker_that_dies_is_reported(request_of, monkeypatch):
    class Broken:
        def submit(self, *_):
            raise pool.BrokenProcessPool

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(pool.concurrent.futures, "ProcessPoolExecutor", lambda *_: Broken())
    with pytest.raises(UserError, match="worker process was ended"):
        generate(request_of(workers=2))


def test_sam2_training_code_reads_the_videos(request_of, scene):
    from training.dataset.vos_raw_dataset import PNGRawDataset

    request = request_of(count=2, modalities=("ct", "us"), layout="sam2")
    generate(request)
    videos = PNGRawDataset(str(request.out / "JPEGImages"), str(request.out / "Annotations"), is_palette=True)
    assert videos.video_names == ["organs_0000_ct", "organs_0000_us", "organs_0001_ct", "organs_0001_us"]
    video, masks = videos.get_video(0)
    volume = draw(scene, scene.seed, 0, ()).volume
    stated = header_of(request.out)["labels"]
    assert [frame.frame_idx for frame in video.frames] == list(range(20))
    for z in (3, 10):
        objects = masks.load(z)
        for name in volume.names():
            found = np.zeros((22, 24), bool)
            for label in stated[name]:
                found |= objects[label].numpy() if label in objects else False
            np.testing.assert_array_equal(found, volume.mask(name)[z].numpy())
