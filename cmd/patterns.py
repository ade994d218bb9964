"""Proposes patterns from the LLM's answers, and moves patterns between stores and files.

python -m cmd.patterns propose
"""

from __future__ import annotations

import json
import sys
from cmd._output import Json, fail, print_json, print_json_text, print_tables, progress, say, table
from cmd._run import note_change, run, running_container, running_store, settings_or_exit
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from domains.categoryPattern import decisions
from domains.categoryPattern.model import CategoryPattern, PatternProposal, ProposalStatus
from domains.categoryPattern.ports import PatternProposalRepositoryPort
from domains.patternClassifier.proposing import ProposalLimits, propose_patterns
from domains.siteProfile.model import SiteState
from infrastructure.observing.printable import printable
from infrastructure.observing.readable import counted, share
from infrastructure.patterns.lint import lint
from infrastructure.patterns.pattern_file import (
    DEFAULT_PATTERNS,
    PatternFileError,
    default_patterns,
    import_into,
    read_patterns,
    write_patterns,
)
from infrastructure.patterns.sites import SITES, SitesFileError, compile_sites, known_sites

if TYPE_CHECKING:
    from infrastructure.composition.container import Container
    from infrastructure.settings import Settings

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)

sites = typer.Typer(no_args_is_help=True, help="Updates the table of known sites, which stands behind the patterns.")
app.add_typer(sites, name="sites")

Ids = Annotated[list[str] | None, typer.Argument(help="ids of proposals, as `list` shows them")]

_NOTED = 10
"""Patterns that an entry of the audit names: a set of default patterns has thousands."""


@app.command()
def propose(
    again: Annotated[bool, typer.Option("--again", help="propose rejected patterns again")] = False,
    as_json: Json = False,
) -> None:
    """Proposes patterns for the hosts and apps to which the LLM keeps giving the same category.

    A proposal needs at least PATTERN_MIN_EVIDENCE answers, of which PATTERN_MIN_SHARE are the same, and no pattern
    that decides already. Earlier proposals that no longer have this are withdrawn. Rejected ones come back when their
    answers have doubled, or with --again. With PATTERN_AUTO_ACCEPT, proposals are accepted at once.

    It reads all documents of categorized_data with IsLLMBased: true. There is no index for that, so MongoDB reads the
    whole collection once: run it at a quiet hour, or with readPreference=secondaryPreferred in MONGO_URI.
    """
    settings = settings_or_exit()

    limits = ProposalLimits(settings.pattern_min_evidence, settings.pattern_min_share, settings.pattern_auto_accept)

    async def work() -> None:
        async with _stores(settings) as stores:
            with progress(as_json) as bar:
                task = bar.add_task("answers", total=None)
                found = await propose_patterns(
                    stores.categorized_data(),
                    stores.category_patterns(),
                    stores.proposals(),
                    stores.privacy(),
                    limits,
                    again,
                    lambda answers: bar.update(task, completed=answers),
                    stores.pattern_additions(),
                    stores.site_profiles().find_all([SiteState.CONCLUDED]),
                    await stores.correction_store().find_all(),
                )
        if as_json:
            counts = {"answers": found.answers, "unknownCategory": found.unknown, "forgotten": found.forgotten}
            counts |= {"new": found.new, "withdrawn": found.withdrawn}
            print_json(counts | {"proposals": [_document(each) for each in found.proposals]})
            return
        _print_table(found.proposals)
        answers, proposed = counted(found.answers, "answer"), counted(len(found.proposals), "pattern")
        say(f"{answers} read, {proposed} proposed, {found.new} of them new, {found.withdrawn} withdrawn")
        if found.forgotten:
            rare = counted(found.forgotten, "rare host or app", "rare hosts and apps")
            say(f"left out, because there are too many: {rare}")
        if settings.pattern_auto_accept:
            accepted = sum(each.status is ProposalStatus.ACCEPTED for each in found.proposals)
            say(f"{accepted} accepted (PATTERN_AUTO_ACCEPT)")

    run(work)


@app.command("list")
def list_proposals(
    status: Annotated[
        ProposalStatus | None, typer.Option(help="only those with this status; all if not given")
    ] = None,
    as_json: Json = False,
) -> None:
    """Shows the proposals with their evidence: undecided ones first, then ordered by answers.

    Answers: how often the LLM named this category for windows that the pattern matches. Windows: how many different
    windows these were. Site: how sure the site's own page makes us, if it has a profile (SITE_PROFILES).
    """
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            kept = await decisions.find_in_order(stores.proposals())
        found = [proposal for proposal in kept if status in (None, proposal.status)]
        if as_json:
            print_json([_document(proposal) for proposal in found])
            return
        _print_table(found)
        say(counted(len(found), "proposal"))

    run(work)


@app.command()
def accept(
    ids: Ids = None,
    everything: Annotated[bool, typer.Option("--all", help="all that are proposed")] = False,
    min_answers: Annotated[
        int | None, typer.Option(min=1, help="all proposals with at least this many answers")
    ] = None,
    as_json: Json = False,
) -> None:
    """Adds proposed patterns to their categories. Running pipelines follow within PATTERN_REFRESH_SECONDS.

    A rejected proposal can be accepted by its id. Accepting one again restores its pattern if it was removed.
    """
    if sum((bool(ids), everything, min_answers is not None)) != 1:
        fail("Say which: either ids, or --all, or --min-answers", 2)
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            proposals = stores.proposals()
            chosen = await (_chosen(ids, proposals) if ids else decisions.find_waiting(proposals, min_answers or 0))
            accepted = await decisions.accept(chosen, stores.proposals(), stores.category_patterns())
        await _note(settings, "accepted proposals", [each.id for each in accepted])
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
            try:
                rejected = await decisions.reject(await _chosen(ids, stores.proposals()), stores.proposals())
            except decisions.AlreadyAccepted as refusal:
                fail(f"{', '.join(map(printable, refusal.ids))}: {refusal}", 1)
        await _note(settings, "rejected proposals", [each.id for each in rejected])
        _print_done("rejected", rejected, as_json)

    run(work)


@app.command("export")
def export_patterns(
    file: Annotated[Path, typer.Argument(help="file to write, which is replaced; -: standard output")] = Path("-"),
    proposed: Annotated[
        bool, typer.Option("--proposed", help="export the undecided proposals instead of the patterns")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="with FILE: print as JSON what was written")] = False,
) -> None:
    """Writes the patterns of the store as a JSON array of {category, priority, appPatterns, domainPatterns}."""
    settings = settings_or_exit()

    async def work() -> None:
        async with _stores(settings) as stores:
            patterns = await stores.category_patterns().find_all()
            if proposed:
                patterns = decisions.as_patterns(await decisions.find_waiting(stores.proposals()), patterns)
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
            say(f"{counted(count, 'pattern')} of {counted(len(patterns), 'category', 'categories')} in {file}")

    run(work)


@app.command("import")
def import_patterns(
    file: Annotated[Path | None, typer.Argument(help="JSON array as `export` writes it; -: standard input")] = None,
    defaults: Annotated[bool, typer.Option("--defaults", help="the default patterns, in place of a file")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done, and change nothing")] = False,
    as_json: Json = False,
) -> None:
    """Adds the patterns of a file to their categories; removes none.

    A pattern that its category has already, in any spelling, is left as it is. A broken one is reported and left out,
    and the exit code is then 1. A priority is used only for a category that the store does not have. A file of
    another form is refused.
    """
    settings = settings_or_exit()
    if (file is None) != defaults:
        fail("Say which: FILE, or --defaults", 2)
    file = file or DEFAULT_PATTERNS
    wanted = _patterns_of(file)

    async def work() -> int:
        async with _stores(settings) as stores:
            try:
                news = await import_into(stores.category_patterns(), wanted, dry_run)
            except PatternFileError as error:
                _refuse(file, error)
        if not dry_run:
            await _note(settings, "imported patterns", [each.pattern for each in news.added])
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
                say(f"{each.category}: {each.kind} {printable(each.pattern)!r}: {reason}", err=True)
            verb = "would be added" if dry_run else "added"
            say(f"{len(news.added)} {verb}, {news.already_there} already there, {len(news.broken)} broken")
        return 1 if news.broken else 0

    run(work)


@app.command("lint")
def lint_patterns(
    file: Annotated[Path | None, typer.Argument(help="a pattern file; not given: the default patterns")] = None,
) -> None:
    """Prints the problems of a set of default patterns, one a line; the exit code is 1 if there are any."""
    try:
        problems = lint(json.loads((DEFAULT_PATTERNS if file is None else file).read_text(encoding="utf-8")))
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    except (ValueError, RecursionError) as error:
        fail(f"{file}: not JSON ({error})", 2)
    for problem in problems:
        say(printable(problem))
    if problems:
        raise typer.Exit(1)
    say("no problems")


@sites.command("update")
def update_sites(
    file: Annotated[Path, typer.Argument(help="lines of domain, category and list, divided by tabs")],
    to: Annotated[
        Path, typer.Option("--to", help="the table to replace; not given: the one that is shipped")
    ] = SITES,
    as_json: Json = False,
) -> None:
    """Makes the table of known sites of a list of labelled domains, and replaces the one that is there.

    Comments of FILE, such as whom to attribute, stay with the table. What the default patterns know, what they
    contradict, and hosts below which strangers put their sites are left out.
    """
    try:
        table = compile_sites(file.read_text(encoding="utf-8"), default_patterns())
        to.write_text(table, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file}: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}", 2)
    except SitesFileError as error:
        fail(f"{file}: {error}", 2)
    count = len(known_sites(to))
    if as_json:
        print_json({"file": str(to), "sites": count})
    else:
        say(f"{counted(count, 'site')} in {to}")


async def _note(settings: Settings, what: str, items: list[str]) -> None:
    embedded = not settings.mongo_uri and not settings.database_url
    if items and (settings.redis_addr or embedded):
        async with running_container(settings) as container:
            more = ", …" if len(items) > _NOTED else ""
            await note_change(container, what, ", ".join(items[:_NOTED]) + more, f"{len(items)} in all")


@asynccontextmanager
async def _stores(settings: Settings) -> AsyncIterator[Container]:
    async with running_store(settings) as container:
        await decisions.patterns_or_defaults(container.category_patterns(), container.default_patterns())
        yield container


async def _chosen(ids: Sequence[str], proposals: PatternProposalRepositoryPort) -> list[PatternProposal]:
    try:
        return await decisions.find(ids, proposals)
    except decisions.NoSuchProposal as fault:
        fail(f"{', '.join(map(printable, fault.ids))}: {fault}; nothing is changed", 1)


def _patterns_of(file: Path) -> list[CategoryPattern]:
    try:
        return read_patterns(sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes())
    except OSError as error:
        fail(f"{file}: {error.strerror}", 2)
    except PatternFileError as error:
        _refuse(file, error)


def _refuse(file: Path, error: PatternFileError) -> NoReturn:
    fail("\n".join(f"{file}: {printable(line)}" for line in str(error).split("\n")), 2)


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
    } | ({"site": evidence.site} if evidence.site else {})


def _print_table(proposals: Sequence[PatternProposal]) -> None:
    columns = (
        "Id",
        "Status",
        "Kind",
        "Pattern",
        "Category",
        "Answers",
        "Windows",
        "Share",
        "Site",
        "Others",
        "Seen as",
    )
    rows = [
        (
            *(proposal.id, proposal.status, proposal.kind, proposal.pattern, proposal.category),
            *(str(proposal.evidence.answers), str(proposal.evidence.windows), share(proposal.evidence.share)),
            share(proposal.evidence.site) if proposal.evidence.site else "",
            ", ".join(f"{name} {count}" for name, count in proposal.evidence.others.items()),
            ", ".join(proposal.evidence.examples),
        )
        for proposal in proposals
    ]
    if rows:
        print_tables(
            table(columns, rows, ("Answers", "Windows", "Share", "Site"), ("Id", "Status", "Kind", "Pattern"))
        )


def _print_done(verb: str, proposals: Sequence[PatternProposal], as_json: bool) -> None:
    if as_json:
        print_json({verb: [_document(proposal) for proposal in proposals]})
        return
    for proposal in proposals:
        say(f"{proposal.id}  {proposal.kind} {printable(proposal.pattern)}  {printable(proposal.category)}")
    say(f"{len(proposals)} {verb}")


if __name__ == "__main__":
    app()
