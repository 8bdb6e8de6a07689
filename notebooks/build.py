"""Builds the notebooks in both languages from their sources: `python -m notebooks.build`, or with some lessons' names.

A source is a py:percent file whose text cells come in pairs, English first, and whose code stands there once. The code
is run once, and both notebooks store its outputs. Left out: widgets, and text that stands in one language only.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import jupytext
import nbformat
import tyro
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from traitlets.config import Config

from lessons.harness.machine import program
from notebooks.figures.runs import BAR
from rl_core.errors import RLCoreError

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
SOURCES = NOTEBOOKS / "source"
LANGUAGES = ("en", "zh")
OWN_NAMES = {"en": "English", "zh": "中文"}
ALL_LESSONS = {"en": "all lessons", "zh": "全部课程"}
LARGEST = 1_500_000  # bytes of one notebook
SLOWEST = 600  # seconds of one cell
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


class SourceError(RLCoreError, ValueError):
    """A source cannot become two notebooks."""


class OutputError(RLCoreError, ValueError):
    """A run left something in its outputs that no reader should see."""


WIDE = "\u3000-\u303f\u4e00-\u9fff\uff00-\uffef\u2018-\u201d\u2014\u2026"
BREAK = re.compile(rf"(?<=[{WIDE}])\n *(?=[{WIDE}])|(?<=[，。：；！？、）”])\n *(?=[`A-Za-z])|(?<=[{WIDE}])\n *(?=\*)")
HEADING = re.compile(r"^# +(.+)$", re.MULTILINE)
FENCE = re.compile(r"(```.*?```)", re.DOTALL)


def joined(text: str) -> str:
    """Return a Chinese text without its line breaks inside paragraphs, which browsers show as spaces."""
    return "".join(part if part.startswith("```") else BREAK.sub("", part) for part in FENCE.split(text))


@dataclass(frozen=True)
class Cell:
    """One place in a lesson: code that both languages share, or a text in each."""

    number: int
    """Of the cell in the source, from 1, as an editor shows it."""
    code: str | None
    text: dict[str, str]

    def source(self, language: str) -> str:
        """Return what the notebook in that language has here."""
        return self.text[language] if self.code is None else self.code


def read(path: Path) -> list[Cell]:
    """Return the lesson's cells; SourceError for text that has no partner in the other language."""
    written = enumerate(jupytext.read(path, fmt="py:percent").cells, start=1)
    cells = []
    for number, cell in written:
        if cell.cell_type == "code":
            cells.append(Cell(number, cell.source, {}))
            continue
        where = f"{path.name}, cell {number} ({cell.source[:40]!r})"
        if (language := cell.metadata.get("lang")) not in LANGUAGES:
            raise SourceError(f'{where} has lang={language!r}; write lang="en", and the Chinese after it in lang="zh".')
        if language != "en":
            raise SourceError(f"{where} has lang={language!r} and no English right before it; write that first.")
        _, other = next(written, (0, None))
        if other is None or other.cell_type != "markdown" or other.metadata.get("lang") != "zh":
            raise SourceError(f'{where} has no partner; write a text cell with lang="zh" right after it.')
        cells.append(Cell(number, None, {"en": cell.source, "zh": joined(other.source)}))
    if not any(cell.code for cell in cells):
        raise SourceError(f"{path.name} has no code; a lesson runs something.")
    return cells


def execute(path: Path, cells: Sequence[Cell], folder: Path = NOTEBOOKS / LANGUAGES[0]) -> list[list[NotebookNode]]:
    """Return the outputs of each code cell, run in order in one kernel that begins in the folder.

    That is a notebook's own folder unless told otherwise, for there Jupyter starts its kernel too.
    """
    notebook = new_notebook(
        cells=[new_code_cell(cell.code) for cell in cells if cell.code is not None], metadata=KERNEL
    )
    # Sockets in a folder of their own: two kernels that start at once would otherwise take the same ports or files.
    with TemporaryDirectory(prefix="k") as sockets:
        own = {} if os.name == "nt" else {"transport": "ipc", "ip": f"{sockets}/k"}
        client = NotebookClient(
            notebook,
            timeout=SLOWEST,
            kernel_name="python3",
            coalesce_streams=True,
            record_timing=False,
            config=Config({"KernelManager": own}),
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            client.execute()
        except CellExecutionError as error:
            raise OutputError(f"{path.name} does not run:\n{error}") from error
    for cell in notebook.cells:
        cell.outputs = [output for output in cell.outputs if BAR not in output.get("metadata", {})]
        check_outputs(path, cell)
    return [cell.outputs for cell in notebook.cells]


def stored(path: Path, cells: Sequence[Cell], folder: Path) -> list[list[NotebookNode]]:
    """Return the outputs that the lesson's notebook in the folder has, whose code must be the source's."""
    notebook = folder / LANGUAGES[0] / f"{path.stem}.ipynb"
    built = nbformat.read(notebook, as_version=4).cells if notebook.is_file() else []
    built = [cell for cell in built if cell.cell_type == "code"]
    if [cell.source for cell in built] != [cell.code for cell in cells if cell.code is not None]:
        raise SourceError(f"{path.name} has other code than its notebook; build it without --text-only.")
    return [cell.outputs for cell in built]


def check_outputs(path: Path, cell: NotebookNode) -> None:
    """Raise OutputError for warnings, progress bars and paths of this machine."""
    for output in cell.outputs:
        data = {kind: value for kind, value in output.get("data", {}).items() if "image" not in kind}
        text = str(output.get("text", "")) + str(data)
        where = f"{path.name}, cell {cell.source[:60]!r}"
        if output.output_type == "stream" and output.name == "stderr":
            raise OutputError(f"{where} writes to stderr: {output.text[:300]!r}; mend what it warns of.")
        for private in (str(ROOT), str(Path.home()) + "/", sys.prefix):
            if private in text:
                raise OutputError(f"{where} shows {private!r}; print a path relative to the repository.")


def links(path: Path, language: str) -> str:
    """Return the line on top of a notebook: the lesson before, the next one, the other language, and all lessons."""
    lessons = sorted(path.parent.glob("[0-9][0-9]_*.py"))
    place = lessons.index(path)
    around = [f"[← {heading(lesson, language)}]({lesson.stem}.ipynb)" for lesson in lessons[max(0, place - 1) : place]]
    around += [f"[{OWN_NAMES[other]}](../{other}/{path.stem}.ipynb)" for other in LANGUAGES if other != language]
    around += [f"[{ALL_LESSONS[language]}](../../lessons/README.md)"]
    around += [f"[{heading(lesson, language)} →]({lesson.stem}.ipynb)" for lesson in lessons[place + 1 : place + 2]]
    return " · ".join(around)


def heading(path: Path, language: str) -> str:
    """Return a lesson's title in a language: the first heading of its source."""
    titles = (HEADING.search(cell.text[language]) for cell in read(path) if cell.code is None)
    return next((title[1] for title in titles if title is not None), path.stem)


def notebook_in(
    language: str, path: Path, cells: Sequence[Cell], outputs: Sequence[list[NotebookNode]]
) -> NotebookNode:
    """Return the notebook in that language; nothing in it depends on when or where it was built."""
    results = iter(enumerate(outputs, start=1))
    stem = path.stem.replace("_", "-")
    nodes = [new_markdown_cell(links(path, language), id=f"{stem}-links"[-64:])]
    for place, cell in enumerate(cells):
        name = f"{stem}-{place:02d}"[-64:]
        if cell.code is None:
            nodes.append(new_markdown_cell(cell.text[language], id=name))
        else:
            count, shown = next(results)
            nodes.append(new_code_cell(cell.code, id=name, execution_count=count, outputs=shown))
    return new_notebook(cells=nodes, metadata=KERNEL)


def build(path: Path, folder: Path, *, text_only: bool = False) -> list[Path]:
    """Return the notebooks of one source, one a language, written under the folder after one run."""
    cells = read(path)
    outputs = stored(path, cells, folder) if text_only else execute(path, cells)
    written = []
    for language in LANGUAGES:
        target = folder / language / f"{path.stem}.ipynb"
        notebook = notebook_in(language, path, cells, outputs)
        nbformat.validate(notebook)
        text = nbformat.writes(notebook) + "\n"
        if len(text.encode()) > LARGEST:
            raise OutputError(f"{target.name} has {len(text.encode()):,} bytes, more than {LARGEST:,}; show less.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        written.append(target)
    return written


def sources(names: Sequence[str] = ()) -> Iterator[Path]:
    """Give the source of each named lesson (01, or 01_two_worlds), or of all."""
    known = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
    for name in names:
        if not any(path.stem == name or path.stem.startswith(f"{name}_") for path in known):
            raise SourceError(f"recipe={name!r} is unknown; pass some of {', '.join(path.stem for path in known)}.")
    yield from (p for p in known if not names or any(p.stem == n or p.stem.startswith(f"{n}_") for n in names))


def main(
    lessons: Annotated[tuple[str, ...], tyro.conf.Positional] = (),
    check: bool = False,
    text_only: bool = False,
    out: Path = NOTEBOOKS,
) -> Any:
    """Build the notebooks from their sources.

    Args:
        lessons: Which lessons, by number or name; none: all.
        check: Only look whether the sources are well formed; run nothing, write nothing.
        text_only: Keep the outputs of unchanged code, and write the text anew.
        out: Folder whose en/ and zh/ the notebooks go to.
    """
    try:
        for path in sources(lessons):
            if check:
                print(f"{path.name}: {len(read(path))} places, in order")
            else:
                for target in build(path, out, text_only=text_only):
                    print(f"{target}: {target.stat().st_size:,} bytes", flush=True)
    except RLCoreError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    tyro.cli(main, prog=program())
