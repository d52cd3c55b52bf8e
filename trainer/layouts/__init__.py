"""How datasets lie on disk, one layout a file; the first of `LAYOUTS` that recognises a folder reads it."""

from trainer.layouts.archives import Archives
from trainer.layouts.frames import Frames
from trainer.layouts.layout import Layout
from trainer.layouts.nnunet import NnUnet

#: Frames before nnU-Net: what `viscera generate` writes has a dataset.json in either layout.
LAYOUTS: tuple[type[Layout], ...] = (Frames, NnUnet, Archives)

__all__ = ["LAYOUTS", "Layout"]
