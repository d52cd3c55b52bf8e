"""Tissues: what a structure is made of, in the quantities that CT, MR and ultrasound see.

The table is `tissues.yaml`; every value there stands with its source, and with its spread where people differ in it. A
scene's own `materials` take a tissue of the table (`like`) and change some of its values, or set all of them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator, model_validator
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML

from engine import pattern, vary
from engine.pattern import PATTERNS, Pattern
from engine.strict import Strict
from engine.unknown import unknown
from engine.vary import Fraction, Name, NonNegative, Number, Positive

pattern.discover()

#: Chemical symbols by atomic number, hydrogen to uranium: what attenuation is tabulated for.
ELEMENTS = tuple(
    (
        "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
        "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
        "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U"
    ).split()
)
#: Field strengths (tesla) that relaxation times are given at.
FIELDS_T = (0.55, 1.5, 3.0)
KNOWN_FIELDS = "0.55, 1.5 or 3"


def _tabulated_field(value: float) -> float:
    if value not in FIELDS_T:
        raise PydanticCustomError("field", "relaxation times are given at {known} T", {"known": KNOWN_FIELDS})
    return value


def _relaxation(value: Any) -> str:
    by_field = isinstance(value, Mapping) and all(isinstance(key, (int, float)) for key in value)
    return "by field" if by_field else "one"


#: A relaxation time at every field strength, or at each one in tesla.
Relaxation = Annotated[
    Annotated[dict[Annotated[float, AfterValidator(_tabulated_field)], Positive], Tag("by field")]
    | Annotated[Positive, Tag("one")],
    Discriminator(_relaxation),
]

_union: Any = functools.reduce(operator.or_, PATTERNS.values())
AnyPattern: Any = Annotated[_union, Field(discriminator="kind")]


def _layers(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "several"
    return "choice" if (isinstance(value, Mapping) and "choice" in value) or isinstance(value, Choices) else "one"


def _patterns(choices: bool) -> Any:
    """The type of one pattern or of several; or, with `choices`, of one of such."""
    plain = Annotated[list[AnyPattern], Tag("several")] | Annotated[AnyPattern, Tag("one")]
    return Annotated[plain | Annotated[Choices, Tag("choice")] if choices else plain, Discriminator(_layers)]


class Choices(Strict):
    """One of several patterns, or lists of patterns, chosen when the scene is drawn."""

    choice: list[_patterns(choices=False)] = Field(min_length=1)  # type: ignore[valid-type]
    weights: list[Annotated[float, Field(ge=0)]] | None = None

    @model_validator(mode="after")
    def _weighted(self) -> Choices:
        vary.Choice.model_validate({"choice": self.choice, "weights": self.weights})
        return self


class Material(Strict):
    """A tissue as a user writes it: a base and what differs from it. None keeps the base's value; the base is `water`
    where `like` is left out."""

    like: Name | None = Field(None, description="tissue to start from; water if left out")
    # CT
    density_g_cm3: NonNegative | None = Field(None, description="mass density, g/cm^3")
    composition: dict[str, Fraction] | None = Field(None, description="mass fraction of each element")
    iodine_mg_ml: NonNegative | None = Field(None, description="iodine contrast agent, mg/mL")
    hu: Number | None = Field(None, description="CT number at every tube voltage, instead of composition and iodine")
    # MR
    t1_ms: Relaxation | None = Field(None, description="T1, ms, or {1.5: T1, 3: T1} by field strength in tesla")
    t2_ms: Relaxation | None = Field(None, description="T2, ms, or {1.5: T2, 3: T2} by field strength in tesla")
    pd: Fraction | None = Field(None, description="MR-visible proton density relative to water")
    chi_ppm: Number | None = Field(None, description="magnetic susceptibility, ppm")
    r2prime_s_t: NonNegative | None = Field(
        None, description="reversible relaxation by tesla, 1/(s T): 1/T2* = 1/T2 + r2prime B0"
    )
    diffusion_um2_ms: NonNegative | None = Field(None, description="apparent diffusion coefficient, um^2/ms")
    fat_fraction: Fraction | None = Field(None, description="share of the MR signal that is fat's")
    pulsation: Fraction | None = Field(None, description="swing of the MR signal over the heartbeat, relative")
    flow_mm_s: NonNegative | None = Field(None, description="mean speed of blood through MR's slices, mm/s")
    agent_mmol_l: NonNegative | None = Field(None, description="MR contrast agent (gadolinium), mmol/L")
    r1_l_mmol_s: NonNegative | None = Field(None, description="the agent's T1 relaxivity, L/(mmol s); gadobutrol's 4.8")
    r2_l_mmol_s: NonNegative | None = Field(None, description="the agent's T2 relaxivity, L/(mmol s); gadobutrol's 6.1")
    # ultrasound
    sound_speed_m_s: Positive | None = Field(None, description="speed of sound, m/s")
    attenuation_db_cm: NonNegative | None = Field(None, description="attenuation at 1 MHz, dB/cm")
    attenuation_power: Positive | None = Field(None, description="power of frequency that attenuation grows with")
    backscatter_db: Number | None = Field(None, description="backscattered power relative to liver, dB")
    scatterers_mm3: Positive | None = Field(
        None, description="scatterers in a mm^3; few make a coarse speckle; countless if left out"
    )
    # heterogeneity
    texture: NonNegative | None = Field(None, description="relative sd of MR signal and scatterers within the tissue")
    texture_mm: Positive | None = Field(None, description="correlation length of that variation, mm")
    texture_density: NonNegative | None = Field(None, description="relative sd of mass density within the tissue")
    pattern: _patterns(choices=True) | None = Field(  # type: ignore[valid-type]
        None, description="what that variation looks like, one pattern or several; noise if left out"
    )
    vary: NonNegative | None = Field(
        None, description="how many of the table's spreads its other values differ by from draw to draw; the scene's"
    )

    @field_validator("composition")
    @classmethod
    def _elements(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        if value is None:
            return None
        unknown = [symbol for symbol in value if symbol not in ELEMENTS]
        if unknown:
            raise PydanticCustomError(
                "element", "'{symbol}' is not a chemical symbol; write them as H, C, N, O, Ca", {"symbol": unknown[0]}
            )
        shares = list(value.values())
        if all(isinstance(share, (int, float)) for share in shares) and abs(sum(shares) - 1) > 0.05:
            total = f"{sum(shares):g}"
            raise PydanticCustomError(
                "fractions", "mass fractions must add up to 1, they make {total}", {"total": total}
            )
        return value

    @model_validator(mode="after")
    def _one_ct_number(self) -> Material:
        others = [name for name in ("composition", "iodine_mg_ml") if getattr(self, name) is not None]
        if self.hu is not None and others:
            raise PydanticCustomError(
                "hu", "hu already is the CT number; leave out hu or {others}", {"others": " and ".join(others)}
            )
        return self


class Tissue(Strict):
    """A tissue with every value known: what the renderers read.

    Units as in `Material`; relaxation times are given by field strength in tesla, without contrast agent. The agent's
    relaxivities are gadobutrol's in plasma: r1 is 4.78 at 1.5 T and 4.97 +- 0.59 at 3 T (Szomolanyi et al. 2019, doi
    10.1097/RLI.0000000000000577), r2 is recalled. `spread` is the relative standard deviation of a value between
    people, in dB for a value in dB; values without one do not differ.
    """

    name: str
    density_g_cm3: float
    composition: dict[str, float]
    t1_ms: dict[float, float]
    t2_ms: dict[float, float]
    pd: float
    chi_ppm: float
    sound_speed_m_s: float
    attenuation_db_cm: float
    attenuation_power: float
    backscatter_db: float
    scatterers_mm3: float | None = None
    r2prime_s_t: float = 0.0
    diffusion_um2_ms: float = 0.0
    fat_fraction: float = 0.0
    pulsation: float = 0.0
    flow_mm_s: float = 0.0
    agent_mmol_l: float = 0.0
    r1_l_mmol_s: float = 4.8
    r2_l_mmol_s: float = 6.1
    iodine_mg_ml: float = 0.0
    hu: float | None = None
    texture: float = 0.0
    texture_mm: float = 3.0
    texture_density: float = 0.0
    pattern: tuple[AnyPattern, ...] = ()
    spread: dict[str, float] = Field({})


def read_table() -> dict[str, Any]:
    """`tissues.yaml` as it is written: `sources`, and `tissues` whose values are `[value, kind, source]`."""
    return YAML(typ="safe").load(files("engine").joinpath("tissues.yaml").read_text(encoding="utf-8"))


@functools.lru_cache(maxsize=1)
def load_table() -> Mapping[str, Tissue]:
    """Every tissue by name and alias (an alias gives the same object); read-only."""
    table: dict[str, Tissue] = {}
    for name, block in read_table()["tissues"].items():
        aliases = block.pop("aliases", [])
        made = Tissue(name=name, **{key: _values(entry) for key, entry in block.items()})
        for known_as in (name, *aliases):
            if known_as in table:
                raise ValueError(f"tissues.yaml: '{known_as}' names two tissues")
            table[known_as] = made
    return MappingProxyType(table)


def _values(entry: Any) -> Any:
    """The value of `[value, kind, source]`, or of each such entry by field strength."""
    return {key: value[0] for key, value in entry.items()} if isinstance(entry, dict) else entry[0]


def tissue(name: str, table: Mapping[str, Tissue] | None = None) -> Tissue:
    """The tissue called `name`; a UserError that names the nearest ones where there is none."""
    known = load_table() if table is None else table
    if name in known:
        return known[name]
    raise unknown("tissue", name, known)


def resolve(what: str | Material, table: Mapping[str, Tissue] | None = None, name: str | None = None) -> Tissue:
    """The tissue that a name or a material of plain numbers stands for.

    Args:
        what: a tissue's name, or a material; one without `like` starts from water.
        table: tissues to look names up in; the table of this package if left out. A scene with materials of its own
            passes a dict that holds both.
        name: the result's name; the base's if left out.
    """
    if isinstance(what, str):
        return tissue(what, table)
    base = tissue(what.like or "water", table)
    changes = {key: value for key, value in what if value is not None and key not in ("like", "vary")}
    for key in ("t1_ms", "t2_ms"):
        if key in changes:
            changes[key] = _by_field(changes[key], dict(base)[key])
    if isinstance(changes.get("pattern"), Pattern):
        changes["pattern"] = (changes["pattern"],)
    if (
        "hu" not in changes
        and base.hu is not None
        and {"density_g_cm3", "composition", "iodine_mg_ml"} & changes.keys()
    ):
        changes["hu"] = None  # what the base fixed no longer describes this composition
    return Tissue.model_validate({**dict(base), "name": name or base.name, **changes})


def _by_field(given: float | dict[float, float], base: dict[float, float]) -> dict[float, float]:
    """A relaxation time at every field: the base's where none is given, but at 0.55 T as far from it as at 1.5 T."""
    if not isinstance(given, dict):
        return dict.fromkeys(FIELDS_T, given)
    low, usual, _ = FIELDS_T
    follows = {low: base[low] * given[usual] / base[usual]} if usual in given else {}
    return {**base, **follows, **given}
