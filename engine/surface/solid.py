"""Closed surfaces from mesh files (STL, OBJ, PLY, OFF, GLB, ...), repaired where that changes little.

A surface is closed where every edge is passed as often one way as the other: only then is the winding number of every
point whole. Edges where the balance is not zero are a boundary, and always one of closed loops; a cone from a loop's
mean to its edges closes it, whatever its form, and is the exact lid of a flat cut.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

MOST_FACES = 2_000_000
#: Lids may make up this share of a repaired surface; more is guesswork.
_MOST_OPEN = 0.1
#: Thinner than this share of its length is flat.
_FLAT = 1e-4


@functools.lru_cache(maxsize=64)
def solid(path: Path, digest: str, part: str | None = None) -> trimesh.Trimesh:
    """The closed surface in `path`, in the file's own coordinates; ValueError where there is none.

    Args:
        path: of the mesh file.
        digest: of its content, as `digest_of` gives it.
        part: name of the only body to take, of a file that holds several.
    """
    try:
        return _closed(_body(_bodies(path, digest), part))
    except ValueError as error:
        raise ValueError(f"mesh file '{path}' {error}") from None


@functools.lru_cache(maxsize=4)
def _bodies(path: Path, _digest: str) -> dict[str, trimesh.Trimesh]:
    """The bodies in a file by name, where the file puts them."""
    known = sorted(trimesh.available_formats())
    if path.suffix.lower().lstrip(".") not in known:
        raise ValueError(f"is of no kind that can be read; its name must end in one of: {', '.join(known)}")
    try:
        scene = trimesh.load_scene(path, process=False)
    except Exception as error:  # each format's reader has errors of its own
        raise ValueError(f"cannot be read as a mesh ({type(error).__name__}: {error})") from None
    bodies = {}
    for node in sorted(scene.graph.nodes_geometry):
        matrix, name = scene.graph[node]
        geometry = scene.geometry[name]
        if isinstance(geometry, trimesh.Trimesh) and len(geometry.faces):
            bodies[node] = geometry.copy().apply_transform(matrix)
    return bodies


def _body(bodies: dict[str, trimesh.Trimesh], part: str | None) -> trimesh.Trimesh:
    if not bodies:
        raise ValueError("holds no faces; export a surface, not points or lines")
    if part is None:
        return trimesh.Trimesh(
            *trimesh.util.append_faces([b.vertices for b in bodies.values()], [b.faces for b in bodies.values()]),
            process=False,
        )
    if part not in bodies:
        raise ValueError(f"has no part '{part}'; its parts: {', '.join(bodies)}")
    return bodies[part]


def _closed(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh without what does not matter for its inside, and with its holes closed."""
    if len(mesh.faces) > MOST_FACES:
        raise ValueError(f"has {len(mesh.faces):,} faces, at most {MOST_FACES:,} are read; simplify it")
    bad = int((~np.isfinite(mesh.vertices)).any(axis=1).sum())
    if bad:
        raise ValueError(f"has {bad:,} vertices that are no finite numbers; export it again")
    mesh = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    mesh.merge_vertices()
    mesh.update_faces((mesh.faces != np.roll(mesh.faces, 1, axis=1)).all(axis=1))
    if not len(mesh.faces) or mesh.extents.min() <= _FLAT * mesh.extents.max():
        raise ValueError("is flat: it encloses nothing")
    if len(_boundary(mesh.faces)):
        mesh.update_faces(mesh.unique_faces())
        trimesh.repair.fix_winding(mesh)
    whole = _lidded(mesh)
    lids = 1.0 - mesh.area / whole.area
    if lids > _MOST_OPEN:
        raise ValueError(
            f"is not closed: {lids:.0%} of its surface would have to be made up; close its holes in a mesh editor "
            "(Blender: Fill Holes; MeshLab: Close Holes)"
        )
    return whole


def _boundary(faces: np.ndarray) -> np.ndarray:
    """Directed edges (n, 2) that are passed more often this way than the other, repeated as often as they are."""
    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    low, high = edges.min(axis=1), edges.max(axis=1)
    sums = coo_matrix((np.where(edges[:, 0] == low, 1, -1), (low, high))).tocoo()
    sums.sum_duplicates()
    start, stop, net = sums.row, sums.col, sums.data
    directed = np.where(net[:, None] > 0, np.stack([start, stop], 1), np.stack([stop, start], 1))
    return np.repeat(directed, np.abs(net), axis=0)


def _lidded(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with a cone over each connected piece of its boundary."""
    edges = _boundary(mesh.faces)
    if not len(edges):
        return mesh
    count = len(mesh.vertices)
    _, piece = connected_components(coo_matrix((np.ones(len(edges)), edges.T), shape=(count, count)), directed=False)
    pieces, tip = np.unique(piece[edges[:, 0]], return_inverse=True)
    sums = np.zeros((len(pieces), 3))
    np.add.at(sums, tip, mesh.vertices[edges[:, 0]])
    tips = sums / np.bincount(tip)[:, None]
    lids = np.stack([edges[:, 1], edges[:, 0], count + tip], axis=1)
    return trimesh.Trimesh(np.concatenate([mesh.vertices, tips]), np.concatenate([mesh.faces, lids]), process=False)
