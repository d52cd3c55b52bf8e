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
    assert "- t1_ms at 3 T: 809 (verified; bazelaire)" in said
    assert "- bazelaire: de Bazelaire et al. 2004" in said
    assert "also called tumour" in explain("tumor") or "also called tumor" in explain("tumour")


def test_a_word_without_meaning_names_what_is_near():
    with pytest.raises(UserError, match="did you mean liver"):
        explain("livr")
