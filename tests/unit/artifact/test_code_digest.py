"""The digest of the code that a stage runs, on small packages written for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from primum.artifact.code import code_digest, imported_modules
from primum.errors import PrimumError

FILES = {
    "primum/__init__.py": '"""The package."""\n',
    "primum/stage.py": '"""A stage."""\nimport json\nfrom primum.low import helper\n\n\n'
    'def run(job):\n    """Run."""\n    return helper(job)\n',
    "primum/low.py": "def helper(x):\n    from primum.deep import late\n\n    return late.value + x  # adds\n",
    "primum/deep/__init__.py": "",
    "primum/deep/late.py": "value = 1\n",
    "primum/aside.py": "value = 2\n",
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def _changed(root: Path, name: str, text: str) -> bool:
    before = code_digest("primum.stage", root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return code_digest("primum.stage", root) != before


def test_the_closure_follows_imports_inside_functions_and_packages(root: Path) -> None:
    assert set(imported_modules("primum.stage", root)) == {
        "primum", "primum.stage", "primum.low", "primum.deep", "primum.deep.late",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("primum/stage.py", FILES["primum/stage.py"].replace("helper(job)", "helper(job) + 1")),
        ("primum/low.py", FILES["primum/low.py"].replace("+ x", "- x")),
        ("primum/deep/late.py", "value = 2\n"),
        ("primum/deep/late.py", "value = 1.0\n"),
        ("primum/deep/late.py", "value = '1'\n"),
        ("primum/deep/__init__.py", "import os\n"),
        ("primum/low.py", "from json import loads as other\n" + FILES["primum/low.py"]),
        ("primum/low.py", "from typing import cast as other\n" + FILES["primum/low.py"]),
        ("primum/deep/page.html.j2", "<p>{{ text }}</p>\n"),
        ("primum/deep/page.js", "let a = 1;\n"),
        ("primum/deep/page.css", "p { margin: 0 }\n"),
        ("primum/stage.py", FILES["primum/stage.py"].replace("import helper", "import helper as h, helper")),
        ("primum/stage.py", FILES["primum/stage.py"] + "import primum.aside\n"),
        ("primum/stage.py", FILES["primum/stage.py"].replace('    """Run."""', '    text = """Run."""')),
    ],
)  # fmt: skip
def test_what_can_change_a_result_changes_the_digest(root: Path, name: str, text: str) -> None:
    assert _changed(root, name, text)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("primum/stage.py", "# new\n" + FILES["primum/stage.py"].replace("A stage.", "Another.").replace("Run.", "Go.")),
        ("primum/stage.py", FILES["primum/stage.py"].replace('    """Run."""\n', "")),
        ("primum/low.py", FILES["primum/low.py"].replace("  # adds", "")),
        ("primum/low.py", FILES["primum/low.py"].replace("late.value + x", "(\n        late.value + x\n    )")),
        ("primum/low.py", "from typing import Any\n" + FILES["primum/low.py"]),
        ("primum/aside.py", "value = 3\n"),
        ("primum/unused/page.html.j2", "x"),
        ("primum/deep/notes.txt", "x"),
    ],
)  # fmt: skip
def test_what_cannot_does_not(root: Path, name: str, text: str) -> None:
    assert not _changed(root, name, text)


def test_an_edit_with_an_old_time_is_seen_if_its_length_changed(root: Path) -> None:
    import os

    path = root / "primum/deep/late.py"
    status = path.stat()
    before = code_digest("primum.stage", root)
    path.write_text("value = 100\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert code_digest("primum.stage", root) != before


def test_moving_code_between_modules_is_a_change(root: Path) -> None:
    before = code_digest("primum.stage", root)
    (root / "primum/low.py").write_text(FILES["primum/low.py"] + "value = 1\n")
    (root / "primum/deep/late.py").write_text("")
    assert code_digest("primum.stage", root) != before


def test_errors_are_one_line(root: Path) -> None:
    with pytest.raises(PrimumError, match=r"primum\.nothing: no such module under"):
        code_digest("primum.nothing", root)
    (root / "primum/low.py").write_text("def (\n")
    with pytest.raises(PrimumError, match=r"low\.py: line 1: not valid Python"):
        code_digest("primum.stage", root)


def test_no_module_of_the_package_imports_relatively_or_by_a_computed_name() -> None:
    """The closure sees neither; but for the stages, which those that start them load by their names."""
    import ast

    import primum

    folder = Path(primum.__file__).parent
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), path
            dynamic = isinstance(node, ast.Attribute) and node.attr in ("import_module", "__import__")
            assert not dynamic or path.name in ("run_stage.py", "launch.py", "together.py", "worker.py"), path
