"""Scenes as a dataset of PyTorch: labelled volumes drawn when they are asked for, for users of MONAI and TorchIO.

Volume `i` is sample `i // n` of scene `i % n` of n scenes, voxel for voxel what `viscera generate` makes of the same
scenes, seed and size. Arrays are `[channel, x, y, z]` with an affine to mm on RAS+ axes, as both packages have them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from engine import device
from engine.dataset import Request
from engine.dataset.request import Job
from engine.errors import UserError
from engine.generate import MODALITIES, Sample, draw
from engine.scene import Scene

Form = Literal["tensors", "monai", "torchio"]
_MANY = 2  # volumes a scene, at least, of an endless dataset


def volumes(
    scenes: Scene | str | Path | Sequence[Scene | str | Path],
    seed: int | None = None,
    count: int | None = None,
    modalities: Sequence[str] = MODALITIES,
    size: int | None = None,
    form: Form = "tensors",
    transform: Callable[[Any], Any] | None = None,
) -> Drawn | Endless:
    """Labelled volumes of scenes, as a dataset for `torch.utils.data.DataLoader`.

    Args:
        scenes: files or `Scene`s, one or several, taken in turn.
        seed: of all draws; None takes each scene's own.
        count: volumes in all; None draws without end.
        modalities: images of each volume, of `ct` (HU), `mr` (a.u.), `us` (grey 0..255): the channels.
        size: voxels along the longest axis; None keeps each scene's own grid.
        form: of a volume:
            `tensors`, a dictionary with `image` float32 `[channel, x, y, z]`, `label` uint8 `[1, x, y, z]`, `affine`
            float64 `[4, 4]` and `name`;
            `monai`, a dictionary with `image` and `label` as MONAI's MetaTensors, and `name`;
            `torchio`, a `torchio.Subject` with an image for each modality, by its name, the label map `label`, and
            `name`.
        transform: of that package or your own, applied to each volume.

    Returns:
        A map-style dataset of `count` volumes, or an endless one, which worker processes share out among them. Its
        `structures` tells the labels of each structure.

    Raises:
        UserError: a scene, modality or size that cannot be used, or a package that is not installed.
    """
    chosen = (scenes,) if isinstance(scenes, (Scene, str, Path)) else tuple(scenes)
    loaded = tuple(scene if isinstance(scene, Scene) else Scene.load(Path(scene)) for scene in chosen)
    if form not in FORMS:
        raise UserError(f"volumes: form '{form}' is unknown; use {', '.join(FORMS)}")
    if form != "tensors":
        _require(form)
    if count is not None and count < 1:
        raise UserError(f"volumes: count is {count}; ask for one at least, or leave it out for an endless dataset")
    each = _MANY if count is None else -(-count // max(1, len(loaded)))
    request = Request(loaded, Path(), each, seed, tuple(modalities), size=size)
    try:
        request.check()
    except UserError as error:
        raise UserError(str(error).replace("generate:", "volumes:", 1)) from None
    drawn = Drawn(request, count or 0, form, transform)
    return drawn if count is not None else Endless(drawn)


class Drawn(Dataset):
    """A counted dataset; see `volumes`."""

    def __init__(
        self, request: Request, count: int, form: Form = "tensors", transform: Callable[[Any], Any] | None = None
    ) -> None:
        self.request, self.count, self.form, self.transform = request, count, form, transform

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if not -self.count <= index < self.count:
            raise IndexError(f"volume {index} of {self.count}")
        return self.volume(index % self.count)

    def volume(self, index: int) -> Any:
        """Volume `index`, counted from 0 without end."""
        if get_worker_info() is not None:
            device.start("cpu", threads=1)  # workers side by side; the GPU, if any, is the trainer's
        job = self._job(index)
        sample = draw(job.scene, job.seed, job.index, self.request.modalities)
        item = FORMS[self.form](sample, self.request)
        return item if self.transform is None else self.transform(item)

    @cached_property
    def structures(self) -> dict[str, list[int]]:
        """Labels by structure: its own, and those of what lies inside it."""
        table = self.request.table
        return {name: table.members(name) for name in table.colors}

    def _job(self, index: int) -> Job:
        scenes = self.request.sized
        scene = scenes[index % len(scenes)]
        seed = scene.seed if self.request.seed is None else self.request.seed
        return Job(scene, seed, index // len(scenes))


class Endless(IterableDataset):
    """Volumes without end, each of them once whatever the number of worker processes; see `volumes`."""

    def __init__(self, drawn: Drawn) -> None:
        self.drawn = drawn

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        index, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        while True:
            yield self.drawn.volume(index)
            index += step

    @property
    def structures(self) -> dict[str, list[int]]:
        """Labels by structure: its own, and those of what lies inside it."""
        return self.drawn.structures


def _tensors(sample: Sample, request: Request) -> dict[str, Any]:
    images = [_xyz(sample.images[modality].data.cpu()) for modality in request.modalities]
    label = _xyz(torch.from_numpy(request.table.relabel(sample.volume)))
    affine = torch.from_numpy(sample.volume.grid.affine_ras)
    return {"image": torch.cat(images), "label": label, "affine": affine, "name": sample.name}


def _monai(sample: Sample, request: Request) -> dict[str, Any]:
    from monai.data import MetaTensor

    plain = _tensors(sample, request)
    arrays = {key: MetaTensor(plain[key], affine=plain["affine"]) for key in ("image", "label")}
    return {**arrays, "name": sample.name}


def _torchio(sample: Sample, request: Request) -> Any:
    import torchio

    plain = _tensors(sample, request)
    affine = plain["affine"].numpy()
    images = {
        modality: torchio.ScalarImage(tensor=plain["image"][i : i + 1], affine=affine)
        for i, modality in enumerate(request.modalities)
    }
    return torchio.Subject(images, label=torchio.LabelMap(tensor=plain["label"], affine=affine), name=sample.name)


def _xyz(array: torch.Tensor) -> torch.Tensor:
    """`[z, y, x]` as `[1, x, y, z]`."""
    return array.permute(2, 1, 0)[None].contiguous()


def _require(package: str) -> None:
    """Raise UserError where an optional package cannot be imported."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"volumes: form '{package}' cannot be had ({error}): pip install {package}") from None


#: What makes a volume of a sample; all but tensors need the package of that name.
FORMS: dict[str, Callable[[Sample, Request], Any]] = {"tensors": _tensors, "monai": _monai, "torchio": _torchio}
