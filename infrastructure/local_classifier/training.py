"""Trains the local classifier on patterns and past answers. Needs scikit-learn (the extra `model`).

The printed measures are of sites and apps that were held back from training. Temperature and threshold come from a
cross-validation on the rest. Windows are split by owner, which is the name before a site's public suffix or the first
word of an app: `figma.com`, `help.figma.com` and `Figma Desktop` are always in the same part.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupKFold

from domains.categoryPattern.model import UNCATEGORIZED, CategoryPattern
from domains.kernel.errors import PipelineError
from domains.patternClassifier.questions import Question
from domains.patternClassifier.urls import parse_pattern
from infrastructure.local_classifier.features import BUCKETS, features
from infrastructure.local_classifier.linear import LinearModel, ModelCard, softmax
from infrastructure.local_classifier.past_answers import Answer

Labels = Mapping[Question, str]

_LEAST_WINDOWS = 200
_LEAST_DECIDED = 20
"""With fewer decided windows, the precision at a threshold says nothing."""
_HELD_BACK = 0.15
_FOLDS = 5
_NEVER = -100.0
_LARGEST_SHARE = 50
"""Windows of one owner: a site with thousands of titles must not dominate training and measures."""
_REGULARISATION = 1e-5
_PASSES = 10
_SECOND_LEVEL = frozenset({"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org", "pe", "re"})
_WORD = re.compile(r"[^\W_]+")


class TooLittleData(PipelineError):
    """There are too few windows to train a model; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class CategoryResult:
    """A category in the test split: its windows, how often the model named it, and how often that was right."""

    windows: int
    named: int
    right: int


@dataclass(frozen=True, slots=True)
class Measures:
    """The model's results in the test split.

    `accuracy` is the share of windows whose best guess is right, sure or not.
    """

    windows: int
    decided: int
    right: int
    accuracy: float
    categories: dict[str, CategoryResult]

    @property
    def precision(self) -> float:
        return self.right / self.decided if self.decided else 0.0

    @property
    def coverage(self) -> float:
        return self.decided / self.windows


def labelled_windows(patterns: Iterable[CategoryPattern], answers: Iterable[Answer]) -> tuple[Labels, int]:
    """All there is to train on, where patterns come before answers; and how many of these are the patterns'."""
    of_patterns = windows_of_patterns(patterns)
    return most_frequent(answers) | of_patterns, len(of_patterns)


def windows_of_patterns(patterns: Iterable[CategoryPattern]) -> dict[Question, str]:
    """A window for each pattern that names an app or a host.

    A pattern of several categories counts for the first one.
    """
    windows: dict[Question, str] = {}
    for pattern in patterns:
        if pattern.category == UNCATEGORIZED:
            continue
        for app in pattern.app_patterns:
            windows.setdefault(Question(app, "", ""), pattern.category)
        for site in filter(None, map(_site, pattern.domain_patterns)):
            windows.setdefault(Question("", site, ""), pattern.category)
    return windows


def _site(pattern: str) -> str:
    try:
        parsed = parse_pattern(pattern)
    except ValueError:  # the classifier reports a broken pattern when it loads the patterns
        return ""
    return parsed.host and parsed.host + parsed.path


def most_frequent(answers: Iterable[Answer]) -> dict[Question, str]:
    """Each question with the category that it was given most often."""
    given: defaultdict[Question, Counter[str]] = defaultdict(Counter)
    for question, category in answers:
        given[question][category] += 1
    return {question: min(counts, key=lambda name: (-counts[name], name)) for question, counts in given.items()}


def train(
    windows: Labels, min_precision: float, seed: int = 0, progress: Callable[[str], None] = lambda text: None
) -> tuple[LinearModel, Measures]:
    """Trains a model of which at least `min_precision` of the decisions are right, and measures it on the test split.

    Raises TooLittleData.
    """
    if len(windows) < _LEAST_WINDOWS:
        raise TooLittleData(f"{len(windows)} windows are too few to train on; at least {_LEAST_WINDOWS} are needed")
    to_train, to_test = _split(windows, seed)
    categories = tuple(sorted(set(to_train.values())))
    owners = [_owner(question) for question in to_train]
    if len(categories) < 2 or len(set(owners)) < _FOLDS or not to_test:
        raise TooLittleData(
            "all windows are of one category, or they are of too few sites and apps to hold some back"
        )
    features_of, names = _matrix(to_train), np.array(list(to_train.values()))
    scores = np.zeros((len(names), len(categories)), dtype=np.float32)
    for fold, (seen, unseen) in enumerate(GroupKFold(_FOLDS).split(features_of, groups=owners), 1):
        progress(f"calibrating, part {fold} of {_FOLDS}")
        weights, bias = _fitted(features_of[seen], names[seen], categories, seed)
        scores[unseen] = features_of[unseen] @ weights + bias
    temperature, threshold = _calibrated(scores, np.searchsorted(categories, names), min_precision)
    progress(f"training on {len(to_train)} windows")
    weights, bias = _fitted(features_of, names, categories, seed)
    model = LinearModel(
        weights / temperature, bias / temperature, ModelCard(categories, threshold, 0.0, 0.0, len(to_train))
    )
    progress(f"measuring on {len(to_test)} windows of other sites and apps")
    result = _measured(model, to_test)
    model.card = replace(model.card, precision=result.precision, coverage=result.coverage)
    return model, result


def _split(windows: Labels, seed: int) -> tuple[dict[Question, str], dict[Question, str]]:
    owners = sorted({_owner(question) for question in windows})
    Random(seed).shuffle(owners)  # noqa: S311 - a split, not a secret
    held_back = set(owners[: int(len(owners) * _HELD_BACK)])
    parts: tuple[dict[Question, str], dict[Question, str]] = ({}, {})
    taken: Counter[str] = Counter()
    for question in Random(seed).sample(sorted(windows), len(windows)):  # noqa: S311
        owner = _owner(question)
        taken[owner] += 1
        if taken[owner] <= _LARGEST_SHARE:
            parts[owner in held_back][question] = windows[question]
    return parts


def _owner(question: Question) -> str:
    if not question.site:
        words = _WORD.findall(question.app.casefold())
        return words[0] if words else question.app
    labels = question.site.partition("/")[0].split(".")
    if len(labels) > 2 and labels[-2] in _SECOND_LEVEL and len(labels[-1]) == 2:
        return labels[-3]
    return labels[-2] if len(labels) > 1 else labels[0]


def _matrix(windows: Iterable[Question]) -> Any:
    """The features as a matrix. Each field has length 1, as in `LinearModel`."""
    columns, values, ends = [], [], [0]
    for question in windows:
        for rows in features(question):
            columns += rows
            values += [max(len(rows), 1) ** -0.5] * len(rows)
        ends.append(len(columns))
    return csr_matrix((np.array(values, dtype=np.float32), columns, ends), shape=(len(ends) - 1, 2 * BUCKETS))


def _fitted(features_of: Any, names: Any, categories: tuple[str, ...], seed: int) -> tuple[Any, Any]:
    """Weights and bias, with a column for each category. A category that this part lacks is never named."""
    classifier = SGDClassifier(loss="log_loss", alpha=_REGULARISATION, max_iter=_PASSES, tol=None, random_state=seed)
    classifier.fit(features_of, names)
    coefficients, intercepts = classifier.coef_, classifier.intercept_
    if len(classifier.classes_) == 2:  # for two classes, scikit-learn has only the second one's coefficients
        coefficients, intercepts = np.vstack([-coefficients, coefficients]), np.hstack([-intercepts, intercepts])
    present = np.searchsorted(categories, classifier.classes_)
    weights = np.zeros((features_of.shape[1], len(categories)), dtype=np.float32)
    bias = np.full(len(categories), _NEVER, dtype=np.float32)
    weights[:, present], bias[present] = coefficients.T, intercepts
    return weights, bias


def _calibrated(scores: Any, truth: Any, min_precision: float) -> tuple[float, float]:
    """The temperature that makes confidences match the share of right answers, and the lowest confidence that reaches
    `min_precision`."""
    columns = range(scores.shape[1])
    temperature = min(np.geomspace(0.1, 10, 81), key=lambda t: log_loss(truth, softmax(scores / t), labels=columns))
    confidence = softmax(scores / temperature)
    sure = confidence.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    decided = np.arange(1, len(order) + 1)
    right = np.cumsum((confidence.argmax(axis=1) == truth)[order])
    enough = np.flatnonzero((_surely(right, decided) >= min_precision) & (decided >= _LEAST_DECIDED))
    if not enough.size:
        raise TooLittleData(f"no confidence reaches a precision of {min_precision:g}; more windows are needed")
    return float(temperature), float(sure[order][enough[-1]])


def _surely(right: Any, decided: Any) -> Any:
    """The lower end of Wilson's interval at one standard error, so that luck does not set the threshold."""
    share = right / decided
    return (share + 0.5 / decided - np.sqrt(share * (1 - share) / decided + 0.25 / decided**2)) / (1 + 1 / decided)


def _measured(model: LinearModel, windows: Labels) -> Measures:
    answers = model.predict(list(windows))
    named = Counter(answer for answer in answers if answer is not None)
    right = Counter(answer for answer, name in zip(answers, windows.values(), strict=True) if answer == name)
    present = Counter(windows.values())
    guesses = model.confidence(list(windows)).argmax(axis=1)
    guessed = sum(model.card.categories[i] == name for i, name in zip(guesses, windows.values(), strict=True))
    return Measures(
        windows=len(windows),
        decided=named.total(),
        right=right.total(),
        accuracy=guessed / len(windows),
        categories={
            name: CategoryResult(present[name], named[name], right[name])
            for name in sorted({*present, *model.card.categories})
        },
    )
