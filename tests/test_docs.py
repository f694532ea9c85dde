"""What the docs say is held to what is."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from inboxsync.settings import Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def renderer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", ROOT / "docs" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "name", ["commands.md", "exports.md", "schema.md", "schema.sqlite.sql", "schema.postgresql.sql"]
)
def test_the_reference_is_what_make_docs_writes(name: str) -> None:
    made = renderer().PAGES[name]()
    assert (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8") == made, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_tells_every_setting() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`INBOXSYNC_{name.upper()}`" in readme


def test_the_architecture_page_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert "`tests/cli/test_kill.py`" in text
    names = set(re.findall(r"\b(test_\w+)\b(?!\.py)", text))
    defined = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in names:
        assert f"def {name}(" in defined, name


def test_no_file_names_a_package_index() -> None:
    # Spelt apart, so that this file does not name one either.
    hosts = ["pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js", "deb.debian" + ".org"]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    for name in listed.stdout.split():
        content = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert not [host for host in hosts if host in content], name
