"""Script and style of the toggle: how the index page names them, how they are served."""

from __future__ import annotations

import hashlib
import re
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

PATH: Final = "/run_isolation"
"""Below the webserver's path prefix. Dagster's own page has nothing there."""

_ENTRY: Final = "toggle.js"
_STYLE: Final = "toggle.css"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css"}

_COMMENT: Final = re.compile(r"^ *(/\*\*.*?\*/|//[^\n]*)\n", re.DOTALL | re.MULTILINE)
_INDENT: Final = re.compile(r"^\s+", re.MULTILINE)


def _bare(text: str) -> bytes:
    """The code without what only its readers need: half of it are types and reasons."""
    return _INDENT.sub("", _COMMENT.sub("", text)).encode()


FILES: Final = {
    file.name: _bare(file.read_text("utf-8"))
    for file in sorted(files(__package__).joinpath("page").iterdir(), key=lambda file: file.name)
    if Path(file.name).suffix in _TYPES
}
"""By name, as browsers get them. The script's modules import each other by relative names."""

DIGEST: Final = hashlib.sha256(b"\0".join(FILES.values())).hexdigest()[:16]
"""In their addresses: another release has others, so browsers may keep what they have."""

_NONCE: Final = re.compile(r"'nonce-([^']+)'")


class UnknownPageError(Exception):
    """The index page is not built as we know it."""


def with_toggle(html: str, content_security_policy: str, path_prefix: str) -> str:
    """The index page with our script before all of Dagster's, so that it sees every launch.

    Args:
        html: The page.
        content_security_policy: The header, which has the nonce that a script needs.
        path_prefix: The webserver's.

    Raises:
        UnknownPageError: It has no script, or the header no nonce.
    """
    nonce = _NONCE.search(content_security_policy)
    if nonce is None or "<script" not in html:
        raise UnknownPageError("Dagster's index page has no script or no nonce.")
    base = f"{escape(path_prefix)}{PATH}/{DIGEST}"
    allowed = f'nonce="{escape(nonce[1])}"'
    ours = [
        f'<link rel="stylesheet" href="{base}/{_STYLE}"/>',
        # All modules at once, not one after the other as they import each other.
        *(
            f'<link rel="modulepreload" {allowed} href="{base}/{name}"/>'
            for name in FILES
            if name.endswith(".js")
        ),
        f'<script type="module" {allowed} src="{base}/{_ENTRY}"></script>',
    ]
    return html.replace("<script", f"{''.join(ours)}<script", 1)


def endpoint(request: Request) -> Response:
    """One of the files."""
    name = request.path_params["name"]
    content = FILES.get(name)
    if content is None:
        return Response(status_code=404)
    # While two releases serve one address, a page may ask one for the files of the other.
    same = request.path_params["digest"] == DIGEST
    cache = "public, max-age=31536000, immutable" if same else "no-store"
    headers = {"Cache-Control": cache, "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)
