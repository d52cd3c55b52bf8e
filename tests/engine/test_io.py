"""Files: what is written reads back, in this package and in others; what is broken is refused in one line."""

from __future__ import annotations

import gzip
import os
import shutil
import stat

import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from PIL import Image
from pydicom.data import get_testdata_file

from engine import atomic
from engine.errors import UserError
from engine.grid import Grid
from engine.io import (
    count_phases,
    read_image,
    read_labels,
    read_pair,
    read_phases,
    write_image,
    write_labels,
    write_phases,
)

TURN = np.array([[0.8, -0.6, 0.0], [0.48, 0.64, -0.6], [0.36, 0.48, 0.8]])
OBLIQUE = Grid((7, 6, 5), (0.8, 1.1, 2.5), (-12.5, 30.25, 7.0), tuple(TURN.ravel()))
FLAT = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]], float)
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".mha")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(40, 300, OBLIQUE.shape).astype(np.float32)


@pytest.mark.parametrize("ending", VOLUMES)
def test_image_and_oblique_grid_come_back(tmp_path, image, ending):
    back, grid = read_image(write_image(tmp_path / f"a{ending}", image, OBLIQUE))
    np.testing.assert_array_equal(back, image)
    assert grid.size == OBLIQUE.size
    np.testing.assert_allclose(grid.affine_lps, OBLIQUE.affine_lps, atol=1e-5)


@pytest.mark.parametrize("ending", VOLUMES)
def test_labels_come_back_as_bytes(tmp_path, ending):
    labels = np.random.default_rng(1).integers(0, 256, OBLIQUE.shape)
    back, _ = read_labels(write_labels(tmp_path / f"a{ending}", labels, OBLIQUE))
    assert back.dtype == np.uint8
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nibabel_and_simpleitk_see_the_same_world(tmp_path, image, ending):
    path = write_image(tmp_path / f"a{ending}", image, OBLIQUE)
    other = nib.load(path)
    np.testing.assert_allclose(other.affine, OBLIQUE.affine_ras, atol=1e-5)
    np.testing.assert_allclose(other.get_qform(), OBLIQUE.affine_ras, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(other.dataobj).transpose(2, 1, 0), image)
    third = sitk.ReadImage(str(path))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(third), image)
    for index in ((0, 0, 0), (6, 5, 4), (3, 1, 2)):
        np.testing.assert_allclose(
            third.TransformIndexToPhysicalPoint(index), OBLIQUE.to_world(np.array(index)), atol=1e-4
        )


def test_files_of_simpleitk_are_read_in_place(tmp_path, image):
    picture = sitk.GetImageFromArray(image)
    picture.SetSpacing(OBLIQUE.spacing)
    picture.SetOrigin(OBLIQUE.origin)
    picture.SetDirection(OBLIQUE.direction)
    sitk.WriteImage(picture, str(tmp_path / "a.nii.gz"))
    back, grid = read_image(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(back, image)
    np.testing.assert_allclose(grid.affine_lps, OBLIQUE.affine_lps, atol=1e-4)


@pytest.mark.parametrize("ending", VOLUMES)
def test_the_same_volume_is_the_same_file(tmp_path, image, ending, monkeypatch):
    first = write_image(tmp_path / f"a{ending}", image, OBLIQUE).read_bytes()
    monkeypatch.setattr("time.time", lambda: 2e9)
    assert write_image(tmp_path / "b" / f"c{ending}", image, OBLIQUE).read_bytes() == first


def test_whole_numbers_are_rounded_and_clipped(tmp_path):
    grid = Grid.centred((4, 1, 1), (1.0, 1.0, 1.0))
    path = write_image(tmp_path / "a.nii.gz", np.array([[[-1e6, -0.6, 0.5, 1e6]]]), grid, np.int16)
    assert nib.load(path).get_data_dtype() == np.int16
    assert read_image(path)[0].ravel().tolist() == [-32768, -1, 0, 32767]


def test_bundled_ct_has_hounsfield_units():
    path = get_testdata_file("CT_small.dcm")
    image, grid = read_image(path)
    header = pydicom.dcmread(path)
    stored = header.pixel_array.astype(float)
    np.testing.assert_array_equal(image[0], stored * header.RescaleSlope + header.RescaleIntercept)
    assert image.min() < -800
    np.testing.assert_allclose(grid.spacing, (*header.PixelSpacing[::-1], header.SliceThickness))
    np.testing.assert_allclose(grid.origin, header.ImagePositionPatient)


def test_bundled_mr_reads():
    path = get_testdata_file("MR_small.dcm")
    image, grid = read_image(path)
    np.testing.assert_array_equal(image[0], pydicom.dcmread(path).pixel_array)
    assert grid.size == (64, 64, 1)


def series(folder, count=5, gap=3.0, skip=None, uid="1.2.3"):
    """A series made of the bundled CT slice, with the values raised by 10 from one slice to the next."""
    folder.mkdir(exist_ok=True)
    header = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    stored = header.pixel_array.copy()
    header.SeriesInstanceUID = uid
    turn = TURN.T.ravel()[:6]
    normal = np.cross(turn[:3], turn[3:])
    header.ImageOrientationPatient = [round(float(v), 6) for v in turn]
    for i in range(count):
        if i == skip:
            continue
        header.SOPInstanceUID = f"{uid}.{i + 1}"
        header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
        header.ImagePositionPatient = [round(float(v), 4) for v in (np.array([5, -8, 11]) + i * gap * normal)]
        header.PixelData = (stored + 10 * i).astype(stored.dtype).tobytes()
        header.save_as(folder / f"{uid}-{(7 * i) % count:03d}.bin")  # names neither in order nor telling
    return folder


def test_series_is_put_in_order_along_its_normal(tmp_path):
    image, grid = read_image(series(tmp_path / "ct"))
    single = read_image(get_testdata_file("CT_small.dcm"))[0][0]
    assert grid.size == (128, 128, 5)
    np.testing.assert_allclose(grid.spacing, (0.661468, 0.661468, 3.0), atol=1e-4)
    np.testing.assert_allclose(np.reshape(grid.direction, (3, 3)), TURN, atol=1e-4)
    np.testing.assert_allclose(grid.origin, (5, -8, 11), atol=1e-4)
    for i in range(5):
        np.testing.assert_array_equal(image[i], single + 10 * i)


def test_series_reads_as_simpleitk_reads_it(tmp_path):
    folder = series(tmp_path / "ct")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    other = reader.Execute()
    image, grid = read_image(folder)
    np.testing.assert_array_equal(image, sitk.GetArrayFromImage(other))
    np.testing.assert_allclose(grid.origin, other.GetOrigin(), atol=1e-4)
    np.testing.assert_allclose(grid.spacing, other.GetSpacing(), atol=1e-3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda d: series(d, skip=2), "slice is missing"),
        (lambda d: series(d, gap=0.0), "several slices lie at one place"),
        (lambda d: series(series(d), uid="1.2.4"), "holds 2 series"),
        (lambda d: d.mkdir() or d, "no DICOM image"),
    ],
)
def test_series_that_are_no_volume_are_refused(tmp_path, make, says):
    with pytest.raises(UserError, match=says):
        read_image(make(tmp_path / "ct"))


def test_single_dicom_file_needs_no_ending(tmp_path):
    path = tmp_path / "IM0001"
    shutil.copy(get_testdata_file("CT_small.dcm"), path)
    assert read_image(path)[0].shape == (1, 128, 128)


def test_pictures_are_one_slice_thick(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (5, 9), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grey.png")
    image, grid = read_image(tmp_path / "grey.png")
    np.testing.assert_array_equal(image[0], pixels)
    assert grid.size == (9, 5, 1)
    Image.fromarray(np.stack([pixels] * 3, -1)).save(tmp_path / "colour.png")
    np.testing.assert_allclose(read_image(tmp_path / "colour.png")[0][0], pixels, atol=1e-3)
    np.testing.assert_array_equal(read_labels(tmp_path / "colour.png")[0][0], pixels)
    path = write_labels(tmp_path / "out.png", pixels[None], grid)
    np.testing.assert_array_equal(read_labels(path)[0][0], pixels)


def test_palette_masks_give_their_indices(tmp_path):
    indices = np.random.default_rng(3).integers(0, 4, (6, 7), np.uint8)
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette([0, 0, 0, 200, 10, 10, 10, 200, 10, 10, 10, 200])
    picture.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.png")[0][0], indices)


def test_voxels_that_are_not_finite_take_the_smallest_value(tmp_path, image):
    image[0, 0, 0], image[1, 1, 1] = np.nan, np.inf
    back, _ = read_image(write_image(tmp_path / "a.nii.gz", image, OBLIQUE))
    assert np.isfinite(back).all()
    assert back[0, 0, 0] == back[1, 1, 1] == back.min() == image[np.isfinite(image)].min()


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def flipped(path):
    """The file with one bit of its compressed voxels changed."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("ending", VOLUMES)
@pytest.mark.parametrize("share", [0.0, 0.02, 0.6, 0.95])
def test_truncated_files_are_refused_in_silence(tmp_path, image, capfd, ending, share):
    path = cut(write_image(tmp_path / f"a{ending}", image, OBLIQUE), share)
    with pytest.raises(UserError, match=r"a\.\S+: cannot be read"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_changed_bit_is_noticed(tmp_path, image):
    with pytest.raises(UserError, match="cannot be read"):
        read_image(flipped(write_image(tmp_path / "a.nii.gz", image, OBLIQUE)))


def test_phases_come_back_and_say_how_many_they_are(tmp_path, image):
    every = np.stack([image, image + 1, image * 2])
    file = write_phases(tmp_path / "a.nii.gz", every, OBLIQUE)
    assert count_phases(file) == 3
    back, grid = read_phases(file)
    np.testing.assert_array_equal(back, every)
    np.testing.assert_allclose(grid.affine_lps, OBLIQUE.affine_lps, atol=1e-5)
    one = write_image(tmp_path / "b.nii.gz", image, OBLIQUE)
    assert count_phases(one) == 1 and read_phases(one)[0].shape == (1, *OBLIQUE.shape)
    labels = write_phases(tmp_path / "c.nii.gz", (every > 40).astype(np.uint8), OBLIQUE)
    np.testing.assert_array_equal(read_phases(labels, labels=True)[0], every > 40)


def test_what_holds_no_phases_counts_one_and_is_refused(tmp_path, image):
    (tmp_path / "broken.nii.gz").write_bytes(b"broken")
    other = write_image(tmp_path / "a.nrrd", image, OBLIQUE)
    assert [count_phases(tmp_path / name) for name in ("broken.nii.gz", "a.nrrd", "none.nii.gz")] == [1, 1, 1]
    vectors = write_phases(tmp_path / "v.nii.gz", np.zeros((2, *OBLIQUE.shape, 3), np.float32), OBLIQUE)
    assert count_phases(vectors) == 1
    for file, labels, says in (
        (other, False, "NIfTI files alone"),
        (vectors, False, "5 dimensions"),
        (write_phases(tmp_path / "f.nii.gz", np.full((2, *OBLIQUE.shape), 0.5), OBLIQUE), True, "whole numbers"),
        (tmp_path / "none.nii.gz", False, "no such file"),
    ):
        with pytest.raises(UserError, match=says):
            read_phases(file, labels)


def save_nifti(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda d: d / "none.nii.gz", "no such file"),
        (lambda d: save_nifti(d / "a.nii.gz", np.zeros((3, 3, 3, 2), np.int16)), r"4 dimensions \(3 x 3 x 3 x 2\)"),
        (lambda d: save_nifti(d / "a.nii.gz", np.full((3, 3, 3), np.nan, np.float32)), "no finite value"),
        (lambda d: save_nifti(d / "a.nii.gz", np.zeros((3, 3, 3), np.int16), FLAT), "singular affine"),
        (lambda d: save_nifti(d / "a.nii.gz", np.ones((3, 3, 3), np.complex64)), "complex"),
        (lambda d: (d / "a.txt").write_text("hello") and d / "a.txt", "not a kind of file"),
        (lambda d: (d / "a.nii.gz").write_bytes(gzip.compress(b"hello")) and d / "a.nii.gz", "cannot be read"),
        (lambda d: (d / "a.dcm").write_text("hello") and d / "a.dcm", "not a file of the kind"),
        (lambda d: (d / "a.png").write_text("hello") and d / "a.png", "cannot be read"),
    ],
)
def test_bad_files_are_one_clear_line(tmp_path, capfd, make, says):
    path = make(tmp_path)
    with pytest.raises(UserError, match=says) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_two_dimensions_and_a_trailing_one_are_volumes(tmp_path):
    flat = np.arange(12, dtype=np.int16).reshape(4, 3)
    image, grid = read_image(save_nifti(tmp_path / "flat.nii.gz", flat))
    np.testing.assert_array_equal(image, flat.T[None])
    assert grid.size == (4, 3, 1)
    assert read_image(save_nifti(tmp_path / "one.nii.gz", flat.reshape(4, 3, 1, 1)))[0].shape == (1, 3, 4)


def test_labels_must_be_whole(tmp_path, image):
    path = write_image(tmp_path / "a.nii.gz", image, OBLIQUE)
    with pytest.raises(UserError, match="whole numbers"):
        read_labels(path)
    stored_as_float = write_image(tmp_path / "b.nii.gz", np.rint(image) % 7, OBLIQUE)
    assert read_labels(stored_as_float)[0].dtype == np.uint8


def test_labels_count_from_zero(tmp_path):
    with pytest.raises(UserError, match="it holds the label -1"):
        read_labels(save_nifti(tmp_path / "a.nii.gz", np.full((4, 4, 4), -1, np.int16)))


def test_a_file_without_voxels_is_refused(tmp_path):
    with pytest.raises(UserError, match="it holds no voxels"):
        read_image(save_nifti(tmp_path / "a.nii.gz", np.zeros((0, 3, 3), np.float32)))


def test_pairs_must_share_a_grid(tmp_path, image):
    a = write_image(tmp_path / "a.nii.gz", image, OBLIQUE)
    moved = Grid(OBLIQUE.size, OBLIQUE.spacing, (-12.5, 30.25, 9.0), OBLIQUE.direction)
    zeros = np.zeros(OBLIQUE.shape, np.uint8)
    assert read_pair(a, write_labels(tmp_path / "same.nrrd", zeros, OBLIQUE))[2].size == OBLIQUE.size
    with pytest.raises(UserError, match="does not lie on the grid"):
        read_pair(a, write_labels(tmp_path / "moved.nrrd", zeros, moved))


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, image, monkeypatch):
    path = write_image(tmp_path / "a.nii.gz", image, OBLIQUE)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(UserError, match="disk is full"):
        write_image(path, image + 1, OBLIQUE)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.nii.gz"]


def test_folders_that_refuse_are_named(tmp_path, image):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="not a folder"):
        write_image(tmp_path / "file" / "a.nii.gz", image, OBLIQUE)
    if os.geteuid():  # root may write everywhere
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(UserError, match="permission denied"):
            write_image(tmp_path / "a.nii.gz", image, OBLIQUE)
        tmp_path.chmod(stat.S_IRWXU)


def test_a_volume_does_not_fit_a_picture(tmp_path, image):
    with pytest.raises(UserError, match="a PNG holds one"):
        write_image(tmp_path / "a.png", image, OBLIQUE)
    with pytest.raises(UserError, match="cannot write this kind"):
        write_image(tmp_path / "a.dcm", image, OBLIQUE)
