"""Films through a subject's slices."""

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from engine.errors import UserError
from engine.grid import Grid
from viewer.cine import write_cine
from viewer.subject import Subject


def _read(path):
    if path.suffix == ".gif":
        with Image.open(path) as film:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(film)]
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]


@pytest.mark.parametrize("name", ["film.gif", "film.mp4"])
def test_a_film_shows_every_slice_once_while_the_organs_turn(subject, tmp_path, name):
    frames = _read(write_cine(subject, tmp_path / name, "ct", width=300))
    assert len(frames) == subject.grid.size[2]
    assert all(frame.shape == frames[0].shape and frame.shape[1] == 300 for frame in frames)
    high = frames[0].shape[0] // 2
    axial, organs = (np.stack(frames)[:, :high, part].astype(int) for part in (slice(0, 145), slice(155, 300)))
    sizes = [(frame.mean(axis=-1) > 60).sum() for frame in axial]
    assert sizes[16] > 3 * max(sizes[0], sizes[-1])  # a ball from end to end
    assert np.abs(organs[0] - organs[8]).mean() > 1


def test_all_images_stand_in_rows(subject, tmp_path):
    frames = _read(write_cine(subject, tmp_path / "film.gif", plane="sagittal", width=300))
    assert len(frames) == subject.grid.size[0]
    high, wide = frames[0].shape[0] // 2, 100
    ct, mr = (np.stack(frames)[:, rows].astype(int) for rows in (slice(0, high), slice(high, 2 * high)))
    for image in (ct, mr):
        moving = [np.abs(np.diff(image[:, :, i * wide : (i + 1) * wide], axis=0)).mean() for i in range(3)]
        assert moving[2] > 2 * max(moving[:2])  # the sagittal slices alone
    assert np.abs(ct - mr).mean() > 5


def test_what_cannot_be_filmed_is_told(subject, tmp_path):
    with pytest.raises(UserError, match=r"name the file \.gif or \.mp4"):
        write_cine(subject, tmp_path / "film.avi")
    with pytest.raises(UserError, match="50 px wide"):
        write_cine(subject, tmp_path / "film.gif", width=50)
    with pytest.raises(UserError, match="there is no 'us' image; it has: ct, mr"):
        write_cine(subject, tmp_path / "film.gif", "us")
    assert not list(tmp_path.iterdir())


def test_a_single_slice_makes_a_film_of_one_frame(subject, tmp_path):
    flat = Subject.from_arrays(Grid.centred((40, 36, 1), (5.0, 5.0, 6.0)), {"ct": subject.images["ct"][:1]})
    assert len(_read(write_cine(flat, tmp_path / "film.gif", width=300))) == 1
