"""The files in the page: how small, how named, how allowed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from dagster_webserver import webserver as dagster_page
from starlette.requests import Request
from starlette.responses import Response

from run_isolation.dagster.toggle.pages import (
    DIGEST,
    FILES,
    UnknownPageError,
    endpoint,
    with_toggle,
)

MOST_BYTES = 15_000
POLICY = "object-src 'none'; script-src 'nonce-abc123' 'strict-dynamic'; style-src 'self'"
SCRIPTS = {name: text.decode() for name, text in FILES.items() if name.endswith(".js")}


def test_the_script_is_small() -> None:
    assert sum(len(text) for text in SCRIPTS.values()) < MOST_BYTES


@pytest.mark.skipif(shutil.which("node") is None, reason="no node here: the script is not parsed")
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_without_its_comments_it_is_still_a_script(name: str, tmp_path: Path) -> None:
    module = tmp_path / f"{name.removesuffix('.js')}.mjs"
    module.write_text(SCRIPTS[name])
    subprocess.run(["node", "--check", module], check=True)
    assert not re.search(r"^ *(//|/\*)", SCRIPTS[name], re.MULTILINE)


def test_it_imports_only_its_own_files() -> None:
    imports = {name for text in SCRIPTS.values() for name in re.findall(r"from '\./([^']+)'", text)}
    assert imports == SCRIPTS.keys() - {"toggle.js"}


def test_in_dagsters_own_page_it_comes_before_all_other_scripts() -> None:
    index = Path(dagster_page.__file__).with_name("webapp") / "build" / "index.html"
    page = with_toggle(index.read_text(), POLICY, "/data")
    tags = re.findall(r"<script[^>]*>", page)
    assert tags[0] == (
        f'<script type="module" nonce="abc123" src="/data/run_isolation/{DIGEST}/toggle.js">'
    )
    assert len(tags) == len(re.findall(r"<script", index.read_text())) + 1
    # Modules run in the page's order with deferred scripts, which is what Dagster's own are.
    assert all("defer" in tag or "src" not in tag for tag in tags[1:])
    for name in FILES:
        assert f'href="/data/run_isolation/{DIGEST}/{name}"' in page


@pytest.mark.parametrize(
    ("html", "policy"), [("<html></html>", POLICY), ("<script></script>", "script-src 'self'")]
)
def test_a_page_that_is_not_as_we_know_it(html: str, policy: str) -> None:
    with pytest.raises(UnknownPageError):
        with_toggle(html, policy, "")


def serve(name: str, digest: str = DIGEST) -> Response:
    return endpoint(
        Request({"type": "http", "path_params": {"digest": digest, "name": name}, "headers": []})
    )


def test_files_are_kept_by_browsers_under_an_address_that_changes_with_them() -> None:
    served = serve("toggle.js")
    assert served.body == FILES["toggle.js"]
    assert served.headers["Content-Type"].startswith("text/javascript")
    assert "immutable" in served.headers["Cache-Control"]
    assert serve("toggle.css").headers["Content-Type"].startswith("text/css")
    assert serve("toggle.js", "of-another-release").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["types.d.ts", "../pages.py", "nothing.js"])
def test_nothing_else_is_served(name: str) -> None:
    assert serve(name).status_code == 404
