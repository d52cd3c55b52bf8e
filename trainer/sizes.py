"""The sizes of model: SAM 2.1's own configurations, and a small one that trains from scratch on a laptop.

Each size is the `sam2` package's configuration file with overrides, so official checkpoints fit the official sizes.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any, Literal, get_args

from omegaconf import OmegaConf
from pydantic import Field, field_validator

from engine.strict import Strict

Size = Literal["nano", "tiny", "small", "base+", "large"]
SIZES: tuple[Size, ...] = get_args(Size)

_FILES: dict[Size, str] = {
    "nano": "sam2.1_hiera_t.yaml",
    "tiny": "sam2.1_hiera_t.yaml",
    "small": "sam2.1_hiera_s.yaml",
    "base+": "sam2.1_hiera_b+.yaml",
    "large": "sam2.1_hiera_l.yaml",
}
_STRIDE = 32  # pixels of the image for one cell of the trunk's coarsest level

NANO_WIDTH = 128
NANO_CHANNELS = (32, 64, 128, 192)
NANO_BLOCKS = (1, 1, 2, 1)


class Spec(Strict):
    """What identifies a model's shape.

    Args:
        size: one of `nano`, `tiny`, `small`, `base+`, `large`.
        image_size: edge of the square pictures it sees, in pixels; a multiple of 32.
        adapters: whether its image encoder has SAM-Med2D's adapters.
    """

    size: Size = "nano"
    image_size: int = Field(128, ge=64, le=2048)
    adapters: bool = False

    @field_validator("image_size")
    @classmethod
    def _divisible(cls, value: int) -> int:
        if value % _STRIDE:
            raise ValueError(f"must be a multiple of {_STRIDE}, got {value}; try {value // _STRIDE * _STRIDE}")
        return value


def settings(spec: Spec) -> dict[str, Any]:
    """The keyword arguments of SAM 2's model class for `spec`, nested configurations of its parts included."""
    path = files("sam2").joinpath("configs", "sam2.1", _FILES[spec.size])
    model: Any = OmegaConf.to_container(OmegaConf.create(path.read_text(encoding="utf-8")).model, resolve=True)
    model["image_size"] = spec.image_size
    model["compile_image_encoder"] = False
    for attention in ("self_attention", "cross_attention"):
        model["memory_attention"]["layer"][attention]["feat_sizes"] = [spec.image_size // 16] * 2
    if spec.size == "nano":
        _shrink(model)
    return model


def _shrink(model: dict[str, Any]) -> None:
    """Turn the tiny configuration into nano's: a convolutional trunk, half the width, half the memory layers.

    Hiera learns locality from data, which a run of minutes does not have; convolutions start with it. Dropout and the
    memory fuser's near-zero layer scale are for long runs as well.
    """
    encoder, attention, memory = model["image_encoder"], model["memory_attention"], model["memory_encoder"]
    encoder["trunk"] = {
        "_target_": "trainer.trunk.ConvTrunk",
        "channels": list(NANO_CHANNELS),
        "blocks": list(NANO_BLOCKS),
    }
    encoder["neck"].update(
        d_model=NANO_WIDTH, backbone_channel_list=list(NANO_CHANNELS[::-1]), fpn_top_down_levels=[0, 1, 2, 3]
    )
    encoder["neck"]["position_encoding"]["num_pos_feats"] = NANO_WIDTH
    attention.update(d_model=NANO_WIDTH, num_layers=2)
    layer = attention["layer"]
    layer.update(d_model=NANO_WIDTH, dim_feedforward=4 * NANO_WIDTH, dropout=0.0)
    for name in ("self_attention", "cross_attention"):
        layer[name].update(embedding_dim=NANO_WIDTH, dropout=0.0)
    memory["in_dim"] = NANO_WIDTH
    memory["mask_downsampler"]["embed_dim"] = NANO_WIDTH
    memory["fuser"]["layer"].update(dim=NANO_WIDTH, layer_scale_init_value=0.1)
    model["sketch"] = True
