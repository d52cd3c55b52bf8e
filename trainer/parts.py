"""The parts of SAM 2, to be frozen or to be started anew."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from trainer.model import Model, build

Part = Literal["image_encoder", "prompt_encoder", "mask_decoder", "memory"]
PARTS: tuple[Part, ...] = get_args(Part)

_PREFIXES = {
    "image_encoder.": "image_encoder",
    "sam_prompt_encoder.": "prompt_encoder",
    "sam_mask_decoder.": "mask_decoder",
}
_ADAPTER = ".adapter."


def part_of(parameter: str) -> str:
    """The part that a parameter belongs to; what is neither encoder nor decoder serves the memory."""
    return next((part for prefix, part in _PREFIXES.items() if parameter.startswith(prefix)), "memory")


def freeze(model: Model, parts: Iterable[Part]) -> None:
    """Let only the other parts learn, and adapters."""
    frozen = set(parts)
    for name, parameter in model.network.named_parameters():
        parameter.requires_grad = part_of(name) not in frozen or _ADAPTER in name


def renew(model: Model, parts: Iterable[Part]) -> None:
    """Give parts fresh weights; torch's random state decides them."""
    renewed = set(parts)
    if not renewed:
        return
    fresh = build(model.spec.size, model.spec.image_size, model.spec.adapters).network.state_dict()
    own = model.network.state_dict()
    model.network.load_state_dict({name: fresh[name] if part_of(name) in renewed else own[name] for name in own})
