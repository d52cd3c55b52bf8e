"""How to take a CT image."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator

from engine.random import Stream
from engine.render.ct.cupping import cupping
from engine.render.ct.dose import noise_sd
from engine.render.ct.kernel import KERNELS
from engine.render.ct.number import ct_number, effective_attenuation
from engine.render.ct.reconstruct import reconstruct, thicken
from engine.render.ct.scan import Scan, reconstructed
from engine.render.ct.scanner import Scanner
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
#: Dose of a projected scan where none is given, mAs.
MAS = 200.0

Kilovolts = Annotated[float, Field(ge=LOWEST_KVP, le=HIGHEST_KVP), Varying(low=LOWEST_KVP, high=HIGHEST_KVP)]
KernelName = Annotated[Literal[tuple(KERNELS)], Varying()]  # type: ignore[valid-type]
Diameter = Annotated[float, Field(ge=20, le=800), Varying(low=20, high=800)]


Fidelity = Annotated[Literal["image", "projection"], Varying()]


class CT(Protocol):
    """Computed tomography in HU.

    Of fidelity `image`: CT numbers from composition and spectrum, kernel blur, ramp-filtered noise. Of fidelity
    `projection`: rays of all energies through the volume, photons counted, filtered back-projection; hardening, streaks
    and what else follows from them appear by themselves.
    """

    unit: ClassVar[str] = "HU"

    modality: Literal["ct"] = "ct"
    fidelity: Fidelity = Field("image", description="what is simulated: the image's look, or the scan that makes it")
    kvp: Kilovolts = Field(120.0, description="tube voltage, kVp")
    kernel: KernelName = Field("standard", description="reconstruction kernel: sharpness in the plane of slices")
    slice_mm: Positive | None = Field(None, description="slice thickness, mm; the grid's spacing along z if left out")
    noise_hu: NonNegative | None = Field(
        None, description="standard deviation of the noise in water, HU; 0 for none; 12 where mas is left out too"
    )
    mas: Positive | None = Field(
        None,
        description="tube current x rotation time, mAs, instead of noise_hu: noise follows dose and patient; "
        "of fidelity projection 200 if left out, unless noise_hu is 0",
    )
    patient_mm: Diameter | None = Field(
        None, description="water-equivalent diameter of the patient, mm; that of each slice of the grid if left out"
    )
    cupping: Fraction = Field(0.0, description="share of water's beam hardening that is left uncorrected")
    extended_range: bool = Field(False, description="keep CT numbers from -10240 to 30710 instead of -1024 to 3071 HU")
    scanner: Scanner | None = Field(None, description="geometry, corrections and faults, of fidelity projection")

    @model_validator(mode="after")
    def _one_noise(self) -> CT:
        if self.noise_hu is not None and self.mas is not None:
            raise ValueError("noise_hu fixes the noise and mas lets it follow from the dose; leave one of them out")
        if self.patient_mm is not None and self.mas is None:
            raise ValueError("patient_mm says how much of the dose comes through; give mas too, or leave it out")
        return self

    @model_validator(mode="after")
    def _one_fidelity(self) -> CT:
        if self.fidelity == "image" and self.scanner is not None:
            raise ValueError("scanner belongs to fidelity: projection; add that, or leave scanner out")
        if self.fidelity == "projection":
            if self.noise_hu is not None and self.noise_hu != 0:
                raise ValueError("of fidelity projection noise follows from photons: give mas, or noise_hu: 0 for none")
            if self.patient_mm is not None:
                raise ValueError("of fidelity projection the patient is the volume; leave patient_mm out")
            if self.cupping != 0:
                raise ValueError(
                    "of fidelity projection beams harden by themselves: scanner: {water_correction: false}"
                )
        return self

    def noiseless(self) -> CT:
        return self.model_copy(update={"noise_hu": 0.0, "mas": None, "patient_mm": None})

    def render(self, volume: Volume, stream: Stream) -> Image:
        """The CT image of `volume`, clipped to what 12 bits hold (-1024 to 3071 HU) or to the extended range.

        Attenuation, not HU, is averaged where two structures share a voxel and varied by the tissues' heterogeneity.
        """
        numbers = [ct_number(s.tissue, self.kvp) for s in volume.structures]
        slice_mm = self.slice_mm or volume.grid.spacing[2]
        deviations = [s.tissue.texture_density for s in volume.structures]
        density = heterogeneity(volume, deviations, stream.child("texture"), of="density")
        make = self._project if self.fidelity == "projection" else self._imitate
        image, made = make(volume, numbers, density, slice_mm, stream)
        low, high = EXTENDED_HU if self.extended_range else RANGE_HU
        meta = self.model_dump() | {
            "slice_mm": slice_mm,
            "ct_numbers_hu": {s.name: round(number, 2) for s, number in zip(volume.structures, numbers, strict=True)},
            "mu_water_per_cm": round(effective_attenuation(tissue("water"), self.kvp), 6),
            "mtf50_per_mm": KERNELS[self.kernel].f50_per_mm,
            "hardening_water_cm": HARDENING_CM,
            "spectrum": read_spectra()["made_with"],
            "range_hu": [low, high],
        }
        image = image.clamp_(low, high).nan_to_num_(nan=low)
        return Image(volume.grid, image, self.modality, self.unit, meta | made)

    def _imitate(
        self, volume: Volume, numbers: list[float], density: torch.Tensor, slice_mm: float, stream: Stream
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """HU of fidelity `image`, and what the header says about it."""
        relative = volume.mix([1.0 + number / 1000.0 for number in numbers])  # attenuation over that of water
        spacing = volume.grid.spacing
        size = Size.of(relative, spacing) if self.mas is not None or self.cupping > 0 else None
        relative *= density
        if size is not None and self.cupping > 0:
            relative *= torch.lerp(torch.ones_like(relative), cupping(size, relative, spacing, self.kvp), self.cupping)
        sd, noisy = self._noise(size, slice_mm)
        ideal = relative.sub_(1.0).mul_(1000.0)
        noise = stream.child("noise", *volume.moment)
        return reconstruct(ideal, spacing, self.kernel, slice_mm, sd, noise), noisy

    def _project(
        self, volume: Volume, _: list[float], density: torch.Tensor, slice_mm: float, stream: Stream
    ) -> tuple[torch.Tensor, dict[str, Any]]:
        """HU of fidelity `projection`, NaN outside its field of view, and what the header says about it."""
        scanner = self.scanner or Scanner.model_validate({})
        mas = None if self.noise_hu == 0 else self.mas or MAS
        spacing = volume.grid.spacing[2]
        scan = Scan(scanner, self.kvp, mas, scanner.window or self.kernel, min(slice_mm, spacing))
        relative, rays = reconstructed(volume, density, scan, stream.child("scan"))
        made = {
            "mas": mas,
            "noise_hu": 0 if mas is None else None,
            "scanner": scanner.model_dump() | asdict(rays) | {"fov_mm": round(2.0 * rays.reach_mm(), 1)},
        }
        return thicken(relative.sub_(1.0).mul_(1000.0), spacing, slice_mm), made

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
