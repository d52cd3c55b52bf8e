"""What an author's editor shows of a scene: completion, hovers and mistakes of the real YAML language server."""

import pytest

from engine.scene.model import KINDS
from engine.tissue import load_table
from tests.language_server import LanguageServer, find_server
from viscera import SCENES, TEMPLATES

MODELINE = "# yaml-language-server: $schema=viscera.schema.json\n"
HEAD = MODELINE + "viscera: 1\nname: mine\ngrid: {size: [9, 9, 9], spacing: [1, 1, 1]}\n"
SPHERE = "{kind: sphere, radius: 3, material: fat}"


@pytest.fixture(scope="module")
def server():
    program = find_server()
    if program is None:
        pytest.skip(
            "no yaml-language-server; get one with: npm install yaml-language-server, and set VISCERA_YAML_SERVER"
        )
    running = LanguageServer(program)
    yield running
    running.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where `viscera new` has put the schema."""
    from click.testing import CliRunner

    from viscera import cli

    path = tmp_path_factory.mktemp("scenes")
    assert CliRunner().invoke(cli, ["new", str(path / "new.yaml")]).exit_code == 0
    return path


@pytest.fixture
def ask(server, folder):
    """A function of a scene's text with one `|`: the server's diagnostics, and the place of the `|`."""

    def show(text):
        before, _, after = (HEAD + text).partition("|")
        path = folder / "mine.yaml"
        found = server.diagnostics(path, before + after)
        return found, (path, before.count("\n"), len(before) - before.rfind("\n") - 1)

    return show


@pytest.fixture
def offered(server, ask):
    return lambda text: server.completions(*ask(text)[1])


@pytest.fixture
def hover(server, ask):
    return lambda text: server.hover(*ask(text)[1])


@pytest.fixture
def mistakes(ask):
    """A function of a scene's text: what is wrong, each with the words that are underlined."""

    def find(text):
        lines = (HEAD + text).splitlines()
        shown = []
        for one in ask(text)[0]:
            start, end = one["range"]["start"], one["range"]["end"]
            shown.append((lines[start["line"]][start["character"] : end["character"]], one["message"]))
        return shown

    return find


@pytest.mark.parametrize("path", sorted([*SCENES.glob("*.yaml"), *TEMPLATES.glob("*.yaml")]), ids=lambda p: p.stem)
def test_nothing_is_wrong_with_a_good_scene(server, folder, path):
    text = path.read_text(encoding="utf-8").removeprefix(MODELINE)
    assert server.diagnostics(folder / "good.yaml", MODELINE + text) == []


def test_a_structure_starts_with_its_kind(offered):
    assert "kind" in offered("structures:\n  organ:\n    |\n")
    assert "radius" not in offered("structures:\n  organ:\n    |\n")
    kinds = offered("structures:\n  organ:\n    kind: |\n")
    assert set(kinds) == set(KINDS)
    assert "random star-shaped body" in str(kinds["blob"]["documentation"])


def test_only_fields_of_the_kind_are_offered(offered):
    fields = offered("structures:\n  organ:\n    kind: blob\n    |\n")
    assert {"radius", "roughness", "material", "at", "deform", "gap"} <= set(fields)
    assert not {"radii", "points", "parts", "size", "choice"} & set(fields)
    assert fields["roughness"]["insertText"] == "roughness: ${1:0.5}"
    assert fields["at"]["insertText"] == "at: [${1:0}, ${2:0}, ${3:0}]"
    assert "null" not in str([field.get("insertText") for field in fields.values()])
    parts = offered(
        "structures:\n  organ:\n    kind: blend\n    material: fat\n    parts:\n      - kind: box\n        |\n"
    )
    assert {"size", "round", "op"} <= set(parts)
    assert not {"radius", "material", "label"} & set(parts)
    assert "roughness" in offered("structures:\n  organ: {kind: blob, r|}\n")  # on one line, after a first letter


def test_tissues_are_offered_by_name(offered):
    for text in (
        f"structures:\n  a: {SPHERE}\n  organ:\n    kind: blob\n    material: |\n",
        f"materials:\n  mine:\n    like: |\nstructures:\n  a: {SPHERE}\n",
    ):
        names = offered(text)
        assert set(load_table()) <= set(names)
        assert "HU at 120 kVp" in str(names["liver"]["documentation"])


def test_ways_to_vary_deformers_and_protocols_are_offered(offered):
    varying = offered("structures:\n  organ:\n    kind: blob\n    radius:\n      |\n")
    assert {"uniform", "normal", "choice", "expr", "clip"} <= set(varying)
    assert varying["uniform"]["insertText"] == "uniform: [$1, $2]"
    deformers = offered("structures:\n  organ:\n    kind: blob\n    deform:\n      - |\n")
    assert deformers["noise"]["insertText"].split() == ["noise:", "amplitude:", "$1", "wavelength:", "$2"]
    acquire = f"structures:\n  a: {SPHERE}\nacquire:\n  - "
    assert {"modality", "protocol"} <= set(offered(acquire + "|\n"))
    assert "kvp" not in offered(acquire + "|\n")
    assert "kvp" in offered(acquire + "modality: ct\n    |\n")
    assert "kvp" in offered(acquire + "protocol: ct-head\n    |\n")
    assert "Brain without contrast" in str(offered(acquire + "protocol: |\n")["ct-head"]["documentation"])
    assert {"t1w", "flair"} <= set(offered(acquire + "modality: mr\n    sequence: |\n"))


def test_what_programs_write_is_not_offered(offered):
    assert "drawn" not in offered("|\nstructures:\n  a: " + SPHERE + "\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{ki|nd: blob, radius: 3, material: fat}", "random star-shaped body of mean `radius` mm"),
        ("{kind: bl|ob, radius: 3, material: fat}", "random star-shaped body of mean `radius` mm"),
        ("{kind: blob, rough|ness: 1, radius: 3, material: fat}", "0 sphere, 1 deeply lobed"),
        ("{kind: blob, radius: {uni|form: [1, 3]}, material: fat}", "Uniform between two values"),
        ("{kind: blob, radius: 3, material: fa|t}", "-100 HU at 120 kVp"),
        ("{kind: blob, radius: 3, material: fat, deform: [{no|ise: {amplitude: 1, wavelength: 9}}]}", "Bumps of"),
    ],
)
def test_words_are_explained(hover, text, said):
    assert said in hover(f"structures:\n  organ: {text}\n")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("{kind: blob, radius: 3, material: fat, colour: red}", [("colour", "Property colour is not allowed.")]),
        ("{kind: blob, material: fat}", [("organ", 'Missing property "radius".')]),
        ("{radius: 3, material: fat}", [("organ", 'Missing property "kind".')]),
        ("{kind: blob, radius: -3, material: fat}", [("-3", "Value is below the exclusive minimum of 0.")]),
        ("{kind: blob, radius: big, material: fat}", [("big", 'Incorrect type. Expected "number".')]),
        ("{kind: blob, radius: {uniform: 3}, material: fat}", [("3", 'Incorrect type. Expected "array".')]),
    ],
)
def test_a_mistake_is_shown_where_it_is(mistakes, text, found):
    assert mistakes(f"structures:\n  organ: {text}\n") == found


def test_a_misspelt_name_is_shown_with_those_there_are(mistakes):
    ((word, said),) = mistakes("structures:\n  organ: {kind: blb, radius: 3, material: fat}\n")
    assert word == "blb"
    assert all(f'"{kind}"' in said for kind in KINDS)
    ((word, said),) = mistakes(f"structures:\n  a: {SPHERE}\nacquire: [{{modality: ctt, kvp: 100}}]\n")
    assert (word, said) == ("ctt", 'Value must be "ct" | "mr" | "us".')
    assert ("unifrm", "Property unifrm is not allowed.") in mistakes(
        "structures:\n  organ: {kind: blob, radius: {unifrm: [3, 4]}, material: fat}\n"
    )
