"""From voxels to pixels: windows, slices in radiological orientation, label overlays, montages and PNG files.

Pure functions of arrays. Planes expect arrays `[z, y, x]` on LPS+ axes (`upright` brings others there). On the screen
the patient's right is left, anterior is up (axial) or left (sagittal), superior is up (coronal, sagittal).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from engine.atomic import replacing
from engine.errors import UserError
from engine.grid import Grid

Axis = Literal["axial", "coronal", "sagittal"]
Window = tuple[float, float]  # (low, high): black at low, white at high

PLANES: tuple[Axis, ...] = ("axial", "coronal", "sagittal")

#: Patient directions at the left, right, top and bottom edge of each plane's picture.
LETTERS: dict[Axis, str] = {"axial": "RLAP", "coronal": "RLSI", "sagittal": "APSI"}

#: Presets by modality as radiologists write them: (width, level), in the image's unit; the first is the default.
WINDOWS: dict[str, dict[str, tuple[float, float]]] = {
    "ct": {
        "abdomen": (400.0, 40.0),
        "liver": (150.0, 60.0),
        "mediastinum": (350.0, 50.0),
        "lung": (1400.0, -500.0),
        "bone": (1000.0, 400.0),
        "brain": (80.0, 40.0),
        "full": (3000.0, 500.0),
    },
    "us": {"full": (255.0, 127.5), "bright": (160.0, 80.0)},
}

#: Where no unit is fixed (MR), presets are percentiles of the foreground.
PERCENTILES: dict[str, tuple[float, float]] = {"auto": (0.5, 99.5), "bright": (0.5, 95.0), "full": (0.0, 100.0)}

#: How pictures call each modality.
TITLES = {"ct": "CT", "mr": "MR", "us": "Ultrasound", "labels": "Labels", "organs": "Organs"}

BACKGROUND = (13, 16, 20)
INK = (214, 221, 228)


def windows(data: np.ndarray, modality: str) -> dict[str, Window]:
    """Every preset of `modality` as (low, high) for this image; the first is the default.

    Args:
        data: the image, any shape; values that are not finite are ignored.
        modality: `ct`, `us`; any other (`mr`) is windowed by percentiles of its foreground.
    """
    if modality in WINDOWS:
        return {name: (level - width / 2, level + width / 2) for name, (width, level) in WINDOWS[modality].items()}
    values = _foreground(data)
    return {name: _spread(*np.percentile(values, ends)) for name, ends in PERCENTILES.items()}


def window_of(data: np.ndarray, modality: str) -> Window:
    """The default window (low, high) of an image; see `windows`."""
    return next(iter(windows(data, modality).values()))


def _foreground(data: np.ndarray, most: int = 1_000_000) -> np.ndarray:
    """Values above 5 % of the image's robust range: without air, which would drag the percentiles down."""
    values = np.asarray(data).ravel()
    values = values[:: max(1, values.size // most)]
    values = values[np.isfinite(values)].astype(np.float64)
    if not values.size:
        return np.array([0.0, 1.0])
    low, high = np.percentile(values, (0.5, 99.5))
    chosen = values[values > low + 0.05 * (high - low)]
    return chosen if chosen.size else values


def _spread(low: float, high: float) -> Window:
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)


def grey(slice2d: np.ndarray, window: Window) -> np.ndarray:
    """Grey values uint8 `[h, w]`: `window` (low, high) mapped linearly to 0..255 and clipped; NaN is black."""
    low, high = window
    scaled = (np.asarray(slice2d, np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.rint(np.minimum(np.fmax(scaled, 0.0), 255.0)).astype(np.uint8)


def rgb_of(color: str) -> tuple[int, int, int]:
    """Red, green and blue (0..255) of `#rrggbb`."""
    digits = color.removeprefix("#")
    if len(digits) != 6 or any(d not in "0123456789abcdefABCDEF" for d in digits):
        raise UserError(f"color '{color}' is not a colour; write it as '#rrggbb'")
    return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:], 16)


def overlay(
    grey_u8: np.ndarray,
    labels2d: np.ndarray,
    colors: Mapping[int, str],
    opacity: float = 0.35,
    outline: bool = True,
) -> np.ndarray:
    """A grey picture with labels laid over it, uint8 `[h, w, 3]`.

    Args:
        grey_u8: `[h, w]` uint8, or `[h, w, 3]` to lay further labels over a colour picture.
        labels2d: `[h, w]` integers, 0 for background.
        colors: `#rrggbb` per label; labels without a colour are not drawn.
        opacity: of the fill, 0..1.
        outline: draw each label's border, 1 px wide and opaque, inside the label.
    """
    if grey_u8.shape[:2] != labels2d.shape:
        raise ValueError(f"picture {grey_u8.shape[:2]} and labels {labels2d.shape} differ in shape")
    values, rank = _ranked(labels2d)
    drawn = np.array([value != 0 and value in colors for value in values])
    tints = np.array([rgb_of(colors[v]) if on else (0, 0, 0) for v, on in zip(values, drawn, strict=True)], np.float32)
    shares = drawn.astype(np.float32) * np.float32(opacity)
    if grey_u8.ndim == 2:  # one look into a table of every label on every grey
        greys = np.arange(256, dtype=np.float32)[:, None]
        table = np.zeros((len(values), 256, 4), np.uint8)
        table[..., :3] = np.rint(greys + (tints[:, None] - greys) * shares[:, None, None])
        out = table.view(np.uint32).ravel()[rank * 256 + grey_u8].view(np.uint8).reshape(*rank.shape, 4)[..., :3]
        out = np.ascontiguousarray(out)
    else:
        out, on = grey_u8.copy(), drawn[rank]
        under, tint = out[on].astype(np.float32), tints[rank[on]]
        out[on] = np.rint(under + (tint - under) * shares[rank[on]][:, None])
    if outline:
        border = outlines(labels2d) & drawn[rank]
        out[border] = tints[rank[border]]
    return out


def _ranked(labels2d: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Label values, and each pixel's place among them, intp `[h, w]`."""
    if labels2d.size and labels2d.min() >= 0 and labels2d.max() < 1024:  # no need to sort
        return list(range(int(labels2d.max()) + 1)), labels2d.astype(np.intp)
    values, rank = np.unique(labels2d, return_inverse=True)
    return values.tolist(), rank.reshape(labels2d.shape)


def outlines(labels2d: np.ndarray) -> np.ndarray:
    """Boolean `[h, w]`: labelled pixels with a 4-neighbour of another label; the picture's edge is no border."""
    border = np.zeros(labels2d.shape, bool)
    down = labels2d[1:] != labels2d[:-1]
    across = labels2d[:, 1:] != labels2d[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= across
    border[:, :-1] |= across
    return border & (labels2d != 0)


def upright(array: np.ndarray, grid: Grid) -> tuple[np.ndarray, Grid]:
    """The array and grid with axes permuted and flipped so that x, y, z run nearest to left, posterior, superior.

    No value is interpolated: an oblique grid stays oblique and is shown in its own axes.
    """
    cosines = np.asarray(grid.direction, float).reshape(3, 3)
    order = _nearest_axes(cosines)  # order[w] is the voxel axis that runs along world axis w
    flipped = [cosines[world, voxel] < 0 for world, voxel in enumerate(order)]
    corner = np.zeros(3)
    for voxel, flip in zip(order, flipped, strict=True):
        corner[voxel] = grid.size[voxel] - 1 if flip else 0
    signs = np.where(flipped, -1.0, 1.0)
    direction = tuple(float(v) for v in (cosines[:, order] * signs).ravel())
    turned = np.transpose(array, [2 - order[w] for w in (2, 1, 0)])
    turned = turned[tuple(slice(None, None, -1 if flipped[w] else 1) for w in (2, 1, 0))]
    size = tuple(grid.size[v] for v in order)
    spacing = tuple(grid.spacing[v] for v in order)
    origin = tuple(float(v) for v in grid.to_world(corner))
    return turned, Grid(size, spacing, origin, direction)  # type: ignore[arg-type]


def _nearest_axes(cosines: np.ndarray) -> list[int]:
    """For each world axis the voxel axis nearest to it, each used once, the clearest match first."""
    left = np.abs(cosines).copy()
    order = [0, 0, 0]
    for _ in range(3):
        world, voxel = np.unravel_index(int(np.argmax(left)), left.shape)
        order[int(world)] = int(voxel)
        left[world, :] = left[:, voxel] = -1.0
    return order


def slice_of(array: np.ndarray, axis: Axis, index: int) -> np.ndarray:
    """One slice of `[z, y, x]` as a 2-D view in radiological orientation.

    Args:
        array: on LPS+ axes.
        axis: `axial` (`index` counts z; rows run to posterior), `coronal` (y) or `sagittal` (x; columns run to
            posterior).
        index: of the slice, clamped to the array.
    """
    along = PLANES.index(axis)
    index = min(max(int(index), 0), array.shape[along] - 1)
    chosen = np.take(array, index, axis=along) if along else array[index]
    return chosen if axis == "axial" else chosen[::-1]


def slice_spacing(spacing: Sequence[float], axis: Axis) -> tuple[float, float]:
    """(row, column) spacing in mm of a slice from a grid's (x, y, z) spacing."""
    x, y, z = spacing
    return {"axial": (y, x), "coronal": (z, x), "sagittal": (z, y)}[axis]


def square(slice2d: np.ndarray, spacing: tuple[float, float], pixel_mm: float | None = None) -> np.ndarray:
    """A slice resampled to square pixels, with linear interpolation (averaged where it shrinks), float32 `[h, w]`.

    Args:
        slice2d: `[rows, columns]`.
        spacing: (row, column) in mm.
        pixel_mm: edge of the square pixels; the finer of the two spacings unless given.
    """
    values = np.ascontiguousarray(slice2d, dtype=np.float32)
    size = square_size(values.shape, spacing, pixel_mm)
    return np.asarray(Image.fromarray(values).resize(size, Image.Resampling.BILINEAR))


def square_size(shape: tuple[int, ...], spacing: tuple[float, float], pixel_mm: float | None) -> tuple[int, int]:
    """(width, height) in pixels, as Pillow wants it."""
    edge = pixel_mm or min(spacing)
    return max(1, round(shape[1] * spacing[1] / edge)), max(1, round(shape[0] * spacing[0] / edge))


@functools.lru_cache(maxsize=64)
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans (shipped with matplotlib, so present everywhere and rich in scripts) at `size` pixels."""
    import matplotlib

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)), size)


def montage(
    tiles: Sequence[np.ndarray],
    captions: Sequence[str] = (),
    columns: int | None = None,
    gap: int = 8,
    text_px: int = 14,
) -> np.ndarray:
    """Tiles in rows on a dark ground, each with its caption below, uint8 `[h, w, 3]`.

    Args:
        tiles: uint8 `[h, w]` or `[h, w, 3]`; cells are as large as the largest, smaller tiles are centred.
        captions: one for each tile, or none at all.
        columns: tiles in a row; all in one row unless given.
        gap: pixels between tiles and around them.
        text_px: height of the captions.
    """
    if not tiles or (captions and len(captions) != len(tiles)):
        raise ValueError(f"{len(tiles)} tiles with {len(captions)} captions")
    columns = columns or len(tiles)
    wide, high = max(t.shape[1] for t in tiles), max(t.shape[0] for t in tiles)
    foot = text_px + 10 if captions else 0
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (gap + columns * (wide + gap), gap + rows * (high + foot + gap)), BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    for i, tile in enumerate(tiles):
        left, top = gap + (i % columns) * (wide + gap), gap + (i // columns) * (high + foot + gap)
        corner = (left + (wide - tile.shape[1]) // 2, top + (high - tile.shape[0]) // 2)
        sheet.paste(Image.fromarray(tile).convert("RGB"), corner)
        if captions:
            place = (left + wide / 2, top + high + foot / 2)
            draw.text(place, captions[i], INK, font(text_px), anchor="mm")
    return np.asarray(sheet)


def write_png(path: str | Path, array: np.ndarray) -> Path:
    """Write uint8 `[h, w]`, `[h, w, 3]` or `[h, w, 4]` as PNG, whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: pictures are written as PNG; name the file .png")
    with replacing(path) as partial:
        Image.fromarray(np.ascontiguousarray(array, dtype=np.uint8)).save(partial, format="PNG")
    return path
