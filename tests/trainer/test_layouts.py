"""Every layout of datasets on disk: the same case in each of them, and what is refused."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from engine.dataset import Request, generate
from engine.errors import UserError
from engine.grid import Grid
from engine.io import write_image, write_labels
from engine.picture import grey, window_of
from engine.scene import Scene
from tests.trainer.phantoms import ball_case, write_dataset, write_scene
from trainer.cases import open_dataset
from trainer.clips import Cut, Cutter
from trainer.sources import DiskSource

training = pytest.importorskip("training.dataset.vos_raw_dataset")

CASE = ball_case(size=(24, 20, 12))
PIXELS = grey(CASE.image, window_of(CASE.image, "mr"))


def write_frames(root, name="ball_mr", per_object=False, step=1, pixels=PIXELS, labels=CASE.labels):
    """Frames of every slice, masks of every `step`th."""
    frames, masks = root / "JPEGImages" / name, root / "Annotations" / name
    frames.mkdir(parents=True)
    for z, picture in enumerate(pixels):
        Image.fromarray(picture).convert("RGB").save(frames / f"{z:05d}.jpg", quality=95)
        if z % step == 0:
            members = {"0": labels[z] > 0, "1": labels[z] > 1} if per_object else {"": labels[z]}
            for key, mask in members.items():
                if mask.any() or not per_object:
                    (masks / key).mkdir(parents=True, exist_ok=True)
                    values = mask.astype(np.uint8) * (255 if per_object else 1)
                    Image.fromarray(values).convert("L" if per_object else "P").save(masks / key / f"{z:05d}.png")
    return root


def write_archive(file, **arrays):
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, **{"imgs": PIXELS, "gts": CASE.labels, "spacing": (1.0, 1.0, 2.0), **arrays})
    return file.parent


def write_nnunet(root, ending, image=CASE.image, mask=CASE.labels, grid=CASE.grid, **header):
    write_image(root / "imagesTr" / f"a_0000{ending}", image, grid)
    write_labels(root / "labelsTr" / f"a{ending}", mask, grid)
    content = {"channel_names": {"0": "MRI"}, "labels": {"background": 0, "ball": [1, 2], "core": 2}}
    (root / "dataset.json").write_text(json.dumps({**content, "file_ending": ending, **header}))
    return root


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The same volume of a scene in both layouts that `viscera generate` writes."""
    root = tmp_path_factory.mktemp("generated")
    scene = Scene.load(write_scene(root))
    for layout in ("nnunet", "sam2"):
        generate(Request((scene,), root / layout, seed=1, modalities=("ct", "mr"), layout=layout, size=24))
    return root


def test_what_generate_writes_is_the_same_in_both_layouts(generated):
    volumes, videos = open_dataset(generated / "nnunet"), open_dataset(generated / "sam2")
    assert [case.name for case in videos] == [case.name for case in volumes] == ["pair_0000_ct", "pair_0000_mr"]
    for volume, video in zip(volumes, videos, strict=True):
        assert np.array_equal(volume.labels, video.labels) and volume.structures == video.structures
        assert video.modality == volume.modality and video.grid.spacing == pytest.approx(volume.grid.spacing)
        assert video.windowed and not volume.windowed
        shown = [grey(c.image, window_of(c.image, c.modality)).astype(int) for c in (volume, video)]
        assert np.abs(shown[0] - shown[1]).mean() < 4  # JPEG; the scene's noise is strong


@pytest.mark.parametrize("per_object", [False, True])
def test_frames_are_read_as_sam2_reads_them(tmp_path, per_object):
    write_frames(tmp_path, per_object=per_object)
    theirs = training.PNGRawDataset(
        str(tmp_path / "JPEGImages"), str(tmp_path / "Annotations"), is_palette=not per_object
    )
    video, masks = theirs.get_video(0)
    (case,) = open_dataset(tmp_path)
    assert case.image.shape[0] == len(video.frames)
    ours = {k: case.mask(name) for k, name in enumerate(case.structures, start=1)}
    assert len(ours) == 2
    for z, frame in enumerate(video.frames):
        found = masks.load(frame.frame_idx)
        for number, mask in ours.items():
            assert np.array_equal(mask[z], found[number].numpy() if number in found else np.zeros_like(mask[z]))


def test_masks_of_objects_may_overlap(tmp_path):
    (case,) = open_dataset(write_frames(tmp_path, per_object=True))
    assert list(case.structures) == ["0", "1"]
    assert np.array_equal(case.mask("0"), CASE.labels > 0) and np.array_equal(case.mask("1"), CASE.labels > 1)


def test_frames_without_masks_are_left_out(tmp_path):
    (case,) = open_dataset(write_frames(tmp_path, step=3))
    assert np.array_equal(case.labels, CASE.labels[::3])
    assert np.abs(case.image - PIXELS[::3]).mean() < 6


def test_frames_come_in_the_order_of_their_numbers(tmp_path):
    write_frames(tmp_path)
    for file in sorted([*tmp_path.rglob("*.jpg"), *tmp_path.rglob("*.png")]):
        file.rename(file.with_stem(str(int(file.stem))))  # 2 after 10 by name
    (case,) = open_dataset(tmp_path)
    assert np.array_equal(case.labels, CASE.labels)


def test_archives(tmp_path):
    write_archive(tmp_path / "MR_ball.npz", boxes=np.zeros((1, 4)))
    write_archive(tmp_path / "more" / "CT_ball.npz", imgs=np.repeat(PIXELS[..., None], 3, axis=-1))
    write_archive(tmp_path / "more" / "CT_slice.npz", imgs=PIXELS[6], gts=CASE.labels[6])
    mr, ct, single = open_dataset(tmp_path)
    assert [case.name for case in (mr, ct, single)] == ["MR_ball", "more_CT_ball", "more_CT_slice"]
    assert [case.modality for case in (mr, ct, single)] == ["mr", "ct", "ct"]
    assert np.array_equal(mr.image, PIXELS) and np.array_equal(mr.labels, CASE.labels)
    assert mr.grid.spacing == (1.0, 1.0, 2.0) and mr.structures == {"label 1": (1,), "label 2": (2,)}
    # a window was set already: the default one shows the very grey values that are stored
    assert np.abs(grey(ct.image, window_of(ct.image, "ct")).astype(int) - PIXELS).max() <= 1
    assert ct.image.min() >= -160 and ct.image.max() <= 240
    assert single.grid.size == (24, 20, 1)


def test_an_archives_own_units_stay(tmp_path):
    hounsfield = (PIXELS.astype(np.int16) * 4) - 500
    (case,) = open_dataset(write_archive(tmp_path / "CT_raw.npz", imgs=hounsfield))
    assert np.array_equal(case.image, hounsfield) and not case.windowed


def test_slices_of_unknown_distance_are_cut_across_z_alone(tmp_path):
    arrays = {"imgs": PIXELS, "gts": CASE.labels}
    np.savez(tmp_path / "MR_ball.npz", **arrays)
    (case,) = open_dataset(tmp_path)
    rng = np.random.default_rng(0)
    drawn = [Cutter(case, Cut(image_size=32, least=4)).draw(rng) for _ in range(20)]
    assert all(" z=" in clip.origin for clip in drawn)
    np.savez(tmp_path / "MR_ball.npz", spacing=(1.0, 1.0, 2.0), **arrays)
    (case,) = open_dataset(tmp_path)
    drawn = [Cutter(case, Cut(image_size=32, least=4)).draw(rng) for _ in range(20)]
    assert len({clip.origin.split()[1][0] for clip in drawn}) > 1


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mha", ".nrrd"])
def test_nnunet_in_other_formats(tmp_path, ending):
    (case,) = open_dataset(write_nnunet(tmp_path, ending))
    assert np.allclose(case.image, CASE.image) and np.array_equal(case.labels, CASE.labels)
    assert np.allclose(case.grid.affine_lps, CASE.grid.affine_lps, atol=1e-4)
    assert case.structures == {"ball": (1, 2), "core": (2,)}


def test_nnunet_in_pictures(tmp_path):
    flat = Grid((24, 20, 1), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0))
    folder = write_nnunet(
        tmp_path, ".png", PIXELS[6:7], CASE.labels[6:7], flat, channel_names={"0": "R", "1": "G", "2": "B"}
    )
    (case,) = open_dataset(folder)
    assert np.array_equal(case.image, PIXELS[6:7]) and np.array_equal(case.labels, CASE.labels[6:7])
    clips = DiskSource(0, Cut(image_size=32, least=4, frames=3), 2, open_dataset(folder)).take(0)
    assert [clip.frames.shape for clip in clips] == [(3, 32, 32)] * 2


def test_nnunet_with_several_channels_listed_files_and_an_ignored_label(tmp_path):
    write_nnunet(tmp_path / "files", ".nii.gz")
    write_image(tmp_path / "files" / "second.nii.gz", -CASE.image, CASE.grid)
    content = {
        "channel_names": {"0": "T1", "1": "CT"},
        "labels": {"background": 0, "ball": [1, 2], "ignore": 2},
        "file_ending": ".nii.gz",
        "dataset": {
            "a": {
                "images": ["../files/imagesTr/a_0000.nii.gz", str(tmp_path / "files" / "second.nii.gz")],
                "label": "../files/labelsTr/a.nii.gz",
            }
        },
    }
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "dataset.json").write_text(json.dumps(content))
    mr, ct = open_dataset(tmp_path / "listed")
    assert (mr.name, ct.name) == ("a_mr", "a_ct") and np.allclose(mr.image, -ct.image)
    assert mr.structures == {"ball": (1, 2)}


def test_only_the_files_of_the_case_are_read(tmp_path):
    frames = write_frames(write_frames(tmp_path / "frames", "a_mr"), "b_mr")
    archives = write_archive(write_archive(tmp_path / "npz" / "a.npz") / "b.npz")
    nnunet = write_dataset(tmp_path / "nnunet", count=2)
    for damaged in (
        frames / "JPEGImages/b_mr/00000.jpg",
        archives / "b.npz",
        nnunet / "imagesTr/ball_001_0000.nii.gz",
    ):
        damaged.write_bytes(b"damaged")
    for folder in (frames, archives, nnunet):
        opened = open_dataset(folder)
        assert len(opened) == 2 and opened[0].labels.any()
        with pytest.raises(UserError, match="cannot be read"):
            opened[1]


@pytest.mark.parametrize("write", [write_frames, lambda root: write_archive(root / "MR_a.npz"), write_dataset])
def test_clips_are_cut_from_every_layout(tmp_path, write):
    source = DiskSource(0, Cut(image_size=32, least=4, frames=2), 3, open_dataset(write(tmp_path / "data")))
    clips = source.take(0)
    assert len(clips) == 3
    for clip in clips:
        inside = clip.masks[0, 0]
        assert inside.sum() >= 4 and clip.frames[0][inside].mean() > clip.frames[0][~inside].mean() + 20


def _no_masks(root):
    shutil.rmtree(write_frames(root) / "Annotations" / "ball_mr")


def _empty_video(root):
    for file in (write_frames(root) / "JPEGImages" / "ball_mr").iterdir():
        file.unlink()


def _other_names(root):
    for file in (write_frames(root) / "Annotations" / "ball_mr").iterdir():
        file.rename(file.with_stem(f"9{file.stem}"))


def _small_mask(root):
    Image.new("P", (9, 7)).save(write_frames(root) / "Annotations" / "ball_mr" / "00003.png")


def _small_frame(root):
    Image.new("RGB", (9, 7)).save(write_frames(root) / "JPEGImages" / "ball_mr" / "00003.jpg")


WRONG = {
    "nothing recognised": (lambda root: (root / "notes.txt").write_text("x"), "no dataset .*nnU-Net.*MedSAM2"),
    "an empty folder": (lambda root: None, "the folder is empty; make"),
    "no videos": (lambda root: (root / "JPEGImages").mkdir(), "holds no video"),
    "a video without masks": (_no_masks, "ball_mr: a video without masks; put them into"),
    "a video without frames": (_empty_video, "holds no frame"),
    "masks of other frames": (_other_names, "no mask has a frame's name; 00000.jpg needs 00000.png"),
    "a mask of another shape": (_small_mask, "00003.png: differs in shape .*9 x 7 and 24 x 20"),
    "a frame of another shape": (_small_frame, "00003.jpg: differs in shape .*9 x 7 and 24 x 20"),
    "arrays of different shape": (
        lambda root: write_archive(root / "a.npz", gts=CASE.labels[1:]),
        r"imgs \[12, 20, 24\] and gts \[11, 20, 24\] do not go together",
    ),
    "no masks in an archive": (lambda root: np.savez(root / "a.npz", imgs=PIXELS), "has no gts; it holds imgs"),
    "an archive of objects": (
        lambda root: write_archive(root / "a.npz", gts=np.array([{"a": 1}], dtype=object)),
        "cannot be read",
    ),
    "labels between numbers": (lambda root: write_archive(root / "a.npz", gts=CASE.labels + 0.5), "whole numbers"),
    "words in an archive": (lambda root: write_archive(root / "a.npz", imgs=np.array(["a"])), "imgs holds no numbers"),
    "an impossible spacing": (lambda root: write_archive(root / "a.npz", spacing=(1.0, 0.0, 1.0)), "above 0"),
    "no pairs": (
        lambda root: (write_nnunet(root, ".nii.gz") / "imagesTr" / "a_0000.nii.gz").unlink(),
        "no pair of imagesTr",
    ),
    "no dataset.json": (lambda root: (root / "labelsTr").mkdir(), "has no dataset.json, .* write one"),
    "a damaged dataset.json": (lambda root: (root / "dataset.json").write_text("{"), "not JSON"),
    "a list for dataset.json": (lambda root: (root / "dataset.json").write_text("[1]"), "needs to be a mapping"),
    "nnU-Net 1": (
        lambda root: (root / "dataset.json").write_text('{"modality": {"0": "CT"}, "labels": {"0": "background"}}'),
        "nnUNetv2_convert_MSD_dataset",
    ),
    "labels the wrong way round": (
        lambda root: write_nnunet(root, ".nii.gz", labels={"0": "background", "1": "ball"}),
        "give a whole number",
    ),
    "an unknown ending": (lambda root: write_nnunet(root, ".nii.gz", file_ending=".b2nd"), "'.b2nd' cannot be read"),
    "channels without numbers": (
        lambda root: write_nnunet(root, ".nii.gz", channel_names={"CT": "0"}),
        "keys are the channels' numbers",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_refused(tmp_path, name):
    make, message = WRONG[name]
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    with pytest.raises(UserError, match=message):
        list(open_dataset(root))


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(tmp_path / "none")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file; name the dataset's folder"):
        open_dataset(tmp_path / "file")
