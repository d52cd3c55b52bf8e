"""What every probe has in common, and the table of probes.

A probe lives in its own frame: `u` runs along the face, `v` away from it along the probe's axis, in mm, with the middle
of the face at the origin. Its beams are numbered by a fraction in [0, 1] across the field of view.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from pydantic import Field

from engine.discovery import import_all
from engine.strict import Strict
from engine.vary import Positive, Varying

Band = Annotated[float, Field(ge=0.1, le=1.5), Varying(low=0.1, high=1.5)]


class Probe(Strict):
    """A transducer: the geometry of its beams and the apertures that shape its point-spread function.

    A subclass has a `kind: Literal[...]` field, `rays`, `locate`, `spread` and `view`, and `foreshortening` and
    `element` where its beams are steered.
    """

    aperture_mm: Positive = Field(description="widest active aperture in the scan plane, mm")
    f_number: Positive = Field(2.0, description="F-number kept in receive until the aperture is all used")
    apodization: Literal["rect", "hamming", "hann"] = Field(
        "rect", description="weights across the aperture: rect is sharpest, hann has the lowest side lobes"
    )
    bandwidth: Band = Field(0.55, description="-6 dB two-way bandwidth over the centre frequency")
    elevation_mm: Positive = Field(description="height of the elements, across the scan plane, mm")
    elevation_focus_mm: Positive = Field(description="depth of the elevation lens's focus, mm")

    def model_post_init(self, _: Any) -> None:
        self.model_fields_set.add("kind")  # always written to files: it tells which probe the other fields belong to

    def rays(self, fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Origins and unit directions `[n, 2]` of beams as (u, v), for fractions `[n]` across the field of view."""
        raise NotImplementedError

    def locate(self, u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The beam's fraction and the range along it (mm) of points (u, v); outside [0, 1] beyond the outer beams."""
        raise NotImplementedError

    def spread(self, range_mm: np.ndarray) -> np.ndarray:
        """Length (mm) of the arc or line between the outer beams at each range."""
        raise NotImplementedError

    def foreshortening(self, fraction: np.ndarray) -> np.ndarray:
        """Width of the aperture as a beam sees it, over its full width: cos of the steering angle."""
        return np.ones_like(fraction)

    def element(self, fraction: np.ndarray) -> np.ndarray:
        """One-way amplitude that an element sends along each beam, over that straight ahead."""
        return np.ones_like(fraction)

    def view(self) -> dict[str, Any]:
        """Scan conversion in the probe's frame: `apex_mm` (u, v) and `angles_deg` of a sector's outer beams, or
        `lateral_mm` of parallel ones."""
        raise NotImplementedError

    @classmethod
    def example(cls) -> Probe:
        """A typical one, for tests and documentation."""
        raise NotImplementedError


PROBES: dict[str, type[Probe]] = {}

P = TypeVar("P", bound=type[Probe])


def register(name: str) -> Callable[[P], P]:
    """Class decorator: makes a probe known to protocols as `name`."""

    def add(cls: P) -> P:
        if name in PROBES:
            raise ValueError(f"probe '{name}' is registered twice")
        PROBES[name] = cls
        return cls

    return add


def discover() -> None:
    """Import every file of `probes`, so that the table is complete."""
    import_all("engine.render.us.probes")
