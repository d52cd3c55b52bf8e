"""How tissues differ between people: one person's values, drawn from the table's means and spreads.

A positive value is log-normal with the table's mean and a standard deviation of `vary` times its spread; a value in dB
is normal. One number moves a quantity at every field strength together, and in every material like the same tissue: two
livers of one person agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from engine.random import Stream
from engine.tissue import Tissue, tissue

Document = dict[str, Any]


def person(materials: dict[str, Document], used: Iterable[str], vary: float, stream: Stream) -> dict[str, Document]:
    """The materials of a drawn scene, with the values of one person written out.

    Args:
        materials: the scene's, drawn; what one sets itself stays as it is, and its `vary` takes the scene's place.
        used: names of the tissues and materials that structures are made of; others stay as they are.
        vary: how many of the table's spreads.
    """
    out = {name: {key: v for key, v in material.items() if key != "vary"} for name, material in materials.items()}
    for name in sorted(set(used)):
        material = materials.get(name, {"like": name})
        base, amount = tissue(material.get("like", "water")), material.get("vary", vary)
        drawn = _values(base, amount, stream.child("tissues", base.name)) if amount else {}
        changes = {key: value for key, value in drawn.items() if key not in material}
        if changes:
            out[name] = {key: v for key, v in material.items() if key != "vary"} | changes
    return out


def _values(base: Tissue, amount: float, stream: Stream) -> Document:
    """Values of `base` that have a spread, drawn."""
    out: Document = {}
    for key, spread in base.spread.items():
        deviation, mean = float(stream.child(key).generator().standard_normal()), getattr(base, key)
        if key.endswith("_db"):
            out[key] = mean + deviation * amount * spread
            continue
        variance = math.log1p((amount * spread) ** 2)  # of the logarithm
        factor = math.exp(deviation * math.sqrt(variance) - 0.5 * variance)
        out[key] = {field: factor * v for field, v in mean.items()} if isinstance(mean, dict) else factor * mean
    if "pd" in out:
        out["pd"] = min(out["pd"], 1.0)
    if "t2_ms" in out:  # T2 never is longer than T1
        longest = out.get("t1_ms", base.t1_ms)
        out["t2_ms"] = {field: min(value, longest[field]) for field, value in out["t2_ms"].items()}
    return out
