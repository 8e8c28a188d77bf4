"""Set up .venv with the package versions that uv.lock pins, from nothing but a Python.

Usage: python3 tools/bootstrap.py [--dev | --bench]

Only the standard library is used, and only syntax that an old Python can read, so that an old one gets
the sentence that says so. Run again when nothing changed, it does nothing.
"""

import hashlib
import os
import shutil
import ssl
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

OLDEST_PYTHON = (3, 11)
UV_VERSION = "0.13.9"
# A uv on PATH that is older may not know this uv.lock, nor be the build backend that pyproject.toml asks for.
OLDEST_UV = (0, 13)

# What `uv export` is told for each kind of environment; each also serves what the ones before it are for.
KINDS = {
    "run": ["--no-dev"],
    # Tests need every extra, a plain run none.
    "dev": ["--dev", "--all-extras"],
    "bench": ["--dev", "--all-extras"],
}

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
# Other engines that benchmarks are run beside stay out of .venv, where billfold's libraries would import them.
ENGINES = TOOLS / "engines"
ENGINE_GROUPS = {"dev": ["engines"], "bench": ["engines", "bench"]}
STAMP = VENV / "set-up-stamp"
BIN = "Scripts" if os.name == "nt" else "bin"
VENV_PYTHON = VENV / BIN / "python"
TOOLS_PYTHON = TOOLS / "venv" / BIN / "python"


def fail(sentence: str) -> None:
    """Say what is missing in one sentence and stop."""
    sys.exit("billfold set-up: " + sentence)


def runs(*command: object) -> bool:
    """Run a command with its messages shown on standard error; tell whether it succeeded."""
    # Standard output is kept free, for whoever pipes the output of the make target that needed the set-up.
    run = subprocess.run([str(part) for part in command], cwd=ROOT, stdout=sys.stderr, check=False)
    return run.returncode == 0


def output(*command: object) -> str:
    """Return what a command prints, or nothing when it fails."""
    run = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    return run.stdout.strip() if run.returncode == 0 else ""


def wanted_stamp() -> str:
    """Return what identifies the environment: the pins, the place and what works in it."""
    digest = hashlib.sha256()
    for name in ("pyproject.toml", "uv.lock", "tools/bootstrap.py"):
        digest.update((ROOT / name).read_bytes())
    # The package is installed as a link to src/, which a moved or copied folder would leave at the old place.
    digest.update(str(ROOT).encode())
    return digest.hexdigest()


def is_set_up(wanted: str, kind: str) -> bool:
    """Tell whether .venv is as wanted, and its Python still there."""
    if not STAMP.is_file() or not VENV_PYTHON.exists():
        return False
    found = STAMP.read_text().split()
    return found[:1] == [wanted] and kind in found[1:]


def is_new_enough(uv: str) -> bool:
    """Tell whether a uv runs and is new enough."""
    words = output(uv, "--version").split()
    numbers = words[1].split(".")[:2] if len(words) > 1 else []
    return tuple(int(number) for number in numbers if number.isdigit()) >= OLDEST_UV


def find_uv() -> str:
    """Return a uv that is new enough, from PATH or made by an earlier set-up, or nothing."""
    for place in (None, str(TOOLS / "venv" / BIN), str(TOOLS / "uv" / BIN)):
        uv = shutil.which("uv", path=place)
        if uv and is_new_enough(uv):
            return uv
    return ""


def install_uv() -> None:
    """Install uv inside the project, so that nothing outside its folder changes."""
    package = "uv==" + UV_VERSION
    # Debian ships venv without ensurepip unless python3-venv is installed.
    has_venv = find_spec("venv") and find_spec("ensurepip")
    if not has_venv and not find_spec("pip"):
        fail(
            "this Python has neither pip nor a complete venv; install one of them "
            "(on Debian and Ubuntu: apt install python3-venv) or put uv on PATH."
        )
    sys.stderr.write("billfold set-up: installing " + package + " into .tools\n")
    if has_venv:
        if not runs(sys.executable, "-m", "venv", "--clear", TOOLS / "venv"):
            fail("Python could not make a virtual environment in .tools; see its message above.")
        installed = runs(TOOLS_PYTHON, "-m", "pip", "install", "--quiet", package)
    else:
        # pip may fill a folder of its own even where the system's packages are externally managed.
        pip_install = [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade"]
        installed = runs(*pip_install, "--target", TOOLS / "uv", package)
    if not installed:
        fail("pip could not install " + package + "; check the network connection and pip's index settings.")


def pip_setting(name: str) -> str:
    """Return one of pip's settings, from its environment variable or its configuration files, or nothing."""
    python = sys.executable if find_spec("pip") else TOOLS_PYTHON
    if not Path(python).exists():
        return ""
    variable = "PIP_" + name.upper().replace("-", "_")
    return os.environ.get(variable) or output(python, "-m", "pip", "config", "get", "global." + name)


def has_system_certificates() -> bool:
    """Tell whether the machine has a store of certificates."""
    paths = ssl.get_default_verify_paths()
    # A store is a file, a folder, or part of an operating system that always has one.
    folder = Path(paths.capath or os.devnull)
    return bool(paths.cafile) or (folder.is_dir() and any(folder.iterdir())) or sys.platform in ("darwin", "win32")


def follow_pip_settings() -> None:
    """Let uv use the package index and the certificates that pip is configured for, unless uv has its own."""
    if not any(name in os.environ for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        index = pip_setting("index-url")
        if index:
            os.environ["UV_DEFAULT_INDEX"] = index
    if not any(name in os.environ for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "UV_SYSTEM_CERTS")):
        certificates = pip_setting("cert")
        if certificates:
            os.environ["SSL_CERT_FILE"] = certificates
        elif has_system_certificates():
            # The machine's store knows the certificate of a company's proxy; uv's built-in list does not.
            # A bare container may have no store, and then the built-in list is the one that works.
            os.environ["UV_SYSTEM_CERTS"] = "true"


def install_packages(uv: str, kind: str) -> None:
    """Bring .venv to the pinned packages."""
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    if not VENV_PYTHON.exists() or not runs(VENV_PYTHON, "-c", check):
        made = runs(uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, VENV)
        if not made:
            fail("uv could not make .venv with " + sys.executable + "; see its message above.")
    # `uv sync --frozen` would download from the addresses in uv.lock even where another index is configured;
    # exported pins are looked up in the configured index, and their hashes are verified there all the same.
    pins = VENV / "pins.txt"
    export = [uv, "export", "--quiet", "--frozen", "--no-header", "--no-annotate", "--output-file", pins]
    if not runs(*export, *KINDS[kind]):
        fail("uv could not read uv.lock; see its message above.")
    # The development environment is exact. A plain run leaves alone what else is in .venv.
    install = ["sync"] if kind != "run" else ["install", "--no-deps", "--requirements"]
    if not runs(uv, "pip", *install, pins, "--python", VENV_PYTHON):
        fail("uv could not install the pinned packages; check the network connection and the index settings.")


def install_engines(uv: str, kind: str) -> None:
    """Bring other engines into a folder of their own, made anew."""
    TOOLS.mkdir(exist_ok=True)
    pins = TOOLS / "engines.txt"
    shutil.rmtree(ENGINES, ignore_errors=True)
    groups = [part for group in ENGINE_GROUPS[kind] for part in ("--only-group", group)]
    export = [uv, "export", "--quiet", "--frozen", "--no-header", "--no-annotate", *groups]
    if not runs(*export, "--output-file", pins):
        fail("uv could not read uv.lock; see its message above.")
    install = [uv, "pip", "install", "--python", VENV_PYTHON, "--target", ENGINES, "--no-deps", "--requirements", pins]
    if not runs(*install):
        fail("uv could not install the engines of the benchmarks; check the network connection.")


def main() -> None:
    """Set up what is missing."""
    if sys.version_info < OLDEST_PYTHON:
        fail("Python 3.11 or newer is needed, and this is " + sys.version.split()[0] + ".")
    kind = next((k for k in reversed(KINDS) if "--" + k in sys.argv[1:]), "run")
    wanted = wanted_stamp()
    if is_set_up(wanted, kind):
        return
    # Another environment that is active, or settings made for installing outside one, must not redirect this.
    for name in ("VIRTUAL_ENV", "UV_SYSTEM_PYTHON", "UV_LOCKED", "UV_PROJECT_ENVIRONMENT"):
        os.environ.pop(name, None)
    os.environ.update(PIP_REQUIRE_VIRTUALENV="0", PIP_USER="0")
    os.environ.update(PIP_DISABLE_PIP_VERSION_CHECK="1", UV_PYTHON_DOWNLOADS="never")
    # pip's advice for root is about the system's packages, which stay as they are.
    os.environ.setdefault("PIP_ROOT_USER_ACTION", "ignore")
    uv = find_uv()
    if not uv:
        install_uv()
        uv = find_uv()
    if not uv:
        fail("the uv that pip installed does not run on this machine; put one that does on PATH.")
    follow_pip_settings()
    sys.stderr.write("billfold set-up: installing the pinned packages into .venv\n")
    # A set-up that stops half-way must not look complete.
    if STAMP.exists():
        STAMP.unlink()
    install_packages(uv, kind)
    if kind in ENGINE_GROUPS:
        install_engines(uv, kind)
    served = list(KINDS)[: list(KINDS).index(kind) + 1]
    STAMP.write_text(" ".join([wanted, *served]) + "\n")


if __name__ == "__main__":
    main()
