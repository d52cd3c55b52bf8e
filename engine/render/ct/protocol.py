"""How to take a CT image."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from engine.random import Stream
from engine.render.ct.cupping import cupping
from engine.render.ct.dose import noise_sd
from engine.render.ct.kernel import KERNELS
from engine.render.ct.number import ct_number, effective_attenuation
from engine.render.ct.reconstruct import reconstruct
from engine.render.ct.size import Size
from engine.render.ct.spectrum import HARDENING_CM, HIGHEST_KVP, LOWEST_KVP, read_spectra
from engine.render.protocol import Protocol
from engine.render.texture import heterogeneity
from engine.tissue import tissue
from engine.vary import Fraction, NonNegative, Positive, Varying
from engine.volume import Image, Volume

#: What a 12-bit scanner stores, HU, and what one with an extended scale does.
RANGE_HU, EXTENDED_HU = (-1024.0, 3071.0), (-10240.0, 30710.0)
#: Noise where neither it nor a dose is given, HU.
NOISE_HU = 12.0

Kilovolts = Annotated[float, Field(ge=LOWEST_KVP, le=HIGHEST_KVP), Varying(low=LOWEST_KVP, high=HIGHEST_KVP)]
KernelName = Annotated[Literal[tuple(KERNELS)], Varying()]  # type: ignore[valid-type]
Diameter = Annotated[float, Field(ge=20, le=800), Varying(low=20, high=800)]


class CT(Protocol):
    """Computed tomography in HU: CT numbers from composition and spectrum, kernel blur, ramp-filtered noise."""

    unit: ClassVar[str] = "HU"

    modality: Literal["ct"] = "ct"
    kvp: Kilovolts = Field(120.0, description="tube voltage, kVp")
    kernel: KernelName = Field("standard", description="reconstruction kernel: sharpness in the plane of slices")
    slice_mm: Positive | None = Field(None, description="slice thickness, mm; the grid's spacing along z if left out")
    noise_hu: NonNegative | None = Field(
        None, description="standard deviation of the noise in water, HU; 0 for none; 12 where mas is left out too"
    )
    mas: Positive | None = Field(
        None, description="tube current x rotation time, mAs, instead of noise_hu: noise follows dose and patient"
    )
    patient_mm: Diameter | None = Field(
        None, description="water-equivalent diameter of the patient, mm; that of each slice of the grid if left out"
    )
    cupping: Fraction = Field(0.0, description="share of water's beam hardening that is left uncorrected")
    extended_range: bool = Field(False, description="keep CT numbers from -10240 to 30710 instead of -1024 to 3071 HU")

    @model_validator(mode="after")
    def _one_noise(self) -> CT:
        if self.noise_hu is not None and self.mas is not None:
            raise ValueError("noise_hu fixes the noise and mas lets it follow from the dose; leave one of them out")
        if self.patient_mm is not None and self.mas is None:
            raise ValueError("patient_mm says how much of the dose comes through; give mas too, or leave it out")
        return self

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The CT image of `volume`, clipped to what 12 bits hold (-1024 to 3071 HU) or to the extended range.

        Attenuation, not HU, is averaged where two structures share a voxel and varied by the tissues' heterogeneity.
        """
        numbers = [ct_number(s.tissue, self.kvp) for s in volume.structures]
        relative = volume.mix([1.0 + number / 1000.0 for number in numbers])  # attenuation over that of water
        spacing = volume.grid.spacing
        slice_mm = self.slice_mm or spacing[2]
        size = Size.of(relative, spacing) if self.mas is not None or self.cupping > 0 else None
        deviations = [s.tissue.texture_density for s in volume.structures]
        relative *= heterogeneity(volume, deviations, stream.child("texture"), of="density")
        if size is not None and self.cupping > 0:
            relative *= torch.lerp(torch.ones_like(relative), cupping(size, relative, spacing, self.kvp), self.cupping)
        sd, noisy = self._noise(size, slice_mm)
        ideal = relative.sub_(1.0).mul_(1000.0)
        image = reconstruct(ideal, spacing, self.kernel, slice_mm, sd, stream.child("noise", *volume.moment))
        low, high = EXTENDED_HU if self.extended_range else RANGE_HU
        meta = (
            self.model_dump()
            | noisy
            | {
                "slice_mm": slice_mm,
                "ct_numbers_hu": {
                    s.name: round(number, 2) for s, number in zip(volume.structures, numbers, strict=True)
                },
                "mu_water_per_cm": round(effective_attenuation(tissue("water"), self.kvp), 6),
                "mtf50_per_mm": KERNELS[self.kernel].f50_per_mm,
                "hardening_water_cm": HARDENING_CM,
                "spectrum": read_spectra()["made_with"],
                "range_hu": [low, high],
            }
        )
        return Image(volume.grid, image.clamp_(low, high), self.modality, self.unit, meta)

    def _noise(self, size: Size | None, slice_mm: float) -> tuple[float | torch.Tensor, dict[str, Any]]:
        """The noise's sd in HU, of all slices or of each, and what the header says about it."""
        if self.mas is None or size is None:
            sd = NOISE_HU if self.noise_hu is None else self.noise_hu
            return sd, {"noise_hu": sd}
        diameters = size.water_mm if self.patient_mm is None else [self.patient_mm] * len(size.water_mm)
        each = [noise_sd(self.kvp, self.mas, float(d), KERNELS[self.kernel], slice_mm) for d in diameters]
        said = {
            "noise_hu": [round(min(each), 2), round(max(each), 2)],
            "water_equivalent_mm": [round(float(min(diameters)), 1), round(float(max(diameters)), 1)],
        }
        return torch.tensor(each, dtype=torch.float32), said
