"""A promptable segmenter: SAM 2 built for training, started well, and turned into SAM 2's predictor for use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pydantic import Field, ValidationError

from engine.errors import UserError
from engine.strict import Strict
from trainer.adapter import adapt
from trainer.compat import NO_OBJ_SCORE, SAM2Base, SAM2Train, SAM2VideoPredictor, mask_to_box
from trainer.ends import Unemptied
from trainer.prompts import inner_click
from trainer.sizes import SIZES, Size, Spec, settings
from trainer.sketch import Sketching

_PRESENT = 4.0  # sigmoid(4) = 0.98: an untrained model takes the object to be there
_SOFT = 0.3

Share = Annotated[float, Field(ge=0, le=1)]


class Prompting(Strict):
    """What SAM 2 is shown of the truth while it trains.

    Args:
        box: share of prompted frames that get a box instead of a click.
        exact: share of boxes that end with the object; the corners of others are off by up to a tenth of their sides.
        inner: share of clicks about as deep inside the object as can be, where people click; others are anywhere on it.
        mask: share of clips of several frames whose first frame is given as a mask.
        corrections: clicks added one by one where the first frame's mask is wrong.
    """

    box: Share = 0.5
    exact: Share = 0.0
    inner: Share = 0.0
    mask: Share = 0.0
    corrections: Annotated[int, Field(ge=0, le=8)] = 0


class Trainee(Sketching, SAM2Train):
    """SAM2Train that may train without correction clicks, and encodes no memory of the last frame: none reads it.

    Where SAM 2 takes an object to be absent it puts a constant in its mask's place, for use; in training that would
    leave masks without a gradient wherever the object score is wrong. Here only memories get the constant.
    """

    exact_boxes = inner_clicks = 0.0  # see `Prompting`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._decoded = torch.empty(0)  # mask logits `[B, M, size, size]` before the constant
        self.sam_mask_decoder.register_forward_hook(self._keep)

    def _keep(self, _: torch.nn.Module, __: Any, made: tuple[torch.Tensor, ...]) -> None:
        self._decoded = made[0].float()

    def _forward_sam_heads(self, *args: Any, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        _, _, ious, _, _, pointer, scores = super()._forward_sam_heads(*args, **kwargs)
        low = self._decoded
        high = F.interpolate(low, size=(self.image_size, self.image_size), mode="bilinear", align_corners=False)
        rows, best = torch.arange(len(low), device=low.device), ious.argmax(-1)
        return low, high, ious, low[rows, best, None], high[rows, best, None], pointer, scores

    def _encode_new_memory(
        self, *, pred_masks_high_res: torch.Tensor, object_score_logits: torch.Tensor, **rest: Any
    ) -> Any:
        seen = (object_score_logits > 0)[:, :, None, None]
        masks = torch.where(seen, pred_masks_high_res, NO_OBJ_SCORE)
        return super()._encode_new_memory(pred_masks_high_res=masks, object_score_logits=object_score_logits, **rest)

    def track_step(self, frame_idx: int, *args: Any, num_frames: int, **kwargs: Any) -> dict[str, Any]:
        read = frame_idx < num_frames - 1
        return super().track_step(frame_idx, *args, num_frames=num_frames, run_mem_encoder=read, **kwargs)

    def prepare_prompt_inputs(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        out = super().prepare_prompt_inputs(*args, **kwargs)
        if self.training:
            for frame, points in out["point_inputs_per_frame"].items():
                self._aim(points, out["gt_masks_per_frame"][frame])
        if self.num_correction_pt_per_frame == 0:
            out["frames_to_add_correction_pt"] = []
        return out

    def _aim(self, points: dict[str, torch.Tensor], masks: torch.Tensor) -> None:
        """Move some of the prompts for objects `[B, 1, S, S]` to where people put them.

        Clicks `[B, 1, 2]` go deep inside the objects, boxes' corners `[B, 2, 2]` to the objects' ends.
        """
        coordinates = points["point_coords"]
        boxes = coordinates.shape[1] == 2
        share = self.exact_boxes if boxes else self.inner_clicks
        if not share:
            return
        ends = mask_to_box(masks).view(-1, 2, 2) if boxes else None
        for i in range(len(coordinates)):
            if self.rng.random() >= share:
                continue
            if ends is not None:
                coordinates[i] = ends[i]
            else:
                coordinates[i, 0] = coordinates.new_tensor(inner_click(masks[i, 0].cpu().numpy(), self.rng))


class Predictor(Unemptied, Sketching, SAM2VideoPredictor):
    """SAM2VideoPredictor that reads prompts as the model learnt them, and looks at single pictures too."""

    @torch.inference_mode()
    def look(self, pictures: torch.Tensor, points: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """A mask of each picture by itself.

        Args:
            pictures: `[B, 3, S, S]`.
            points: `[B, P, 2]`, column and row.
            labels: `[B, P]`: 1 on the object, 0 off it, -1 no point.

        Returns:
            Mask logits `[B, S/4, S/4]`.
        """
        _, features, positions, sizes = self._prepare_backbone_features(self.forward_image(pictures))
        finer = [x.permute(1, 2, 0).unflatten(2, size) for x, size in zip(features[:-1], sizes[:-1], strict=True)]
        pixels = self._prepare_memory_conditioned_features(
            0, True, features[-1:], positions[-1:], sizes[-1:], output_dict={}, num_frames=1
        )
        prompt = {"point_coords": points, "point_labels": labels}
        several = self._use_multimask(True, prompt)
        _, _, _, masks, *_ = self._forward_sam_heads(pixels, prompt, None, finer, several)
        return masks[:, 0]


@dataclass(frozen=True)
class Model:
    """A network and what identifies its shape."""

    spec: Spec
    network: SAM2Train

    def count(self) -> int:
        """Number of parameters."""
        return sum(p.numel() for p in self.network.parameters())


def build(size: Size = "nano", image_size: int = 128, adapters: bool = False) -> Model:
    """A model with fresh weights; torch's random state decides them.

    Raises:
        UserError: where the size is unknown or the image size impossible.
    """
    try:
        spec = Spec(size=size, image_size=image_size, adapters=adapters)
    except ValidationError as error:
        detail = error.errors()[0]
        message = detail["msg"].removeprefix("Value error, ")
        raise UserError(f"model {detail['loc'][0]}: {message} (sizes: {', '.join(SIZES)})") from None
    network = _instantiate(Trainee, settings(spec))
    start_well(network)
    if adapters:
        adapt(network)
    return Model(spec, network)


def adapted(model: Model) -> Model:
    """The model with adapters, which change nothing until they have learnt; itself where it has them."""
    if model.spec.adapters:
        return model
    adapt(model.network)
    return Model(model.spec.model_copy(update={"adapters": True}), model.network)


def prompt_with(model: Model, prompting: Prompting) -> None:
    """Set what the model is shown of the truth, in training and in held-out evaluation of single frames."""
    network = model.network
    network.exact_boxes, network.inner_clicks = prompting.exact, prompting.inner
    network.prob_to_use_pt_input_for_train = 1.0 - prompting.mask
    network.prob_to_use_box_input_for_train = prompting.box
    network.num_correction_pt_per_frame = prompting.corrections
    network.prob_to_use_pt_input_for_eval = 1.0
    network.pt_sampling_for_eval = "uniform"  # SAM 2's central click needs OpenCV


def predictor(model: Model) -> Predictor:
    """SAM 2's predictor with the model's weights (a copy), ready for inference on the same device."""
    made = _instantiate(Predictor, settings(model.spec))
    if model.spec.adapters:
        adapt(made)
    made.load_state_dict(model.network.state_dict())
    made.add_all_frames_to_correct_as_cond = True  # a corrected slice is as good a memory as the first one
    return made.to(model.network.device).eval()


def start_well(network: SAM2Base) -> None:
    """Change SAM 2's initial weights so that training from scratch gets going.

    The object score's bias starts positive: still pictures, which do not train it, always show their object. Token
    embeddings start smaller than the positions that are added to them.
    """
    decoder, prompts = network.sam_mask_decoder, network.sam_prompt_encoder
    with torch.no_grad():
        decoder.pred_obj_score_head.layers[-1].bias.fill_(_PRESENT)
        tokens = [decoder.mask_tokens, decoder.iou_token, decoder.obj_score_token, prompts.not_a_point_embed]
        for token in [*tokens, *prompts.point_embeddings]:
            token.weight.mul_(_SOFT)


def _instantiate(kind: type, arguments: dict[str, Any]) -> Any:
    made = instantiate(OmegaConf.create({**arguments, "_target_": f"{kind.__module__}.{kind.__qualname__}"}))
    return made.to(memory_format=torch.channels_last)  # convolutions are faster so, on CPU and GPU
