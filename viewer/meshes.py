"""Organ surfaces: the half-covered level of a structure's coverage field, smoothed, in world millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyvista as pv
import trimesh
from scipy.ndimage import gaussian_filter

from engine.grid import Grid
from viewer.nesting import descendants
from viewer.subject import Subject

#: Steps that bring a surface to its structure's volume; each leaves a few hundredths of the difference.
_STEPS = 4


@dataclass(frozen=True)
class Measure:
    """Size of a closed surface.

    Args:
        volume_mm3: enclosed volume (divergence theorem).
        area_mm2: area of the surface.
        closed: whether every edge joins two faces, so that the volume means something.
    """

    volume_mm3: float
    area_mm2: float
    closed: bool


def surface(fraction: np.ndarray, grid: Grid, blur: float = 0.7, smooth: int = 20) -> pv.PolyData:
    """The closed surface that encloses a structure's volume, points in LPS+ mm; empty where there is none.

    Args:
        fraction: share of each voxel `[z, y, x]` in [0, 1].
        grid: of `fraction`.
        blur: sd in voxels of the Gaussian on the field, which takes away the steps of coverage that ends at one voxel.
        smooth: steps of Taubin smoothing, which keeps the volume (doi 10.1145/218380.218473).
    """
    inside = fraction > 1e-3
    if not inside.any():
        return pv.PolyData()
    field, corner = _crop(fraction, inside, pad=1 + int(np.ceil(4 * blur)))
    mesh = _contour(field, blur)
    if not mesh.n_points:
        return mesh
    if smooth:
        mesh = mesh.smooth_taubin(n_iter=smooth, pass_band=0.1)
    mesh.points = grid.to_world(np.asarray(mesh.points) + corner).astype(np.float32)
    if np.linalg.det(grid.axes) < 0:
        mesh = mesh.flip_faces()
    return _filled_to(mesh, float(fraction.sum(dtype=np.float64)) * grid.voxel_volume, min(grid.spacing))


def _contour(field: np.ndarray, blur: float) -> pv.PolyData:
    """Where the blurred field is a half, points in voxels; what blurring would wipe out is not blurred."""
    blurred = gaussian_filter(field, blur, mode="constant") if blur else field
    image = pv.ImageData(dimensions=field.shape[::-1])
    image.point_data["fraction"] = (blurred if blurred.max() > 0.5 else field).ravel()
    mesh = image.contour([0.5], scalars="fraction", method="flying_edges")
    mesh.clear_data()
    return mesh


def _filled_to(mesh: pv.PolyData, volume_mm3: float, voxel_mm: float) -> pv.PolyData:
    """The surface moved along its normals, half a voxel at most in each step, so that it encloses `volume_mm3`.

    Contours of blurred fields lie inside where a structure bulges: a ball's radius shrinks by sd^2 / radius.
    """
    for _ in range(_STEPS):
        mesh = mesh.compute_normals(split_vertices=False, auto_orient_normals=False, consistent_normals=False)
        step = (volume_mm3 - to_trimesh(mesh).volume) / mesh.area
        mesh.points += np.clip(step, -0.5 * voxel_mm, 0.5 * voxel_mm) * mesh.point_data["Normals"]
    return mesh


def _crop(fraction: np.ndarray, inside: np.ndarray, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """The part of the field that holds the structure with zeros around it, and its first voxel (x, y, z)."""
    spans = []
    for axis in range(3):
        seen = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        spans.append((int(seen[0]), int(seen[-1]) + 1))
    part = fraction[tuple(slice(*span) for span in spans)].astype(np.float32)
    return np.pad(part, pad), np.array([start - pad for start, _ in reversed(spans)], float)


def surfaces(subject: Subject, hidden: frozenset[int] = frozenset()) -> dict[int, pv.PolyData]:
    """A surface for each label that is present, with what lies inside it filled in.

    Generated subjects have coverage, which gives smooth surfaces; label maps are blurred a little more.
    """
    meshes = {label: surface_of(subject, label) for label in subject.names if label not in hidden}
    return {label: mesh for label, mesh in meshes.items() if mesh.n_points}


def surface_of(subject: Subject, label: int) -> pv.PolyData:
    """The surface of one label, see `surfaces`; empty where it has none."""
    if subject.volume is not None:
        return surface(subject.volume.fraction(subject.names[label]).cpu().numpy(), subject.volume.grid)
    values = [*subject.values(label), *descendants(subject.parents, label)]
    inside = np.isin(np.asarray(subject.labels), values)
    return surface(inside.astype(np.float32), subject.grid, blur=1.0)


def to_trimesh(mesh: pv.PolyData) -> trimesh.Trimesh:
    """The same surface for trimesh, every point and face kept, so that what is closed stays closed."""
    return trimesh.Trimesh(np.asarray(mesh.points, float), mesh.triangulate().regular_faces, process=False)


def measure(mesh: pv.PolyData) -> Measure:
    """Volume and area of a surface."""
    solid = to_trimesh(mesh)
    return Measure(abs(float(solid.volume)), float(solid.area), bool(solid.is_watertight))
