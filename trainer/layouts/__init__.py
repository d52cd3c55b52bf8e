"""How datasets lie on disk, one layout a file; the first of `LAYOUTS` that recognises a folder reads it."""

from trainer.layouts.archives import Archives
from trainer.layouts.frames import Frames
from trainer.layouts.layout import Layout
from trainer.layouts.nnunet import NnUnet
from trainer.layouts.scans import Scans

#: NnUnet after Frames and Scans, which have a dataset.json too.
LAYOUTS: tuple[type[Layout], ...] = (Frames, Scans, NnUnet, Archives)

__all__ = ["LAYOUTS", "Layout"]
