"""Names that stand for nothing."""

from collections.abc import Iterable

from rapidfuzz import process

from engine.errors import UserError


def unknown(what: str, name: str, known: Iterable[str]) -> UserError:
    """The error that says so, with the nearest of the names that are known."""
    names = list(known)
    near = [match[0] for match in process.extract(name, names, limit=3, score_cutoff=60)]
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return UserError(f"{what} '{name}' is unknown; {hint}")
