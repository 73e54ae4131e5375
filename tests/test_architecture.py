"""The rules of the house that a machine can check: floors, sizes, lazy import, packaging, nothing local."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "ppl"

# Lowest first. A module imports only from floors below its own, or from its own room; rooms that share a
# floor do not see each other.
FLOORS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"kernels", "distributions"}),
    frozenset({"compiler"}),
    frozenset({"language"}),
    frozenset({"results"}),
    frozenset({"inference"}),
    frozenset({"syntax"}),
    frozenset({"cli"}),
)
FLOOR_OF = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
# The standard library and modules beside the rooms (`__main__`, an import hook) are users of the whole house.
ROOF = len(FLOORS)

LONGEST_FILE = 450
SOURCES = {".py", ".pyi", ".ppl", ".lark", ".sh"}


def module_name(path: Path) -> str:
    """`ppl.language.record` of `ppl/language/record.py`; a package's name of its `__init__.py`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def room_of(name: str) -> str:
    """The room of a module: the name after `ppl.`; empty for the package itself."""
    return name.split(".")[1] if "." in name else ""


def floor_of(room: str) -> int:
    return FLOOR_OF.get(room, ROOF)


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every (line, absolute name) a module imports, in functions, relative and dynamic ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            here = module.split(".")
            base = here[: len(here) - node.level + is_package] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from ppl import language` imports a room as much as `import ppl.language` does.
            for alias in node.names:
                yield node.lineno, f"{source}.{alias.name}" if source == "ppl" else source
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def breaches(source: str, module: str, is_package: bool = False) -> list[str]:
    """What a module imports from its own height or above, one line of text for each."""
    home = room_of(module)
    found = []
    for line, name in imports(ast.parse(source), module, is_package):
        if name != "ppl" and not name.startswith("ppl."):
            continue
        room = room_of(name)
        if room == home or floor_of(home) == ROOF:
            continue
        if floor_of(room) >= floor_of(home):
            found.append(f"{module}:{line} imports {name}: `{room or 'ppl'}` is not below `{home}`")
    return found


@pytest.mark.parametrize(
    ("module", "source", "refused"),
    [
        ("ppl.compiler.graph", "import ppl.language.record", True),
        ("ppl.compiler.graph", "def f():\n    from ppl.inference import infer", True),
        ("ppl.compiler.graph", "from ..language import record", True),
        ("ppl.compiler.graph", "from ppl import cli", True),
        ("ppl.compiler.graph", "import ppl", True),
        ("ppl.compiler.graph", "import importlib\nimportlib.import_module('ppl.results')", True),
        ("ppl.kernels.resample", "import ppl.distributions", True),
        ("ppl.errors", "import ppl.kernels", True),
        (
            "ppl.compiler.graph",
            "from .passes import fold\nfrom ppl.errors import PplError\nimport torch",
            False,
        ),
        ("ppl.compiler.graph", "from ..distributions import registry", False),
        ("ppl.inference.infer", "from ppl import errors\nimport ppl.results.posterior", False),
        ("ppl.__main__", "from ppl.cli.main import main", False),
    ],
)
def test_the_check_of_floors_sees_what_it_should(module: str, source: str, refused: bool) -> None:
    assert bool(breaches(source, module)) is refused


def test_relative_imports_of_a_package_resolve() -> None:
    assert breaches("from ..language import record", "ppl.compiler", is_package=True)
    assert breaches("from ... import language", "ppl.compiler.passes", is_package=True)
    assert (
        breaches("from .language import record", "ppl.compiler", is_package=True) == []
    )  # a module of its own


def test_a_module_imports_only_from_floors_below() -> None:
    found = [
        line
        for path in modules()
        for line in breaches(path.read_text("utf-8"), module_name(path), path.name == "__init__.py")
    ]
    assert not found, "\n".join(found)


def test_every_room_has_its_floor() -> None:
    rooms = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert rooms <= FLOOR_OF.keys(), f"give these rooms a floor in FLOORS: {sorted(rooms - FLOOR_OF.keys())}"


def test_every_folder_of_code_is_a_package() -> None:
    """Without an `__init__.py` a folder works from a checkout and is missing from the wheel."""
    folders = {path.parent for top in (PACKAGE, ROOT / "stdlib") for path in top.rglob("*.py")}
    bare = [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()]
    assert not bare, f"no __init__.py in {sorted(bare)}"


def test_no_file_is_too_long() -> None:
    tops = ("ppl", "tests", "stdlib", "examples", "benchmarks")
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines())
        for top in tops
        for path in (ROOT / top).rglob("*")
        if path.suffix in SOURCES
    }
    assert lengths, "found no files to measure"
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}
    assert not long, f"over {LONGEST_FILE} lines, split by concept: {long}"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_ppl_loads_nothing_heavy() -> None:
    heavy = ("torch", "numba", "llvmlite", "arviz", "matplotlib", "pandas", "xarray", "scipy", "lark", "rich")
    code = f"import sys, ppl; print(*sorted({set(heavy)!r} & set(sys.modules)))"
    assert run_python(code) == "", "`import ppl` imports these; hand the names on lazily (module __getattr__)"


def test_the_standard_library_is_installed_as_ppl_std() -> None:
    code = "import pathlib, ppl.std; print(pathlib.Path(ppl.std.__file__).parent.name)"
    assert run_python(code) in {"stdlib", "std"}, "install the project first: pip install -e ."


def repository_files() -> list[Path]:
    """Tracked files, and new ones that git does not ignore."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


# Each is cut in two so that this file does not match itself.
LOCAL = re.compile(
    "|".join(
        [
            r"(?<![\w.}/])/(?:work|root|home|Users)" + r"/\w",
            r"(?<![\w.}/])/opt/" + r"(?:pypi|wheels)",
            "file:" + r"///?\w",
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            r"download\.pytorch" + r"\.org",
            r"(?:extra-)?index" + "-url",
            "find" + r"-links",
        ]
    )
)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("/" + "work/main/ppl", True),
        ("open('/" + "root/x')", True),
        ("https://pypi" + ".org/simple", True),
        ("--extra-index" + "-url", True),
        ("https://example.org/work/of/others", False),
        ("stdlib/root/x and net/work/", False),
    ],
)
def test_the_check_of_local_names_sees_what_it_should(text: str, local: bool) -> None:
    assert bool(LOCAL.search(text)) is local


def test_no_machine_paths_or_registries_in_the_repository() -> None:
    found = []
    for path in repository_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an array
        for number, line in enumerate(text.splitlines(), 1):
            if hit := LOCAL.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {hit.group()}")
    assert not found, "\n".join(found)
