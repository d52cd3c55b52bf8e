"""Signal equations against frozen figures of independent packages, and against Bloch simulations written out here."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.render.mr import MR, flow, train
from engine.render.mr.contrast import nulling_ti
from engine.render.mr.sequence import SEQUENCES, Sequence, Timing, register
from engine.render.mr.sequences import bssfp, diffusion, fast_spin_echo, gradient_echo, inversion_recovery, mprage
from engine.render.mr.sequences import spin_echo as se
from engine.render.mr.spins import FAT_PPM, HZ_T_PPM, Spins
from engine.tissue import Material, resolve, tissue

REFERENCE = json.loads(Path(__file__).with_name("mr_reference.json").read_text())
NAMES = list(REFERENCE["tissues"])
SOLID = [name for name in NAMES if name != "csf"]
T1 = np.array([REFERENCE["tissues"][n]["t1_ms"] for n in NAMES], float)
T2 = np.array([REFERENCE["tissues"][n]["t2_ms"] for n in NAMES], float)


def spins(off_hz=0.0, t2star=T2):
    return Spins(T1, T2, t2star, np.ones(len(T1)), np.full(len(T1), float(off_hz)))


def figures(of, key=None):
    values = REFERENCE[of]["values"] if key is None else REFERENCE[of]["values"][key]
    return np.array([values[name] for name in NAMES])


# --- Bloch simulations ------------------------------------------------------------------------------------------------


def turn(m, degrees, axis_degrees=0.0):
    """Magnetisation `[..., 3]` after a pulse about the axis at an angle from x in the transverse plane."""
    a, p = np.radians(degrees), np.radians(axis_degrees)
    n = np.array([np.cos(p), np.sin(p), 0.0])
    along = (m @ n)[..., None] * n
    return np.cos(a) * m + np.sin(a) * np.cross(n, m) + (1 - np.cos(a)) * along


def wait(m, ms, t1, t2, degrees=0.0):
    """After relaxation and precession by an angle, which may differ from one isochromat to the next."""
    a = np.radians(degrees)
    x, y, z = np.moveaxis(m, -1, 0)
    decay = np.exp(-ms / t2)
    x, y = decay * (x * np.cos(a) - y * np.sin(a)), decay * (x * np.sin(a) + y * np.cos(a))
    return np.stack(np.broadcast_arrays(x, y, 1 + (z - 1) * np.exp(-ms / t1)), axis=-1)


def crushed(m):
    """After a gradient so strong that only the mean longitudinal magnetisation counts."""
    return np.broadcast_to([0.0, 0.0, m[..., 2].mean()], m.shape)


def echo_train(t1, t2, timing, isochromats=180):
    """Echoes of a CPMG train in the steady state, the mean of isochromats spread over full turns by each gradient."""
    phases = 360.0 * np.arange(isochromats) / isochromats
    m = np.broadcast_to([0.0, 0.0, 1.0], (isochromats, 3))
    half = 0.5 * timing.echo_spacing_ms
    for _ in range(4):
        if timing.ti_ms is not None:
            m = wait(crushed(turn(m, 180)), timing.ti_ms, t1, t2)
        m, found = turn(m, 90, 90), []
        for _ in range(timing.echo_train):
            m = wait(turn(wait(m, half, t1, t2, phases), timing.refocus_deg), half, t1, t2, phases)
            found.append(m[..., 0].mean())
        m = wait(crushed(m), timing.tr_ms - (timing.ti_ms or 0) - timing.train_ms, t1, t2)
    return np.array(found)


def rf_spoiled(t1, t2, degrees, tr, te, isochromats=200):
    """A gradient echo with quadratic RF phase (117 degrees), mean magnitude of the last repetitions."""
    phases = 360.0 * np.arange(isochromats) / isochromats
    m, found = np.broadcast_to([0.0, 0.0, 1.0], (isochromats, 3)), []
    for k in range(int(max(300, 5 * t1 / tr))):
        m = turn(m, degrees, 117.0 * k * (k + 1) / 2 % 360)
        echo = wait(m, te, t1, t2)
        found.append(abs(complex(*echo[..., :2].mean(axis=0))))
        m = wait(echo, tr - te, t1, t2, phases)
    return np.mean(found[-20:])


def balanced(t1, t2, degrees, tr, te, off_hz):
    """The echo of alternating pulses in the steady state: the fixed point of two repetitions, by a 3x3 matrix."""
    spin = 0.36 * off_hz * tr

    def cycle(m):
        for sign in (1, -1):
            m = turn(wait(m, tr, t1, t2, spin), sign * degrees)
        return m

    offset = cycle(np.zeros(3))
    matrix = np.stack([cycle(e) - offset for e in np.eye(3)], axis=1)
    m = np.linalg.solve(np.eye(3) - matrix, offset)
    x, y, _ = wait(m, te, t1, t2, 0.36 * off_hz * te)
    return complex(x, y)


# --- the equations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", REFERENCE["spin_echo"]["values"])
def test_spin_echo_equals_independent_simulators(times):
    timing = Timing(*map(float, times.split()))
    expected = figures("spin_echo", times)
    assert se.signal(spins(), timing)[:, 0] == pytest.approx(expected, abs=1.1e-5)
    alone = Timing(timing.tr_ms, timing.te_ms, refocus_deg=180.0, echo_train=1, echo_spacing_ms=10.0)
    assert fast_spin_echo.signal(spins(), alone)[:, 0] == pytest.approx(expected, abs=1.1e-5)


@pytest.mark.parametrize("refocus", REFERENCE["fast_spin_echo"]["values"])
def test_fast_spin_echo_equals_independent_simulators(refocus):
    timing = Timing(4000, 80, refocus_deg=float(refocus), echo_train=16, echo_spacing_ms=10)
    found = fast_spin_echo.signal(spins(), timing)[:, fast_spin_echo.middle(timing)]
    for name, value, packages in zip(NAMES, found, figures("fast_spin_echo", refocus), strict=True):
        if name == "csf":  # fluid's T2 outlasts TR, and the packages differ in what is left of it
            assert packages.min() * 0.97 < value < packages.max() * 1.03
        else:
            assert packages.tolist() == pytest.approx([value] * 3, rel=1e-3), name


@pytest.mark.parametrize("refocus", [180.0, 150.0, 120.0, 60.0])
@pytest.mark.parametrize("ti", [None, 230.0])
def test_every_echo_of_a_train_equals_the_bloch_equations(refocus, ti):
    timing = Timing(2500, 50, ti, refocus_deg=refocus, echo_train=12, echo_spacing_ms=10)
    found = fast_spin_echo.signal(spins(), timing)
    for row in range(len(T1)):
        assert found[row] == pytest.approx(echo_train(T1[row], T2[row], timing), abs=1e-6)


def test_left_over_of_a_spin_echo_is_what_recovers_around_the_pulse():
    left = train.left_over(T1, T2, 180.0, 1, 40.0)
    assert left == pytest.approx(1 - 2 * np.exp(-20 / T1) + np.exp(-40 / T1))


@pytest.mark.parametrize("times", [(9000, 120, 2500), (6000, 80, 2000), (2500, 30, 150), (1500, 60, 600)])
def test_inversion_recovery_equals_the_bloch_equations_and_a_train_of_one(times):
    timing = Timing(*times, refocus_deg=180.0, echo_train=1, echo_spacing_ms=times[1])
    found = inversion_recovery.signal(spins(), timing)
    expected = [echo_train(t1, t2, timing)[0] for t1, t2 in zip(T1, T2, strict=True)]
    assert found[:, 0] == pytest.approx(np.array(expected), abs=1e-4)
    assert fast_spin_echo.signal(spins(), timing) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("echoes", [1, 12])
@pytest.mark.parametrize("field_t", [0.55, 1.5, 3.0])
def test_stir_nulls_fat_at_its_usual_inversion_time(echoes, field_t):
    protocol = MR(sequence="stir", field_t=field_t, echo_train=echoes)
    fat, muscle = protocol.signals([tissue("fat"), tissue("muscle")])
    assert abs(fat) < 0.01 * abs(muscle)


def test_nulling_time_of_fat():
    assert nulling_ti(resolve(Material(t1_ms=343)), 1.5, 4000, 0) == pytest.approx(238, abs=0.5)


@pytest.mark.parametrize("angle", REFERENCE["spoiled_gradient_echo"]["values"])
def test_spoiled_gradient_echo(angle):
    found = gradient_echo.signal(spins(), Timing(10, 3, flip_deg=float(angle)))[:, 0]
    ideal, spoiled = figures("spoiled_gradient_echo", angle).T
    assert found.real == pytest.approx(ideal, abs=1.1e-5)
    for row, name in enumerate(NAMES):
        if name in SOLID:
            assert found[row].real == pytest.approx(spoiled[row], rel=0.04)
            own = rf_spoiled(T1[row], T2[row], float(angle), 10, 3)
            assert own == pytest.approx(spoiled[row], rel=0.015)


def test_brightest_angle_is_ernsts():
    angles = np.linspace(1, 60, 5901)
    t1, tr = 800.0, 20.0
    tissue_ = Spins(*(np.array([v]) for v in (t1, 80.0, 80.0, 1.0, 0.0)))
    values = [abs(gradient_echo.signal(tissue_, Timing(tr, 1, flip_deg=a))[0, 0]) for a in angles]
    assert angles[np.argmax(values)] == pytest.approx(np.degrees(np.arccos(np.exp(-tr / t1))), abs=0.02)


def test_gradient_echo_turns_and_decays_with_t2star():
    one = gradient_echo.signal(spins(40.0, 0.5 * T2), Timing(100, 5, flip_deg=30))[:, 0]
    none = gradient_echo.signal(spins(0.0, 0.5 * T2), Timing(100, 0.001, flip_deg=30))[:, 0]
    assert one / none == pytest.approx(np.exp(-4.999 / (0.5 * T2)) * np.exp(2j * np.pi * 40 * 0.005), rel=1e-4)


def test_bssfp_on_resonance_equals_independent_figures():
    found = bssfp.signal(spins(), Timing(4, 2, flip_deg=45))[:, 0]
    assert np.abs(found) == pytest.approx(figures("bssfp"), abs=1.1e-5)


@pytest.mark.parametrize("off_hz", [-217.0, -125.0, -60.0, 30.0, 100.0, 124.0, 180.0])
def test_bssfp_off_resonance_equals_the_bloch_matrix(off_hz):
    timing = Timing(4, 1.7, flip_deg=50)
    found, at_zero = (bssfp.signal(spins(f), timing)[:, 0] for f in (off_hz, 0.0))
    for row in range(len(T1)):
        there, here = (balanced(T1[row], T2[row], 50, 4, 1.7, f) for f in (off_hz, 0.0))
        assert abs(found[row]) == pytest.approx(abs(there), abs=1e-4)
        assert found[row] / at_zero[row] == pytest.approx(there / here, abs=1e-3)


def test_mprage_equals_the_bloch_equations():
    timing = Timing(2000, 3, 800, flip_deg=9, echo_train=60, echo_spacing_ms=8)
    found = mprage.signal(spins(), timing).real
    for row in range(len(T1)):
        m, echoes = np.array([0.0, 0.0, 1.0]), []
        for _ in range(20):
            m, echoes = wait(turn(m, 180), 800 - 30 * 8, T1[row], T2[row]), []
            for _ in range(60):
                m = turn(m * [0, 0, 1], 9, 90)
                echoes.append(m[0] * np.exp(-3 / T2[row]))
                m = wait(m, 8, T1[row], T2[row])
            m = wait(m * [0, 0, 1], 2000 - 800 - 30 * 8, T1[row], T2[row])
        assert found[row] == pytest.approx(np.array(echoes), abs=1e-6)


def test_diffusion_follows_b():
    timing = Timing(5000, 75, b_s_mm2=1000)
    plain = se.signal(spins(), timing)
    assert diffusion.signal(spins(), timing) == pytest.approx(plain * np.exp(-1.0))
    assert diffusion.shortest_te_ms(1000) == pytest.approx(29.7, abs=0.1)


# --- tissues ----------------------------------------------------------------------------------------------------------


def test_contrast_agent_shortens_both_times():
    made = resolve(Material(like="blood", agent_mmol_l=2.0, r1_l_mmol_s=4.5, r2_l_mmol_s=6.0))
    with_agent, without = (Spins.of([t], 1.5) for t in (made, tissue("blood")))
    assert 1e3 / with_agent.t1_ms - 1e3 / without.t1_ms == pytest.approx(9.0)
    assert 1e3 / with_agent.t2_ms - 1e3 / without.t2_ms == pytest.approx(12.0)
    before, after = MR(sequence="t1w").signals([tissue("blood"), made])
    assert after > 1.8 * before


def test_t2star_is_shorter_the_stronger_the_field():
    times = [Spins.of([tissue("liver")], field).t2star_ms[0] for field in (0.55, 1.5, 3.0)]
    assert times[0] > times[1] > times[2]
    assert times[1] == pytest.approx(30, abs=2)
    iron = resolve(Material(like="liver", r2prime_s_t=150))
    healthy, loaded = MR(sequence="t2star").signals([tissue("liver"), iron])
    assert loaded < 0.05 * healthy


def test_fat_and_water_cancel_at_opposed_phase():
    half = resolve(Material(like="liver", fat_fraction=0.5))
    period = 1e3 / abs(FAT_PPM * HZ_T_PPM * 1.5)
    assert period / 2 == pytest.approx(2.3, abs=0.05)
    out, opposed = (MR(sequence="spgr", te_ms=t).signals([half])[0] for t in (period, 0.5 * period))
    assert opposed < 0.01 * out
    assert MR(sequence="t1w").signals([half]) == pytest.approx(MR(sequence="t1w").signals([tissue("liver")]))


def test_fat_saturation_takes_fat_away():
    fat, liver = (tissue(name) for name in ("fat", "liver"))
    ratio = [np.divide(*MR(sequence="fse", fat_saturation=s).signals([fat, liver])) for s in (0.0, 1.0)]
    assert ratio[1] / ratio[0] == pytest.approx((1 - 0.95) / (1 - 0.03), rel=1e-6)


def test_a_sequence_has_one_name():
    with pytest.raises(ValueError, match="'t1w' is registered twice"):
        register(Sequence("t1w", se.signal, Timing(500, 15)))
    assert {"t1w", "t2w", "pd", "fse", "flair", "stir", "mprage", "spgr", "t2star", "bssfp", "dwi"} == set(SEQUENCES)


# --- flow -------------------------------------------------------------------------------------------------------------


def flowing(speed, slice_mm=5.0):
    """Blood of 1441 and 290 ms that flows."""
    one = np.ones(1)
    return Spins(1441 * one, 290 * one, 250 * one, one, 0 * one, speed * one, slice_mm)


@pytest.mark.parametrize("speed", [20.0, 150.0, 600.0])
def test_laminar_flow_leaves_the_slice(speed):
    """Against spins of a paraboloid of speeds that begin anywhere in the slice."""
    rng = np.random.default_rng(1)
    at, radius = rng.uniform(0, 5, 400_000), np.sqrt(rng.uniform(0, 1, 400_000))
    inside = (at + 2 * speed * (1 - radius**2) * 0.02 < 5).mean()
    assert flow.stays(np.array([speed]), 20.0, 5.0)[0] == pytest.approx(inside, abs=3e-3)


@pytest.mark.parametrize(("speed", "degrees", "tr"), [(30.0, 70.0, 40.0), (10.0, 120.0, 33.0), (200.0, 15.0, 10.0)])
def test_blood_comes_in_fresh(speed, degrees, tr):
    """Against blood that is followed through the slice, pulse by pulse."""
    found = gradient_echo.signal(flowing(speed), Timing(tr, 1e-6, flip_deg=degrees))[0, 0].real
    at = (np.arange(20_000) + 0.5) / 20_000 * 5.0
    met = np.floor(at / (speed * tr * 1e-3)).astype(int)
    before = [1.0]
    for _ in range(met.max()):
        before.append(1 - (1 - before[-1] * np.cos(np.radians(degrees))) * np.exp(-tr / 1441))
    assert found == pytest.approx(np.sin(np.radians(degrees)) * np.array(before)[met].mean(), abs=1e-3)


def test_blood_at_rest_is_tissue():
    for sequence in SEQUENCES.values():
        still = Spins(*(np.array([v]) for v in (1441.0, 290.0, 250.0, 1.0, 0.0)))
        assert sequence.signal(flowing(0.0), sequence.timing) == pytest.approx(sequence.signal(still, sequence.timing))


@pytest.mark.parametrize("field_t", [0.55, 1.5, 3.0])
def test_flowing_blood_is_dark_in_spin_echoes_and_bright_in_gradient_echoes(field_t):
    moving = resolve(Material(like="blood", flow_mm_s=200))
    for name in ("t1w", "t2w", "pd", "fse", "stir", "dwi"):
        blood, muscle = MR(sequence=name, field_t=field_t).signals([moving, tissue("muscle")])
        assert abs(blood) < 0.15 * abs(muscle), name
    for name in ("spgr", "bssfp"):
        blood, muscle = MR(sequence=name, field_t=field_t).signals([moving, tissue("muscle")])
        assert blood > 1.5 * muscle, name
    thick, thin = (MR(sequence="spgr", tr_ms=10, slice_mm=mm).signals([moving])[0] for mm in (40, 3))
    assert thin > 1.5 * thick
