"""Organs as mesh files: closed, named, coloured surfaces in LPS+ mm, as the scene shape `mesh` reads them again.

All formats keep the scene's millimetres and axes (x to the left, y to the back, z to the head), GLB too: programs that
hold to glTF's metres and y up show it large and lying down. The file says so in its root's `extras`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trimesh

from engine.atomic import write_bytes
from engine.errors import UserError
from engine.picture import rgb_of
from engine.scene.errors import did_you_mean
from engine.volume import Volume
from viewer.meshes import surface_of, to_trimesh
from viewer.subject import Subject

FORMATS = ("glb", "stl", "ply")


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Args:
        files: by structure; all the same for GLB.
        volumes_ml: that each surface encloses.
        skipped: structures that have no surface, and why.
    """

    files: dict[str, Path]
    volumes_ml: dict[str, float]
    skipped: dict[str, str]


def export_meshes(
    target: Subject | Volume, folder: str | Path, form: str = "glb", structures: Sequence[str] = ()
) -> Exported:
    """Write the surface of each structure, what lies in it included; each file whole or not at all.

    Args:
        target: what to write; a volume's coverage gives the surfaces their place below the voxel.
        folder: made as needed.
        form: `glb`, one file with a node for each structure; `stl` or `ply`, a file for each. STL has no colours.
        structures: names of those to write; all by default.
    """
    if form not in FORMATS:
        raise UserError(f"format '{form}' is unknown; meshes are written as {', '.join(FORMATS)}")
    subject = Subject.from_volume(target) if isinstance(target, Volume) else target
    solids, skipped = {}, {}
    for label, name in _chosen(subject, structures).items():
        mesh = surface_of(subject, label)
        if mesh.n_points:
            solids[name] = to_trimesh(mesh)
            color = (*rgb_of(subject.colors[label]), 255)
            solids[name].visual = trimesh.visual.ColorVisuals(solids[name], vertex_colors=color)
        else:
            skipped[name] = _why_not(subject, label)
    if not solids:
        raise UserError(
            f"{folder}: there is no structure to write{''.join(f'; {n} {why}' for n, why in skipped.items())}"
        )
    write = _write_one if form == "glb" else _write_each
    files = write(solids, Path(folder), subject.name or "organs", form)
    return Exported(files, {name: float(solid.volume) / 1000 for name, solid in solids.items()}, skipped)


def _chosen(subject: Subject, structures: Sequence[str]) -> dict[int, str]:
    known = list(subject.names.values())
    for name in structures:
        if name not in known:
            hint = did_you_mean(name, known)
            raise UserError(f"structure '{name}' is not there; {hint + ' ' if hint else ''}it has: {', '.join(known)}")
    return {label: name for label, name in subject.names.items() if not structures or name in structures}


def _why_not(subject: Subject, label: int) -> str:
    there = subject.volume is not None and subject.volume.measure(subject.names[label]) > 0
    return "fills no voxel by half; make the voxels smaller" if there else "is not in this volume"


def _write_one(solids: dict[str, trimesh.Trimesh], folder: Path, title: str, form: str) -> dict[str, Path]:
    scene = trimesh.Scene(metadata={"unit": "mm", "axes": "LPS+"})
    for name, solid in solids.items():
        scene.add_geometry(solid, node_name=name, geom_name=name)
    path = write_bytes(folder / f"{_file_name(title)}.{form}", trimesh.exchange.gltf.export_glb(scene))
    return dict.fromkeys(solids, path)


def _write_each(solids: dict[str, trimesh.Trimesh], folder: Path, _title: str, form: str) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for number, (name, solid) in enumerate(solids.items(), start=1):
        path = folder / f"{_file_name(name)}.{form}"
        if path in files.values():  # names that differ in what file names cannot hold
            path = path.with_stem(f"{path.stem}-{number}")
        content = solid.export(file_type=form)
        assert isinstance(content, bytes)
        files[name] = write_bytes(path, content)
    return files


def _file_name(name: str) -> str:
    """A name without what file systems refuse."""
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "_"
