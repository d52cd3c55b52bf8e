"""The tutorial of docs/authoring.md: every state of its files, every command and every message is true."""

import re

import pytest

import viscera
from engine.errors import UserError
from engine.scene import Scene
from tests.tutorial import PAGE, PICTURES, ROOT, SCENE, Step, agrees, merged, section, steps, write
from trainer import config, places, strict_yaml
from trainer.plan import Pipeline

TEXT = PAGE.read_text(encoding="utf-8")
STEPS = list(steps(TEXT))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def say(monkeypatch, capsys):
    """What a command says; on a coarse grid, where it draws."""

    def run(arguments: list[str]) -> str:
        draws = arguments[0] == "generate" or (arguments[0] == "view" and SCENE in arguments)
        monkeypatch.setattr("sys.argv", ["viscera", *arguments, *(["--size", "16"] if draws else [])])
        try:
            viscera.main()
        except SystemExit as leave:
            assert leave.code in (0, 2)
        out = capsys.readouterr()
        return out.out + out.err

    return run


def test_every_state_of_the_scene_is_valid_or_wrong_as_it_says(folder):
    for step, following in zip(STEPS, [*STEPS[1:], Step("", "")], strict=True):
        if step.kind != "yaml" or write(step, folder).name != SCENE:
            continue
        if following.said.startswith("error"):
            with pytest.raises(UserError) as caught:
                Scene.load(SCENE)
            assert f"{caught.value}\n" == following.said
        else:
            Scene.load(SCENE)


def test_it_ends_with_the_scene_in_the_docs(folder):
    for step in STEPS:
        if step.kind == "yaml":
            write(step, folder)
    assert (folder / SCENE).read_text() == (ROOT / "docs" / "tutorial" / SCENE).read_text(), "python -m tests.tutorial"
    pipeline = strict_yaml.read(folder / "pipeline.yaml", Pipeline)
    scene = Scene.load(places.scene(folder, pipeline.generate.scenes[0]))
    assert set(pipeline.evaluate.structures) <= set(scene.structures)
    changes = [f"{key}={value}" for key, value in pipeline.train.set.items()]
    given = config.load(places.config(folder, pipeline.train.config), changes)
    assert all(Scene.load(path) for path in given.data.scenes)


@pytest.mark.usefixtures("offscreen")
def test_every_command_says_what_is_shown(folder, say):
    for step in STEPS:
        if step.kind == "yaml":
            write(step, folder)
        elif step.commands[0][0] != "run":
            said = "".join(map(say, step.commands))
            assert agrees(step.said, said), f"{step.body}{said}"
    assert {path.name for path in PICTURES.glob("*.png")} <= {path.name for path in folder.glob("*.png")}
    assert len(list((folder / "data" / "imagesTr").iterdir())) == 3 * len(
        list((folder / "data" / "labelsTr").iterdir())
    )


@pytest.mark.slow
def test_the_model_is_trained_and_scored(folder, say):
    for step in STEPS:
        if step.kind == "yaml":
            write(step, folder)
    (step,) = (step for step in STEPS if step.kind == "sh" and step.commands[0][0] == "run")
    said = "".join(map(say, step.commands))
    assert said.endswith(step.said)
    assert "adenoma" in (folder / "out" / "report.md").read_text()


def test_pictures_and_links_are_there():
    shown = re.findall(r"\]\(images/tutorial/(\S+?)\)", section(TEXT))
    assert sorted(shown) == sorted(path.name for path in PICTURES.glob("*.png"))
    assert all((PICTURES / name).stat().st_size < 250_000 for name in shown)


def test_lines_are_added_as_a_reader_adds_them():
    file = "name: a\nstructures:\n  b: 1\n  c:\n    d: 2\nacquire: [x]\n"
    added = "vars:\n  v: 1\nstructures:\n  b: 3\n  e: 4\nacquire: [y]\n"
    assert merged(file, added) == (
        "name: a\nvars:\n  v: 1\nstructures:\n  b: 3\n  c:\n    d: 2\n  e: 4\nacquire: [y]\n"
    )
