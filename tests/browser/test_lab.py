"""Lesson 1 as its readers open it: in JupyterLab, in a browser, from a folder with a space and Chinese in its name."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import nbformat
import pytest

from notebooks.build import LANGUAGES, notebook_in, read, sources
from notebooks.figures.runs import QUICK

pytestmark = pytest.mark.browser
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
MINUTE = 60_000  # ms
LONGEST = 15 * MINUTE  # of a whole lesson; on two idle cores it takes two minutes
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # or cells out of sight are not in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with lesson 1 in each language as it is before anything ran."""
    folder = tmp_path_factory.mktemp("课程 copy")
    (path,) = sources(["01"])
    cells = read(path)
    outputs = [[] for cell in cells if cell.code is not None]
    for language in LANGUAGES:
        notebook = notebook_in(language, path, cells, outputs)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.execution_count = None
        (folder / language).mkdir()
        nbformat.write(notebook, folder / language / f"{path.stem}.ipynb")
    return folder


@pytest.fixture
def lab(folder, language, tmp_path):
    """Return the address of a JupyterLab whose file browser begins in the folder."""
    settings = tmp_path / "settings"
    for name, values in SETTINGS.items():
        file = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [
        f"--ServerApp.root_dir={folder}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0",
        "--ServerApp.open_browser=False", "--ServerApp.allow_root=True", "--IdentityProvider.token=",
        f"--LabApp.user_settings_dir={settings}", f"--LabApp.workspaces_dir={settings}",
    ]  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {} if language == "en" else {QUICK: "1"}  # the code is the same, and one whole run is enough
    log = (settings / "log").open("w", encoding="utf-8")
    server = subprocess.Popen([sys.executable, "-m", "jupyterlab", *options], cwd=folder, env=environment,
                              stdout=log, stderr=log)  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server, settings / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)
        log.close()


def wait_for(address, server, log):
    """Return as soon as the server answers, and fail with its log where it does not."""
    for _ in range(240):
        try:
            return urlopen(address, timeout=5).close()
        except (URLError, TimeoutError):
            time.sleep(0.5)
        if server.poll() is not None:
            break
    pytest.fail(log.read_text(encoding="utf-8")[-2000:])


@pytest.fixture(scope="module")
def page():
    """Return a page of a headless chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed; on Debian: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


@pytest.mark.timeout(LONGEST // 1000 + 300)
@pytest.mark.parametrize("language", LANGUAGES)
def test_run_all_of_lesson_1_shows_pictures_and_no_error(page, lab, folder, language, tmp_path):
    (path,) = sources(["01"])
    page.goto(f"{lab}/lab/tree/{language}/{path.stem}.ipynb?reset", timeout=2 * MINUTE)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=2 * MINUTE)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    count = sum(cell.code is not None for cell in read(path))
    last = page.locator(".jp-CodeCell .jp-InputArea-prompt").nth(count - 1)
    finished = "prompt => /^\\[\\d+\\]:?$/.test(prompt.textContent.trim())"
    error = page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
    deadline = time.monotonic() + LONGEST / 1000
    while not last.evaluate(finished):
        assert error.count() == 0, error.first.inner_text()[-2000:]
        assert time.monotonic() < deadline, "the lesson goes on and on"
        time.sleep(1)
    page.screenshot(path=tmp_path / f"{language}.png")

    assert error.count() == 0
    pictures = page.locator(".jp-OutputArea-output img")
    assert pictures.count() >= 4
    assert all(picture.evaluate("image => image.naturalWidth") > 0 for picture in pictures.all())
    assert page.locator(".jp-OutputArea-output progress").count() == 0, "a bar is gone when what it shows is over"
    assert page.get_by_role("link", name="lessons" if language == "en" else "全部课程").count() >= 1
