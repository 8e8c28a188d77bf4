"""Data files in an S3-compatible store: how billfold itself, DuckDB and Polars reach them.

Where the store is and who asks is in the environment, as AWS's own tools have it: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, perhaps AWS_SESSION_TOKEN, AWS_REGION, and AWS_ENDPOINT_URL where it is not Amazon's.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pyarrow import fs

from billfold import failpoints
from billfold.book import lake
from billfold.book.data_files import PARTS, SCRATCH, DataFiles, File, Listed
from billfold.book.place import FILE, S3
from billfold.errors import BookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb
    import polars as pl

_CHUNK: Final = 16 * 1024 * 1024
"""Bytes that are asked for at once: every question goes over the network."""

_QUESTIONS: Final = 16
"""How many files are asked for at the same time."""

_NOISE: Final = re.compile(r"^When .*? AWS Error \w+ during \w+ operation: |\s*\(Request ID: .*?\)|; Details:.*$")
"""What the messages of the store's library have around what is to be said."""


@dataclass(frozen=True)
class Access:
    """How to reach a store, and as whom."""

    key: str
    secret: str
    token: str
    region: str
    endpoint: str

    @classmethod
    def told(cls) -> Access:
        """As the environment has it.

        Raises:
            BookError: it says too little.
        """
        said = os.environ
        access = cls(
            said.get("AWS_ACCESS_KEY_ID", ""),
            said.get("AWS_SECRET_ACCESS_KEY", ""),
            said.get("AWS_SESSION_TOKEN", ""),
            said.get("AWS_REGION") or said.get("AWS_DEFAULT_REGION") or "us-east-1",
            said.get("AWS_ENDPOINT_URL_S3") or said.get("AWS_ENDPOINT_URL", ""),
        )
        if not (access.key and access.secret):
            msg = "The book's data is in an S3-compatible store: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
            raise BookError(msg)
        if access.endpoint and urlsplit(access.endpoint).scheme not in {"http", "https"}:
            msg = f"AWS_ENDPOINT_URL must begin with http:// or https://, and is {access.endpoint}."
            raise BookError(msg)
        return access

    @property
    def _is_safe(self) -> bool:
        return not self.endpoint.startswith("http://")

    def options(self) -> dict[str, str]:
        """The same for Polars. Stores that are not Amazon's have the bucket in the path."""
        told = {
            "aws_access_key_id": self.key, "aws_secret_access_key": self.secret, "aws_session_token": self.token,
            "aws_region": self.region, "aws_endpoint_url": self.endpoint,
            "aws_allow_http": "" if self._is_safe else "true",
            "aws_virtual_hosted_style_request": "false" if self.endpoint else "true",
        }  # fmt: skip
        return {name: value for name, value in told.items() if value}

    def let_in(self, connection: duckdb.DuckDBPyConnection) -> None:
        """The same for DuckDB: a secret of this connection, which is kept nowhere."""
        told = {"KEY_ID": self.key, "SECRET": self.secret, "SESSION_TOKEN": self.token, "REGION": self.region}
        if self.endpoint:
            parts = urlsplit(self.endpoint)
            told |= {"ENDPOINT": f"{parts.netloc}{parts.path.rstrip('/')}", "URL_STYLE": "path"}
        values = [f"{name} {lake.text(value)}" for name, value in told.items() if value]
        safe = "true" if self._is_safe else "false"
        connection.execute(f"CREATE SECRET billfold (TYPE s3, USE_SSL {safe}, {', '.join(values)})")

    def filesystem(self) -> fs.S3FileSystem:
        """The same for billfold itself."""
        return fs.S3FileSystem(
            access_key=self.key,
            secret_key=self.secret,
            session_token=self.token or None,
            region=self.region,
            endpoint_override=self.endpoint or None,
        )


@cache
def _filesystem(access: Access) -> fs.S3FileSystem:
    return access.filesystem()


@dataclass(frozen=True)
class S3Files(DataFiles):
    """Data behind a prefix of a bucket. Keys and addresses of machines are no part of it, so it may be sent around."""

    prefix: str

    @property
    def root(self) -> str:
        """The address of the prefix, `s3://BUCKET/PREFIX`."""
        return self.prefix

    @property
    def options(self) -> Mapping[str, str]:
        """What Polars has to know to read the files."""
        return Access.told().options()

    def write(self, table: str, rows: pl.DataFrame) -> File:
        """Write rows as a new file of a table: it is there as a whole once the store has said so.

        Raises:
            BookError: the store can't be reached, or refuses.
        """
        failpoints.reached(f"write.before:{table}")
        content = lake.parquet(rows)
        file = File(f"main/{table}/{uuid.uuid4().hex}.parquet", rows.height, hashlib.sha256(content).hexdigest())
        self._put(file.path, content)
        failpoints.reached(f"write.after:{table}")
        return file

    def sha256(self, file: str) -> str | None:
        """The hash of a file's bytes; None where they can't be read."""
        digest = hashlib.sha256()
        try:
            with self._store.open_input_stream(self._key(file)) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
        except OSError:
            return None
        return digest.hexdigest()

    def missing(self, files: Sequence[str]) -> list[str]:
        """Those of these files that are not there.

        Raises:
            BookError: the store can't be reached, or refuses.
        """
        store = self._store
        with self._told_of("read"), ThreadPoolExecutor(_QUESTIONS) as pool:
            found = pool.map(store.get_file_info, map(self._key, files))
            return [file for file, info in zip(files, found, strict=True) if info.type != fs.FileType.File]

    def listed(self) -> list[Listed]:
        """Parquet files of the book's tables and runs' scratch folders that are there, in order.

        Raises:
            BookError: the store can't be reached, or refuses.
        """
        there = (info for part in PARTS for info in self._under(part))
        files = sorted(Listed(f"{S3}{info.path}", int(info.size)) for info in there if info.path.endswith(".parquet"))
        return [*files, *self._scratch()]

    def _scratch(self) -> list[Listed]:
        sizes: dict[str, int] = {}
        for info in self._under(SCRATCH):
            run = info.path.removeprefix(f"{self._key(SCRATCH)}/").split("/")[0]
            sizes[run] = sizes.get(run, 0) + int(info.size)
        return [Listed(self.address(f"{SCRATCH}/{run}"), size) for run, size in sorted(sizes.items())]

    def unlink(self, file: str) -> None:
        """Remove a file, if it is there.

        Raises:
            BookError: the store can't be reached, or refuses.
        """
        with self._told_of("changed"), suppress(FileNotFoundError):
            self._store.delete_file(self._key(file))

    def make(self, folder: str) -> None:
        """There are no folders in a store."""

    def clear(self, folder: str) -> None:
        """Remove all files whose path begins so."""
        with self._told_of("changed"), suppress(FileNotFoundError):
            self._store.delete_dir(self._key(folder))

    def begin(self, note: str) -> bool:
        """Leave the note behind the prefix; whether it was not there.

        Raises:
            BookError: something else is there already, or the store can't be reached, or refuses.
        """
        others, there = {info.path for info in self._under("")} - {self._key(FILE)}, self.note()
        if others or there not in {None, note}:
            msg = f"{self.prefix} is not empty: a book needs a prefix of its own for its data."
            raise BookError(msg)
        self._put(FILE, note.encode())
        return there is None

    def note(self) -> str | None:
        """What `begin` left.

        Raises:
            BookError: the store can't be reached, or refuses.
        """
        if self.missing([FILE]):
            return None
        with self._told_of("read"), self._store.open_input_stream(self._key(FILE)) as stream:
            return io.BytesIO(stream.read()).getvalue().decode()

    def end(self) -> None:
        """Take the note away."""
        self.unlink(FILE)

    def keep_private(self, tables: Iterable[str]) -> None:
        """Who may read what is up to the bucket."""

    def _under(self, part: str) -> list[fs.FileInfo]:
        with self._told_of("read"):
            where = fs.FileSelector(self._key(part).rstrip("/"), allow_not_found=True, recursive=True)
            return [info for info in self._store.get_file_info(where) if info.type == fs.FileType.File]

    def _put(self, file: str, content: bytes) -> None:
        with self._told_of("written"), self._store.open_output_stream(self._key(file)) as stream:
            stream.write(content)

    def _key(self, file: str) -> str:
        return f"{self.prefix.removeprefix(S3)}/{file}"

    @property
    def _store(self) -> fs.S3FileSystem:
        return _filesystem(Access.told())

    @contextmanager
    def _told_of(self, done: str) -> Iterator[None]:
        """What the store or the way to it refuses, in a sentence."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as e:
            said = _NOISE.sub("", _NOISE.sub("", " ".join(str(e).split())))
            msg = f"The data in {self.prefix} can't be {done}: {said[:200].rstrip('.')}."
            raise BookError(msg) from e
