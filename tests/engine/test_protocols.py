"""Protocols by name: each is valid, gives way to what a scene says, and a drawn scene no longer needs it."""

import pytest
import torch

from engine.errors import UserError
from engine.generate import draw
from engine.render.preset import PRESETS, preset
from engine.scene import Scene
from tests.engine.scenes import scene_of

BALL = {"kind": "sphere", "radius": 10, "at": [0, 0, 0]}


def with_protocols(*protocols: dict) -> Scene:
    document = scene_of(BALL, size=32).model_dump(exclude_unset=True, exclude_none=True)
    return Scene.model_validate({**document, "acquire": list(protocols)})


@pytest.mark.parametrize("modality", ["ct", "mr", "us"])
def test_each_modality_has_six(modality):
    own = {name: preset(name) for name in PRESETS if name.startswith(f"{modality}-")}
    assert len(own) >= 6
    assert all(one.fields["modality"] == modality for one in own.values())
    assert all(one.description.endswith(".") for one in own.values())


@pytest.mark.parametrize("name", PRESETS)
def test_each_is_valid_and_names_its_images(name):
    drawn = with_protocols({"protocol": name}).sample(0)
    image = draw(drawn, 0, 0, [drawn.acquire[0].modality]).images[drawn.acquire[0].modality]
    assert image.meta["name"] == name
    assert torch.isfinite(image.data).all()


def test_a_scene_may_change_what_a_protocol_says():
    (protocol,) = with_protocols({"protocol": "ct-head", "noise_hu": 7}).acquire
    assert (protocol.noise_hu, protocol.slice_mm) == (7, preset("ct-head").fields["slice_mm"])


def test_a_drawn_scene_reads_back_the_same(tmp_path):
    drawn = with_protocols({"protocol": "mr-t2-flair-3t", "bias": {"uniform": [0.1, 0.3]}}).sample(3)
    path = tmp_path / "drawn.yaml"
    path.write_text(drawn.dump())
    assert "protocol:" not in drawn.dump()
    assert Scene.load(path) == drawn


def test_a_protocol_of_another_modality_is_refused():
    with pytest.raises(ValueError, match="'ct-head' is a protocol for ct"):
        with_protocols({"protocol": "ct-head", "modality": "mr"})


def test_mistakes_are_located(tmp_path):
    path = tmp_path / "scene.yaml"
    path.write_text(with_protocols({"protocol": "ct-head"}).dump().replace("name: ct-head", "protocol: ct-hed"))
    text = path.read_text().replace("    modality: ct\n", "")
    path.write_text(text)
    with pytest.raises(UserError, match=r"'ct-hed' is no protocol(.|\n)*did you mean 'ct-head'"):
        Scene.load(path)


def test_named_protocols_take_the_place_of_a_scenes_own():
    scene = with_protocols({"modality": "ct", "noise_hu": 1}, {"modality": "mr"}).using(["ct-head", "ct-bone"])
    assert [p.name for p in scene.acquire] == [None, "ct-head", "ct-bone"]
    assert {scene.sample(0, i).acquire[1].name for i in range(8)} == {"ct-head", "ct-bone"}
    with pytest.raises(UserError, match="did you mean"):
        scene.using(["ct-hed"])
