"""The notebooks: two languages with one meaning, outputs that a run really gave, and no algorithm of their own."""

import ast
import re
import sys

import nbformat
import pytest

from lessons.ppo import RECIPE
from lessons.worlds import load
from notebooks.build import (
    LANGUAGES,
    LARGEST,
    ROOT,
    OutputError,
    SourceError,
    build,
    check_outputs,
    execute,
    links,
    notebook_in,
    read,
    sources,
    stored,
)
from notebooks.figures import compare, excerpt, finish, new_run, progress, table
from notebooks.figures.page import file_of
from notebooks.figures.runs import QUICK, TURNS
from rl_core.adapters.gym import GymEnv
from rl_core.errors import InvalidArgument

SOURCES = list(sources())
each_lesson = pytest.mark.parametrize("path", SOURCES, ids=[path.stem for path in SOURCES])
EQUATION = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$", re.DOTALL)
WORDS = re.compile(r"\\text\{[^}]*\}")
FENCED = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
EXCERPT = re.compile(r"\*\*`([\w/.]+)`\*\* · `([\w.]+)`\n\n```python\n(.*?)\n```", re.DOTALL)
SUMMARY = re.compile(r"<summary>(.*?)</summary>", re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)\)")
LONGEST_DRAWING, LONGEST_SHORTHAND = 30, 6  # lines of a function in a notebook


def built(path, language):
    """Return a lesson's notebook in a language."""
    return nbformat.read(ROOT / "notebooks" / language / f"{path.stem}.ipynb", as_version=4)


def sources_of(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def equations(text):
    """Return (displayed, inline) equations, code aside; white space and words in them do not count.

    Displayed ones stand in order; within a sentence Chinese may name the state before the action.
    """
    compact = ["".join(equation.split()) for equation in EQUATION.findall(FENCED.sub("", text))]
    displayed = [WORDS.sub("", equation) for equation in compact if equation.startswith("$$")]
    return displayed, sorted(equation for equation in compact if not equation.startswith("$$"))


def written(folder, text):
    path = folder / "01_example.py"
    path.write_text(text, encoding="utf-8")
    return path


def stripped(code):
    """Return code without the indentation of its lines."""
    return "\n".join(line.strip() for line in code.splitlines())


def source_of(name, function):
    """Return the source of a function or class, named as in `Class.method`, in a file of the repository."""
    text = (ROOT / name).read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in function.split("."):
        node = next(child for child in ast.walk(node) if getattr(child, "name", None) == part)
    return ast.get_source_segment(text, node)


def algorithms_in(code):
    """Return what a notebook's code has that belongs into the core: classes, descents, functions that compute.

    A function may draw (its name says so), or stand for one call with many arguments.
    """
    algorithms = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef):
            algorithms.append(f"class {node.name}")
        if isinstance(node, ast.Attribute) and node.attr == "backward":
            algorithms.append(".backward")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            draws = node.name.startswith("draw") and lines <= LONGEST_DRAWING
            if not draws and (lines > LONGEST_SHORTHAND or computes(node)):
                algorithms.append(f"def {node.name}")
    return algorithms


def computes(function):
    """Return whether a function has arithmetic or a loop; `|` joins dictionaries."""
    return any(
        isinstance(node, ast.For | ast.While | ast.UnaryOp)
        or (isinstance(node, ast.BinOp) and not isinstance(node.op, ast.BitOr))
        for node in ast.walk(function)
    )


def test_there_is_a_lesson():
    assert SOURCES


@each_lesson
def test_the_notebooks_are_what_their_source_says(path):
    for language in LANGUAGES:
        notebook = built(path, language)
        expected = [links(path, language), *(cell.source(language) for cell in read(path))]
        assert [cell.source for cell in notebook.cells] == expected
        nbformat.validate(notebook)


@each_lesson
def test_both_languages_share_code_and_outputs(path):
    english, chinese = (built(path, language) for language in LANGUAGES)
    kinds = [[cell.cell_type for cell in notebook.cells] for notebook in (english, chinese)]
    assert kinds[0] == kinds[1]
    pairs = zip(english.cells, chinese.cells, strict=True)
    assert all(one == other for one, other in pairs if one.cell_type == "code")


@each_lesson
def test_both_languages_have_the_same_equations(path):
    for cell in read(path):
        if cell.code is None:
            assert equations(cell.text["en"]) == equations(cell.text["zh"]), f"cell {cell.number}"


@each_lesson
def test_the_chinese_text_is_chinese_and_the_english_is_not(path):
    for cell in read(path):
        if cell.code is None:
            assert re.search("[\u4e00-\u9fff]", cell.text["zh"]), f"cell {cell.number}"
            assert not re.search("[\u4e00-\u9fff]", FENCED.sub("", cell.text["en"])), f"cell {cell.number}"


@each_lesson
def test_what_prints_has_printed(path):
    for cell in built(path, "en").cells:
        if cell.cell_type == "code" and re.search(r"\b(print|compare|show|excerpt|table)\(", cell.source):
            assert cell.outputs, cell.source[:80]


@each_lesson
def test_the_outputs_are_fit_to_be_seen(path):
    for language in LANGUAGES:
        assert (ROOT / "notebooks" / language / f"{path.stem}.ipynb").stat().st_size <= LARGEST
        for cell in built(path, language).cells:
            if cell.cell_type == "code":
                assert "execution" not in cell.metadata
                check_outputs(path, cell)


@each_lesson
def test_every_picture_has_words_for_those_who_cannot_see_it(path):
    outputs = [output for cell in built(path, "en").cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 1
    assert all(output.metadata.get("image/png", output.metadata).get("alt") for output in pictures)


@each_lesson
def test_excerpts_are_the_lines_that_the_files_have_now(path):
    texts = [o.data["text/markdown"] for c in built(path, "en").cells for o in c.get("outputs", [])
             if "text/markdown" in o.get("data", {})]  # fmt: skip
    shown = [match for text in texts for match in EXCERPT.findall(text)]
    assert shown, "a lesson shows the core's own lines"
    for name, function, code in shown:
        assert stripped(code) in stripped(source_of(name, function)), f"{name}, {function}: build again"


@each_lesson
def test_a_notebook_defines_no_algorithm(path):
    for cell in read(path):
        if cell.code is not None:
            assert algorithms_in(cell.code) == []


@pytest.mark.parametrize("code", [
    "class Policy:\n    pass",
    "loss.backward()",
    "def loss_of(logprobs):\n    return -logprobs.mean()",
    "def learn(run):\n    for played in run:\n        update(played)",
    "def draw(axes):\n" + "    axes.plot([])\n" * LONGEST_DRAWING,
])  # fmt: skip
def test_an_algorithm_in_a_notebook_is_found(code):
    assert algorithms_in(code)


@pytest.mark.parametrize("code", [
    "def draw_rows(axes, rows):\n    axes.plot(2 * rows)",
    "def begin(name, **changes):\n    return start(name, **(usual | changes))",
])  # fmt: skip
def test_drawing_and_shorthand_may_stand_in_a_notebook(code):
    assert algorithms_in(code) == []


EN, ZH, CODE = '# %% [markdown] lang="en"\n# A\n\n', '# %% [markdown] lang="zh"\n# 甲\n\n', "# %%\nprint(1)\n\n"


@pytest.mark.parametrize("text, complaint", [
    (EN + CODE, "cell 1 .* no partner"),
    (EN + ZH + CODE + EN, "cell 4 .* no partner"),
    (CODE + ZH + EN, "cell 2 .* no English"),
    (CODE + EN + EN, "cell 2 .* no partner"),
    (CODE + "# %% [markdown]\n# A\n", "cell 2 .* lang=None"),
    (CODE + EN.replace("en", "de") + ZH, "cell 2 .* lang='de'"),
    (EN + ZH, "no code"),
])  # fmt: skip
def test_a_text_without_its_partner_is_told_with_file_and_cell(tmp_path, text, complaint):
    with pytest.raises(SourceError, match=complaint) as caught:
        read(written(tmp_path, text))
    assert "01_example.py" in str(caught.value)


def test_a_source_becomes_the_same_notebooks_whenever_it_is_built(tmp_path):
    cells = read(written(tmp_path, EN + ZH + CODE))
    outputs = [[nbformat.v4.new_output("stream", name="stdout", text="1\n")]]
    path = tmp_path / "01_example.py"
    english, again = (notebook_in("en", path, cells, outputs) for _ in range(2))
    chinese = notebook_in("zh", path, cells, outputs)
    assert nbformat.writes(english) == nbformat.writes(again)
    assert (sources_of(english, "markdown"), sources_of(chinese, "markdown")) == (
        [links(path, "en"), "A"],
        [links(path, "zh"), "甲"],
    )
    assert [cell.id for cell in english.cells] == ["01-example-links", "01-example-00", "01-example-01"]
    assert sources_of(english, "code") == sources_of(chinese, "code") == ["print(1)"]


@pytest.mark.parametrize("output", [
    {"output_type": "stream", "name": "stderr", "text": "UserWarning: beware"},
    {"output_type": "stream", "name": "stdout", "text": f"{ROOT}/runs"},
    {"output_type": "display_data", "data": {"text/plain": sys.prefix}, "metadata": {}},
])  # fmt: skip
def test_outputs_that_no_reader_should_see_stop_the_build(tmp_path, output):
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.from_dict(output)])
    with pytest.raises(OutputError, match="01_example"):
        check_outputs(tmp_path / "01_example.py", cell)


def test_an_unknown_lesson_is_told_with_the_known_ones():
    with pytest.raises(SourceError, match="01_two_worlds"):
        list(sources(["99"]))


def test_old_outputs_are_not_kept_for_new_code(tmp_path):
    with pytest.raises(SourceError, match="other code"):
        stored(SOURCES[0], read(written(tmp_path, CODE)), ROOT / "notebooks")


def test_an_excerpt_shows_a_file_s_own_lines():
    shown = excerpt(excerpt, "lines, _ =", "stop = ").data
    ((name, function, code),) = EXCERPT.findall(shown)
    assert (name, function) == ("notebooks/figures/page.py", "excerpt")
    assert len(code.splitlines()) == 3
    assert stripped(code) in stripped((ROOT / name).read_text(encoding="utf-8"))


def test_an_excerpt_of_a_package_s_own_file_names_it():
    assert file_of(load) == "lessons/worlds/__init__.py"
    assert file_of(GymEnv.reset) == "rl_core/adapters/gym/env.py"


@each_lesson
def test_every_excerpt_that_a_source_asks_for_is_there(path):
    names = {}
    for cell in read(path):
        tree = ast.parse(cell.code or "")
        imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(imports, []), path.name, "exec"), names)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "excerpt":
                assert EXCERPT.findall(eval(compile(ast.Expression(node), path.name, "eval"), names).data)


@pytest.mark.parametrize(
    "marks", [("no such text",), ("lines, _ =", "no such text"), ("return Markdown", "lines, _ =")]
)
def test_an_excerpt_that_is_no_more_there_is_an_error(marks):
    with pytest.raises(InvalidArgument, match="is in no line of excerpt"):
        excerpt(excerpt, *marks)


def test_a_prediction_stands_beside_what_was_measured(capsys):
    compare("steps", 3, 41.256)
    compare("steps", None, 2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["steps", "predicted", "3", "measured", "41.26"]
    assert second.split() == ["steps", "predicted", "–", "measured", "2"]


def test_a_table_shows_markup_as_it_is():
    assert table(["a"], [["x|y <b>"]]).data.splitlines()[-1] == "| x\\|y &lt;b> |"


@each_lesson
def test_no_source_knows_where_it_lies(path):
    assert "sys.path" not in path.read_text(encoding="utf-8")


@each_lesson
def test_the_head_of_a_question_has_no_markdown_for_it_is_html(path):
    for cell in read(path):
        for text in cell.text.values():
            assert not [head for head in SUMMARY.findall(text) if re.search(r"[`*_]", head)], f"cell {cell.number}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_notebook_leads_to_its_neighbours_and_to_its_other_language(language):
    first, second, last = (links(SOURCES[place], language) for place in (0, 1, -1))
    other = next(code for code in LANGUAGES if code != language)
    assert LINK.findall(first) == [f"../{other}/01_two_worlds.ipynb", "../../lessons/README.md", "02_ppo.ipynb"]
    assert LINK.findall(second)[0] == "01_two_worlds.ipynb" and LINK.findall(second)[-1] == "03_sft.ipynb"
    assert LINK.findall(last)[-1] == "../../lessons/README.md"


HOUSE = """# %%
from rl_core.losses.ppo import clipped_surrogate
from lessons.ppo import RECIPE
from notebooks.figures import excerpt, finish, functions_used, new_run
excerpt(clipped_surrogate, "ratio = ")

# %%
print(len(finish(new_run(RECIPE, "cartpole", iterations=2, rows=4))))
run = new_run(RECIPE, "cartpole", iterations=1, rows=4)
print("losses/ppo: clipped_surrogate" in functions_used(lambda: finish(run)))
"""


@pytest.mark.parametrize("folder", [ROOT / "notebooks" / "en", ROOT, None], ids=["its own", "the root", "elsewhere"])
def test_a_lesson_runs_wherever_its_kernel_starts(tmp_path, monkeypatch, folder):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    away = tmp_path / "课程 copy"
    away.mkdir()
    path = written(away, HOUSE)
    shown, printed = execute(path, read(path), folder or away)
    assert shown[0].data["text/markdown"].startswith("**`rl_core/losses/ppo.py`** · `clipped_surrogate`")
    assert [output.text for output in printed] == ["2\nTrue\n"], "and a bar leaves nothing behind"


def test_a_run_is_watched_to_its_end_outside_a_notebook_too(capsys):
    assert [record["iteration"] for record in finish(new_run(RECIPE, "cartpole", iterations=2, rows=4))] == [1, 2]
    assert list(progress("abc", "letters")) == ["a", "b", "c"]
    assert capsys.readouterr().out == ""


def test_a_quick_lesson_takes_a_few_turns_of_every_loop(monkeypatch):
    monkeypatch.setenv(QUICK, "1")
    run = new_run(RECIPE, "cartpole", rows=4)
    assert (run.config.iterations, run.config.rows) == (TURNS, 4)
    assert list(progress(range(100), "turns")) == list(range(TURNS))
    assert new_run(RECIPE, "cartpole", iterations=2).config.iterations == 2


def test_a_run_takes_changes_of_its_settings_and_of_its_algorithm_s():
    run = new_run(RECIPE, "cartpole", seed=3, rows=4, update={"clip": None})
    assert (run.seed, run.config.rows, run.config.update.clip) == (3, 4, None)
    assert run.config.update.epochs == RECIPE.settings["cartpole"].update.epochs
    with pytest.raises(InvalidArgument, match="world='pole' is unknown"):
        new_run(RECIPE, "pole")


@each_lesson
def test_no_zero_has_a_minus(path):
    outputs = [output for cell in built(path, "en").cells for output in cell.get("outputs", [])]
    texts = [output.get("text", output.get("data", {}).get("text/markdown", "")) for output in outputs]
    assert not re.search(r"-0(\.0+)?(?![\d.e])", "\n".join(texts))


@pytest.mark.slow
@each_lesson
def test_a_lesson_runs_from_scratch(path, monkeypatch):
    monkeypatch.setenv(QUICK, "1")  # every cell, few turns; `make notebooks` and the browser's lesson 1 run whole ones
    cells = read(path)
    outputs = execute(path, cells)
    old = [cell.outputs for cell in built(path, "en").cells if cell.cell_type == "code"]
    kinds = [[[(o.output_type, set(o.get("data", {}))) for o in cell] for cell in cells] for cells in (outputs, old)]
    assert kinds[0] == kinds[1]


@pytest.mark.slow
def test_a_build_writes_both_languages(tmp_path):
    targets = build(written(tmp_path, EN + ZH + CODE), tmp_path)
    assert targets == [tmp_path / language / "01_example.ipynb" for language in LANGUAGES]
    assert nbformat.read(targets[1], as_version=4).cells[2].outputs[0].text == "1\n"
    before = [target.read_bytes() for target in targets]
    build(tmp_path / "01_example.py", tmp_path, text_only=True)
    assert [target.read_bytes() for target in targets] == before


@pytest.mark.slow
def test_a_lesson_that_fails_is_told(tmp_path):
    path = written(tmp_path, "# %%\n1 / 0\n")
    with pytest.raises(OutputError, match=r"(?s)01_example.py does not run.*ZeroDivisionError"):
        execute(path, read(path))
