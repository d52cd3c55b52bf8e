"""Acquisition: each slice is measured in k-space, where noise enters, and its magnitude is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from engine.random import Stream
from engine.render.mr.coils import Coils
from engine.render.mr.encode import Encoding
from engine.render.mr.layer import Layer
from engine.render.serial import serial


@serial()
def acquire(
    layers: Sequence[Layer],
    encoding: Encoding,
    noise: float,
    stream: Stream,
    coils: Coils | None = None,
    raised: torch.Tensor | None = None,
    disturb: Callable[[torch.Tensor], None] | None = None,
) -> torch.Tensor:
    """Magnitude images of slices, `[z, y, x]`.

    Noise is complex, white and Gaussian over the samples taken. With one channel the magnitude is Rician (Gudbjartsson
    and Patz 1995, doi 10.1002/mrm.1910340618): where there is no signal its mean is 1.2533 and its sd 0.6551 times
    `noise`. The root sum of squares of several is non-central chi (Constantinides et al. 1997, doi
    10.1002/mrm.1910380524).

    Args:
        layers: of magnetisation, transverse and signed.
        noise: standard deviation of the real and of the imaginary part of one channel's image, in the signal's unit.
        stream: the noise's randomness.
        coils: whose root sum of squares is taken; None is a single even channel.
        raised: `[z, y, x]` that multiplies the noise of parallel imaging, whose image is the coils' together.
        disturb: changes the samples of a channel in place.
    """
    shape = tuple(layers[0].image.shape)
    power: torch.Tensor | None = None
    several = coils is not None and raised is None and coils.channels > 1
    for channel in range(coils.channels if coils is not None and several else 1):
        sensitivity = coils.sensitivity(channel) if coils is not None and several else None
        own = stream.child("channel", channel) if several else stream
        samples = encoding.samples(layers, sensitivity)
        if noise > 0:
            share = float(
                encoding.sampling.taken.mean()
            )  # zeros carry no noise: the samples taken have to carry it all
            white = torch.view_as_complex(own.normal((*samples.shape, 2)))
            if raised is not None:
                white = torch.fft.fft2(encoding.window(raised) * white, norm="ortho")
            samples.add_(white, alpha=noise / share**0.5)
        if disturb is not None:
            disturb(samples)
        if not encoding.sampling.whole:
            samples *= torch.from_numpy(encoding.sampling.taken).to(samples.device)
        image = torch.fft.ifft2(samples, norm="ortho").abs()
        if not several:
            return encoding.unfold(image, shape)
        power = image.square_() if power is None else power.add_(image.square_())
    assert power is not None
    return encoding.unfold(power.sqrt_(), shape)
