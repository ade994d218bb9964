"""Who is told what happens: the base class of all observers, and several of them as one."""

from collections.abc import Callable, Sequence

from domains.activityEvent.ports import EventObserver
from domains.focusCard.ports import CardObserver
from domains.operations.ports import TaskObserver
from domains.patternClassifier.ports import ClassifierObserver
from domains.pomodoro.ports import ConsumerObserver
from domains.siteProfile.ports import SiteObserver
from domains.workQueue.ports import WorkObserver


class Observer(
    ConsumerObserver, ClassifierObserver, TaskObserver, WorkObserver, EventObserver, CardObserver, SiteObserver
):
    """Can be told everything. An observer overrides the methods for what it wants to hear; the others do nothing."""


class Observers(Observer):
    """Several observers as one. Each of them is told everything that it overrides, in their order."""

    def __init__(self, *observers: Observer) -> None:
        for name in _METHODS:
            listening = [it for it in observers if getattr(type(it), name) is not getattr(Observer, name)]
            setattr(self, name, _telling([getattr(it, name) for it in listening]))


_METHODS = [name for name in dir(Observer) if not name.startswith("_")]


def _telling(listeners: Sequence[Callable[..., None]]) -> Callable[..., None]:
    def tell(*told: object, **named: object) -> None:
        for listener in listeners:
            listener(*told, **named)

    return tell
