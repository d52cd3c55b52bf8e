"""Projection and reconstruction against astra-toolbox, and noise against scikit-image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine import peers
from engine.device import device
from engine.grid import Grid
from engine.random import Stream
from engine.render.ct import CT
from engine.render.ct.backproject import backproject, filtered
from engine.render.ct.geometry import Rays
from engine.render.ct.project import LANES, project
from engine.tissue import Material, resolve
from tests.engine.phantoms import build, cylinder
from tests.engine.test_ct_projection import eight, ellipse
from tests.oracles import package

astra = package("astra")

N = 192
RAYS = {"parallel": Rays(180, 287, 1.0, None), "fan": Rays(360, 360, 1.0, 570.0)}
#: astra's projector of the same method.
PROJECTOR = {"parallel": "linear", "fan": "line_fanflat"}


def bodies() -> np.ndarray:
    """A slice with edges of every direction and values of both signs around 1."""
    parts = [(1.0, 80, 60, (0, 0)), (0.6, 12, 8, (40, -10)), (-0.9, 20, 14, (-30, 12)), (1.5, 5, 5, (5, 40))]
    return sum(value * ellipse(N, (1.0, 1.0), a, b, centre) for value, a, b, centre in parts)


def geometry(rays: Rays):
    """astra's geometry of our rays. Its rows run downwards, so that images are turned over."""
    if rays.source_mm is None:
        return astra.create_proj_geom("parallel", rays.pitch_mm, rays.detectors, rays.angles())
    return astra.create_proj_geom("fanflat", rays.pitch_mm, rays.detectors, rays.angles(), rays.source_mm, 0.0)


def astras_projections(image: np.ndarray, rays: Rays, kind: str) -> np.ndarray:
    projector = astra.create_projector(kind, geometry(rays), astra.create_vol_geom(*image.shape))
    number, found = astra.create_sino(np.ascontiguousarray(image[::-1]), projector)
    astra.data2d.delete(number)
    astra.projector.delete(projector)
    return found


def astras_image(paths: np.ndarray, rays: Rays, n: int, window: str = "Ram-Lak") -> np.ndarray:
    volume = astra.create_vol_geom(n, n)
    projector = astra.create_projector("linear", geometry(rays), volume)
    read, made = astra.data2d.create("-sino", geometry(rays), paths), astra.data2d.create("-vol", volume)
    recipe = astra.astra_dict("FBP") | {
        "ProjectorId": projector,
        "ProjectionDataId": read,
        "ReconstructionDataId": made,
        "option": {"FilterType": window},
    }
    algorithm = astra.algorithm.create(recipe)
    astra.algorithm.run(algorithm)
    image = astra.data2d.get(made)[::-1]
    astra.clear()
    return image


def our_image(paths: np.ndarray, rays: Rays, n: int, shape: str) -> np.ndarray:
    lanes = torch.from_numpy(np.ascontiguousarray(paths, np.float32)).to(device())[..., None].repeat(1, 1, LANES)
    return backproject(filtered(lanes, rays, shape, False), (n, n), (1.0, 1.0), rays)[0].cpu().numpy()


def rms(values: np.ndarray) -> float:
    return float(np.sqrt((np.asarray(values, float) ** 2).mean()))


@pytest.mark.parametrize("beam", RAYS)
def test_line_integrals(beam: str) -> None:
    rays, image = RAYS[beam], bodies()
    still = torch.zeros(rays.views, 2, device=device())
    ours = project(eight(image), (1.0, 1.0), rays, still)[..., 3].cpu().numpy()
    theirs = astras_projections(image, rays, PROJECTOR[beam])
    hit = theirs > 1.0
    assert ours[hit].mean() == pytest.approx(theirs[hit].mean(), rel=0.0005)
    assert rms((ours - theirs)[hit]) < 0.005 * theirs.max()


@pytest.mark.parametrize(
    ("shape", "window"), [("ram-lak", "Ram-Lak"), ("shepp-logan", "Shepp-Logan"), ("hann", "Hann")]
)
def test_reconstruction_of_the_same_projections(shape: str, window: str) -> None:
    rays = RAYS["parallel"]
    paths = astras_projections(bodies(), rays, "linear")
    ours, theirs = our_image(paths, rays, N, shape), astras_image(paths, rays, N, window)
    x = np.arange(N) - (N - 1) / 2
    inside = (x[None] / 80) ** 2 + (x[:, None] / 60) ** 2 < 0.9
    assert ours[inside].mean() == pytest.approx(theirs[inside].mean(), rel=0.002)
    assert rms((ours - theirs)[inside]) < 0.02
    flat = inside & (np.hypot(x[None] - 10, x[:, None] + 30) < 15)
    assert ours[flat].mean() == pytest.approx(1.0, abs=0.002)


def test_a_scan_of_water_and_its_insert() -> None:
    """A noiseless parallel scan by the whole renderer against astra's reconstruction of its own projections."""
    insert = resolve(Material(hu=300), name="insert")
    grid = Grid.centred((N, N, 1), (1.0, 1.0, 3.0))
    volume = build(cylinder("water", (0, 0), 80), cylinder(insert, (30, 10), 15), grid=grid, background="air")
    scanner = {"geometry": "parallel", "views": 360, "detector_mm": 1.0, "window": "shepp-logan"}
    protocol = CT.model_validate({"fidelity": "projection", "noise_hu": 0, "scanner": scanner})
    ours = protocol.render(volume, Stream.of(1)).data[0].cpu().numpy()
    number = (ellipse(N, (1.0, 1.0), 80, 80) + 0.3 * ellipse(N, (1.0, 1.0), 15, 15, (30, 10))).astype(np.float32)
    rays = Rays(360, 287, 1.0, None)
    theirs = 1000.0 * (astras_image(astras_projections(number, rays, "linear"), rays, N, "Shepp-Logan") - 1.0)
    x = np.arange(N) - (N - 1) / 2
    r, near = np.hypot(x[None], x[:, None]), np.hypot(x[None] - 30, x[:, None] - 10)
    for where in (near < 11, (r < 70) & (near > 20)):
        assert ours[where].mean() == pytest.approx(theirs[where].mean(), abs=2.0)
        assert rms((ours - theirs)[where]) < 6.0


def test_noise_has_the_sd_of_the_same_interpolation() -> None:
    """White projections, back-projected with linear interpolation between detectors by both."""
    transform = package("skimage.transform")
    n, rays = 129, Rays(180, 129, 1.0, None)
    x = np.arange(n) - n // 2
    disc = np.hypot(x[None], x[:, None]) < 40
    white = np.random.default_rng(0).standard_normal((rays.views, rays.detectors)).astype(np.float32)
    ours = our_image(white, rays, n, "ram-lak")
    theirs = transform.iradon(white.T, theta=-np.degrees(rays.angles()), filter_name="ramp", interpolation="linear")
    assert ours[disc].std() == pytest.approx(theirs[disc].std(), rel=0.05)
    assert rms((ours - theirs)[disc]) < 0.02 * ours[disc].std()


@pytest.mark.parametrize("beam", peers.BEAMS)
def test_benchmarks_compare_the_same_work(beam: str) -> None:
    ours, theirs = (work() for work in peers.projections(beam))
    found = ours.cpu().numpy().transpose(2, 0, 1)
    assert np.abs(found - theirs).mean() < 0.005 * theirs.mean()
