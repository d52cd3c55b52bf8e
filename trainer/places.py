"""Where the files are that a configuration or a pipeline names."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SCENES = (_ROOT / "scenes", _ROOT / "trainer" / "configs")
_CONFIGS = (_ROOT / "trainer" / "configs", _ROOT / "trainer" / "recipes")


def beside(folder: Path, name: str) -> Path:
    """`name` taken from `folder` where it is there, else as it stands."""
    return folder / name if (folder / name).exists() else Path(name)


def scene(folder: Path, name: str) -> Path:
    """The scene called `name`: a file as `beside` finds it, else one that comes with Viscera, by its bare name."""
    return _known(folder, name, _SCENES)


def config(folder: Path, name: str) -> Path:
    """The training configuration called `name`, likewise."""
    return _known(folder, name, _CONFIGS)


def _known(folder: Path, name: str, homes: tuple[Path, ...]) -> Path:
    path = beside(folder, name)
    if path.suffix or path.is_file():
        return path
    return next((known for home in homes if (known := home / f"{name}.yaml").is_file()), Path(name))
