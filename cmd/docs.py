"""Writes the reference pages in docs/ from the descriptions of settings, metrics and tasks in the code.

python -m cmd.docs
"""

from cmd._output import say
from pathlib import Path

import typer

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

ROOT = Path(__file__).parent.parent


@app.command()
def main() -> None:
    """Writes docs/settings.md, docs/metrics.md and docs/tasks.md. A test fails while they differ from the code."""
    from infrastructure.composition.reference_pages import REFERENCE_PAGES

    for path, page in REFERENCE_PAGES.items():
        (ROOT / path).write_text(page(), encoding="utf-8")
        say(path)


if __name__ == "__main__":
    app()
