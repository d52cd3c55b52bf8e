"""Our renderers beside packages that others wrote, in the same test.

`make test-oracles` installs the packages and runs this folder; a test whose package is missing is skipped and says so.
The ordinary tests hold figures of these packages instead and need none of them; see docs/decisions/0014.
"""

from __future__ import annotations

from typing import Any

import pytest


def package(name: str, how: str = "make test-oracles installs it") -> Any:
    """A package that is imported where it is installed; the whole file is skipped where it is not."""
    return pytest.importorskip(name, reason=f"{name.split('.')[0]} is not installed: {how}")
