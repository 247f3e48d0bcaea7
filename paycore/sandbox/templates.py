"""Renders a sandbox's pages from the templates of its plugin, all with the same headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2
from starlette.responses import HTMLResponse, Response

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
"""The content security policy of a page, before who may frame it."""

BY_THIS_MACHINE = "'self' http://localhost:* http://127.0.0.1:*"
"""Who may frame a page that shops show in a frame."""


class PageTemplates:
    """
    Pages of the folder `templates`, which has a `problem.html` with `title` and `words`.

    `framed_by` says who may frame them, in the words of a content security policy; nobody unless said otherwise.
    """

    def __init__(self, templates: Path, *, framed_by: str = "'none'") -> None:
        self._framed_by = framed_by
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(templates),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def show(self, template: str, *, status: int = 200, policy: str = POLICY, **values: Any) -> Response:
        """The page that a template makes of these values."""
        headers = {
            "Cache-Control": "no-store",
            "Content-Security-Policy": f"{policy}; frame-ancestors {self._framed_by}",
            # With "no-referrer" a form would be sent without its origin and be refused.
            "Referrer-Policy": "same-origin",
        }
        return HTMLResponse(self.text(template, **values), status_code=status, headers=headers)

    def text(self, template: str, **values: Any) -> str:
        """What a template makes of these values."""
        return self._templates.get_template(template).render(values)

    def problem(self, title: str, words: str, *, status: int) -> Response:
        """The page that says why there is no other."""
        return self.show("problem.html", status=status, title=title, words=words)
