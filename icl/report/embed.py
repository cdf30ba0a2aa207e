"""A self-contained HTML page: one Jinja template, its charts as Vega-Lite specs, and the code that draws them, all in one file.

Nothing is fetched when the page is opened. A Content-Security-Policy admits only the two scripts whose hashes it names, so text of a data
set cannot run even if it escaped its place; the chart expressions are interpreted (`ast`), so the page needs no `eval` either.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def render(template: str, charts: Mapping[str, Mapping[str, Any]], view: Any, folder: Path = HERE) -> str:
    """The page of a template in `folder` (which may extend `base.html.jinja`); `charts` maps element ids to Vega-Lite specs.

    A page without charts has no script at all. The template sees `view`. Everything it prints is escaped; an undefined name is an error.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    loader = FileSystemLoader([folder, HERE])
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    scripts = (vega_bundle(), (HERE / "page.js").read_text(encoding="utf-8")) if charts else ()
    return environment.get_template(template).render(
        view=view,
        style=Markup((HERE / "page.css").read_text(encoding="utf-8")),
        charts=Markup(script_json(charts)),
        scripts=[Markup(script) for script in scripts],
        script_hashes=[_csp_hash(script) for script in scripts],
    )


def script_json(value: Any) -> str:
    """JSON that may stand in a `<script>` element: no character of it can end the element or a line of JavaScript."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character, escape in _UNSAFE.items():
        text = text.replace(character, escape)
    return text


@cache
def vega_bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script that sets `window.vegaEmbed`; about 0.9 MB, needs no network."""
    import vl_convert

    bundle = str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))
    if "</script" in bundle.lower() or "<!--" in bundle or "\r" in bundle:
        raise ValueError("the Vega bundle cannot stand in a <script> element as it is")
    return bundle


def _csp_hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}'"
