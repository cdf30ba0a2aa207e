"""`icl prompts`: the library of templates."""

from __future__ import annotations

from typing import Annotated

import typer

from icl.cli import prompts_lint, prompts_new, prompts_preview
from icl.cli.options import Debug, Json, print_json

app = typer.Typer(
    help="Prompt templates: list the library, show one, write your own, look at what it writes, check it.", no_args_is_help=True
)


@app.command("list")
def list_templates(json: Json = False, debug: Debug = False) -> None:
    """Every template of the library, with the task kinds it serves and the fields it needs."""
    from prompts import library_names, load_template

    templates = [load_template(name) for name in library_names()]
    rows = [{"name": t.name, "kinds": list(t.kinds), "fields": list(t.fields), "description": t.description} for t in templates]
    if json:
        print_json(rows)
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("template", "kinds", "fields", "description", box=None, header_style="bold", pad_edge=False)
    for t in templates:
        table.add_row(t.name, ", ".join(t.kinds), ", ".join(t.fields), t.description)
    Console().print(table)


@app.command("show")
def show(
    name: Annotated[str, typer.Argument(help="A template of the library, or a .jinja file.")], json: Json = False, debug: Debug = False
) -> None:
    """The template's source: the best start for one of your own."""
    from prompts import load_template

    template = load_template(name)
    if json:
        inclusions = dict(template.inclusions)
        print_json({"name": template.name, "sha256": template.sha256, "source": template.source, "inclusions": inclusions})
    else:
        print(template.source, end="")


app.command("new")(prompts_new.new)
app.command("diff")(prompts_new.diff)
app.command("preview")(prompts_preview.preview)
app.command("lint")(prompts_lint.lint)
app.command("explain")(prompts_lint.explain)
