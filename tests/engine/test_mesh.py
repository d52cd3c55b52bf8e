"""Meshes as organs: distances against analytic shapes, repairs, files that move or change, and what is refused."""

import numpy as np
import pytest
import trimesh

from engine.compile import compile_scene
from engine.errors import UserError
from engine.scene import Scene
from engine.shapes.mesh import Mesh
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of

BOX = (24.0, 18.0, 12.0)


def sphere(p):
    return np.linalg.norm(p, axis=1) - 12


def torus(p):
    return np.hypot(np.hypot(p[:, 0], p[:, 1]) - 11, p[:, 2]) - 4


def box(p):
    q = np.abs(p) - 0.5 * np.array(BOX)
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


SOLIDS = {
    "sphere.stl": (lambda: trimesh.creation.icosphere(subdivisions=5, radius=12), sphere),
    "torus.ply": (lambda: trimesh.creation.torus(11, 4, major_sections=128, minor_sections=64), torus),
    "box.obj": (lambda: trimesh.creation.box(BOX), box),
    "box.off": (lambda: trimesh.creation.box(BOX), box),
}
PLAIN = {"kind": "mesh", "material": "liver", "resolution": 48}
SCENE = """\
viscera: 1
name: meshes
grid: {{size: [40, 40, 40], spacing: [1, 1, 1]}}
structures:
  organ:
    kind: mesh
    material: liver
    resolution: 32
    {fields}
"""


def field_of(**fields):
    program, _ = compile_scene(scene_of({**PLAIN, **fields}))
    return (lambda points: program.evaluate(points, 0)), program.spans[0]


def written(folder, fields):
    """A scene file with one mesh in it."""
    path = folder / "scene.yaml"
    path.write_text(SCENE.format(fields=fields))
    return path


@pytest.fixture
def ball(tmp_path):
    path = tmp_path / "ball.stl"
    trimesh.creation.icosphere(subdivisions=4, radius=12).export(path)
    return path


@pytest.mark.parametrize("name", SOLIDS)
def test_against_the_analytic_shape(name, tmp_path):
    make, exact = SOLIDS[name]
    make().export(tmp_path / name)
    body = {**PLAIN, "file": str(tmp_path / name), "resolution": 64}
    field, span = field_of(**body)
    points = np.random.default_rng(0).uniform(-20, 20, (40_000, 3))
    off = field(points) - exact(points)
    step = Mesh(file=body["file"], resolution=64)._grid().step
    assert np.abs(off[np.abs(exact(points)) < 1]).max() < 0.5 * step
    assert off.max() < 0.7 * step  # far away, never much more than the distance: half a step, and what bends in a cell
    assert span.lipschitz < 1.8
    volume = voxelize(scene_of(body)).measure("s0")
    fine = (np.indices((160,) * 3).reshape(3, -1).T + 0.5) / 4 - 20
    assert volume == pytest.approx((exact(fine) < 0).sum() / 64, rel=0.01)


def test_holes_are_closed_by_flat_lids(tmp_path):
    whole = trimesh.creation.icosphere(subdivisions=4, radius=12)
    for height, name in ((11.0, "pierced.stl"), (0.0, "half.stl")):
        open_mesh = trimesh.Trimesh(whole.vertices, whole.faces[whole.triangles_center[:, 2] < height])
        assert not open_mesh.is_watertight
        open_mesh.export(tmp_path / name)
    cap = np.pi * 1.0**2 * (3 * 12 - 1) / 3
    volume = voxelize(scene_of({**PLAIN, "file": str(tmp_path / "pierced.stl")})).measure("s0")
    assert volume == pytest.approx(4 / 3 * np.pi * 12**3 - cap, rel=0.01)
    with pytest.raises(UserError, match=r"is not closed: 36% of its surface would have to be made up"):
        Scene.load(written(tmp_path, "file: half.stl"))


def test_faces_turned_at_random_are_turned_back(tmp_path):
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=12)
    turned = np.random.default_rng(0).random(len(mesh.faces)) < 0.3
    faces = np.where(turned[:, None], mesh.faces[:, ::-1], mesh.faces)
    trimesh.Trimesh(mesh.vertices, faces, process=False).export(tmp_path / "turned.ply")
    volume = voxelize(scene_of({**PLAIN, "file": str(tmp_path / "turned.ply")})).measure("s0")
    assert volume == pytest.approx(mesh.volume, rel=0.01)


def test_cavities_stay_and_overlapping_bodies_join(tmp_path):
    outer, inner = (trimesh.creation.icosphere(subdivisions=4, radius=r) for r in (12, 8))
    inner.invert()
    trimesh.util.concatenate([outer, inner]).export(tmp_path / "hollow.stl")
    wall = voxelize(scene_of({**PLAIN, "file": str(tmp_path / "hollow.stl")})).measure("s0")
    assert wall == pytest.approx(4 / 3 * np.pi * (12**3 - 8**3), rel=0.01)
    pair = [trimesh.creation.box((10, 10, 10)).apply_translation((x, 0, 0)) for x in (-2.5, 2.5)]
    pair[1].invert()
    scene = trimesh.Scene({"left": pair[0], "right": pair[1].apply_translation((8, 0, 0))})
    scene.export(tmp_path / "pair.glb")
    for part, volume in ((None, 2000), ("left", 1000)):
        body = {**PLAIN, "file": str(tmp_path / "pair.glb"), **({"part": part} if part else {})}
        assert voxelize(scene_of(body)).measure("s0") == pytest.approx(volume, rel=0.01)
    with pytest.raises(UserError, match="has no part 'rigth'; its parts: left, right"):
        Scene.load(written(tmp_path, "file: pair.glb\n    part: rigth"))


def test_units_and_the_file_s_own_origin(tmp_path):
    trimesh.creation.icosphere(subdivisions=4, radius=0.008).apply_translation((0.005, -0.003, 0.002)).export(
        tmp_path / "metres.stl"
    )
    body = {**PLAIN, "file": str(tmp_path / "metres.stl"), "unit_mm": 1000}
    for centre, middle in ((True, (0, 0, 0)), (False, (5, -3, 2))):
        field, span = field_of(**body, centre=centre)
        assert span.ball.centre == pytest.approx(middle, abs=1e-6)
        assert field(np.add(middle, [[7, 0, 0], [0, 0, 9]])) == pytest.approx([-1, 1], abs=0.05)


def test_paths_start_from_the_file_that_names_them(ball, tmp_path):
    organs = tmp_path / "organs"
    organs.mkdir()
    ball.rename(organs / "ball.stl")
    (organs / "organs.yaml").write_text(
        "structures:\n  organ: {kind: mesh, material: liver, file: ball.stl, resolution: 32}\n"
    )
    path = tmp_path / "scene.yaml"
    path.write_text(SCENE.partition("structures")[0].format() + "include: [organs/organs.yaml]\nstructures: {}\n")
    drawn = Scene.load(path).sample(0)
    elsewhere = tmp_path / "elsewhere" / "drawn.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(drawn.dump())
    assert (voxelize(Scene.load(elsewhere)).coverage == voxelize(drawn).coverage).all()
    # moved to another machine: the mesh is found beside the scene
    (organs / "ball.stl").rename(elsewhere.with_name("ball.stl"))
    assert voxelize(Scene.load(elsewhere)).measure("organ") == voxelize(drawn).measure("organ")


def test_a_changed_file_is_noticed(ball, tmp_path):
    path = tmp_path / "drawn.yaml"
    path.write_text(Scene.load(written(tmp_path, "file: ball.stl")).sample(0).dump())
    trimesh.creation.box((10, 10, 10)).export(ball)
    with pytest.raises(UserError, match=r"(?s)is not the one that the scene was drawn with.*drawn\.yaml:\d+:\d+"):
        Scene.load(path)


def test_a_draw_takes_one_of_several_files(ball, tmp_path):
    trimesh.creation.box((10, 10, 10)).export(tmp_path / "cube.stl")
    scene = Scene.load(written(tmp_path, "file: {choice: [ball.stl, cube.stl]}"))
    volumes = {round(voxelize(scene.sample(seed)).measure("organ"), -2) for seed in range(8)}
    assert volumes == {1000, 7200}
    with pytest.raises(UserError, match=r"cub\.stl' does not exist"):
        Scene.load(written(tmp_path, "file: {choice: [ball.stl, cub.stl]}"))


def nan_vertices(path):
    mesh = trimesh.creation.icosphere()
    mesh.vertices[3] = np.nan
    path.write_bytes(mesh.export(file_type="ply"))


WRONG = {
    "missing.stl": (lambda path: None, "does not exist"),
    "folder.stl": (lambda path: path.mkdir(), "cannot be read"),
    "notes.txt": (lambda path: path.write_text("a"), "its name must end in one of"),
    "broken.ply": (lambda path: path.write_text("ply\nnonsense"), "cannot be read as a mesh"),
    "points.obj": (lambda path: path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n"), "holds no faces|cannot be read"),
    "flat.obj": (lambda path: path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"), "is flat"),
    "nan.ply": (nan_vertices, "1 vertices that are no finite numbers"),
    "empty.stl": (lambda path: path.write_bytes(b""), "holds no faces|cannot be read"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_organ_are_refused_with_their_place(name, tmp_path):
    make, message = WRONG[name]
    make(tmp_path / name)
    with pytest.raises(UserError, match=message) as refused:
        Scene.load(written(tmp_path, f"file: {name}"))
    assert "scene.yaml:9:11" in str(refused.value)
    assert name in str(refused.value).splitlines()[0]


def test_walls_thinner_than_the_samples_are_refused(tmp_path):
    trimesh.creation.box((30, 30, 0.05)).export(tmp_path / "sheet.stl")
    scene = Scene.load(written(tmp_path, "file: sheet.stl"))
    with pytest.raises(UserError, match=r"thinner than a cell .* raise resolution"):
        voxelize(scene)
