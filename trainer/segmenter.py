"""Using a model: a prompt on one slice becomes a mask of the whole volume, slice by slice with SAM 2's memory.

The model looks closely: at a square about the prompt's box, or about what it took for the object a look before.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from engine.grid import Grid
from engine.picture import Window, grey, window_of
from trainer.model import Model, predictor
from trainer.prompts import Prompt, box_around
from trainer.slices import Slicing, normalise

_AHEAD = 8  # slices that are embedded at a time
_CACHE_BYTES = 1 << 30  # embeddings above this are made slice by slice instead of kept
_OBJECT = 1
_WIDER = 2.0  # edge of what is looked at over the longer side of the box
_NARROWEST = 16.0  # pixels of the volume in that edge
_LOOKS = 2  # at a click, before the one that counts: where the object ends is not known


class Segmenter:
    """A model ready to segment. Its weights are copied.

    Args:
        model: trained.
        closely: look at what the prompt shows instead of at whole slices.
    """

    def __init__(self, model: Model, closely: bool = True) -> None:
        self.size, self.closely = model.spec.image_size, closely
        self.predictor = predictor(model)

    def segment(
        self, image: np.ndarray, grid: Grid, modality: str, prompt: Prompt, window: Window | None = None
    ) -> np.ndarray:
        """Boolean mask `[z, y, x]` on the image's own grid of what the prompt shows.

        The prompted slice is segmented first; its mask is carried to both ends of the axis through SAM 2's memory.

        Args:
            image: `[z, y, x]`.
            modality: `ct`, `mr` or `us`; decides the window.
            window: (low, high) of the grey scale; the modality's default if left out.
        """
        slicing = self._aimed(image, grid, modality, prompt, window)
        state = self._begin(image, slicing, modality, window, slice(None))
        self._show(state, slicing, prompt, prompt.index)
        logits = dict(self._propagate(state, prompt.index))
        pictures = torch.cat([logits[i] for i in range(slicing.count)])
        return np.ascontiguousarray(np.moveaxis(self._mask(pictures, slicing), 0, 2 - slicing.number))

    def segment_slice(
        self, image: np.ndarray, grid: Grid, modality: str, prompt: Prompt, window: Window | None = None
    ) -> np.ndarray:
        """Boolean mask `[rows, columns]` of the prompted slice alone."""
        slicing = self._aimed(image, grid, modality, prompt, window)
        return self._look(image, slicing, modality, prompt, window)

    def _aimed(self, image: np.ndarray, grid: Grid, modality: str, prompt: Prompt, window: Window | None) -> Slicing:
        """The slices, cropped to what the prompt shows."""
        slicing = Slicing(grid, prompt.axis, self.size)
        if not self.closely:
            return slicing
        if prompt.box is not None:
            return _about(slicing, prompt.box)
        for _ in range(_LOOKS):
            mask = self._look(image, slicing, modality, prompt, window)
            for (column, row), on in prompt.clicks:
                mask[round(row), round(column)] |= on
            slicing = _about(slicing, box_around(mask))
        return slicing

    def _look(
        self, image: np.ndarray, slicing: Slicing, modality: str, prompt: Prompt, window: Window | None
    ) -> np.ndarray:
        """Boolean mask `[rows, columns]` of the prompted slice, as the slicing shows it."""
        state = self._begin(image, slicing, modality, window, slice(prompt.index, prompt.index + 1))
        self._show(state, slicing, prompt, 0)
        return self._mask(self._shown(state, 0), slicing)[0]

    @torch.inference_mode()
    def _begin(
        self, image: np.ndarray, slicing: Slicing, modality: str, window: Window | None, which: slice
    ) -> dict[str, Any]:
        """SAM 2's inference state of a slice video: what its `init_state` makes of a folder of JPEG files."""
        window = window or window_of(image, modality)
        frames = slicing.frames(grey(slicing.take(image, which), window))
        pictures = normalise(frames / 255.0)
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
        }
        per_object = "point_inputs mask_inputs output_dict temp_output_dict frames_tracked"
        state.update({f"{name}_per_obj": {} for name in per_object.split()})
        state["cached_features"] = self._embed(pictures)
        return state

    def _embed(self, pictures: torch.Tensor) -> dict[int, Any]:
        """Features of every picture, several at a time; none where they would not fit: then SAM 2 makes its own."""
        kept: dict[int, Any] = {}
        for start in range(0, len(pictures), _AHEAD):
            some = pictures[start : start + _AHEAD].to(self.predictor.device)
            features = self.predictor.forward_image(some)
            levels, positions = features["backbone_fpn"], features["vision_pos_enc"]
            if len(pictures) * sum(level[0].nbytes for level in levels) > _CACHE_BYTES:
                return {}
            for i in range(len(some)):
                own = {
                    "backbone_fpn": [level[i : i + 1] for level in levels],
                    "vision_pos_enc": [position[i : i + 1] for position in positions],
                }
                kept[start + i] = (some[i : i + 1], own)
        return kept

    def _show(self, state: dict[str, Any], slicing: Slicing, prompt: Prompt, frame: int) -> None:
        box = None
        if prompt.box is not None:
            left, top, right, bottom = prompt.box
            box = [*slicing.to_pixel((left, top)), *slicing.to_pixel((right, bottom))]
        clicks = [slicing.to_pixel(position) for position, _ in prompt.clicks]
        self.predictor.add_new_points_or_box(
            state,
            frame,
            _OBJECT,
            points=clicks or None,
            labels=[int(on) for _, on in prompt.clicks] or None,
            box=box,
        )

    @torch.inference_mode()
    def _propagate(self, state: dict[str, Any], start: int) -> Iterator[tuple[int, torch.Tensor]]:
        """Mask logits `[1, S/4, S/4]` of every slice, from `start` upwards and then downwards."""
        self.predictor.propagate_in_video_preflight(state)
        outputs = state["output_dict_per_obj"][0]
        yield start, outputs["cond_frame_outputs"][start]["pred_masks"][:, 0]
        upwards, downwards = range(start + 1, state["num_frames"]), range(start - 1, -1, -1)
        for way, reverse in ((upwards, False), (downwards, True)):
            for frame in way:
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
                yield frame, logits[:, 0]

    def _shown(self, state: dict[str, Any], frame: int) -> torch.Tensor:
        return state["temp_output_dict_per_obj"][0]["cond_frame_outputs"][frame]["pred_masks"][:, 0]

    def _mask(self, logits: torch.Tensor, slicing: Slicing) -> np.ndarray:
        """Boolean slices `[n, rows, columns]` of mask logits `[n, s, s]`."""
        size = (self.size, self.size)
        pictures = F.interpolate(logits[:, None].float(), size, mode="bilinear", align_corners=False)[:, 0]
        return (slicing.restore(pictures, fill=-1.0) > 0).cpu().numpy()


def _about(slicing: Slicing, box: tuple[float, float, float, float]) -> Slicing:
    """The slices cropped to a square about a box on them."""
    columns, rows = (slicing.grid.spacing[i] for i in slicing.columns_rows)
    longest = max((box[2] - box[0] + 1.0) * columns, (box[3] - box[1] + 1.0) * rows)
    return slicing.around(box, max(_WIDER * longest, _NARROWEST * min(columns, rows)))
