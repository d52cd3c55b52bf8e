"""Dependencies point one way: engine <- trainer, engine <- viewer; Taichi stays in the engine."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = {
    "engine": {"trainer", "viewer", "viscera", "sam2", "pyvista", "vtk"},
    "trainer": {"viewer", "viscera", "taichi"},
    "viewer": {"trainer", "viscera", "taichi", "sam2"},
}


def imports(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    out = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            out |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            out.add(node.module.split(".")[0])
    return out


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {str(f.relative_to(ROOT)): sorted(imports(f) & FORBIDDEN[package]) for f in files}
    assert {name: bad for name, bad in wrong.items() if bad} == {}
