"""The trained model: weights in one `.npz` file that holds numbers and text, never code."""

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domains.kernel.errors import PipelineError
from domains.patternClassifier.questions import Question
from infrastructure.local_classifier.features import BUCKETS, VERSION, features

Scores = NDArray[np.float32]

_MAX_BYTES = 64 << 20
"""Size when unpacked: `LinearModel.save` never writes a larger file."""


class ModelFileError(PipelineError):
    """The file cannot be read, or is not a model of this version. The text is for a person."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known about a model. Its measures are of windows that were not used in training.

    The model decides a window from the confidence `threshold` (0 to 1) on. `coverage` is the share of windows that it
    decided, and `precision` the share of these decisions that are right.
    """

    categories: tuple[str, ...]
    threshold: float
    precision: float
    coverage: float
    trained_on: int
    version: int = VERSION


class LinearModel:
    """LocalClassifierPort by a matrix of weights: a row for each feature and a column for each category."""

    def __init__(self, weights: Scores, bias: Scores, card: ModelCard) -> None:
        self._weights = weights
        self._bias = bias
        self.card = card

    def predict(self, questions: Sequence[Question]) -> list[str | None]:
        if not questions:
            return []
        confidence = self.confidence(questions)
        best = confidence.argmax(axis=1)
        sure = confidence.max(axis=1) >= self.card.threshold
        return [self.card.categories[i] if decided else None for i, decided in zip(best, sure, strict=True)]

    def confidence(self, questions: Sequence[Question]) -> Scores:
        """A row for each question and a column for each category; each row adds up to 1."""
        return softmax(np.stack([self._score(question) for question in questions]))

    def _score(self, question: Question) -> Any:
        score = self._bias
        for rows in features(question):
            if rows:
                score = score + self._weights[rows].sum(axis=0) / np.sqrt(np.float32(len(rows)))
        return score

    def save(self, path: Path) -> None:
        """Writes the file, replacing an existing one in one step. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        card = np.frombuffer(json.dumps(asdict(self.card), ensure_ascii=False).encode(), dtype=np.uint8)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                np.savez_compressed(file, weights=self._weights.astype(np.float16), bias=self._bias, card=card)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def load_model(path: Path) -> LinearModel:
    """Raises ModelFileError."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_BYTES:
                raise ValueError("too large")
        with np.load(path, allow_pickle=False) as held:
            card, weights, bias = held["card"].tobytes(), held["weights"], held["bias"]
        return _checked(json.loads(card), weights, bias)
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # unpacking a foreign file may raise nearly any exception: zlib.error, RuntimeError, …
        raise ModelFileError(
            f"{path}: not a model that this version can use ({error}); python -m cmd.train makes one"
        ) from error


def _checked(card: Any, weights: NDArray[Any], bias: NDArray[Any]) -> LinearModel:
    if card["version"] != VERSION:
        raise ValueError(f"version {card['version']}, not {VERSION}")
    known = ModelCard(**{**card, "categories": tuple(card["categories"])})
    shape = (2 * BUCKETS, len(known.categories))
    if weights.shape != shape or bias.shape != shape[1:] or not all(map(str.isprintable, known.categories)):
        raise ValueError("its parts do not fit each other")
    if not (known.categories and 0 < known.threshold <= 1 and np.isfinite(bias).all() and np.isfinite(weights).all()):
        raise ValueError("it contains values that are not numbers")
    return LinearModel(weights.astype(np.float32), bias.astype(np.float32), known)


def softmax(scores: Scores) -> Scores:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)
