"""Scene to labelled volume to images. Knows nothing of SAM 2 or of windows."""

import os

os.environ.setdefault("ENABLE_TAICHI_HEADER_PRINT", "0")  # Taichi greets on import otherwise
