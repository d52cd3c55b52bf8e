"""The tutorial of docs/authoring.md as steps that can be taken.

`python -m tests.tutorial` takes them all but the training and writes what the commands say and draw into the docs: run
it after the tutorial, a message or a picture has changed.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "authoring.md"
PICTURES = ROOT / "docs" / "images" / "tutorial"
SCENE = "adrenal.yaml"
_WIDTH, _COLOURS = 920, 256


@dataclass(frozen=True)
class Step:
    """A block of the tutorial: lines for a file (`yaml`), or commands (`sh`) and what they say."""

    kind: str
    body: str
    said: str = ""

    @property
    def commands(self) -> list[list[str]]:
        """The arguments of each command, after `viscera`."""
        return [shlex.split(line)[1:] for line in self.body.splitlines()]


def section(page: str) -> str:
    """The tutorial's part of the page."""
    return re.split(r"^## ", page[page.index("## Tutorial") + 3 :], maxsplit=1, flags=re.MULTILINE)[0]


def steps(page: str) -> Iterator[Step]:
    """The tutorial's blocks in order."""
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", section(page), re.MULTILINE | re.DOTALL)
    for (kind, body), (after, said) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind != "text":
            yield Step(kind, body, said if after == "text" else "")


def write(step: Step, folder: Path) -> Path:
    """Do to the files in `folder` what a block of YAML asks for; returns the file."""
    named = re.match(r"# (\w+\.yaml)\n", step.body)
    path = folder / (named[1] if named else SCENE)
    whole = named or "viscera: 1" in step.body
    path.write_text(step.body if whole else merged(path.read_text(), step.body))
    return path


def merged(text: str, lines: str) -> str:
    """A scene's file with `lines`: a name that is there is replaced, others go to the end of their section, and new
    sections above `structures`."""
    head, sections = _split(text, "")
    for name, block in _split(lines, "")[1].items():
        if name not in sections:
            sections = _before("structures", sections, name, block)
            continue
        title, entries = _split(sections[name], "  ")
        new = _split(block, "  ")[1]
        sections[name] = title + "".join((entries | new).values()) if new else block
    return head + "".join(sections.values())


def _split(text: str, indent: str) -> tuple[str, dict[str, str]]:
    """What stands before the first key at `indent`, and the lines of each key."""
    head, *parts = re.split(rf"^(?={indent}\w+:)", text, flags=re.MULTILINE)
    return head, {part.strip().partition(":")[0]: part for part in parts}


def _before(place: str, sections: dict[str, str], name: str, block: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for key, lines in sections.items():
        out |= {name: block, key: lines} if key == place else {key: lines}
    return out


def agrees(shown: str, said: str) -> bool:
    """Whether a command said what is shown; a line of three dots stands for any lines."""
    pattern = ".*".join(map(re.escape, shown.split("...\n")))
    return re.fullmatch(pattern, said, re.DOTALL) is not None


def draw(picture: Path, out: Path) -> None:
    """Write a screenshot small enough for a page."""
    with Image.open(picture) as image:
        small = image.convert("RGB").resize(
            (_WIDTH, round(image.height * _WIDTH / image.width)), Image.Resampling.LANCZOS
        )
    small.quantize(_COLOURS, kmeans=1, dither=Image.Dither.NONE).save(out, optimize=True)


def main() -> None:
    """Take every step but the training; write what was said and drawn into the docs."""
    page, seen = PAGE.read_text(encoding="utf-8"), 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for step in steps(page):
            seen = page.index(step.body, seen) + len(step.body)
            if step.kind == "yaml":
                write(step, folder)
            elif not any(arguments[0] == "run" for arguments in step.commands):
                said = "".join(_said(arguments, folder) for arguments in step.commands)
                if not agrees(step.said, said):
                    page = page[:seen] + page[seen:].replace(f"```text\n{step.said}```", f"```text\n{said}```", 1)
        for picture in sorted(folder.glob("*.png")):
            if f"images/tutorial/{picture.name}" in page:
                draw(picture, PICTURES / picture.name)
        (ROOT / "docs" / "tutorial" / SCENE).write_text((folder / SCENE).read_text())
    PAGE.write_text(page, encoding="utf-8")


def _said(arguments: list[str], folder: Path) -> str:
    command = [sys.executable, "-m", "viscera", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


if __name__ == "__main__":
    main()
