import itertools

import numpy as np
import pytest
import torch

from engine.errors import UserError
from tests.trainer.phantoms import write_dataset, write_scene
from trainer.cases import Folder
from trainer.clips import Cut
from trainer.feed import Feed, only
from trainer.sources import DiskSource, StreamSource

CUT = Cut(image_size=64, least=20)


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    scene = write_scene(tmp_path_factory.mktemp("scene"))
    return StreamSource(3, CUT, 4, (scene,), ("ct", "mr"), 24)


@pytest.fixture(scope="module")
def disk(tmp_path_factory):
    return DiskSource(3, CUT, 4, Folder(write_dataset(tmp_path_factory.mktemp("data"))))


def _key(clips):
    return [(clip.origin, clip.frames.tobytes(), clip.masks.tobytes()) for clip in clips]


def _first(source, workers, count=3, start=0):
    with Feed(source, 3, workers, mix=2) as feed:
        return [_key(batch) for batch in itertools.islice(feed.batches(start), count)]


@pytest.mark.parametrize("name", ["stream", "disk"])
def test_a_volumes_clips_depend_on_its_number_alone(name, request):
    source = request.getfixturevalue(name)
    assert _key(source.take(5)) == _key(source.take(5))
    assert _key(source.take(5)) != _key(source.take(6))


def test_any_number_of_workers_gives_the_same_batches(stream, disk):
    assert _first(stream, 2) == _first(stream, 0)
    assert _first(disk, 1) == _first(disk, 0)


def test_a_feed_can_start_anywhere(disk):
    assert _first(disk, 0, count=2, start=5) == _first(disk, 0, count=7)[5:]


def test_a_batch_mixes_volumes(disk):
    with Feed(disk, 4, mix=4) as feed:
        batch = next(feed.batches())
    assert len({clip.origin.split()[0] for clip in batch}) >= 2


def test_every_case_is_seen_once_a_pass(disk):
    names = [disk.cases(i)[0].name for i in range(6)]
    assert sorted(names[:3]) == sorted(names[3:]) == sorted(set(names))


def test_an_organs_mask_holds_its_children(disk):
    case = disk.cases(0)[0]
    assert case.modality == "mr"
    assert case.mask("ball").sum() > case.mask("core").sum() > 0
    assert not np.any(case.mask("core") & ~case.mask("ball"))


def test_empty_labels_are_refused(tmp_path):
    source = DiskSource(0, CUT, 2, Folder(write_dataset(tmp_path, count=1, empty=True)))
    with pytest.raises(UserError, match="labels empty"):
        source.take(0)


def test_a_folder_without_a_dataset_is_refused(tmp_path):
    with pytest.raises(UserError, match="folder is empty"):
        len(Folder(tmp_path))


def test_a_scene_is_imaged_as_it_says(tmp_path):
    scene = write_scene(tmp_path)
    scene.write_text(scene.read_text() + "acquire: [{modality: mr}]\n")
    source = StreamSource(3, CUT, 1, (scene,), ("ct", "mr"), 24)
    assert {source.cases(i)[0].modality for i in range(3)} == {"mr"}


def test_close_ups_are_repeatable_and_not_of_the_whole_scene(tmp_path):
    scene = write_scene(tmp_path)
    near, far = (StreamSource(3, CUT, 2, (scene,), ("ct",), 24, share) for share in (1.0, 0.0))
    assert near.cases(1)[0].grid == near.cases(1)[0].grid != far.cases(1)[0].grid
    assert _key(near.take(1)) == _key(near.take(1))


@pytest.mark.parametrize(
    "place, visible, expected",
    [("cuda", None, "0"), ("cuda:1", None, "1"), ("cuda:1", "4, 6", "6"), ("cuda:0", "GPU-ab,GPU-cd", "GPU-ab")],
)
def test_a_worker_sees_the_device_that_trains(place, visible, expected):
    assert only(torch.device(place), visible) == expected
