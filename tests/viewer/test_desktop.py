"""The desktop window on a real screen (Xvfb), driven by a mouse and a keyboard: what is on screen after each."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.viewer.browser import wait
from tests.viewer.test_live import SCENE
from viewer.panel import WIDTH
from viewer.window import SIZE

_TITLE = "Viscera"


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """The environment of programs that use a screen of their own."""
    for program in ("Xvfb", "xdotool"):
        if not shutil.which(program):
            pytest.skip(f"no {program}: apt-get install xvfb xdotool")
    folder = tmp_path_factory.mktemp("screen")
    reading, writing = os.pipe()
    xvfb = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1400x1000x24", "-fbdir", str(folder), "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as said:
        display = said.readline().strip()
    yield {**os.environ, "DISPLAY": f":{display}", "VISCERA_SCREEN": str(folder / "Xvfb_screen0")}
    xvfb.terminate()
    xvfb.wait(10)


class Desktop:
    """A viewer in a window, and what a user's hands do to it."""

    def __init__(self, screen: dict[str, str], *arguments: str | Path) -> None:
        self._env = screen
        self._process = subprocess.Popen(
            [sys.executable, "-m", "viscera", "view", *map(str, arguments)],
            env=screen,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._left = self._top = 0

    def find(self) -> None:
        """Wait for the window; where it does not come, the test fails with what the program said."""
        try:
            window = wait(self._windows)[-1]
        except AssertionError as late:
            self._process.kill()
            raise AssertionError(f"no window; the program said: {self._process.communicate()[0]}") from late
        said = dict(
            line.split("=") for line in self._tool("getwindowgeometry", "--shell", window).split() if "=" in line
        )
        self._left, self._top = int(said["X"]), int(said["Y"])
        assert (int(said["WIDTH"]), int(said["HEIGHT"])) == SIZE

    def _windows(self) -> list[str]:
        return self._tool("search", "--onlyvisible", "--name", _TITLE, check=False).split()

    def shot(self) -> np.ndarray:
        """The window's pixels, uint8 `[h, w, 3]`, read from the screen's own memory."""
        raw = Path(self._env["VISCERA_SCREEN"]).read_bytes()
        wide, high = 1400, 1000
        picture = np.frombuffer(raw[-wide * high * 4 :], np.uint8).reshape(high, wide, 4)[..., 2::-1]
        return picture[self._top : self._top + SIZE[1], self._left : self._left + SIZE[0]]

    def still(self) -> np.ndarray:
        """The pixels once they stay the same for a while."""
        shots = [self.shot()]

        def same():
            time.sleep(0.4)
            shots.append(self.shot())
            return shots[-1].std() > 5 and np.array_equal(shots[-1], shots[-2])

        wait(same, "the window never rests")
        return shots[-1]

    def mouse(self, x: float, y: float, *buttons: int) -> None:
        """Go to a pixel of the window and press buttons there (1 left, 3 right, 4 and 5 the wheel)."""
        self._tool("mousemove", "--sync", str(round(self._left + x)), str(round(self._top + y)))
        for button in buttons:
            self._tool("click", str(button))

    def drag(self, x: float, y: float, right: int, button: int) -> None:
        """Press a button at a pixel, move and let go."""
        self.mouse(x, y)
        self._tool("mousedown", str(button))
        self._tool("mousemove_relative", "--sync", "--", str(right), "0")
        self._tool("mouseup", str(button))

    def key(self, name: str) -> None:
        """Press a key, by its X name."""
        self._tool("key", name)

    def close(self) -> str:
        """End it as a user does who closes the window; what it printed."""
        self.key("q")
        try:
            return self._process.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def _tool(self, *arguments: str, check: bool = True) -> str:
        done = subprocess.run(["xdotool", *arguments], env=self._env, capture_output=True, text=True, check=check)
        return done.stdout


@pytest.fixture
def scene(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SCENE)
    return path


def _panes(shot):
    """Axial, 3-D, coronal, sagittal."""
    room = shot[:-26, :-WIDTH]
    high, wide = room.shape[0] // 2, room.shape[1] // 2
    return room[:high, :wide], room[:high, wide:], room[high:, :wide], room[high:, wide:]


def _changed(before, after):
    return [float((a != b).any(axis=-1).mean()) for a, b in zip(_panes(before), _panes(after), strict=True)]


def test_a_window_follows_hands_and_file(screen, scene):
    desktop = Desktop(screen, scene, "--size", "24")
    desktop.find()
    first = desktop.still()
    middle = ((SIZE[0] - WIDTH) / 4, SIZE[1] / 4)

    desktop.mouse(middle[0] + 60, middle[1] + 30, 1)
    clicked = desktop.still()
    assert min(_changed(first, clicked)) > 0.002  # lines, slices and frames in all four

    desktop.mouse(*middle, 4, 4)
    paged = desktop.still()
    assert (clicked[:-26] != paged[:-26]).any() and _changed(clicked, paged)[0] > 0.002

    desktop.key("m")
    other = desktop.still()
    assert _changed(paged, other)[0] > 0.05  # another image

    desktop.drag(middle[0] + SIZE[0] / 2 - WIDTH / 2, middle[1], 120, 1)
    turned = desktop.still()
    axial, organs, coronal, sagittal = _changed(other, turned)
    assert organs > 0.01 and max(axial, coronal, sagittal) < 0.01

    scene.write_text(SCENE.replace("liver", "livr"))
    wait(lambda: _red(desktop.shot()) > 5000, "the mistake is not shown")
    broken = desktop.still()
    assert _changed(turned, broken)[0] < 0.01  # the last good picture
    scene.write_text(SCENE.replace("radii: [44, 40, 44]", "radii: [30, 30, 30]"))
    wait(lambda: _red(desktop.shot()) < 500, "the mended scene still shows its mistake")
    assert _changed(turned, desktop.still())[0] > 0.02
    assert "Traceback" not in desktop.close()


def _red(shot):
    """Pixels of the ground of messages."""
    return int((np.abs(shot[..., :3].astype(int) - (60, 18, 18)).max(axis=-1) < 12).sum())


@pytest.mark.parametrize("display", ["", ":98765"])
def test_no_screen_is_told_with_what_to_do(scene, display):
    env = {**os.environ, "DISPLAY": display}
    done = subprocess.run(
        [sys.executable, "-m", "viscera", "view", str(scene)], env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--screenshot" in done.stderr and "--web" in done.stderr
