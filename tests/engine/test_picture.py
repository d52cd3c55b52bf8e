import numpy as np
import pytest
from PIL import Image

from engine.errors import UserError
from engine.grid import Grid
from engine.picture import (
    LETTERS,
    PLANES,
    grey,
    montage,
    outlines,
    overlay,
    rgb_of,
    slice_of,
    slice_spacing,
    square,
    upright,
    window_of,
    windows,
    write_png,
)


def test_ct_window_is_the_abdomen_preset():
    assert window_of(np.zeros((2, 2, 2)), "ct") == (-160.0, 240.0)
    presets = windows(np.zeros((2, 2, 2)), "ct")
    assert presets["lung"] == (-1200.0, 200.0)
    assert next(iter(presets)) == "abdomen"


def test_us_window_is_the_whole_byte():
    assert window_of(np.zeros((2, 2, 2)), "us") == (0.0, 255.0)


def test_mr_window_ignores_air():
    data = np.zeros((20, 20, 20), np.float32)
    data[5:15, 5:15, 5:15] = np.linspace(500, 1000, 1000).reshape(10, 10, 10)
    low, high = window_of(data, "mr")
    assert 495 < low < 510
    assert 990 < high <= 1000


@pytest.mark.parametrize("data", [np.full((3, 3, 3), 7.0), np.full((3, 3, 3), np.nan), np.zeros((1, 1, 1))])
def test_mr_window_of_flat_or_nan_images_is_usable(data):
    low, high = window_of(data, "mr")
    assert np.isfinite([low, high]).all() and high > low
    assert grey(data[0], (low, high)).dtype == np.uint8


def test_grey_maps_the_window_linearly_and_clips():
    values = np.array([[-200.0, -160.0, 40.0, 240.0, 900.0, np.nan, np.inf, -np.inf]])
    assert grey(values, (-160.0, 240.0)).tolist() == [[0, 0, 128, 255, 255, 0, 255, 0]]


def test_overlay_mixes_colour_and_draws_one_pixel_outlines():
    labels = np.zeros((7, 7), np.uint8)
    labels[1:6, 1:6] = 3
    out = overlay(np.full((7, 7), 100, np.uint8), labels, {3: "#ff0000"}, opacity=0.5)
    assert out.shape == (7, 7, 3) and out.dtype == np.uint8
    assert out[0, 0].tolist() == [100, 100, 100]
    assert out[1, 3].tolist() == [255, 0, 0]
    assert out[3, 3].tolist() == [178, 50, 50]
    assert outlines(labels).sum() == 16


def test_overlay_leaves_labels_without_colour_alone():
    labels = np.full((4, 4), 2)
    out = overlay(np.full((4, 4), 9, np.uint8), labels, {1: "#00ff00"})
    assert (out == 9).all()


def test_overlay_does_not_outline_the_picture_edge():
    assert not outlines(np.ones((5, 5), int)).any()


def test_overlay_refuses_labels_of_another_shape():
    with pytest.raises(ValueError, match="differ in shape"):
        overlay(np.zeros((4, 4), np.uint8), np.zeros((5, 4), int), {})


def test_colours_are_read_or_refused():
    assert rgb_of("#0A80ff") == (10, 128, 255)
    with pytest.raises(UserError, match="#rrggbb"):
        rgb_of("red")


@pytest.mark.parametrize(
    ("plane", "direction", "edge"),
    [
        ("axial", "L", "right"),
        ("axial", "P", "bottom"),
        ("coronal", "L", "right"),
        ("coronal", "S", "top"),
        ("sagittal", "P", "right"),
        ("sagittal", "S", "top"),
    ],
)
def test_a_marker_appears_on_the_side_its_letter_says(plane, direction, edge):
    marker = np.zeros((9, 9, 9))
    z, y, x = {"L": (4, 4, 8), "P": (4, 8, 4), "S": (8, 4, 4)}[direction]  # LPS+: x to left, y to back, z to head
    marker[z, y, x] = 1.0
    row, column = np.argwhere(slice_of(marker, plane, 4) == 1.0)[0]
    seen = {(4, 8): "right", (4, 0): "left", (0, 4): "top", (8, 4): "bottom"}[(row, column)]
    assert seen == edge
    assert LETTERS[plane][["left", "right", "top", "bottom"].index(edge)] == direction


def test_slices_are_clamped_and_spaced_as_the_grid():
    array = np.arange(24).reshape(2, 3, 4)
    assert (slice_of(array, "axial", 99) == array[1]).all()
    assert [slice_of(array, p, 0).shape for p in PLANES] == [(3, 4), (2, 4), (2, 3)]
    assert [slice_spacing((1.0, 2.0, 3.0), p) for p in PLANES] == [(2.0, 1.0), (3.0, 1.0), (3.0, 2.0)]


def test_upright_turns_any_axis_aligned_grid_to_lps():
    rng = np.random.default_rng(0)
    # voxel x runs to the head, y to the right, z to the back
    grid = Grid((4, 3, 2), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), (0, -1, 0, 0, 0, 1, 1, 0, 0))
    data = rng.normal(size=grid.shape)
    turned, lps = upright(data, grid)
    assert turned.shape == lps.shape == (4, 2, 3)
    assert lps.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    for z, y, x in np.ndindex(*data.shape):
        place = np.rint(lps.to_index(grid.to_world(np.array([x, y, z])))).astype(int)
        assert turned[place[2], place[1], place[0]] == data[z, y, x]


def test_upright_keeps_what_is_already_upright():
    grid = Grid.centred((4, 3, 2), (1.0, 2.0, 3.0))
    data = np.zeros(grid.shape)
    turned, same = upright(data, grid)
    assert same == grid and turned.shape == data.shape


def test_square_pixels_show_a_sphere_as_a_circle():
    z, x = np.mgrid[-10:11, -40:41]
    disc = (np.hypot(z * 4.0, x * 1.0) < 30).astype(np.float32)  # slices 4 mm apart
    picture = square(disc, (4.0, 1.0))
    assert picture.shape == (84, 81)
    filled = np.argwhere(picture > 0.5)
    height, width = np.ptp(filled, axis=0) + 1
    assert abs(int(height) - int(width)) <= 4


def test_montage_places_tiles_in_rows():
    tiles = [np.full((10, 20), v, np.uint8) for v in (50, 100, 150)]
    sheet = montage(tiles, columns=2, gap=4)
    assert sheet.shape == (4 + 2 * 14, 4 + 2 * 24, 3)
    assert sheet[8, 10].tolist() == [50] * 3
    assert sheet[8, 34].tolist() == [100] * 3
    assert sheet[22, 10].tolist() == [150] * 3
    with_text = montage(tiles, captions=["a", "b", "c"], columns=3, gap=4)
    assert with_text.shape[0] > 18 and with_text[18:].max() > 100


def test_png_is_written_whole_and_leaves_nothing_else(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    path = write_png(tmp_path / "deep" / "a.png", picture)
    assert (np.asarray(Image.open(path)) == picture).all()
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]


def test_png_errors_are_plain(tmp_path):
    with pytest.raises(UserError, match=r"name the file \.png"):
        write_png(tmp_path / "a.jpg", np.zeros((2, 2)))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_png(tmp_path / "file" / "a.png", np.zeros((2, 2)))
