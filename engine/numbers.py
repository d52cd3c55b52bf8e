"""Lists of numbers as users write them."""

from __future__ import annotations

from engine.errors import UserError


def numbers_of(option: str, text: str, form: str) -> tuple[float, ...]:
    """The numbers of `1,2.5,3`, the value of an option.

    Args:
        form: how the value is written, for the message.

    Raises:
        UserError: where the text is no such list.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UserError(f"--{option}: '{text}' is no list of numbers; write {form}") from None
