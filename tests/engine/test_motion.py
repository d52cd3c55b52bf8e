"""Motion: exact displacement, no folding, the scene as drawn at phase 0, 4-D files that others read."""

from __future__ import annotations

import json
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from engine import nodes
from engine.compile import compile_scene
from engine.dataset import Request, generate
from engine.displacement import displacement
from engine.errors import UserError
from engine.generate import draw, moved
from engine.grid import Grid
from engine.motion.beating import Beating
from engine.motion.breathing import Breathing
from engine.scene import Scene
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of

nodes.discover()
MOTIONS = {name: cls.example() for name, cls in sorted(nodes.MOTIONS.items())}
motions = pytest.mark.parametrize("name", MOTIONS)
PHASE = 0.4

#: What moves: an organ, a lesion in it, something without end, something that stays.
BODIES = (
    {"kind": "slab", "axis": "y", "thickness": 60, "material": "fat"},
    {"kind": "ellipsoid", "radii": [14, 12, 18], "rotate": [20, 30, 0], "material": "liver"},
    {"kind": "sphere", "radius": 7, "at": [3, -2, 4], "material": "cyst", "inside": "s1"},
    {"kind": "tube", "points": [[0, 22, -60], [0, 22, 60]], "radius": 3, "material": "bone"},
)


def written(*which: str) -> list[dict]:
    return [{name: MOTIONS[name].model_dump(exclude_none=True)} for name in which]


def moving(*which: str, size: int = 64, **more) -> Scene:
    return scene_of(*BODIES, size=size, motion=written(*(which or MOTIONS)), **more)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2.0 * float((a & b).sum()) / float(a.sum() + b.sum())


def derivative(field: np.ndarray, spacing: float) -> np.ndarray:
    """D u `[z, y, x, 3, 3]` by central differences."""
    columns = [np.gradient(field, spacing, axis=2 - axis) for axis in range(3)]
    return np.stack(columns, -1)


def largest(matrices: np.ndarray) -> np.ndarray:
    """Spectral norms."""
    return np.sqrt(np.linalg.eigvalsh(matrices.swapaxes(-1, -2) @ matrices)[..., -1])


@motions
def test_phase_0_is_the_scene_as_drawn(name):
    scene = moving(name)
    plain = scene_of(*BODIES, size=64)
    for given in (scene, scene.at(0.0)):
        a, b = voxelize(given), voxelize(plain)
        assert torch.equal(a.top, b.top)
        assert torch.equal(a.coverage, b.coverage)
        assert a.displacement is None
    assert not displacement(scene).any()
    motion = MOTIONS[name]
    assert motion.stroke(0.0) == 0.0
    moments = np.linspace(0.0, 1.0, 2001)
    strokes = np.array([motion.wave(t) for t in moments])
    assert strokes.min() >= 0.0
    assert 1.0 - 1e-6 < strokes.max() <= 1.0
    assert abs(strokes[-1]) < 1e-5  # it closes,
    speed = np.diff(strokes) / np.diff(moments)
    assert abs(speed[0]) < 0.05  # without a jump or a kink
    assert abs(speed[-1]) < 0.2
    assert np.abs(np.diff(speed)).max() < 0.3


@motions
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_bounds_hold_and_nothing_folds(name, share):
    motion = MOTIONS[name]
    phase = next(t for t in np.linspace(0, 1, 1001) if motion.stroke(t) >= 0.999 * share)
    stroke = motion.stroke(phase)
    spacing = 1.3
    grid = Grid.centred((70, 70, 86), (spacing,) * 3)
    field = displacement(moving(name), grid, phase).cpu().numpy().astype(float)
    moved = np.linalg.norm(field, axis=-1)
    assert moved.max() <= motion.reach(stroke) * 1.0001
    assert moved.max() > 0.8 * motion.reach(stroke)
    change = derivative(field, spacing)[moved > 0.0]
    norm = largest(change)
    assert norm.max() <= motion.strain(stroke) + 1e-3
    assert norm.max() > 0.5 * motion.strain(stroke)  # no bound for the bound's sake
    whole = change + np.eye(3)
    assert largest(whole).max() <= motion.stretch(stroke) + 1e-3
    assert np.linalg.det(whole).min() > 0.2
    edge = np.ones(field.shape[:3], bool)
    edge[1:-1, 1:-1, 1:-1] = False
    assert not field[edge].any()


@motions
def test_fields_keep_their_bounds(name):
    scene = moving(name).at(PHASE)
    program, _ = compile_scene(scene)
    rng = np.random.default_rng(0)
    a = rng.uniform(-45, 45, (40_000, 3))
    b = a + rng.normal(size=a.shape) * rng.choice([0.05, 0.5, 5.0], (len(a), 1))
    run = np.linalg.norm((a - b).astype(np.float32), axis=1)
    for i, span in enumerate(program.spans):
        rise = np.abs(program.evaluate(a, i) - program.evaluate(b, i))
        assert (rise <= span.lipschitz * run * 1.002 + 2e-3).all()
        if np.isfinite(span.ball.radius):
            away = rng.normal(size=(20_000, 3))
            away *= span.ball.radius * rng.uniform(1, 2, (len(away), 1)) / np.linalg.norm(away, axis=1, keepdims=True)
            assert (program.evaluate(span.ball.centre + away, i) > 0).all()


def test_culled_equals_dense():
    scene = moving(size=37).at(PHASE)
    culled, dense = voxelize(scene), voxelize(scene, dense=True)
    for part in ("top", "under", "coverage"):
        assert torch.equal(getattr(culled, part), getattr(dense, part))


@pytest.mark.parametrize("which", [*[(name,) for name in MOTIONS], tuple(MOTIONS)])
def test_the_field_pulls_phase_0_to_the_phase(which):
    """Dice with what is voxelised at the phase, by SciPy's and ITK's resampling of what is voxelised at phase 0."""
    scene = moving(*which, size=72)
    fine = Grid.centred((144, 144, 144), (0.5, 0.5, 0.5))
    first, then = voxelize(scene, fine), voxelize(scene.at(PHASE))
    field = displacement(scene, phase=PHASE).cpu().numpy().astype(float)
    assert torch.equal(then.displacement, displacement(scene.at(PHASE)))
    grid = then.grid
    index = np.moveaxis(np.indices(grid.shape), 0, -1)[..., ::-1]
    source = np.moveaxis(fine.to_index(grid.to_world(index) + field)[..., ::-1], -1, 0)
    vectors = sitk.GetImageFromArray(field, isVector=True)
    vectors.SetSpacing(grid.spacing)
    vectors.SetOrigin(grid.origin)
    like = sitk.VectorIndexSelectionCast(vectors, 0)
    transform = sitk.DisplacementFieldTransform(vectors)
    moved = 0
    for name in ("s0", "s1", "s2", "s3"):
        # shares of voxels, so that the resampler sees where in a voxel the surface is
        share, wanted = (volume.fraction(name).numpy() for volume in (first, then))
        image = sitk.GetImageFromArray(share)
        image.SetSpacing(fine.spacing)
        image.SetOrigin(fine.origin)
        by_scipy = ndimage.map_coordinates(share, source, order=1, mode="nearest")
        by_itk = sitk.GetArrayFromImage(sitk.Resample(image, like, transform, sitk.sitkLinear))
        assert dice(by_scipy > 0.5, wanted > 0.5) >= 0.99
        inner = (slice(6, -6),) * 3  # what comes from outside the grid is nothing to ITK
        assert dice(by_itk[inner] > 0.5, wanted[inner] > 0.5) >= 0.99
        moved += dice(voxelize(scene).fraction(name).numpy() > 0.5, wanted > 0.5) < 0.9
    assert moved  # and without it they differ


def test_motions_act_in_order():
    """The first motion acts first: a field of two is the last one's, then the first one's at the point it leads to."""
    grid = Grid.centred((41, 41, 41), (2.0, 2.0, 2.0))
    one, two, both = (displacement(moving(*which), grid, PHASE).numpy() for which in
                      (("beating",), ("breathing",), ("beating", "breathing")))  # fmt: skip
    points = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)[..., ::-1])
    there = grid.to_index(points + two)[..., ::-1]
    follow = [ndimage.map_coordinates(one[..., k].astype(float), np.moveaxis(there, -1, 0), order=3) for k in range(3)]
    missed = np.abs(two + np.stack(follow, -1) - both).max(-1)
    assert np.quantile(missed[np.abs(both).max(-1) > 0], 0.99) < 0.03
    assert np.abs(one + two - both).max() > 1.0


def test_breathing_moves_as_it_says():
    motion = Breathing(amplitude=12, anterior=3, centre=(0, 0, 0), radii=(90, 80, 100), waveform=3,
                       still={"at": [0, 60], "radius": 10, "fade": 30})  # fmt: skip
    for t in (0.1, 0.25, 0.5, 0.8):  # Lujan: z0 - b cos^2n(pi t / tau - phi)
        assert motion.stroke(t) == pytest.approx(np.cos(np.pi * (t - 0.5)) ** 6, abs=1e-12)
    grid = Grid.centred((1, 81, 1), (2.0, 2.0, 2.0))
    scene = scene_of(BODIES[1], motion=[{"breathing": motion.model_dump()}])
    field = displacement(scene, grid, 0.5).numpy()[0, :, 0]
    y = grid.to_world(np.stack([np.zeros(81), np.arange(81), np.zeros(81)], -1))[:, 1]
    assert field[y == 0.0] == pytest.approx(np.array([[0, 0, 12.0]]))  # towards the feet: it came from above
    assert field[y == -40.0] == pytest.approx(np.array([[0, 3.0, 12.0]]), abs=1e-5)  # and forward: it came from behind
    assert not field[np.abs(y - 60) <= 10].any()
    assert not field[:, 0].any()


def test_cycles_repeat_a_motion():
    once, thrice = MOTIONS["beating"], MOTIONS["beating"].model_copy(update={"cycles": 3})
    for t in (0.05, 0.2, 0.31):
        assert thrice.stroke(t) == pytest.approx(once.stroke(3 * t % 1.0))
    assert thrice.stroke(1 / 3) == pytest.approx(0.0, abs=1e-9)


def test_a_beating_ventricle_ejects_and_its_wall_keeps_its_volume():
    """Ejection fraction 50-65 %; the wall thickens and keeps its volume to 5 %; the twist turns apex against base."""
    place = {"at": [4, -6, 2], "rotate": [0, 40, -30]}
    cavity = {"kind": "ellipsoid", "radii": [23, 23, 46], "material": "blood", **place}
    wall = {"kind": "ellipsoid", "radii": [33, 33, 56], "material": "heart_wall", **place}
    axis = np.array([np.sin(np.radians(40)) * np.cos(np.radians(-30)), np.sin(np.radians(40)) * np.sin(np.radians(-30)),
                     np.cos(np.radians(40))])  # fmt: skip
    beat = Beating(centre=(4, -6, 2), axis=tuple(axis), cavity=(23, 46), radii=(72, 115))
    scene = scene_of(wall, cavity, size=80, spacing=2.0, motion=[{"beating": beat.model_dump()}])
    rest, tight = voxelize(scene), voxelize(scene.at(beat.systole))
    ejected = 1.0 - tight.measure("s1") / rest.measure("s1")
    assert 0.5 < ejected < 0.65
    assert tight.measure("s0") / rest.measure("s0") == pytest.approx(1.0, abs=0.05)
    # wall thickness across the middle, along a line through the axis
    across = np.cross(axis, [0, 1, 0]) / np.linalg.norm(np.cross(axis, [0, 1, 0]))
    r = np.linspace(0, 60, 601)

    def thickness(volume):
        index = volume.grid.to_index(np.asarray(beat.centre) + r[:, None] * across)[:, ::-1]
        share = volume.fraction("s0", children=False).numpy().astype(float)
        return 0.1 * ndimage.map_coordinates(share, index.T, order=1).sum()

    assert thickness(rest) == pytest.approx(10.0, abs=0.5)
    assert 1.25 < thickness(tight) / thickness(rest) < 1.7
    # seen from the apex, looking along the axis, the apex turns counter-clockwise: against the axis' right-hand sense
    points = np.asarray(beat.centre) + np.array([-30.0, 30.0])[:, None] * axis + 12.0 * across
    grid = scene.grid.grid()
    field = displacement(scene, grid, beat.systole).numpy().astype(float)
    index = grid.to_index(points)[:, ::-1].T
    came = np.stack([ndimage.map_coordinates(field[..., k], index, order=1) for k in range(3)], -1)
    forward = -came @ np.cross(axis, across)
    assert forward[0] < -0.3
    assert forward[1] > 0.3


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"breathing": {"amplitude": 60, "centre": [0, 0, 0], "radii": [50, 50, 50]}}, "would fold.*reduce amplitude"),
        ({"beating": {"centre": [0, 0, 0], "axis": [0, 0, 1], "cavity": [20, 40], "radii": [25, 45]}}, "would fold"),
        ({"beating": {"centre": [0, 0, 0], "axis": [0, 0, 0], "cavity": [20, 40], "radii": [80, 120]}}, "axis is"),
        ({"breathing": {"amplitud": 6, "centre": [0, 0, 0], "radii": [50, 50, 50]}}, "did you mean 'amplitude'"),
        ({}, "each entry of motion holds one motion"),
    ],
)
def test_motions_that_cannot_be_are_refused_where_they_stand(body, says, tmp_path):
    scene = {"viscera": 1, "name": "a", "grid": {"size": [8, 8, 8], "spacing": [4, 4, 4]}, "motion": [body],
             "structures": {"s": {"kind": "sphere", "radius": 9, "material": "liver"}}}  # fmt: skip
    (tmp_path / "a.yaml").write_text(json.dumps(scene, indent=1))
    with pytest.raises(UserError, match=f"(?s){says}"):
        Scene.load(tmp_path / "a.yaml")


def test_what_is_drawn_is_checked_too():
    varying = {"amplitude": {"uniform": [200, 201]}, "centre": [0, 0, 0], "radii": [50, 50, 50]}
    with pytest.raises(UserError, match=r"motion\.0.*would fold"):
        scene_of(BODIES[1], motion=[{"breathing": varying}]).sample(0)


def test_a_saved_phase_gives_the_sample_again(tmp_path):
    body = {**MOTIONS["breathing"].model_dump(exclude_none=True), "amplitude": {"uniform": [2, 4]}}
    lesions = {"kind": "sphere", "radius": 2, "material": "cyst", "inside": "s1",
               "scatter": {"region": "s1", "count": 2}}  # fmt: skip
    scene = scene_of(*BODIES[:2], lesions, size=32, spacing=2.5, motion=[{"breathing": body}])
    drawn = scene.sample(3)
    assert isinstance(drawn.motion[0].node.amplitude, float)
    (tmp_path / "then.yaml").write_text(drawn.at(PHASE).dump())
    again = draw(Scene.load(tmp_path / "then.yaml"), 9, 9, ["ct"])
    sample = draw(drawn.at(PHASE), 0, 0, ["ct"])
    assert again.scene.phase == PHASE
    assert torch.equal(again.volume.top, sample.volume.top)
    assert torch.equal(again.images["ct"].data, sample.images["ct"].data)
    assert scene.at(PHASE).sample(3) == drawn.at(PHASE)  # copies are scattered where they are at phase 0


def test_tissue_keeps_its_texture_and_scans_get_noise_of_their_own():
    quiet = moving("breathing", size=40, acquire=[{"modality": "ct", "noise_hu": 0, "kernel": "bone"}])
    first, then = (draw(scene, 0, 0, ["ct"]) for scene in (quiet, quiet.at(0.5)))
    field = then.volume.displacement.numpy().astype(float)
    organ = ndimage.binary_erosion((then.volume.labels() == 2).numpy(), iterations=3)
    index = np.moveaxis(np.indices(organ.shape), 0, -1) + np.rint(field[..., ::-1]).astype(int)
    a, b = first.images["ct"].data.numpy(), then.images["ct"].data.numpy()
    carried = a[tuple(np.moveaxis(index[organ], -1, 0))]
    assert np.corrcoef(carried, b[organ])[0, 1] > 0.75
    assert np.corrcoef(a[organ], b[organ])[0, 1] < 0.5
    air = {"kind": "sphere", "radius": 3, "material": "water"}
    noisy = scene_of(air, size=24, motion=written("breathing"), acquire=[{"modality": "ct", "noise_hu": 40}])
    images = [draw(noisy.at(t), 0, 0, ["ct"]).images["ct"].data.numpy()[:4] for t in (0.0, 0.25, 0.5)]
    residual = [image - image.mean() for image in images]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert abs(np.corrcoef(residual[i].ravel(), residual[j].ravel())[0, 1]) < 0.1


def test_a_phase_of_a_cycle_is_the_moment_drawn_by_itself():
    first = draw(moving("breathing", size=32), 0, 0)
    for phase in (0.25, 0.5):
        one, other = moved(first, phase), draw(first.scene.at(phase), 0, 0)
        assert torch.equal(one.volume.top, other.volume.top)
        assert list(one.images) == list(other.images)
        assert all(torch.equal(one.images[name].data, other.images[name].data) for name in one.images)
    again = moved(moved(first, 0.5), 0.0)
    assert all(torch.equal(again.images[name].data, first.images[name].data) for name in first.images)


def test_speckle_breathes_with_the_organ():
    quiet = {"modality": "us", "noise_db": -300, "dynamic_range_db": 90}
    breath = {"breathing": {"amplitude": 6, "anterior": 2, "centre": [0, 0, 0], "radii": [30, 30, 40], "core": 0.6}}
    organ = {"kind": "ellipsoid", "radii": [12, 12, 14], "material": "liver"}
    scene = scene_of(BODIES[0], organ, size=80, spacing=0.8, motion=[breath], acquire=[quiet])
    first = draw(scene, 0, 0, ["us"])
    then = moved(first, 0.5)
    field = then.volume.displacement.cpu().numpy()
    assert np.abs(field[..., 2]).max() > 5
    a, b = (sample.images["us"].data.cpu().numpy() for sample in (first, then))
    inner = ndimage.binary_erosion((then.volume.labels() == 2).cpu().numpy(), iterations=2)
    index = np.indices(inner.shape) + np.moveaxis(field[..., ::-1], -1, 0) / 0.8
    warped = ndimage.map_coordinates(a, index, order=1)
    along, in_place = (np.corrcoef(image[inner], b[inner])[0, 1] for image in (warped, a))
    assert along > 0.5 > 0.2 > in_place


@pytest.fixture
def request_of(tmp_path):
    # off the axes' symmetry, so that swapped axes would show
    scene = scene_of(*BODIES[:3], size=32, spacing=2.0, motion=written(*MOTIONS))
    grid = {"size": (32, 30, 28), "spacing": (2.0, 2.0, 2.5)}
    scene = Scene.model_validate({**scene.model_dump(exclude_unset=True), "grid": grid})
    return Request((scene,), tmp_path / "out", modalities=("ct",), phases=4)


def contents(folder) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def test_phases_in_files(request_of, tmp_path):
    generate(request_of)
    out = request_of.out
    drawn = Scene.load(out / "scenes/test_0000.yaml")
    labels = nib.load(out / "phases/test_0000_labels.nii.gz")
    images = nib.load(out / "phases/test_0000_0000.nii.gz")
    assert images.shape == labels.shape == (32, 30, 28, 4)
    assert images.header.get_zooms() == pytest.approx((2.0, 2.0, 2.5, 0.25))
    np.testing.assert_array_equal(images.affine, nib.load(out / "imagesTr/test_0000_0000.nii.gz").affine)
    for folder, stack in (("labelsTr/test_0000.nii.gz", labels), ("imagesTr/test_0000_0000.nii.gz", images)):
        single = np.asarray(nib.load(out / folder).dataobj)
        np.testing.assert_array_equal(np.asarray(stack.dataobj)[..., 0], single)
    for t in range(4):
        moment = draw(drawn.at(t / 4), 0, 0, ["ct"])
        np.testing.assert_array_equal(np.asarray(labels.dataobj)[..., t].T, moment.volume.labels().numpy())
        np.testing.assert_array_equal(
            np.asarray(images.dataobj)[..., t].T, np.rint(moment.images["ct"].data.numpy()).astype(np.int16)
        )
    plain = replace(request_of, out=tmp_path / "plain", phases=0)
    generate(plain)
    whole = contents(out)
    assert {name: data for name, data in contents(plain.out).items() if name != "dataset.json"}.items() <= whole.items()
    assert json.loads(whole["dataset.json"])["viscera"]["settings"]["phases"] == 4
    with pytest.raises(UserError, match="phases: 4 there, nothing asked for"):
        generate(replace(request_of, phases=0))
    (out / "scenes/test_0000.yaml").unlink()  # as a kill before the last step leaves it
    generate(request_of)
    assert contents(out) == whole


def test_itk_takes_the_displacement_as_it_is(request_of):
    """SimpleITK's reading of the files, with nothing turned or rescaled, warps phase 0's labels to phase t's."""
    generate(request_of)
    fields = sitk.ReadImage(str(request_of.out / "displacement/test_0000.nii.gz"))
    labels = sitk.ReadImage(str(request_of.out / "phases/test_0000_labels.nii.gz"))
    assert nib.load(request_of.out / "displacement/test_0000.nii.gz").header.get_intent()[0] == "vector"
    assert fields.GetSize() == (32, 30, 28, 4)
    assert fields.GetNumberOfComponentsPerPixel() == 3
    first = labels[:, :, :, 0]
    for t in (1, 2, 3):
        transform = sitk.DisplacementFieldTransform(sitk.Cast(fields[:, :, :, t], sitk.sitkVectorFloat64))
        pulled = sitk.GetArrayFromImage(sitk.Resample(first, first, transform, sitk.sitkNearestNeighbor))
        wanted = sitk.GetArrayFromImage(labels[:, :, :, t])
        rest = dice(sitk.GetArrayFromImage(first) == 2, wanted == 2)
        assert dice(pulled == 2, wanted == 2) > max(0.88, rest)  # voxels of 2 mm, to the nearest
        exact = displacement(Scene.load(request_of.out / "scenes/test_0000.yaml"), phase=t / 4)
        np.testing.assert_array_equal(sitk.GetArrayFromImage(fields[:, :, :, t]), exact.cpu().numpy())


def test_a_scene_without_motion_has_no_phases(request_of):
    still = scene_of(BODIES[1], size=8)
    with pytest.raises(UserError, match="nothing moves in scene 'test'; add `motion`"):
        generate(replace(request_of, scenes=(still,)))
    with pytest.raises(UserError, match="a cycle has 2 or more"):
        generate(replace(request_of, phases=1))
    assert not request_of.out.exists()
