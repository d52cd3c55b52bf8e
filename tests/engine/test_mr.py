import itertools
import json

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from engine.device import device
from engine.random import Stream
from engine.render.mr import MR
from engine.render.mr.acquire import acquire
from engine.render.mr.encode import Encoding
from engine.render.mr.layer import Layer
from engine.render.mr.sampling import Sampling
from engine.render.mr.sequence import SEQUENCES
from engine.render.mr.shading import shading
from engine.tissue import Material, load_table, resolve, tissue
from engine.volume import Volume
from tests.engine.phantoms import box, build, renders, sphere, uniform

STREAM = Stream.of(5, "mr")
FLAT = {"bias": 0.0, "noise_percent": 0.0}


def measure(signal, noise=0.0, matrix=None, stream=STREAM):
    """Magnitude of `[z, y, x]` measured with a matrix (phase, readout)."""
    size = tuple(signal.shape[1:])
    return acquire([Layer(signal)], Encoding(Sampling(size, matrix or size)), noise, stream)


def signal(name, **protocol):
    return MR(**protocol).signals([tissue(name)])[0]


@pytest.mark.parametrize(("field_t", "margin"), [(0.55, 1.05), (1.5, 1.1), (3.0, 1.1)])
def test_contrasts_are_those_a_radiologist_expects(field_t, margin):
    def order(sequence, *names):
        values = [abs(signal(name, sequence=sequence, field_t=field_t)) for name in names]
        return all(a > margin * b for a, b in itertools.pairwise(values))

    assert order("t1w", "fat", "white_matter", "grey_matter", "csf", "air")
    assert order("t1w", "liver", "spleen")
    assert order("t2w", "csf", "grey_matter", "white_matter", "muscle", "air")
    assert order("t2w", "cyst", "spleen", "liver")
    assert order("pd", "grey_matter", "white_matter", "cortical_bone")
    assert order("flair", "grey_matter", "white_matter", "csf")
    assert order("fse", "csf", "grey_matter", "white_matter", "muscle")
    assert order("mprage", "white_matter", "grey_matter", "csf")
    assert order("stir", "csf", "spleen", "muscle", "fat")
    assert order("bssfp", "csf", "blood", "liver")
    assert order("dwi", "spleen", "muscle", "fat")
    assert order("spgr", "fat", "liver", "spleen", "csf")
    assert order("t2star", "blood", "liver", "bone")


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
        image = measure(torch.full((20, 48, 48), level, device=device()), 12.0, stream=STREAM.child(int(level)))
        result = stats.kstest(image.flatten().double().cpu().numpy(), stats.rice(b=level / 12.0, scale=12.0).cdf)
        assert result.pvalue > 0.01


@pytest.mark.parametrize("matrix", [None, (38, 40)])
def test_noise_without_signal(matrix):
    image = measure(torch.zeros(64, 96, 96, device=device()), 10.0, matrix).double()
    assert float(image.mean()) == pytest.approx(12.533, rel=0.01)
    assert float(image.std()) == pytest.approx(6.551, rel=0.01)


def test_noise_percent_is_of_the_brightest_tissue():
    image = MR(noise_percent=2.5, bias=0).render(uniform("air", n=40), STREAM)
    assert image.meta["noise_sd"] == 25
    assert float(image.data.mean()) == pytest.approx(1.2533 * 25, rel=0.01)


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
        ({"field_t": 7}, "known at 0.55, 1.5 or 3 T"),
        ({"sequence": "t3w"}, "'bssfp', 'dwi', 'flair', 'fse'"),
        ({"bias": 1.5}, "less than or equal to 0.9"),
        ({"te": 90}, "Extra inputs"),
        ({"tr_ms": 0}, "greater than 0"),
        ({"flip_deg": 30}, "t1w has no flip angle to choose; leave out flip_deg or use .*bssfp"),
        ({"b_s_mm2": 500}, "no diffusion gradients; leave out b_s_mm2 or use dwi"),
        ({"sequence": "spgr", "echo_train": 8}, "no echo train"),
        ({"sequence": "bssfp", "te_ms": 5}, "te_ms is 5 ms and must be below tr_ms, which is 4 ms"),
        ({"sequence": "fse", "te_ms": 300}, "below the end of the echo train, which is 165 ms"),
        ({"sequence": "fse", "te_ms": 4}, "half of echo_spacing_ms is 5 ms and must be below te_ms"),
        ({"sequence": "fse", "echo_train": 500}, "echo_train x echo_spacing_ms is 5000 ms"),
        ({"sequence": "mprage", "ti_ms": 500}, "first half of the echo train is 616 ms and must be below ti_ms"),
        ({"sequence": "mprage", "tr_ms": 1200}, "must be below tr_ms"),
        ({"sequence": "dwi", "te_ms": 20}, "what b_s_mm2 needs at 80 mT/m is 27.* and must be below te_ms"),
        ({"bandwidth_hz": 40}, "half of the readout.* is 12.5 ms and must be below te_ms, which is 10 ms"),
        ({"sequence": "bssfp", "bandwidth_hz": 200}, "must be below te_ms"),
        ({"sequence": "fse", "bandwidth_hz": 90}, "must be below echo_spacing_ms"),
        ({"acceleration": 2}, "acceleration needs as many channels"),
        ({"channels": 33}, "less than or equal to 32"),
        ({"matrix": [128, 96], "resolution_mm": 2}, "leave out matrix or resolution_mm"),
        ({"slice_gap_mm": 1}, "slice_gap_mm needs slice_mm"),
        ({"partial_fourier": 0.5}, "greater than or equal to 0.55"),
        ({"phase_fov": 0.1}, "greater than or equal to 0.2"),
        ({"sequence": "spgr", "flip_deg": 200}, "less than or equal to 180"),
    ],
)
def test_impossible_protocols_are_refused(wrong, message):
    with pytest.raises(ValidationError, match=message):
        MR(**wrong)
