import math

import pytest
from pydantic import ValidationError

from engine.errors import UserError
from engine.tissue import FIELDS_T, Material, Tissue, load_table, read_table, resolve, tissue

KINDS = {"verified", "derived", "recalled", "assumed"}
UNITS = ("_g_cm3", "_mg_ml", "_ms", "_ppm", "_m_s", "_db_cm", "_db", "_mm", "_s_t", "_um2_ms")
#: Keys without a unit: shares, powers and relative deviations.
DIMENSIONLESS = {"composition", "pd", "attenuation_power", "texture", "texture_density", "fat_fraction", "pulsation"}
PLAUSIBLE = {
    "density_g_cm3": (0.001, 20),
    "iodine_mg_ml": (0, 40),
    "t1_ms": (100, 5000),
    "t2_ms": (0.1, 3000),
    "pd": (0, 1),
    "chi_ppm": (-40, 4000),
    "r2prime_s_t": (0, 400),
    "diffusion_um2_ms": (0, 3.1),
    "fat_fraction": (0, 1),
    "pulsation": (0, 1),
    "sound_speed_m_s": (300, 6500),
    "attenuation_db_cm": (0, 50),
    "attenuation_power": (0.5, 2),
    "backscatter_db": (-100, 60),
    "texture": (0, 0.3),
    "texture_mm": (0.5, 10),
    "texture_density": (0, 0.2),
}
#: Standard deviations between people, relative or in dB.
SPREAD = {"backscatter_db": (1, 6), "density_g_cm3": (0.001, 0.2), "t1_ms": (0.02, 0.35), "t2_ms": (0.02, 0.35)}
#: What scenes are written with.
NEEDED = """
    water adipose fat muscle liver spleen kidney_cortex kidney_medulla kidney blood blood_iodine heart_wall heart
    lung lung_inflated cortical_bone trabecular_bone bone marrow bile csf urine gas air grey_matter white_matter
    pancreas skin cartilage tumour cyst stone bowel_wall bowel_content
""".split()


def entries(table=None):
    """(tissue, quantity, [value, kind, source]) of every value, spreads included where the table has them."""
    for name, block in (table or read_table()["tissues"]).items():
        for key, entry in [*block.items(), *block.get("spread", {}).items()]:
            if key not in ("aliases", "spread"):
                for value in entry.values() if isinstance(entry, dict) else [entry]:
                    yield name, key, value


@pytest.mark.parametrize("name", NEEDED)
def test_tissue_is_there(name):
    assert tissue(name).density_g_cm3 > 0


def test_every_value_has_unit_kind_and_source():
    sources = read_table()["sources"]
    used = set()
    for name, key, entry in entries():
        assert key in DIMENSIONLESS or key.endswith(UNITS), f"{name}.{key}: no unit in its name"
        assert len(entry) == 3, f"{name}.{key}: needs [value, kind, source]"
        _, kind, source = entry
        assert kind in KINDS, f"{name}.{key}: {kind}"
        assert isinstance(source, str) and source.strip(), f"{name}.{key}: no source"
        if kind == "verified":
            assert source.split(";")[0] in sources, f"{name}.{key}: '{source}' is verified against nothing known"
        used.add(source.split(";")[0])
    assert set(sources) <= used, "a source that nothing cites"


def test_every_value_is_plausible():
    table = read_table()["tissues"]
    for name, block in table.items():
        for key, (value, *_) in block.pop("spread", {}).items():
            low, high = SPREAD.get(key, (0.002, 0.3))
            assert key in block and low <= value <= high, f"{name}: spread of {key} is {value}"
    for name, key, (value, *_) in entries(table):
        if key == "composition":
            assert math.isclose(sum(value.values()), 1, abs_tol=0.02), f"{name}: {sum(value.values())}"
        else:
            low, high = PLAUSIBLE[key]
            assert low <= value <= high, f"{name}.{key} = {value}"


def test_every_tissue_is_complete_and_relaxes_as_matter_does():
    for name, made in load_table().items():
        assert set(made.t1_ms) == set(made.t2_ms) == set(FIELDS_T), name
        assert all(made.t2_ms[field] <= made.t1_ms[field] for field in FIELDS_T), name


def test_aliases_are_the_same_tissue():
    for alias, name in (("fat", "adipose"), ("air", "gas"), ("marrow", "red_marrow"), ("tumor", "tumour")):
        assert tissue(alias) is tissue(name)


def test_kidney_lies_between_its_parts():
    whole, cortex, medulla = (tissue(n) for n in ("kidney", "kidney_cortex", "kidney_medulla"))
    assert whole.t1_ms[1.5] == pytest.approx((cortex.t1_ms[1.5] + medulla.t1_ms[1.5]) / 2)


def test_unknown_names_are_answered_with_near_ones():
    with pytest.raises(UserError, match=r"'livr' is unknown; did you mean liver"):
        tissue("livr")
    with pytest.raises(UserError, match="known: water"):
        tissue("qqqq")


def test_resolve_takes_the_base_and_changes_it():
    made = resolve(Material(like="liver", t1_ms=700, pd=0.5, iodine_mg_ml=2), name="portal")
    base = tissue("liver")
    assert made.name == "portal"
    assert made.t1_ms == dict.fromkeys(FIELDS_T, 700)
    assert (made.pd, made.iodine_mg_ml, made.t2_ms) == (0.5, 2, base.t2_ms)
    assert made.sound_speed_m_s == base.sound_speed_m_s


def test_resolve_without_base_starts_from_water():
    assert resolve(Material(t2_ms=50)).density_g_cm3 == tissue("water").density_g_cm3
    assert resolve("fat") is tissue("adipose")


def test_relaxation_times_may_be_given_by_field_strength():
    made = resolve(Material.model_validate({"like": "liver", "t1_ms": {3: 900}, "t2_ms": {1.5: 50, 3.0: 40}}))
    assert made.t1_ms == {**tissue("liver").t1_ms, 3.0: 900}
    assert made.t2_ms == {0.55: pytest.approx(66 * 50 / 46), 1.5: 50, 3.0: 40}


def test_a_material_takes_one_pattern_or_several():
    one, two = {"kind": "noise", "length": 2}, {"kind": "lobules", "size": {"uniform": [8, 12]}}
    assert [p.kind for p in resolve(Material.model_validate({"pattern": one})).pattern] == ["noise"]
    assert [p.kind for p in Material.model_validate({"pattern": [one, two]}).pattern] == ["noise", "lobules"]
    assert resolve(Material.model_validate({"pattern": []})).pattern == tissue("water").pattern == ()


def test_resolve_looks_in_the_table_it_is_given():
    table = dict(load_table())
    table["rind"] = resolve(Material(like="skin", hu=90), name="rind")
    assert resolve(Material(like="rind", pd=0.1), table).hu == 90
    assert resolve(Material(like="rind", iodine_mg_ml=3), table).hu is None


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"composition": {"Xx": 1.0}}, "'Xx' is not a chemical symbol"),
        ({"composition": {"H": 0.1, "O": 0.2}}, "add up to 1, they make 0.3"),
        ({"hu": 40, "iodine_mg_ml": 3}, "leave out hu or iodine_mg_ml"),
        ({"pd": 1.5}, "less than or equal to 1"),
        ({"t1_ms": {7.0: 1200}}, "given at 0.55, 1.5 or 3 T"),
        ({"t1_ms": {1.5: -1}}, "greater than 0"),
        ({"pattern": {"kind": "fibers", "length": 3}}, "does not match any of the expected tags"),
        ({"pattern": {"kind": "fibres", "length": 9, "width": 1, "direction": [0, 0, 0]}}, "other than 0"),
        ({"pattern": {"choice": [{"kind": "lobules", "size": 0.1}]}}, "greater than or equal to 0.5"),
        ({"pattern": {"choice": [[]], "weights": [1, 2]}}, "weights needs 1 numbers"),
    ],
)
def test_materials_that_cannot_be_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        Material(**wrong)


def test_the_table_is_read_only():
    with pytest.raises(TypeError):
        load_table()["liver"] = tissue("water")  # type: ignore[index]
    assert isinstance(tissue("liver"), Tissue)
