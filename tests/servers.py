"""A PostgreSQL server and an S3-compatible store of a test's own, on free ports of this machine, gone afterwards.

    @pytest.fixture(scope="module")
    def servers() -> Iterator[Servers]:
        with running() as started:
            yield started

Such tests are skipped where PostgreSQL is not installed, except in CI, where they fail: `make programs` installs it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from pyarrow import fs

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD: Final = "opensesame"  # noqa: S105 - of a server that lives as long as a test
_DEBIAN: Final = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[4]), default=None)
_INITDB: Final = _DEBIAN or (Path(found).resolve() if (found := shutil.which("initdb")) else None)
_TRIES: Final = 5
_STORE: Final = """
import sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(f"\\nport {server.get_host_and_port()[1]}", flush=True)
sys.stdin.read()
server.stop()
"""
"""The store ends when nobody holds its standard input any more, however the test ends."""

needs_servers = pytest.mark.skipif(
    _INITDB is None and not os.environ.get("CI"), reason="there is no PostgreSQL here; `make programs` installs it"
)


@dataclass(frozen=True)
class Database:
    """A PostgreSQL server with the database `books` and its owner, `billfold`."""

    folder: Path
    port: int

    @property
    def address(self) -> str:
        """The address of the database, without a password."""
        return f"postgresql://billfold@127.0.0.1:{self.port}/books"

    def start(self) -> bool:
        """Start the server; whether it could, since someone else may have taken its port."""
        where = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder}"
        options = ("-D", self._data, "-l", str(self.folder / "log"), "-o", f"{where} -c fsync=off")
        return _as_its_user("pg_ctl", "start", "-w", *options) == 0

    def stop(self) -> None:
        """Stop the server at once, as if the machine had gone."""
        _as_its_user("pg_ctl", "stop", "-w", "-m", "immediate", "-D", self._data)

    def tell(self, statement: str, database: str = "books") -> str:
        """What the server answers to a statement, one value a line."""
        address = self.address.replace("/books", f"/{database}")
        done = subprocess.run(
            [_program("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement, address],
            env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    @property
    def _data(self) -> str:
        return str(self.folder / "data")


@dataclass(frozen=True)
class Store:
    """An S3-compatible store with the bucket `bills`."""

    port: int

    @property
    def endpoint(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What says how to reach it."""
        return {"AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "shh",
                "AWS_REGION": "us-east-1"}  # fmt: skip

    @property
    def files(self) -> fs.S3FileSystem:
        """Its files, buckets being folders."""
        return fs.S3FileSystem(
            access_key=self.environment["AWS_ACCESS_KEY_ID"],
            secret_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            endpoint_override=self.endpoint,
            region="us-east-1",
            allow_bucket_creation=True,
        )

    def names(self, key: str) -> set[str]:
        """Names of all files under a key, wherever they are there."""
        there = self.files.get_file_info(fs.FileSelector(key, recursive=True, allow_not_found=True))
        return {info.base_name for info in there if info.type == fs.FileType.File}


@dataclass(frozen=True)
class Servers:
    """Both, and the environment in which a book on them can be reached."""

    database: Database
    store: Store

    @property
    def environment(self) -> dict[str, str]:
        """Passwords and keys."""
        return {"PGPASSWORD": PASSWORD, **self.store.environment}


@contextmanager
def running() -> Iterator[Servers]:
    """Both servers, as long as the block goes on."""
    with database() as made, store() as opened:
        yield Servers(made, opened)


@contextmanager
def database() -> Iterator[Database]:
    """A PostgreSQL server that asks for a password. It does not run as the superuser, so it gets its own folder."""
    folder = Path(tempfile.mkdtemp(prefix="billfold-pg-"))
    try:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        made = ("-D", str(folder / "data"), "-U", "billfold", "--pwfile", str(folder / "password"), "-N")
        assert _as_its_user("initdb", *made, "-A", "scram-sha-256", "-E", "UTF8", "--no-locale") == 0
        server = _started(folder)
        try:
            server.tell("CREATE DATABASE books", "postgres")
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _started(folder: Path) -> Database:
    for _ in range(_TRIES):
        server = Database(folder, _free_port())
        if server.start():
            return server
    log = folder / "log"
    msg = f"PostgreSQL did not start: {log.read_text(encoding='utf-8') if log.exists() else 'it left no log'}"
    raise AssertionError(msg)


@contextmanager
def store() -> Iterator[Store]:
    """A store that forgets everything afterwards."""
    command = [sys.executable, "-W", "ignore", "-c", _STORE]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        try:
            port = next(line.split()[1] for line in server.stdout if line.startswith("port "))
            opened = Store(int(port))
            opened.files.create_dir("bills")
            yield opened
        finally:
            server.kill()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _program(name: str) -> str:
    assert _INITDB is not None, "PostgreSQL is not installed"
    return str(_INITDB.with_name(name))


def _as_its_user(program: str, *arguments: str) -> int:
    """Run a program of the server; its exit code. Output is not captured: a server would keep the pipe open."""
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    command = [*user, _program(program), *arguments]
    return subprocess.run(
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    ).returncode
