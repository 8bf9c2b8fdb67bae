"""The tree itself: no code of ours runs what others wrote, unpickles, asks a shell, opens a network where none is
wanted, or shows markup that was not made safe. Every rule is shown a file that breaks it first."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = ("agents", "model", "retrieval", "templates", "workers", "api", "sdk", "evals")
BESIDE = ("scripts", "examples", "benchmarks", "hatch_build.py")

Rule = Callable[[ast.AST, str], bool]
"""Whether a node of the file at that path breaks it."""

# Modules that build objects from bytes.
_BUILDERS = {"pickle", "_pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "jsonpickle"}
# What speaks to a network, and the files that may: each for the reason that its first line says.
_NETWORK = {
    *("socket", "ssl", "http.client", "http.server", "urllib.request", "ftplib", "smtplib", "telnetlib", "xmlrpc"),
    *("requests", "httpx", "httpcore", "aiohttp", "urllib3", "websockets", "huggingface_hub", "paramiko", "fsspec"),
}
_MAY_REACH_A_NETWORK = {
    "api/__main__.py",
    "api/server.py",
    "model/serving/server.py",
    "model/weights/download.py",
    "retrieval/vectors/weights.py",  # only with the administrator's word (INTERLEAF_DOWNLOADS)
    "sdk/interleaf/service",
    "workers/outbound",
    "workers/service",
    "workers/store/artifacts.py",
    "workers/store/job_store.py",  # asks for this machine's name
}
_NO_NETWORK_IN_IT = {"huggingface_hub.dataclasses", "huggingface_hub.errors"}
# Programs are started here and nowhere else, from a list of arguments of our own.
_MAY_START_PROGRAMS = {
    "sdk/interleaf/cli/serve.py",
    "workers/queue/redis_server.py",
    "workers/queue/tied_process.py",
    "workers/service",
}
# A browser, or a maker of PDF, fetches what a page names: the product has none.
_RENDERERS = {"playwright", "selenium", "pyppeteer", "weasyprint", "xhtml2pdf", "pdfkit", "imgkit", "webview"}
# Text that counts as safe markup is made here and nowhere else.
_MAY_MAKE_MARKUP = {"templates/html.py", "templates/inline.py"}


@cache
def files(*folders: str) -> tuple[tuple[str, ast.Module], ...]:
    """(path, tree) of every Python file."""
    paths = [
        path
        for folder in folders
        for path in ([ROOT / folder] if (ROOT / folder).is_file() else sorted((ROOT / folder).rglob("*.py")))
    ]
    return tuple((path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))) for path in paths)


def dotted(node: ast.AST) -> str:
    """`a.b.c` of a name; empty for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else f"?.{node.attr}"
    return ""


def imported(node: ast.AST) -> Iterator[str]:
    """The modules, and the names within them, that a node imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Call) and dotted(node.func) in ("importlib.import_module", "import_module"):
        first = node.args[0] if node.args else None
        yield str(first.value) if isinstance(first, ast.Constant) else "?"


def _is_of(name: str, modules: set[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def _lies_in(path: str, places: set[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def keyword(node: ast.Call, name: str) -> ast.expr | None:
    return next((one.value for one in node.keywords if one.arg == name), None)


def _says(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value


def runs_text(node: ast.AST, path: str) -> bool:
    """eval, exec, compile and __import__ of whatever kind; runpy and code."""
    if isinstance(node, ast.Call):
        return dotted(node.func) in {"eval", "exec", "compile", "__import__", "builtins.eval", "builtins.exec"}
    return any(_is_of(name, {"runpy", "code", "codeop"}) for name in imported(node))


def unpickles(node: ast.AST, path: str) -> bool:
    """Any module that builds objects from bytes. The name of torch's error is not one."""
    return any(_is_of(name, _BUILDERS) for name in imported(node)) and not (
        isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["UnpicklingError"]
    )


def loads_code_with_weights(node: ast.AST, path: str) -> bool:
    """torch.load without weights_only, numpy with pickles, models that may bring code."""
    if isinstance(node, ast.keyword):
        return node.arg in ("trust_remote_code", "allow_pickle", "pickle_fallback") and not _says(node.value, False)
    if isinstance(node, ast.Dict):
        return any(
            isinstance(key, ast.Constant) and key.value == "trust_remote_code" and not _says(value, False)
            for key, value in zip(node.keys, node.values, strict=True)
        )
    if not isinstance(node, ast.Call):
        return False
    called = dotted(node.func)
    if called in ("torch.load", "load_state_dict_from_url", "torch.hub.load"):
        return not _says(keyword(node, "weights_only"), True)
    if called in ("np.load", "numpy.load"):
        return not _says(keyword(node, "allow_pickle"), False)
    return called == "SentenceTransformer" and not _says(keyword(node, "trust_remote_code"), False)


def reads_yaml_or_xml_with_trust(node: ast.AST, path: str) -> bool:
    """YAML that builds objects; XML parsers that follow entities (their types may be named)."""
    if isinstance(node, ast.Call) and dotted(node.func) in ("yaml.load", "yaml.load_all"):
        return dotted(keyword(node, "Loader") or node) not in ("yaml.SafeLoader", "yaml.CSafeLoader", "_LOADER")
    if isinstance(node, ast.Attribute) and dotted(node) in ("yaml.unsafe_load", "yaml.full_load", "yaml.UnsafeLoader"):
        return True
    if isinstance(node, ast.ImportFrom) and node.module == "xml.etree.ElementTree":
        return not {alias.name for alias in node.names} <= {"Element", "ParseError"}
    return any(_is_of(name, {"xml", "lxml", "xmltodict"}) for name in imported(node)) and not (
        isinstance(node, ast.ImportFrom) and node.module == "xml.etree.ElementTree"
    )


def asks_a_shell(node: ast.AST, path: str) -> bool:
    """shell=True, os.system and its kin; in the product also every start of a program outside the rooms for it."""
    if isinstance(node, ast.keyword):
        return node.arg == "shell" and not _says(node.value, False)
    if isinstance(node, ast.Attribute):
        called = dotted(node)
        if called in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput", "pty.spawn"):
            return True
        if called.startswith(("os.spawn", "os.exec", "os.posix_spawn", "asyncio.create_subprocess_shell")):
            return not _lies_in(path, _MAY_START_PROGRAMS)
    starts = {"subprocess", "pty", "pexpect", "sh", "commands", "multiprocessing"}
    ours = path.partition("/")[0] in PRODUCT
    return ours and not _lies_in(path, _MAY_START_PROGRAMS) and any(_is_of(name, starts) for name in imported(node))


def reaches_a_network(node: ast.AST, path: str) -> bool:
    """Any library for a network outside the files that are for it; a browser or a maker of PDF anywhere."""
    names = list(imported(node))
    if any(_is_of(name, _RENDERERS) for name in names):
        return True
    names = [name for name in names if not _is_of(name, _NO_NETWORK_IN_IT)]
    return not _lies_in(path, _MAY_REACH_A_NETWORK) and any(_is_of(name, _NETWORK) for name in names)


def unpacks_to_a_folder(node: ast.AST, path: str) -> bool:
    """Archives are read in memory: nothing is unpacked to a path that an archive names."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr in ("extractall", "extract", "unpack_archive", "mktemp")
    return any(_is_of(name, {"tarfile", "rarfile", "py7zr"}) for name in imported(node))


def makes_markup(node: ast.AST, path: str) -> bool:
    """Jinja without autoescape, templates from text, text that is declared safe; answers of ours that are HTML."""
    if isinstance(node, ast.Call):
        called = dotted(node.func)
        if called.rpartition(".")[2] in ("Environment", "SandboxedEnvironment", "ImmutableSandboxedEnvironment"):
            return not _says(keyword(node, "autoescape"), True)
        if called == "Markup":
            return not _lies_in(path, _MAY_MAKE_MARKUP) and not _says(node.args[0], "")
        if called.rpartition(".")[2] in ("from_string", "Template"):
            return True
    shows = {"HTMLResponse", "StaticFiles", "Jinja2Templates", "FileResponse"}
    return any(name.rpartition(".")[2] in shows for name in imported(node)) and path.startswith("api/")


RULES: dict[Rule, tuple[str, ...]] = {
    runs_text: (
        *("eval('1')", "exec(said)", "compile(said, 'x', 'exec')", "__import__(name)", "builtins.eval(x)"),
        *("import runpy", "from code import interact"),
    ),
    unpickles: (
        *("import pickle", "from pickle import loads", "import marshal", "import shelve", "import joblib.numpy_pickle"),
        *("importlib.import_module('dill')", "from pickle import UnpicklingError, load"),
    ),
    loads_code_with_weights: (
        *("torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(path, weights_only=chosen)"),
        *("np.load(path)", "np.load(path, allow_pickle=True)", "AutoModel.from_pretrained(n, trust_remote_code=True)"),
        *(
            "kept = {'trust_remote_code': True}",
            "SentenceTransformer(name)",
            "JsonPlusSerializer(pickle_fallback=True)",
        ),
    ),
    reads_yaml_or_xml_with_trust: (
        *("yaml.load(text)", "yaml.load(text, Loader=yaml.Loader)", "yaml.unsafe_load(text)", "import lxml.etree"),
        *(
            "from xml.etree.ElementTree import fromstring",
            "import xml.dom.minidom",
            "import xml.etree.ElementTree as E",
        ),
    ),
    asks_a_shell: (
        *("os.system('ls ' + name)", "subprocess.run(said, shell=True)", "subprocess.run(said, shell=flag)"),
        *("os.popen(name)", "subprocess.getoutput(name)", "import subprocess", "os.execvp(name, said)"),
    ),
    reaches_a_network: (
        *(
            "import requests",
            "from urllib.request import urlopen",
            "import httpx",
            "import socket",
            "import playwright",
        ),
        "from weasyprint import HTML",
    ),
    unpacks_to_a_folder: (
        "archive.extractall(folder)",
        "archive.extract(member)",
        "import tarfile",
        "tempfile.mktemp()",
    ),
    makes_markup: (
        *("Environment(loader=x)", "jinja.Environment(autoescape=False)", "env.from_string(said)", "Markup(said)"),
        *("jinja2.Template(said)", "from starlette.responses import HTMLResponse"),
    ),
}


def faults(rule: Rule, trees: tuple[tuple[str, ast.Module], ...]) -> list[str]:
    return [
        f"{path}:{getattr(node, 'lineno', None) or getattr(getattr(node, 'value', None), 'lineno', 0)}"
        for path, tree in trees
        for node in ast.walk(tree)
        if rule(node, path)
    ]


@pytest.mark.parametrize(
    ("rule", "broken"),
    [(rule, line) for rule, lines in RULES.items() for line in lines],
    ids=lambda said: said if isinstance(said, str) else said.__name__,
)
def test_a_rule_finds_what_it_is_for(rule: Rule, broken: str) -> None:
    assert faults(rule, (("api/routes/example.py", ast.parse(broken)),))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_file_of_the_product_breaks_a_rule(rule: Rule) -> None:
    trees = files(*PRODUCT)
    assert len(trees) > 250
    assert faults(rule, trees) == []


@pytest.mark.parametrize("rule", [runs_text, unpickles, loads_code_with_weights, asks_a_shell])
def test_programs_beside_the_product_break_none_either(rule: Rule) -> None:
    assert faults(rule, files(*BESIDE)) == []


def test_the_files_that_are_named_are_there() -> None:
    for place in _MAY_REACH_A_NETWORK | _MAY_START_PROGRAMS | _MAY_MAKE_MARKUP:
        assert (ROOT / place).exists(), f"{place} is gone: take it out of the list"


def test_templates_hold_no_script_and_call_nothing_safe() -> None:
    templates = [path for folder in PRODUCT for path in (ROOT / folder).rglob("*.j2")]
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8").lower()
        for bad in ("|safe", "| safe", "autoescape false", "<script", "javascript:", " style=", " on", "{% raw"):
            assert bad not in text.replace(" only", "").replace(" one", ""), f"{path.name}: {bad}"


def test_the_product_ships_no_page_and_no_script() -> None:
    """So there is no frame that shows a generated page, and nothing that listens for messages."""
    for folder in PRODUCT:
        shipped = [p for p in (ROOT / folder).rglob("*") if p.suffix in (".html", ".htm", ".js", ".mjs", ".ts", ".svg")]
        assert shipped == []
