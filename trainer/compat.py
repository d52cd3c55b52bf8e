"""The `sam2` package's names, imported safely: the rest of the trainer takes them from here.

PyPI's torchvision wheel for Linux is built for CUDA. Beside a CPU build of torch its compiled operators do not load,
and then its import fails on the schema of one of them. SAM 2 calls none of these operators, so declaring the schemas
is enough.
"""

from __future__ import annotations

import importlib
import re
import sys

import torch

_BOX_SUPPRESSION = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_SCHEMAS = {"nms": f"nms{_BOX_SUPPRESSION}", "qnms": f"qnms{_BOX_SUPPRESSION}"}
_library: torch.library.Library | None = None  # the schemas live as long as this object


def import_torchvision() -> None:
    """Import torchvision, declaring its operators' schemas only where its own library could not be loaded."""
    global _library
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if not re.search(r"operator torchvision::\w+ does not exist", str(error)) or _library is not None:
            raise
        _library = torch.library.Library("torchvision", "FRAGMENT")
        for name, schema in _SCHEMAS.items():
            if not hasattr(torch.ops.torchvision, name):
                _library.define(schema)
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]  # half imported
        import_torchvision()


import_torchvision()

from sam2.modeling.backbones.hieradet import MultiScaleBlock  # noqa: E402
from sam2.modeling.sam2_base import NO_OBJ_SCORE, SAM2Base  # noqa: E402
from sam2.modeling.sam2_utils import mask_to_box  # noqa: E402
from sam2.sam2_video_predictor import SAM2VideoPredictor  # noqa: E402
from training.loss_fns import CORE_LOSS_KEY, MultiStepMultiMasksAndIous  # noqa: E402
from training.model.sam2 import SAM2Train  # noqa: E402
from training.utils.data_utils import BatchedVideoDatapoint, BatchedVideoMetaData  # noqa: E402

__all__ = [
    "CORE_LOSS_KEY",
    "NO_OBJ_SCORE",
    "BatchedVideoDatapoint",
    "BatchedVideoMetaData",
    "MultiScaleBlock",
    "MultiStepMultiMasksAndIous",
    "SAM2Base",
    "SAM2Train",
    "SAM2VideoPredictor",
    "mask_to_box",
]
