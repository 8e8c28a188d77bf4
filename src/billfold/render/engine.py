"""Typst, which sets documents: the same bytes for the same data on any machine, without a network or a clock.

Only fonts inside of typst are used, and those that a folder brings; those of the machine never.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from billfold.errors import BillfoldError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import typst

_ARCHIVAL: Final = "a-2u"
"""PDF/A-2u: can be read in fifty years, and every letter of it be searched and copied."""

_NO_GLYPH: Final = re.compile(r'the text `"(.*?)"` could not be displayed')
_PLACE: Final = re.compile(r"┌─ (.*?):(\d+):\d+")
PACKAGES: Final = "packages"
"""Folder, in that of the templates, with typst packages; none is ever downloaded."""

_IN_MEMORY: Final = "__typst_py_bytes__.typ"
_LISTED: Final = 20
_BUILT_IN: Final = Path(__file__).with_name("document.typ")


@dataclass(frozen=True)
class Typeset:
    """A PDF file's bytes, and sentences about what is not as it should be."""

    content: bytes
    warnings: tuple[str, ...] = ()


class Engine:
    """Sets documents with the templates of one folder. Threads can share it: typst lets the others work."""

    def __init__(self, folder: Path | None, font_folders: Sequence[Path] = ()) -> None:
        """Get ready; `folder` has the templates and what they import or show.

        Raises:
            BillfoldError: the extra is not installed, or a folder of fonts is not there.
        """
        try:
            import typst  # noqa: PLC0415 - an extra, only needed here
        except ImportError as e:
            msg = "Documents are set by typst, which is not installed: pip install 'billfold[render]'."
            raise BillfoldError(msg) from e
        for fonts in font_folders:
            if not fonts.is_dir():
                msg = f"There is no folder of fonts {fonts}."
                raise BillfoldError(msg)
        self._typst = typst
        self._folder = folder
        self._fonts = typst.Fonts(include_system_fonts=False, font_paths=[str(f) for f in font_folders])

    def typeset(self, template: Path | None, data: Mapping[str, Any], day: date) -> Typeset:
        """The PDF that a template, or the built-in one, makes of the data; `day` is the file's date.

        Raises:
            BillfoldError: the template does not compile with these data.
        """
        inputs = {"data": json.dumps(data, ensure_ascii=False)}
        midnight = datetime.combine(day, time(), tzinfo=UTC)
        try:
            return self._compile(template, inputs, midnight, _ARCHIVAL)
        except self._typst.TypstError as e:
            if not e.message.startswith("PDF/A"):
                raise BillfoldError(_sentence(e, template)) from e
            plain = self._compile(template, inputs, midnight, [])
            return Typeset(plain.content, (*plain.warnings, _not_archival(e)))

    def _compile(self, template: Path | None, inputs: dict[str, str], midnight: datetime, standard: Any) -> Typeset:  # noqa: ANN401 - a name or none
        root = self._folder or _BUILT_IN.parent
        content, said = self._typst.compile_with_warnings(  # type: ignore[call-overload] # one type for all inputs
            (template or _BUILT_IN).read_bytes(),
            root=str(root),
            font_paths=self._fonts,
            ignore_system_fonts=True,
            format="pdf",
            sys_inputs=inputs,
            pdf_standards=standard,
            timestamp=midnight,
            package_path=str(root / PACKAGES),
            package_cache_path=str(root / PACKAGES),
        )
        return Typeset(content, tuple(dict.fromkeys(_sentence(w, template) for w in said)))


def _not_archival(error: typst.TypstError) -> str:
    """Why a document can't be PDF/A: mostly since no font has some letters, which show as boxes."""
    missing = dict.fromkeys(_NO_GLYPH.findall(error.diagnostic))
    if not missing:
        return f"it is no {error.message.removesuffix('.')}"
    letters = " ".join(_letter(m) for m in list(missing)[:_LISTED])
    more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
    return f"no font has {letters}{more}, which will show as boxes: give a folder of fonts that have, with --font-path"


def _letter(said: str) -> str:
    """A letter as typst quotes it; what can't be seen is named by its code."""
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: f"U+{found[1].upper():0>4}", said)


def _sentence(error: typst.TypstError | typst.TypstWarning, template: Path | None) -> str:
    """File, line and message of what typst says of a template."""
    found = _PLACE.search(error.diagnostic)
    file = found[1] if found and template and not found[1].endswith(_IN_MEMORY) else template
    said = "; ".join([error.message.strip().removesuffix("."), *error.hints])
    return f"{file or 'the built-in template'}{f', line {found[2]}' if found else ''}: {said}"
