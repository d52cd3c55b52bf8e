"""Write `spectra.json`: tube spectra computed by spekpy, which is needed for nothing else.

Run it with `python -m engine.render.ct.bake_spectra` where spekpy 2.5 is installed. Model: spekpy's default
(Poludniowski et al. 2021, doi 10.1002/mp.14945), tungsten anode at 7 degrees, 6 mm aluminium and 0.1 mm copper, as in
a body CT.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

KVP = range(80, 141, 10)
ANODE_DEG, ALUMINIUM_MM, COPPER_MM, BIN_KEV = 7.0, 6.0, 0.1, 1.0


def bake() -> dict[str, object]:
    """Spectra in photons per cm^2, keV and mAs at 1 m, and what they were made with."""
    import spekpy

    spectra: dict[str, dict[str, list[float]]] = {}
    for kvp in KVP:
        tube = spekpy.Spek(kvp=kvp, th=ANODE_DEG, dk=BIN_KEV)
        tube.filter("Al", ALUMINIUM_MM).filter("Cu", COPPER_MM)
        energies, fluence = tube.get_spectrum()
        seen = fluence > 1e-7 * fluence.max()
        spectra[str(kvp)] = {
            "energy_kev": energies[seen].tolist(),
            "fluence": [float(f"{value:.5g}") for value in fluence[seen]],
        }
    made_with = {"spekpy": version("spekpy"), "anode": "W", "anode_deg": ANODE_DEG}
    made_with |= {"aluminium_mm": ALUMINIUM_MM, "copper_mm": COPPER_MM, "unit": "photons / (cm^2 keV mAs) at 1 m"}
    return {"made_with": made_with, "spectra": spectra}


if __name__ == "__main__":
    target = Path(__file__).with_name("spectra.json")
    lines = json.dumps(bake(), indent=1).replace(",\n    ", ", ").replace("[\n    ", "[")
    target.write_text(lines.replace("\n   ]", "]") + "\n", encoding="utf-8")
