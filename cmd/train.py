"""Trains the local classifier on the patterns and on past answers, and prints how good it is.

python -m cmd.train
"""

from __future__ import annotations

import asyncio
from cmd._output import Json, fail, print_json, print_tables, say, table
from cmd._run import run, running_store, settings_or_exit
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from infrastructure.observing.readable import counted, share

if TYPE_CHECKING:  # only this command loads scikit-learn, and only after checking that it is installed
    from infrastructure.local_classifier.linear import LinearModel, ModelCard
    from infrastructure.local_classifier.training import Measures
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    output: Annotated[Path | None, typer.Option(help="file to write; not given: MODEL_FILE")] = None,
    min_precision: Annotated[
        float | None, typer.Option(help="share of its answers that must be right; not given: MODEL_MIN_PRECISION")
    ] = None,
    patterns_only: Annotated[
        bool, typer.Option("--patterns-only", help="train on the default patterns, without a store")
    ] = False,
    seed: Annotated[
        int, typer.Option(help="seed of the split and of training; the same seed gives the same result", min=0)
    ] = 0,
    as_json: Json = False,
) -> None:
    """Trains the local classifier, which decides windows that no pattern decides if it is confident enough.

    Needs the extra `model`. The printed figures are of sites and apps that were not used in training: how many of
    their windows it decides, and how many of these decisions are right. A consumer loads the file at its next start.
    """
    settings = settings_or_exit()
    precision = settings.model_min_precision if min_precision is None else min_precision
    if not 0 < precision < 1:
        fail(f"--min-precision {precision:g}: not between 0 and 1", 2)
    try:
        import infrastructure.local_classifier.training  # noqa: F401
    except ImportError as missing:
        fail(f"{missing.name} is missing: .venv/bin/pip install scikit-learn   (the extra `model`)", 2)
    run(lambda: _train(settings, output or settings.model_path, precision, patterns_only, seed, as_json))


async def _train(
    settings: Settings, output: Path, precision: float, patterns_only: bool, seed: int, as_json: bool
) -> int:
    from domains.patternClassifier.questions import Questions
    from infrastructure.local_classifier.past_answers import Answer, past_answers, site_texts
    from infrastructure.local_classifier.training import labelled_windows, train
    from infrastructure.patterns.pattern_file import default_patterns

    patterns, answers = default_patterns(), list[Answer]()
    if not patterns_only:
        _say("reading patterns and answers")
        async with running_store(settings) as container:
            patterns = await container.category_patterns().find_all() or patterns
            answers = await past_answers(container.categorized_data(), patterns, container.questions())
            answers += await site_texts(container.site_profiles(), Questions(container.privacy()))
    windows, of_patterns = labelled_windows(patterns, answers)
    _say(f"{counted(of_patterns, 'window')} from patterns, {len(windows) - of_patterns} from answers")
    model, result = await asyncio.to_thread(train, windows, precision, seed, _say)
    size = _save(model, output)
    if as_json:
        measures = {"precision": result.precision, "coverage": result.coverage}
        document = {"file": str(output), "bytes": size, "threshold": model.card.threshold, "seed": seed}
        document |= {"trained": model.card.trained_on, "test": asdict(result) | measures}
        print_json(document)
    else:
        _print(model.card, result)
        say(f"{output}: {size / 1e6:.1f} MB")
    return 0


def _save(model: LinearModel, output: Path) -> int:
    """The file's size in bytes."""
    try:
        model.save(output)
        return output.stat().st_size
    except OSError as error:
        fail(f"{output}: {error.strerror or error}", 1)


def _print(card: ModelCard, result: Measures) -> None:
    numbers = ("Windows", "Decided", "Right", "Precision")
    rows = [
        (name, str(it.windows), str(it.named), str(it.right), share(it.right / it.named) if it.named else "")
        for name, it in result.categories.items()
    ]
    print_tables(table(("Category", *numbers), rows, numbers))
    say(
        f"On {result.windows} windows of sites and apps not seen in training (trained on {card.trained_on}):\n"
        f"decided  {result.decided}, {share(result.coverage)} (coverage), "
        f"from a confidence of {card.threshold:.2f} on\n"
        f"right    {result.right}, {share(result.precision)} of these (precision)\n"
        f"best guess right in {share(result.accuracy)} of all, were it to decide everything"
    )


def _say(text: str) -> None:
    say(text, err=True)


if __name__ == "__main__":
    app()
