"""Models by name: those that come with Viscera, and Meta's SAM 2.1, fetched when they are first asked for."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch

from engine.errors import UserError

SHIPPED = Path(__file__).parent / "models"
#: The model that segments where none is named.
DEFAULT = "nano"
#: Where SAM 2.1's checkpoints are published (Ravi et al. 2024, arXiv 2408.00714; Apache 2.0).
SOURCE = "https://dl.fbaipublicfiles.com/segment_anything_2/092824"
#: SHA-256 of the published files.
OFFICIAL = {
    "sam2.1_hiera_tiny": "7402e0d864fa82708a20fbd15bc84245c2f26dff0eb43a4b5b93452deb34be69",
    "sam2.1_hiera_small": "6d1aa6f30de5c92224f8172114de081d104bbd23dd9dc5c58996f0cad5dc4d38",
    "sam2.1_hiera_base_plus": "a2345aede8715ab1d5d31b4a509fb160c5a4af1970f199d9054ccfb746c004c5",
    "sam2.1_hiera_large": "2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318",
}


def place_of(name: str | Path) -> Path:
    """Where a model is: the path itself where there is one, else that of the model called so.

    Raises:
        UserError: where there is no such model, or it cannot be fetched.
    """
    path = Path(name)
    if path.exists():
        return path
    shipped = SHIPPED / path.name
    if path.name == str(name) and shipped.is_dir():
        return shipped
    known = str(name).removesuffix(".pt")
    if known in OFFICIAL:
        return _fetched(known)
    ours = sorted(folder.name for folder in SHIPPED.iterdir()) if SHIPPED.is_dir() else []
    raise UserError(
        f"{name}: no such model; give a folder, a SAM 2.1 .pt file, or one of {', '.join([*ours, *OFFICIAL])}"
    )


def _fetched(name: str) -> Path:
    """An official checkpoint in torch's own cache (`TORCH_HOME`), downloaded once and checked."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.pt"
    if file.is_file():
        return file
    url = f"{SOURCE}/{name}.pt"
    elsewhere = f"where there is no network, fetch {url} elsewhere and put it at {file}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(file), hash_prefix=OFFICIAL[name])
    except (URLError, OSError) as error:
        raise UserError(f"{name}: cannot be downloaded ({error}); {elsewhere}") from None
    except RuntimeError as error:
        raise UserError(
            f"{name}: what {url} sent is not the published file ({error}); try again, or {elsewhere}"
        ) from None
    return file
