"""What tests of several folders share."""

import pytest

from engine.errors import UserError
from viewer.system import require_offscreen


@pytest.fixture(scope="session")
def offscreen() -> None:
    """Skips tests that draw in 3-D where the system lacks what that needs."""
    try:
        require_offscreen()
    except UserError as error:
        pytest.skip(str(error))
