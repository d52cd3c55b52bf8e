"""What words of the scene language mean."""

import pytest

from engine.errors import UserError
from viewer.explain import explain, words

WORDS = words()


@pytest.mark.parametrize("kind", WORDS)
def test_every_word_is_explained(kind):
    for word in WORDS[kind]:
        assert f"{word}: {kind}\n\n" in explain(word)


def test_a_tissue_shows_values_units_and_sources():
    said = explain("liver")
    assert "54 HU at 120 kVp" in said
    assert "- t1_ms at 3 T: 809 (verified; bazelaire)" in said
    assert "- bazelaire: de Bazelaire et al. 2004" in said
    assert "also called tumour" in explain("tumor") or "also called tumor" in explain("tumour")


def test_a_word_without_meaning_names_what_is_near():
    with pytest.raises(UserError, match="did you mean liver"):
        explain("livr")


def test_fields_that_stand_everywhere_are_words():
    assert "degrees about x" in explain("rotate")
    assert "instead of composition" in explain("hu")
    assert "how it joins those before it: intersect, subtract, touch, union" in explain("smooth")
    assert "- `kvp`: tube voltage" in explain("ct")
