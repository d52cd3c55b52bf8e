import itertools
import json
from math import cos, exp, radians, sin

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from engine.device import device
from engine.random import Stream
from engine.render.mr import MR
from engine.render.mr.acquire import acquire
from engine.render.mr.sequence import SEQUENCES, Timing, register
from engine.render.mr.sequences.inversion_recovery import signal as inversion_recovery
from engine.render.mr.sequences.spin_echo import signal as spin_echo
from engine.render.mr.shading import shading
from engine.tissue import Material, load_table, resolve, tissue
from engine.volume import Volume
from tests.engine.phantoms import box, build, renders, sphere, uniform

STREAM = Stream.of(5, "mr")
FLAT = {"bias": 0.0, "noise_percent": 0.0}
RELAXATION = {
    "white": (884, 72),
    "grey": (1124, 95),
    "liver": (576, 46),
    "muscle": (1008, 44),
    "fat": (343, 58),
    "csf": (4163, 2000),
}
#: |S| of blochsim 0.0.14, sycomore 1.3.2 (EPG) and MRzeroCore 1.2.0, which agree to 1e-5, by (TR, TE) in ms.
SPIN_ECHO = {
    (500, 15): (0.34289, 0.29930, 0.41084, 0.27162, 0.58445, 0.10915),
    (3000, 15): (0.78420, 0.79395, 0.71769, 0.67432, 0.77199, 0.50798),
    (4000, 90): (0.28308, 0.37582, 0.14119, 0.12665, 0.21188, 0.58231),
}
TIMINGS = [Timing(9000, 120, 2500), Timing(6000, 80, 2000), Timing(2500, 30, 150), Timing(1500, 60, 600)]


def bloch(t1, t2, timing):
    """The echo of the steady state, by rotations and relaxation of (x, y, z) from pulse to pulse."""

    def pulse(m, degrees, about):
        c, s = cos(radians(degrees)), sin(radians(degrees))
        x, y, z = m
        return np.array([x, c * y - s * z, s * y + c * z] if about == "x" else [c * x + s * z, y, c * z - s * x])

    def wait(m, ms):
        return np.array([m[0] * exp(-ms / t2), m[1] * exp(-ms / t2), 1 + (m[2] - 1) * exp(-ms / t1)])

    m, echo = np.array([0.0, 0.0, 1.0]), 0.0
    for _ in range(60):
        m[:2] = 0  # spoiled at the end of each repetition
        if timing.ti_ms is not None:
            m = wait(pulse(m, 180, "x"), timing.ti_ms)
        m = wait(pulse(m, 90, "y"), timing.te_ms / 2)
        m = wait(pulse(m, 180, "x"), timing.te_ms / 2)
        echo = m[0]
        m = wait(m, timing.tr_ms - timing.te_ms - (timing.ti_ms or 0))
    return echo


@pytest.mark.parametrize("times", SPIN_ECHO)
def test_spin_echo_equals_independent_simulators(times):
    found = [spin_echo(t1, t2, 1.0, Timing(*times)) for t1, t2 in RELAXATION.values()]
    assert found == pytest.approx(SPIN_ECHO[times], abs=1.1e-5)


@pytest.mark.parametrize("name", RELAXATION)
def test_closed_forms_equal_the_bloch_equations(name):
    t1, t2 = RELAXATION[name]
    for timing in TIMINGS:
        assert inversion_recovery(t1, t2, 1.0, timing) == pytest.approx(bloch(t1, t2, timing), abs=1e-4)
        plain = Timing(timing.tr_ms, timing.te_ms)
        assert spin_echo(t1, t2, 1.0, plain) == pytest.approx(bloch(t1, t2, plain), abs=1e-4)


def signal(name, **protocol):
    return MR(**protocol).signals([tissue(name)])[0]


@pytest.mark.parametrize("field_t", [1.5, 3.0])
def test_contrasts_are_those_a_radiologist_expects(field_t):
    def order(sequence, *names):
        values = [abs(signal(name, sequence=sequence, field_t=field_t)) for name in names]
        return all(a > 1.1 * b for a, b in itertools.pairwise(values))

    assert order("t1w", "fat", "white_matter", "grey_matter", "csf", "air")
    assert order("t1w", "liver", "spleen")
    assert order("t2w", "csf", "grey_matter", "white_matter", "muscle", "air")
    assert order("t2w", "cyst", "spleen", "liver")
    assert order("pd", "grey_matter", "white_matter", "cortical_bone")
    assert order("flair", "grey_matter", "white_matter", "csf")


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_brightest_tissue_has_1000(sequence):
    values = [abs(v) for v in MR(sequence=sequence).signals(list(load_table().values()))]
    assert max(values) == pytest.approx(1000)


def test_uniform_tissue_has_its_signal():
    made = resolve(Material(like="liver", texture=0))
    image = MR(sequence="t2w", **FLAT).render(uniform(made, n=12), STREAM).data
    assert image.cpu().numpy() == pytest.approx(np.full(image.shape, signal("liver", sequence="t2w")), rel=1e-5)


def test_signed_signals_add_up_in_a_shared_voxel():
    protocol = MR(sequence="flair", ti_ms=1500, **FLAT)
    fluid, brain = tissue("csf"), resolve(Material(like="white_matter", texture=0), name="white_matter")
    whole = build(box(brain, (0, 0, 0), (99, 99, 99)), box(fluid, (0, 0, 0), (99, 99, 99)), n=8)
    half = Volume(whole.grid, whole.top, whole.under, torch.full_like(whole.coverage, 153), whole.structures)
    below, above = protocol.signals([brain, fluid])
    assert above < 0 < below
    mixed = abs(0.6 * above + 0.4 * below)
    assert protocol.render(half, STREAM).data.mean().item() == pytest.approx(mixed, rel=1e-4)


def test_magnitude_is_rician():
    for level in (0.0, 15.0, 60.0):
        image = acquire(torch.full((20, 48, 48), level, device=device()), (1, 1), None, 12.0, STREAM.child(int(level)))
        result = stats.kstest(image.flatten().double().cpu().numpy(), stats.rice(b=level / 12.0, scale=12.0).cdf)
        assert result.pvalue > 0.01


@pytest.mark.parametrize("resolution_mm", [None, 2.5])
def test_noise_without_signal(resolution_mm):
    image = acquire(torch.zeros(64, 96, 96, device=device()), (1, 1), resolution_mm, 10.0, STREAM).double()
    assert float(image.mean()) == pytest.approx(12.533, rel=0.01)
    assert float(image.std()) == pytest.approx(6.551, rel=0.01)


def test_noise_percent_is_of_the_brightest_tissue():
    image = MR(noise_percent=2.5, bias=0).render(uniform("air", n=40), STREAM)
    assert image.meta["noise_sd"] == 25
    assert float(image.data.mean()) == pytest.approx(1.2533 * 25, rel=0.01)


def test_coarse_acquisition_rings_at_edges():
    step = torch.zeros(1, 16, 256, device=device())
    step[..., 64:192] = 1.0
    image = acquire(step, (1.0, 1.0), 8.0, 0.0, STREAM)
    assert 1.08 < float(image.max()) < 1.10  # Gibbs: 1.0895
    beyond = torch.fft.rfftfreq(256, device=device()) > 1 / 16 + 1e-6
    assert float(torch.fft.rfft(image[0, 0] - image[0, 0].mean())[beyond].abs().max()) < 2.0
    assert torch.allclose(acquire(step, (1.0, 1.0), None, 0.0, STREAM), step, atol=1e-5)


def test_shading_is_smooth_and_bounded():
    volume = uniform("water", n=32)
    factor = shading(volume.grid, 0.3, STREAM)
    assert float((factor - 1).abs().max()) == pytest.approx(0.3, rel=1e-4)
    assert float(factor.diff(dim=-1).abs().max()) < 0.1
    assert bool((shading(volume.grid, 0.0, STREAM) == 1).all())
    assert not torch.equal(factor, shading(volume.grid, 0.3, STREAM.child("other")))
    image = MR(bias=0.3, noise_percent=0).render(volume, STREAM).data
    assert float(image.max() / image.min()) > 1.2


def test_same_stream_same_bits_whatever_the_threads():
    volume = build(sphere("liver", (0, 0, 0), 25), sphere("bone", (10, 0, 0), 8), n=40)
    protocol = MR(resolution_mm=2.0)
    images = renders(protocol, volume, STREAM)
    assert torch.equal(images[0], images[1]) and torch.equal(images[0], images[2])
    assert not torch.equal(images[0], protocol.render(volume, STREAM.child("other")).data)


def test_meta_says_what_was_simulated():
    image = MR(sequence="flair", field_t=3).render(build(sphere("liver", (0, 0, 0), 10), n=16), STREAM)
    meta = json.loads(json.dumps(image.meta))
    assert (image.modality, image.unit, image.data.dtype) == ("mr", "a.u.", torch.float32)
    assert [meta[k] for k in ("sequence", "field_t", "tr_ms", "te_ms", "ti_ms")] == ["flair", 3, 9000, 120, 2500]
    assert meta["signals"]["background"] == 0


def test_numbers_may_vary_until_drawn():
    MR(te_ms={"uniform": [20, 90]}, bias={"uniform": [0, 0.3]}, sequence={"choice": ["t1w", "t2w"]}, field_t="$b0")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"te_ms": 600}, "te_ms is 600 ms and must be below tr_ms, which is 500 ms"),
        ({"sequence": "t2w", "tr_ms": 80}, "te_ms is 90 ms and must be below tr_ms, which is 80 ms"),
        ({"sequence": "flair", "tr_ms": 2600}, r"ti_ms \+ te_ms is 2620 ms"),
        ({"ti_ms": 500}, "t1w has no inversion pulse"),
        ({"field_t": 7}, "known at 1.5 or 3 T"),
        ({"sequence": "t3w"}, "'flair', 'pd', 't1w' or 't2w'"),
        ({"bias": 1.5}, "less than or equal to 0.9"),
        ({"te": 90}, "Extra inputs"),
        ({"tr_ms": 0}, "greater than 0"),
    ],
)
def test_impossible_protocols_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        MR(**wrong)


def test_a_sequence_has_one_name():
    with pytest.raises(ValueError, match="'t1w' is registered twice"):
        register("t1w", spin_echo, Timing(500, 15))
