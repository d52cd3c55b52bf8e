"""How to take a CT image."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from engine.random import Stream
from engine.render.ct.kernel import KERNELS
from engine.render.ct.number import ct_number, effective_attenuation
from engine.render.ct.reconstruct import reconstruct
from engine.render.ct.spectrum import HARDENING_CM, HIGHEST_KVP, LOWEST_KVP, read_spectra
from engine.render.protocol import Protocol
from engine.render.texture import heterogeneity
from engine.tissue import tissue
from engine.vary import NonNegative, Positive, Varying
from engine.volume import Image, Volume

#: What a 12-bit scanner stores, HU.
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0

Kilovolts = Annotated[float, Field(ge=LOWEST_KVP, le=HIGHEST_KVP), Varying(low=LOWEST_KVP, high=HIGHEST_KVP)]
KernelName = Annotated[Literal[tuple(KERNELS)], Varying()]  # type: ignore[valid-type]


class CT(Protocol):
    """Computed tomography in HU: CT numbers from composition and spectrum, kernel blur, ramp-filtered noise."""

    unit: ClassVar[str] = "HU"

    modality: Literal["ct"] = "ct"
    kvp: Kilovolts = Field(120.0, description="tube voltage, kVp")
    kernel: KernelName = Field("standard", description="reconstruction kernel: sharpness in the plane of slices")
    slice_mm: Positive | None = Field(None, description="slice thickness, mm; the grid's spacing along z if left out")
    noise_hu: NonNegative = Field(12.0, description="standard deviation of the noise in water, HU; 0 for none")

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The CT image of `volume`, clipped to what 12 bits hold (-1024 to 3071 HU).

        Attenuation, not HU, is averaged where two structures share a voxel and varied by the tissues' heterogeneity.
        """
        numbers = [ct_number(s.tissue, self.kvp) for s in volume.structures]
        relative = volume.mix([1.0 + number / 1000.0 for number in numbers])  # attenuation over that of water
        deviations = [s.tissue.texture_density for s in volume.structures]
        relative *= heterogeneity(volume, deviations, stream.child("texture"), of="density")
        ideal = relative.sub_(1.0).mul_(1000.0)
        slice_mm = self.slice_mm or volume.grid.spacing[2]
        noise = stream.child("noise", *volume.moment)
        image = reconstruct(ideal, volume.grid.spacing, self.kernel, slice_mm, self.noise_hu, noise)
        meta = self.model_dump() | {
            "slice_mm": slice_mm,
            "ct_numbers_hu": {s.name: round(number, 2) for s, number in zip(volume.structures, numbers, strict=True)},
            "mu_water_per_cm": round(effective_attenuation(tissue("water"), self.kvp), 6),
            "mtf50_per_mm": KERNELS[self.kernel].f50_per_mm,
            "hardening_water_cm": HARDENING_CM,
            "spectrum": read_spectra()["made_with"],
            "range_hu": [LOWEST_HU, HIGHEST_HU],
        }
        return Image(volume.grid, image.clamp_(LOWEST_HU, HIGHEST_HU), self.modality, self.unit, meta)
