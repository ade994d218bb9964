"""The work on unknown sites: in the pipeline's process, or in processes of their own."""

import asyncio

from domains.categoryPattern.decisions import are_any
from domains.kernel.errors import PipelineError
from domains.kernel.resilience import pause
from domains.workQueue.worker import Worker
from infrastructure.composition.container import Container

_VISITS = 2
_ANALYSES = 4
_WAIT_SECONDS = 2.0


async def work_on_sites(container: Container, stop: asyncio.Event, until_drained: bool = False) -> None:
    """Visits sites and analyses their pages until `stop` is set, and finishes what is in hand.

    With `until_drained` it ends when nothing waits: first all sites are visited, then all pages analysed.
    """
    await _patterns_loaded(container, stop)
    if stop.is_set():
        return
    observer = container.observer()
    visiting = Worker(container.sites_new_queue(), container.site_visits().do, observer, _VISITS)
    analysing = Worker(container.sites_fetched_queue(), container.site_analysis().do, observer, _ANALYSES)
    if until_drained:
        await visiting.run(stop, until_drained=True)
        await analysing.run(stop, until_drained=True)
        return
    async with asyncio.TaskGroup() as group:
        group.create_task(visiting.run(stop), name="site visits")
        group.create_task(analysing.run(stop), name="site analyses")


async def _patterns_loaded(container: Container, stop: asyncio.Event) -> None:
    """Without patterns there are no categories, and every site would stay open."""
    classifier, observer = container.classifier(), container.observer()
    while not stop.is_set() and not are_any(classifier.snapshot.patterns):
        try:
            await classifier.load()
        except PipelineError as cause:
            observer.patterns_not_loaded(cause)
            await pause(stop, _WAIT_SECONDS)
