"""Roughness without direction: a Gaussian random field with Matern autocorrelation.

    C(r) = 2^(1 - nu) / Gamma(nu) (r / l)^nu K_nu(r / l)

with the smoothness nu, whose power spectrum falls as (1 + (k l)^2)^-(nu + 3/2): tissue is rough at every scale below
its correlation length. nu = 1/2 is exp(-r / l). (Guttorp and Gneiting 2006, doi 10.1093/biomet/93.4.989)
"""

from __future__ import annotations

import functools
import math
from typing import Annotated, Any, Literal

from pydantic import Field
from scipy.special import gamma, kv

from engine.pattern import Correlated, register
from engine.vary import Positive, Varying

Smoothness = Annotated[float, Field(ge=0.1, le=5), Varying(low=0.1, high=5)]


@register("noise")
class Noise(Correlated):
    """Variation without direction, at every scale below a correlation length. What a tissue has unless it says else."""

    kind: Literal["noise"] = "noise"
    length: Positive = Field(description="distance at which correlation falls to 1/e, mm")
    smoothness: Smoothness = Field(0.5, description="0.1 grainy, 0.5 exponential correlation, 2 and more soft blotches")

    def spectrum(self, kx: Any, ky: Any, kz: Any) -> Any:
        nu = self.smoothness
        scale = self.length / _e_folding(nu)
        peak = 8.0 * math.pi**1.5 * gamma(nu + 1.5) / gamma(nu) * scale**3
        return peak * (1.0 + (kx**2 + ky**2 + kz**2) * scale**2) ** -(nu + 1.5)

    @classmethod
    def example(cls) -> Noise:
        return cls.model_validate({"length": 3.0})


@functools.lru_cache(maxsize=64)
def _e_folding(nu: float) -> float:
    """The r / l at which the autocorrelation is 1/e."""
    if nu == 0.5:
        return 1.0
    from scipy.optimize import brentq  # takes a tenth of a second to import, and is seldom needed

    return brentq(lambda r: 2.0 ** (1.0 - nu) / gamma(nu) * r**nu * kv(nu, r) - math.exp(-1.0), 1e-9, 40.0)
