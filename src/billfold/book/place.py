"""Where a book is: the address of its catalog and that of its data, by which any machine can open it."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from billfold.errors import BookError

CATALOG: Final = "catalog.sqlite"
DATA: Final = "data"
FILE: Final = "book.toml"
"""Says where the book is, in the folder of a book whose catalog is elsewhere, and once more beside its data."""

S3: Final = "s3://"
_SERVERS: Final = ("postgresql://", "postgres://")
_BUCKET: Final = re.compile(r"s3://[a-z0-9][a-z0-9.-]+(/[\w=.-]+)*", re.ASCII)
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}", re.ASCII)
_SECRETS: Final = {"password", "sslpassword"}
_COMMENT: Final = (
    "# Where a book of billfold is. Passwords and keys come from the environment (PGPASSWORD, AWS_SECRET_ACCESS_KEY),\n"
    "# never from here.\n"
)


@dataclass(frozen=True)
class Place:
    """The address of a book's catalog and that of its data. No password is in either.

    `catalog` is the path of a file of SQLite or an address `postgresql://…`, where `schema` names the schema that holds
    this book's tables. `data` is the path of a folder or an address `s3://BUCKET/PREFIX`, without a slash at its end.
    """

    catalog: str
    data: str
    schema: str = "main"

    @classmethod
    def in_folder(cls, folder: Path) -> Place:
        """The place of a book that is one folder, with everything in it."""
        return cls(str(folder / CATALOG), str(folder / DATA))

    @classmethod
    def of(cls, folder: Path) -> Place:
        """The place of the book that a folder holds or names.

        Raises:
            BookError: there is no book, or what the folder says of its place can't be understood.
        """
        inside = folder.resolve()
        if (inside / CATALOG).is_file():
            return cls.in_folder(inside)
        if (inside / FILE).is_file():
            return _read(inside)
        msg = f"There is no book in {folder}: `billfold init` makes one, --book or BILLFOLD_BOOK names another."
        raise BookError(msg)

    @classmethod
    def on_server(cls, folder: Path, catalog: str, data: str | None = None, schema: str | None = None) -> Place:
        """The place of a book whose catalog is kept by PostgreSQL and that `folder` is to name.

        Without `data`, its data is in the folder; without `schema`, the schema has the folder's name.

        Raises:
            BookError: an address or a name can't be used, and why.
        """
        inside = folder.resolve()
        _refuse_catalog(catalog)
        at = str(inside / DATA) if data is None else _data(Path.cwd(), data)
        return cls(catalog, at, _schema(schema or inside.name))

    @property
    def has_server(self) -> bool:
        """Whether the catalog is kept by PostgreSQL, and not a file."""
        return self.catalog.startswith(_SERVERS)

    @property
    def in_s3(self) -> bool:
        """Whether the data is in an S3-compatible store, and not in a folder."""
        return self.data.startswith(S3)

    @property
    def source(self) -> str:
        """The catalog as DuckDB attaches it."""
        return f"ducklake:{'postgres' if self.has_server else 'sqlite'}:{self.catalog}"

    @property
    def folder(self) -> Path | None:
        """The folder of a book that is one; None where the catalog is elsewhere."""
        return None if self.has_server else Path(self.catalog).parent

    @property
    def shown(self) -> str:
        """The place in words, for sentences about a book that has no folder at hand."""
        return str(self.folder or f"schema {self.schema} of {self.catalog}")

    def written(self, folder: Path | None = None) -> str:
        """The place as `book.toml` has it: data inside `folder`, which may be moved, goes by where it is from there."""
        told = vars(self).copy()
        if folder is not None and not self.in_s3 and Path(self.data).is_relative_to(folder):
            told["data"] = Path(self.data).relative_to(folder).as_posix()
        return _COMMENT + "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in told.items())


def understood(content: str, folder: Path, where: str) -> Place:
    """What a `book.toml` says; `where` names it in errors, relative paths start at `folder`.

    Raises:
        BookError: it can't be understood.
    """
    try:
        told: Any = tomllib.loads(content)
    except tomllib.TOMLDecodeError as e:
        msg = f"{where} can't be understood: {e}."
        raise BookError(msg) from e
    fields = ("catalog", "data", "schema")
    if set(told) != set(fields) or not all(isinstance(told[f], str) for f in fields):
        msg = f"{where} must say catalog, data and schema, each a text, and nothing else."
        raise BookError(msg)
    _refuse_catalog(told["catalog"])
    return Place(told["catalog"], _data(folder, told["data"]), _schema(told["schema"]))


def _read(folder: Path) -> Place:
    path = folder / FILE
    try:
        return understood(path.read_text(encoding="utf-8"), folder, str(path))
    except (OSError, UnicodeDecodeError) as e:
        msg = f"{path} can't be read: {e.strerror if isinstance(e, OSError) else 'it is not UTF-8'}."
        raise BookError(msg) from e


def _refuse_catalog(catalog: str) -> None:
    """Only addresses of PostgreSQL that are safe to keep in a file and to show in messages.

    Raises:
        BookError: it is none.
    """
    try:
        parts = urlsplit(catalog)
        secret = parts.password is not None or _SECRETS & set(parse_qs(parts.query, keep_blank_values=True))
    except ValueError as e:
        msg = f"The address of the catalog can't be understood: {e}."
        raise BookError(msg) from e
    if secret:
        msg = "The address of the catalog must not have a password in it: set PGPASSWORD, or write it into ~/.pgpass."
        raise BookError(msg)
    if not catalog.startswith(_SERVERS) or not parts.path.strip("/"):
        msg = f"{catalog} is no address of a catalog: write postgresql://USER@HOST:PORT/DATABASE."
        raise BookError(msg)


def _data(folder: Path, data: str) -> str:
    """The address of data in full; a relative path starts at the book's folder."""
    if not data.startswith(S3):
        if "://" in data:
            msg = f"{data} is no address of data: write s3://BUCKET/PREFIX, or a folder."
            raise BookError(msg)
        return str((folder / Path(data).expanduser()).resolve())
    if not _BUCKET.fullmatch(data.rstrip("/")):
        msg = (
            f"{data} is no address of data: write s3://BUCKET/PREFIX, the prefix with letters, digits and the signs "
            "_ - . = only."
        )
        raise BookError(msg)
    return data.rstrip("/")


def _schema(schema: str) -> str:
    if not _SCHEMA.fullmatch(schema) or schema.startswith("pg_"):
        msg = (
            f"{schema!r} can't be the schema of a book in PostgreSQL: name another with --schema, with small letters, "
            "digits and _ only."
        )
        raise BookError(msg)
    return schema
