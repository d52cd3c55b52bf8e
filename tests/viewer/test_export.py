"""Organs as mesh files: closed, named, coloured, of the right volume, and the same organs when read again."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

import viscera
from engine.errors import UserError
from engine.voxelize import voxelize
from tests.engine.scenes import scene_of
from viewer.export import export_meshes

ORGANS = {
    "sphere": {"kind": "sphere", "radius": 12},
    "blob": {"kind": "blob", "radius": 17, "roughness": 0.6, "seed": 4},
    "shell": {"kind": "ellipsoid", "radii": [20, 16, 18], "deform": [{"shell": {"thickness": 5}}]},
    "pair": {"kind": "sphere", "radius": 9, "at": [14, 0, 0], "mirror": {"axis": "x"}},
    "cut": {"kind": "sphere", "radius": 20, "at": [24, 0, 0]},
}
SPACING = 1.5


@pytest.mark.parametrize("name", ORGANS)
@pytest.mark.parametrize("form", ["ply", "stl", "glb"])
def test_surfaces_are_closed_and_hold_the_voxels_volume(name, form, tmp_path):
    volume = voxelize(scene_of({**ORGANS[name], "color": "#8a4fa0"}, size=36, spacing=SPACING))
    done = export_meshes(volume, tmp_path, form)
    mesh = trimesh.load_mesh(done.files["s0"])
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(volume.measure("s0"), rel=0.01)
    assert mesh.volume == pytest.approx(1000 * done.volumes_ml["s0"], rel=1e-4)
    assert mesh.body_count == (2 if name in ("pair", "shell") else 1)
    if form != "stl":
        assert tuple(mesh.visual.vertex_colors[0][:3]) == (0x8A, 0x4F, 0xA0)


@pytest.mark.parametrize("form", ["glb", "stl"])
@pytest.mark.parametrize("name", ["blob", "shell"])
def test_read_again_they_are_the_same_organs(name, form, tmp_path):
    scene = scene_of(ORGANS[name], size=36, spacing=SPACING)
    volume = voxelize(scene)
    body = {"kind": "mesh", "centre": False, "resolution": 64}
    again = voxelize(
        scene_of({**body, "file": str(export_meshes(volume, tmp_path, form).files["s0"])}, size=36, spacing=SPACING)
    )
    a, b = volume.mask("s0"), again.mask("s0")
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.98
    assert again.measure("s0") == pytest.approx(volume.measure("s0"), rel=0.01)


def test_a_parent_holds_its_children_and_glb_has_a_node_for_each(volume, tmp_path):
    done = export_meshes(volume, tmp_path, "glb")
    (path,) = set(done.files.values())
    scene = trimesh.load_scene(path)
    assert set(scene.graph.nodes_geometry) == {"body", "liver", "lesion", "spleen"}
    assert scene.metadata["unit"] == "mm"
    for name, solid in scene.geometry.items():
        assert solid.is_watertight
        assert solid.volume == pytest.approx(volume.measure(name), rel=0.01)
    np.testing.assert_allclose(scene.bounds, [[-85] * 3, [85] * 3], atol=2.0)
    spleen = scene.geometry["spleen"]
    np.testing.assert_allclose(spleen.bounds.mean(axis=0), (40, 10, 0), atol=0.5)
    assert tuple(spleen.visual.vertex_colors[0][:3]) == (0x8A, 0x4F, 0xA0)


def test_only_those_asked_for(volume, tmp_path):
    done = export_meshes(volume, tmp_path, "stl", ["liver", "spleen"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["liver.stl", "spleen.stl"]
    assert list(done.files) == ["liver", "spleen"]
    with pytest.raises(UserError, match=r"structure 'livr' is not there; did you mean 'liver'\?"):
        export_meshes(volume, tmp_path, structures=["livr"])


def test_what_is_not_there_or_too_small_is_skipped(tmp_path):
    scene = scene_of(
        {"kind": "sphere", "radius": 9},
        {"kind": "sphere", "radius": 0.4, "at": [0.5, 0.5, 0.5]},
        {"kind": "sphere", "radius": 2, "at": [90, 0, 0]},
        size=24,
    )
    done = export_meshes(voxelize(scene), tmp_path, "ply")
    assert list(done.files) == ["s0"]
    assert done.skipped == {
        "s1": "fills no voxel by half; make the voxels smaller",
        "s2": "is not in this volume",
    }
    empty = voxelize(scene)
    empty.top[:], empty.under[:] = 0, 0
    with pytest.raises(UserError, match="there is no structure to write; s0 is not in this volume"):
        export_meshes(empty, tmp_path)


def test_names_that_files_cannot_have_stay_in_the_folder(volume, tmp_path):
    rows = [replace(s, group={"liver": "../a b", "lesion": ".._a?b"}.get(s.group, s.group)) for s in volume.structures]
    done = export_meshes(replace(volume, structures=tuple(rows)), tmp_path / "out", "stl", ["../a b", ".._a?b"])
    assert all(path.parent == tmp_path / "out" for path in done.files.values())
    assert len(set(done.files.values())) == len(list((tmp_path / "out").iterdir())) == 2


SCENE = """\
viscera: 1
name: small
grid: {size: [24, 20, 16], spacing: [4, 4, 4]}
structures:
  body: {kind: ellipsoid, material: muscle, radii: [40, 34, 90]}
  organ: {kind: sphere, material: liver, inside: body, radius: {uniform: [12, 18]}}
"""


def test_the_command_takes_scenes_cases_and_label_maps(tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["viscera", *map(str, arguments)])
        try:
            viscera.main()
        except SystemExit as leave:
            return leave.code, capsys.readouterr()
        return 0, capsys.readouterr()

    scene, data = tmp_path / "small.yaml", tmp_path / "data"
    scene.write_text(SCENE)
    code, said = run("export", scene, "--meshes", tmp_path / "a", "--seed", 3)
    assert code == 0, said.err
    assert [line.split()[0] for line in said.out.splitlines()] == [f"{tmp_path / 'a' / 'small_0000.glb'}:"] * 2
    assert run("generate", scene, "--seed", 3, "--modalities", "ct", "--out", data)[0] == 0
    case = data / "labelsTr" / "small_0000.nii.gz"
    assert run("export", case, "--meshes", tmp_path / "b", "--format", "ply", "--structures", "organ")[0] == 0
    drawn = trimesh.load_scene(tmp_path / "a" / "small_0000.glb").geometry["organ"]
    assert trimesh.load_mesh(tmp_path / "b" / "organ.ply").volume == pytest.approx(drawn.volume, rel=1e-3)
    alone = tmp_path / "labels.nii.gz"
    case.rename(alone)
    assert run("export", alone, "--meshes", tmp_path / "c", "--format", "stl")[0] == 0
    assert len(list((tmp_path / "c").iterdir())) == 2
    (tmp_path / "file").write_text("")
    for wrong, message in (
        ([scene, "--meshes", tmp_path / "file"], "part of the path is a file"),
        ([scene, "--meshes", tmp_path / "d", "--structures", "orgn"], "did you mean 'organ'?"),
        ([tmp_path / "no.nii.gz", "--meshes", tmp_path / "d"], "no such file"),
    ):
        code, said = run("export", *wrong)
        assert (code, "Traceback" in said.err) == (2, False)
        assert message in said.err
