"""Charts of studies as SVG files."""

from __future__ import annotations

from typing import Any

ROOM = 40
"""Pixels that are kept free: names are measured with one font, and the reader's browser may have a wider one, which would cut a legend."""


def svg(chart: Any) -> str:
    """An Altair chart as text."""
    import vl_convert

    roomy = chart.configure(padding={"left": 5, "top": 5, "bottom": 5, "right": ROOM}).configure_legend(columnPadding=ROOM, symbolOpacity=1)
    return str(vl_convert.vegalite_to_svg(roomy.to_dict()))
