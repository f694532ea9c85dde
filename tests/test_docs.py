"""The docs agree with the code."""

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from inboxsync.settings import Settings

ROOT = Path(__file__).parents[1]
WRITTEN = [
    page
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
    if page.parent.name != "reference" and page.name != "graph-facts.md"  # names files of other projects
]
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
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name}: {target}"
        assert not heading or heading in headings(linked), f"{page.name}: {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The names of the page's headings in links to them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_the_readme_lists_every_setting() -> None:
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


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.(?:py|md|html|js|css))?)`", text))
    roots = (ROOT / "src" / "inboxsync", ROOT / "src", ROOT, ROOT / "docs")
    missing = [path for path in named if not any((root / path).exists() for root in roots)]
    assert missing == []


def test_the_trips_name_functions_that_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    steps = re.findall(r"^\| \d+ \| `([^`]+)` \| (?:`([\w.]+)`)? ?\|", text, flags=re.MULTILINE)
    assert len(steps) > 30
    for path, name in steps:
        source = (ROOT / "src" / "inboxsync" / path).read_text(encoding="utf-8")
        for part in name.split(".") if name else []:
            assert re.search(rf"\b(?:def|class) {part}\b", source), f"{path}: {name}"


def test_the_functions_that_the_architecture_page_names_exist() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "inboxsync").rglob("*.py"))
    names = set(re.findall(r"`(?:\w+\.)?(_[a-z_]+)`", text))
    assert "_find_gaps" in names
    assert [name for name in names if not re.search(rf"\bdef {name}\b", code)] == []


def test_the_log_lines_of_the_docs_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("## Log lines\n")
    table, _, _ = rest.partition("\n## ")
    events = [
        name
        for row in re.findall(r"^\| (`[^|]+)\|", table, flags=re.MULTILINE)
        for name in row.split("`")[1::2]
    ]
    assert len(events) > 10
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "inboxsync").rglob("*.py"))
    assert [name for name in events if name != "event" and f'"{name}"' not in code] == []


def test_the_glossary_names_what_the_code_names() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \*\*[^|]+\|[^|]+\|([^|]+)\|$", text, flags=re.MULTILINE)
    assert len(rows) > 25
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "inboxsync").rglob("*.py"))
    for row in rows:
        for name in re.findall(r"`([^`]+)`", row):
            words = re.findall(r"\w+", name.removeprefix("INBOXSYNC_").lower())
            missing = [word for word in words if not re.search(rf"\b{word}\b", code, flags=re.IGNORECASE)]
            is_path = "/" in name or name.endswith(".py")
            assert is_path or missing == [], f"{name}: {missing}"


def test_no_file_names_a_package_index() -> None:
    # Spelt apart, so that this file does not name one either.
    hosts = ["pypi" + ".org", "files.python" + "hosted", "registry.npm" + "js", "deb.debian" + ".org"]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    for name in listed.stdout.split():
        content = (ROOT / name).read_text(encoding="utf-8", errors="replace")
        assert not [host for host in hosts if host in content], name
