"""Using a model: a prompt on one slice becomes a mask of the whole volume, slice by slice with SAM 2's memory.

The model looks closely: at a square about the prompt's box or mask, or about what it took for the object a look before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.grid import Grid
from engine.picture import Window, grey, window_of
from trainer import aim
from trainer.ends import reach
from trainer.model import Model, predictor
from trainer.prompts import Click, Point, Prompt, box_around
from trainer.slices import Slicing, normalise

_AHEAD = 8  # slices that are embedded at a time
_CACHE_BYTES = 1 << 30  # embeddings above this are kept for a few slices at a time
_OBJECT = 1
_WIDER = 2.0  # edge of what is looked at over the longer side of the box


@dataclass(frozen=True)
class _Scan:
    """What is looked at: an image `[z, y, x]` and how its grey values are shown."""

    image: np.ndarray
    grid: Grid
    window: Window

    def pictures(self, slicing: Slicing, which: slice) -> torch.Tensor:
        """SAM 2's input `[n, 3, S, S]` of some slices."""
        return normalise(slicing.frames(grey(slicing.take(self.image, which), self.window)) / 255.0)


class Segmenter:
    """A model ready to segment. Its weights are copied.

    Args:
        model: trained.
        closely: look at what the prompt shows instead of at whole slices.
    """

    def __init__(self, model: Model, closely: bool = True) -> None:
        self.size, self.closely = model.spec.image_size, closely
        self.predictor = predictor(model)

    def open(
        self, image: np.ndarray, grid: Grid, modality: str, prompt: Prompt, window: Window | None = None
    ) -> Session:
        """Show one object of an image to the model, to correct it on its slice and to carry it through the volume.

        Args:
            image: `[z, y, x]`.
            modality: `ct`, `mr` or `us`; decides the window.
            window: (low, high) of the grey scale; the modality's default if left out.
        """
        return Session(self, _Scan(image, grid, window or window_of(image, modality)), prompt)

    def segment(
        self, image: np.ndarray, grid: Grid, modality: str, prompt: Prompt, window: Window | None = None
    ) -> np.ndarray:
        """Boolean mask `[z, y, x]` on the image's own grid of what the prompt shows; arguments as of `open`.

        The prompted slice is segmented first; its mask is carried to the object's ends, or the axis's, through SAM 2's
        memory.
        """
        return self.open(image, grid, modality, prompt, window).propagate()

    def _aimed(self, scan: _Scan, prompt: Prompt) -> Slicing:
        """The slices, cropped to what the prompt shows."""
        slicing = Slicing(scan.grid, prompt.axis, self.size)
        if not self.closely:
            return slicing
        if prompt.box is not None:
            return _about(slicing, prompt.box)
        if prompt.mask is not None:
            return _about(slicing, box_around(prompt.mask))
        return _about(slicing, box_around(_with_clicks(self._meant(scan, slicing, prompt), prompt.clicks)))

    def _meant(self, scan: _Scan, slicing: Slicing, prompt: Prompt) -> np.ndarray:
        """Boolean mask `[rows, columns]` of what the prompt's clicks seem to mean.

        Each look is shown the first click; of the masks those count that agree with most of the others.
        """
        on = [position for position, on in prompt.clicks if on]
        views = aim.looks(slicing, on or [position for position, _ in prompt.clicks])
        pictures = [scan.pictures(view, slice(prompt.index, prompt.index + 1)) for view in views]
        position, inside = _first(prompt.clicks)
        points = [[view.to_pixel(position)] for view in views]
        device = self.predictor.device
        logits = self.predictor.look(
            torch.cat(pictures).to(device),
            torch.tensor(points, device=device),
            torch.full((len(views), 1), int(inside), device=device),
        )
        masks = np.concatenate([self._mask(one[None], view) for one, view in zip(logits, views, strict=True)])
        agreed = np.array([sum(_agrees(mask, click) for click in prompt.clicks) for mask in masks])
        return masks[aim.best(masks, aim.stability(logits), agreed)]

    def _begin(self, pictures: torch.Tensor) -> dict[str, Any]:
        """SAM 2's inference state of a slice video: what its `init_state` makes of a folder of JPEG files."""
        device = self.predictor.device
        state: dict[str, Any] = {
            "images": pictures,
            "num_frames": len(pictures),
            "offload_video_to_cpu": True,
            "offload_state_to_cpu": False,
            "video_height": self.size,
            "video_width": self.size,
            "device": device,
            "storage_device": device,
            "constants": {},
            "obj_id_to_idx": OrderedDict(),
            "obj_idx_to_id": OrderedDict(),
            "obj_ids": [],
            "cached_features": {},
        }
        per_object = "point_inputs mask_inputs output_dict temp_output_dict frames_tracked"
        state.update({f"{name}_per_obj": {} for name in per_object.split()})
        return state

    @torch.inference_mode()
    def _embed(self, state: dict[str, Any], frames: Iterable[int]) -> None:
        """Keep the features of a few frames, made together; where not all of the video's fit, of these alone."""
        pictures, kept = state["images"], state["cached_features"]
        missing = [frame for frame in frames if frame not in kept]
        if not missing:
            return
        shown = pictures[missing].to(self.predictor.device)
        features = self.predictor.forward_image(shown)
        levels, positions = features["backbone_fpn"], features["vision_pos_enc"]
        if len(pictures) * sum(level[0].nbytes for level in levels) > _CACHE_BYTES:
            kept.clear()
        for i, frame in enumerate(missing):
            own = {
                "backbone_fpn": [level[i : i + 1] for level in levels],
                "vision_pos_enc": [position[i : i + 1] for position in positions],
            }
            kept[frame] = (shown[i : i + 1], own)

    def _show(self, state: dict[str, Any], slicing: Slicing, prompt: Prompt, frame: int) -> Sequence[Click]:
        """Show a prompt's mask, its box, or else its first click on the object; returns the clicks that are left."""
        if prompt.mask is not None:
            values = slicing.frames(slicing.crop_of(prompt.mask)[None].astype(np.float32))[0]
            mask = values >= min(0.5, float(values.max()))  # what is thinner than a pixel of the picture stays
            self.predictor.add_new_mask(state, frame, _OBJECT, mask)
            return prompt.clicks
        if prompt.box is not None:
            box = slicing.box_to_pixels(prompt.box)
            self.predictor.add_new_points_or_box(state, frame, _OBJECT, box=box)
            return prompt.clicks
        first = _first(prompt.clicks)
        self._click(state, slicing, frame, *first)
        return [click for click in prompt.clicks if click is not first]

    def _click(self, state: dict[str, Any], slicing: Slicing, frame: int, position: Point, on: bool) -> None:
        """One more click; the predictor shows the model its own mask logits along with all clicks so far."""
        self.predictor.add_new_points_or_box(
            state, frame, _OBJECT, points=[slicing.to_pixel(position)], labels=[int(on)], clear_old_points=False
        )

    @torch.inference_mode()
    def _propagate(
        self, state: dict[str, Any], slicing: Slicing, start: int, within: range, as_far_as: Iterable[int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        """Boolean masks `[rows, columns]` of the other slices `within` that show the object, from `start` both ways.

        Args:
            as_far_as: slices before which it does not end.
        """
        self.predictor.propagate_in_video_preflight(state)
        outputs = state["output_dict_per_obj"][0]
        outputs["non_cond_frame_outputs"].clear()  # of an earlier propagation
        shown = {
            frame: self._mask(out["pred_masks"][:, 0], slicing)[0]
            for frame, out in outputs["cond_frame_outputs"].items()
        }
        sure = {*as_far_as, *(frame for frame, mask in shown.items() if mask.any())}
        for way in (range(start + 1, within.stop), range(start - 1, within.start - 1, -1)):
            last, diameter, to_come = start, slicing.diameter_mm(shown[start]), len(sure.intersection(way))
            for i, frame in enumerate(way):
                if i % _AHEAD == 0:
                    self._embed(state, way[i : i + _AHEAD])
                reverse = way.step < 0
                state["frames_tracked_per_obj"][0][frame] = {"reverse": reverse}  # clicks there correct from now on
                if frame in shown:
                    mask, there = shown[frame], frame in sure
                    if there:
                        last, diameter = frame, slicing.diameter_mm(mask)
                else:
                    mask = self._mask(self._carried(state, frame, reverse), slicing)[0]
                    far = abs(frame - last) * slicing.grid.spacing[slicing.number]
                    there = far <= reach(diameter, float(self.predictor.scores))
                if not there and not to_come:
                    break
                to_come -= frame in sure
                yield frame, mask

    def _carried(self, state: dict[str, Any], frame: int, reverse: bool) -> torch.Tensor:
        """Mask logits `[1, S/4, S/4]` of a slice, out of the memory of those before."""
        outputs = state["output_dict_per_obj"][0]
        out, logits = self.predictor._run_single_frame_inference(
            inference_state=state,
            output_dict=outputs,
            frame_idx=frame,
            batch_size=1,
            is_init_cond_frame=False,
            point_inputs=None,
            mask_inputs=None,
            reverse=reverse,
            run_mem_encoder=True,
        )
        outputs["non_cond_frame_outputs"][frame] = out
        return logits[:, 0]

    def _shown(self, state: dict[str, Any], frame: int) -> torch.Tensor:
        return state["temp_output_dict_per_obj"][0]["cond_frame_outputs"][frame]["pred_masks"][:, 0]

    def _mask(self, logits: torch.Tensor, slicing: Slicing) -> np.ndarray:
        """Boolean slices `[n, rows, columns]` of mask logits `[n, s, s]`."""
        size = (self.size, self.size)
        pictures = F.interpolate(logits[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
        return (slicing.restore(pictures, fill=-1.0) > 0).cpu().numpy()


class Session:
    """One object of one image: shown by a prompt, corrected by clicks on any slice, carried through the volume.

    Made by `Segmenter.open`. The volume may be asked for at any time, and corrected on after that.

    Attributes:
        prompt: what was shown so far, corrections included.
        shown: boolean mask `[rows, columns]` of the prompted slice as it stands.
    """

    def __init__(self, segmenter: Segmenter, scan: _Scan, prompt: Prompt) -> None:
        self._segmenter, self._scan, self.prompt = segmenter, scan, prompt
        self.shown: np.ndarray
        self._elsewhere: list[tuple[int, Point, bool]] = []  # clicks on other slices
        self._start(segmenter._aimed(scan, prompt))

    def correct(self, position: Point, on: bool, index: int | None = None) -> np.ndarray:
        """Add a click (column, row), on the object or off it; returns its slice's new mask.

        A click that the mask agrees with changes nothing. One on the object, off what the model looks at, makes it look
        again, at a part that holds the click and the mask so far.

        Args:
            index: the slice; the prompted one if left out. Another one is corrected as the object was carried there.

        Raises:
            ValueError: where the prompt says that the slice cannot show the object.
        """
        if index is not None and not self.prompt.shows(index):
            raise ValueError(f"slice {index} is outside the prompt's ends {self.prompt.ends}")
        if index is None or index == self.prompt.index:
            self.prompt = self.prompt.clicked(position, on)
            if on and not self._slicing.holds(position):
                self._widen(_with_clicks(self.shown, self.prompt.clicks))
            else:
                self._unseen.append((position, on))
                self._settle()
            return self.shown
        self._elsewhere.append((index, position, on))
        if self._slicing.holds(position):
            self._follow(self._elsewhere[-1:])
        else:
            self._widen(_with_clicks(self.shown, [(position, True)]))
        return self._segmenter._mask(self._segmenter._shown(self._state, index), self._slicing)[0]

    def _widen(self, region: np.ndarray) -> None:
        """Look again, at a part that holds all of `region`."""
        self._start(_about(self._slicing, box_around(region)))

    def _follow(self, clicks: Sequence[tuple[int, Point, bool]]) -> None:
        """Click on slices that the object is carried to first."""
        self._carry(index for index, _, _ in clicks)
        for index, position, on in clicks:
            self._segmenter._click(self._state, self._slicing, index, position, on)

    def propagate(self) -> np.ndarray:
        """Boolean mask `[z, y, x]` of the object: the prompted slice's, carried both ways to the object's ends."""
        return self._carry([])

    def _carry(self, as_far_as: Iterable[int]) -> np.ndarray:
        slicing, index = self._slicing, self.prompt.index
        first, last = self.prompt.ends or (0, slicing.count - 1)
        ends = self.prompt.ends or ()
        slices = np.zeros((slicing.count, *self.shown.shape), bool)
        within = range(first, last + 1)
        for frame, mask in self._segmenter._propagate(self._state, slicing, index, within, {*as_far_as, *ends}):
            slices[frame] = mask
        slices[index] = self.shown
        return np.ascontiguousarray(np.moveaxis(slices, 0, 2 - slicing.number))

    def _start(self, slicing: Slicing) -> None:
        self._slicing = slicing
        self._state = self._segmenter._begin(self._scan.pictures(slicing, slice(None)))
        self._segmenter._embed(self._state, [self.prompt.index])
        self._unseen = [*self._segmenter._show(self._state, slicing, self.prompt, self.prompt.index)]
        self.shown = self._read() if self.prompt.mask is None else self.prompt.mask  # which is finer than the model's
        self._settle()
        if self._elsewhere:
            self._follow(self._elsewhere)

    def _settle(self) -> None:
        """Show the clicks that the mask does not agree with, one by one, as corrections."""
        while wrong := [click for click in self._unseen if not _agrees(self.shown, click)]:
            self._unseen.remove(wrong[0])
            self._segmenter._click(self._state, self._slicing, self.prompt.index, *wrong[0])
            self.shown = self._read()

    def _read(self) -> np.ndarray:
        return self._segmenter._mask(self._segmenter._shown(self._state, self.prompt.index), self._slicing)[0]


def _first(clicks: Sequence[Click]) -> Click:
    """The first click on the object, or the first one where none is."""
    return max(clicks, key=lambda click: click[1])


def _agrees(mask: np.ndarray, click: Click) -> bool:
    (column, row), on = click
    return bool(mask[round(row), round(column)]) == on


def _with_clicks(mask: np.ndarray, clicks: Iterable[Click]) -> np.ndarray:
    """A slice's mask and the pixels under clicks on the object."""
    out = mask.copy()
    for (column, row), on in clicks:
        out[round(row), round(column)] |= on
    return out


def _about(slicing: Slicing, box: tuple[float, float, float, float]) -> Slicing:
    """The slices cropped to a square about a box on them."""
    return slicing.around(box, slicing.edge_mm(box, _WIDER))
