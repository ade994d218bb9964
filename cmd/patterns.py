"""Makes patterns of what the LLM keeps answering, and carries patterns between stores and files.

python -m cmd.patterns propose
"""

import json
import sys
from cmd._output import Json, fail, print_json, print_json_text, print_tables, progress, say, shown, table
from cmd._run import run, settings_or_exit
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from domains.categoryPattern import decisions
from domains.categoryPattern.model import CategoryPattern, PatternKind, PatternProposal, ProposalStatus, category_id
from domains.patternClassifier.learning import AnswerCounts, propose
from domains.patternClassifier.rules import RuleSet
from infrastructure.composition.container import Container, running_store
from infrastructure.patterns.lint import lint
from infrastructure.patterns.pattern_file import (
    DEFAULT_PATTERNS,
    PatternFileError,
    compare,
    read_patterns,
    write_patterns,
)
from infrastructure.settings import Settings

_AT_ONCE = 1000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

Ids = Annotated[list[str] | None, typer.Argument(help="ids of proposals, as `list` shows them")]


@app.command("propose")
def propose_patterns(
    again: Annotated[bool, typer.Option("--again", help="also what was rejected before")] = False,
    as_json: Json = False,
) -> None:
    """Proposes patterns for the hosts and apps to which the LLM keeps giving the same category.

    At least PATTERN_MIN_EVIDENCE answers, PATTERN_MIN_SHARE of them the same, and no pattern yet that decides. What
    was proposed before and no longer has that much in its favour is withdrawn. What was rejected comes back when its
    answers have doubled, or with --again. With PATTERN_AUTO_ACCEPT, what is proposed is accepted at once.

    It reads all documents of categorized_data with isLLMBased: true. No index is made for that, so MongoDB reads
    the whole collection once: run it at a quiet hour, or with readPreference=secondaryPreferred in MONGO_URI.
    """
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            counts, read, unknown = await _count(stores, as_json)
            proposals, kept = stores.proposals(), await stores.proposals().find_all()
            found = propose(
                counts,
                RuleSet(await stores.category_patterns().find_all()),
                kept,
                settings.pattern_min_evidence,
                settings.pattern_min_share,
                again,
            )
            waiting = {proposal.id for proposal in kept if proposal.status is ProposalStatus.PROPOSED}
            withdrawn = waiting - {proposal.id for proposal in found}
            await proposals.save_all(found)
            await proposals.delete_all(withdrawn)
            if settings.pattern_auto_accept:
                found = await decisions.accept(found, proposals, stores.category_patterns())
        new = sum(proposal.id not in waiting for proposal in found)
        if as_json:
            result = {"answers": read, "unknownCategory": unknown, "forgotten": counts.forgotten, "new": new}
            print_json(result | {"withdrawn": len(withdrawn), "proposals": [_document(each) for each in found]})
            return
        _print_table(found)
        say(f"{read} answers read, {len(found)} patterns proposed, {new} of them new, {len(withdrawn)} withdrawn")
        if counts.forgotten:
            say(f"{counts.forgotten} rare hosts and apps were left out, there are so many")
        if settings.pattern_auto_accept:
            say(f"{len(found)} accepted (PATTERN_AUTO_ACCEPT)")

    run(work)


@app.command("list")
def list_proposals(
    status: Annotated[ProposalStatus | None, typer.Option(help="only these; all if not given")] = None,
    as_json: Json = False,
) -> None:
    """Shows the proposals with their evidence, those that wait for a decision first, then by answers.

    Answers: how often the LLM named the category for what the pattern matches; Windows: for how many different ones.
    """
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            kept = await stores.proposals().find_all()
        found = [proposal for proposal in kept if status in (None, proposal.status)]
        order = list(ProposalStatus)
        found.sort(key=lambda each: (order.index(each.status), -each.evidence.answers, each.id))
        if as_json:
            print_json([_document(proposal) for proposal in found])
            return
        _print_table(found)
        say(f"{len(found)} proposals")

    run(work)


@app.command()
def accept(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="all that are proposed")] = False,
    min_answers: Annotated[
        int | None, typer.Option(min=1, help="all that are proposed with at least so many answers")
    ] = None,
    as_json: Json = False,
) -> None:
    """Adds proposed patterns to their categories. Running pipelines follow within PATTERN_REFRESH_SECONDS.

    A rejected proposal can be accepted by its id, and one that is accepted already is put back where it was removed.
    """
    if sum((bool(ids), everything, min_answers is not None)) != 1:
        fail("Say which: either ids, or --all, or --min-answers", 2)
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            kept = await stores.proposals().find_all()
            if ids:
                chosen = _chosen(kept, ids)
            else:
                least = min_answers or 0
                waiting = (each for each in kept if each.status is ProposalStatus.PROPOSED)
                chosen = [proposal for proposal in waiting if proposal.evidence.answers >= least]
            accepted = await decisions.accept(chosen, stores.proposals(), stores.category_patterns())
        _print_done("accepted", accepted, as_json)

    run(work)


@app.command()
def reject(
    ids: Annotated[list[str], typer.Argument(help="ids of proposals, as `list` shows them")], as_json: Json = False
) -> None:
    """Keeps proposals from being made again, unless their answers double."""
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            chosen = _chosen(await stores.proposals().find_all(), ids)
            if accepted := [each.id for each in chosen if each.status is ProposalStatus.ACCEPTED]:
                fail(
                    f"{', '.join(accepted)}: accepted already; its pattern is removed where the patterns are kept", 1
                )
            rejected = await decisions.reject(chosen, stores.proposals())
        _print_done("rejected", rejected, as_json)

    run(work)


@app.command("export")
def export_patterns(
    file: Annotated[Path, typer.Argument(help="where to, replacing what is there; -: standard output")] = Path("-"),
    proposed: Annotated[bool, typer.Option("--proposed", help="the proposals that wait, not the patterns")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with FILE: say what was written as JSON")] = False,
) -> None:
    """Writes the patterns of the store as a JSON array of {category, priority, appPatterns, domainPatterns}."""
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            patterns = await stores.category_patterns().find_all()
            if proposed:
                patterns = _as_patterns(await stores.proposals().find_all(), patterns)
        text = write_patterns(patterns)
        if str(file) == "-":
            print_json_text(text)
            return
        try:
            file.write_text(text + "\n", encoding="utf-8")
        except OSError as error:
            fail(f"{file}: {error.strerror}", 1)
        count = sum(len(pattern.app_patterns) + len(pattern.domain_patterns) for pattern in patterns)
        if as_json:
            print_json({"file": str(file), "categories": len(patterns), "patterns": count})
        else:
            say(f"{count} patterns of {len(patterns)} categories in {file}")

    run(work)


@app.command("import")
def import_patterns(
    file: Annotated[Path, typer.Argument(help="a JSON array as `export` writes it; -: standard input")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")] = False,
    as_json: Json = False,
) -> None:
    """Adds the patterns of a file to their categories; removes none.

    A pattern that its category has already, in whichever spelling, is left alone. A broken one is named and left out,
    and the exit code is then 1. A priority counts only for a category that the store does not have. A file of another
    form is refused as a whole.
    """
    settings = settings_or_exit()
    wanted = _patterns_of(file)

    async def work() -> int:
        async with _stores(settings) as stores:
            repository = stores.category_patterns()
            present = await repository.find_all()
            try:
                news = compare(wanted, present)
            except PatternFileError as error:
                _refuse(file, error)
            if not dry_run:
                await repository.save_all(news.categories)
                await decisions.add(news.added, repository)
        if as_json:
            print_json(
                {
                    "added": [each._asdict() for each in news.added],
                    "alreadyThere": news.already_there,
                    "broken": [each._asdict() | {"reason": reason} for each, reason in news.broken],
                    "dryRun": dry_run,
                }
            )
        else:
            for each, reason in news.broken:
                say(f"{each.category}: {each.kind} {shown(each.pattern)!r}: {reason}", err=True)
            verb = "would be added" if dry_run else "added"
            say(f"{len(news.added)} {verb}, {news.already_there} already there, {len(news.broken)} broken")
        return 1 if news.broken else 0

    run(work)


@app.command("lint")
def lint_patterns(
    file: Annotated[Path | None, typer.Argument(help="a pattern file; not given: the default patterns")] = None,
) -> None:
    """Says what is wrong with a set of default patterns, a line a problem; the exit code is then 1."""
    try:
        problems = lint(json.loads((DEFAULT_PATTERNS if file is None else file).read_text(encoding="utf-8")))
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    except (ValueError, RecursionError) as error:
        fail(f"{file}: not JSON ({error})", 2)
    for problem in problems:
        say(shown(problem))
    if problems:
        raise typer.Exit(1)
    say("no problems")


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[Container]:
    async with running_store(settings) as container:
        patterns = container.category_patterns()
        if (defaults := container.default_patterns()) and not await patterns.find_all():
            await patterns.save_all(defaults)  # as the consumer does, but only where there is nothing at all
        yield container


async def _count(stores: Container, hidden: bool) -> tuple[AnswerCounts, int, int]:
    """The counts, how many answers there were, and how many by a category that is gone."""
    names = {pattern.id: pattern.category for pattern in await stores.category_patterns().find_all()}
    counts, read, unknown = AnswerCounts(stores.privacy()), 0, 0
    with progress(hidden) as bar:
        task = bar.add_task("answers", total=None)
        async for data in stores.categorized_data().find_llm_based():
            read += 1
            if category := names.get(data.category_id or ""):
                counts.add(data.window, category)
            else:
                unknown += 1
            if not read % _AT_ONCE:
                bar.update(task, completed=read)
    return counts, read, unknown


def _chosen(kept: Collection[PatternProposal], ids: Sequence[str]) -> list[PatternProposal]:
    by_id = {proposal.id: proposal for proposal in kept}
    if missing := [shown(each) for each in ids if each not in by_id]:
        fail(f"{', '.join(missing)}: no such proposal; nothing is changed", 1)
    return [by_id[each] for each in dict.fromkeys(ids)]


def _as_patterns(proposals: Iterable[PatternProposal], patterns: Sequence[CategoryPattern]) -> list[CategoryPattern]:
    """The proposals that wait, as documents of their categories that hold nothing else."""
    priorities = {pattern.category: pattern.priority for pattern in reversed(patterns)}
    waiting = decisions.by_category(each for each in proposals if each.status is ProposalStatus.PROPOSED)
    return [
        CategoryPattern(
            category_id(category),
            category,
            priorities.get(category),
            tuple(sorted(proposed[PatternKind.APP])),
            tuple(sorted(proposed[PatternKind.DOMAIN])),
        )
        for category, proposed in sorted(waiting.items())
    ]


def _patterns_of(file: Path) -> list[CategoryPattern]:
    try:
        return read_patterns(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    except PatternFileError as error:
        _refuse(file, error)


def _refuse(file: Path, error: PatternFileError) -> NoReturn:
    fail("\n".join(f"{file}: {shown(line)}" for line in str(error).split("\n")), 2)


def _document(proposal: PatternProposal) -> dict[str, Any]:
    evidence = proposal.evidence
    return {
        "id": proposal.id,
        "status": proposal.status,
        "kind": proposal.kind,
        "pattern": proposal.pattern,
        "category": proposal.category,
        "answers": evidence.answers,
        "windows": evidence.windows,
        "share": round(evidence.share, 4),
        "others": dict(evidence.others),
        "examples": list(evidence.examples),
    }


def _print_table(proposals: Sequence[PatternProposal]) -> None:
    columns = ("Id", "Status", "Kind", "Pattern", "Category", "Answers", "Windows", "Share", "Others", "Seen as")
    rows = [
        (
            *(proposal.id, proposal.status, proposal.kind, proposal.pattern, proposal.category),
            *(str(proposal.evidence.answers), str(proposal.evidence.windows), f"{proposal.evidence.share:.1%}"),
            ", ".join(f"{name} {count}" for name, count in proposal.evidence.others.items()),
            ", ".join(proposal.evidence.examples),
        )
        for proposal in proposals
    ]
    if rows:
        print_tables(table(columns, rows, ("Answers", "Windows", "Share"), ("Id", "Status", "Kind", "Pattern")))


def _print_done(verb: str, proposals: Sequence[PatternProposal], as_json: bool) -> None:
    if as_json:
        print_json({verb: [_document(proposal) for proposal in proposals]})
        return
    for proposal in proposals:
        say(f"{proposal.id}  {proposal.kind} {shown(proposal.pattern)}  {shown(proposal.category)}")
    say(f"{len(proposals)} {verb}")


if __name__ == "__main__":
    app()
