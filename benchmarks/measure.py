"""Numbers with their spread: medians, percentiles, and ratios taken round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Number:
    """A median with the 10th and 90th percentile of what it is a median of."""

    median: float
    low: float
    high: float
    count: int


def percentile(ordered: Sequence[float], fraction: float) -> float:
    """Linear interpolation between order statistics."""
    place = fraction * (len(ordered) - 1)
    k = min(int(place), len(ordered) - 2) if len(ordered) > 1 else 0
    above = ordered[min(k + 1, len(ordered) - 1)]
    return ordered[k] + (above - ordered[k]) * (place - k)


def number(samples: Sequence[float]) -> Number:
    """Of at least one sample."""
    ordered = sorted(samples)
    return Number(median(ordered), percentile(ordered, 0.1), percentile(ordered, 0.9), len(ordered))


def pooled(rounds: Sequence[Sequence[float]]) -> Number:
    """Of all samples of all rounds together."""
    return number([t for times in rounds for t in times])


def ratio(over: Sequence[Sequence[float]], under: Sequence[Sequence[float]]) -> Number:
    """Median of `over` by median of `under` in each round; then the median over the rounds."""
    return number([median(a) / median(b) for a, b in zip(over, under, strict=True)])


@dataclass(frozen=True)
class Bar:
    """What a number must reach: at most, or at least, `limit`."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a median clears it."""
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Line:
    """One line of the report; its numbers are in its unit: 'ms', 'us', 's', 'MB' or 'x' (a ratio)."""

    what: str
    value: Number
    unit: str
    bar: Bar | None = None
    note: str = ""

    @property
    def missed(self) -> bool:
        """Whether there is a bar and the median does not clear it."""
        return self.bar is not None and not self.bar.met(self.value.median)


@dataclass
class Result:
    """All that one benchmark found: its lines, and whatever was left out, with the reason."""

    title: str
    lines: list[Line] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    failure: str = ""

    @property
    def failed(self) -> bool:
        """Whether it broke, or missed a bar."""
        return bool(self.failure) or any(line.missed for line in self.lines)


def in_unit(value: Number, factor: float) -> Number:
    """The same number in another unit: times `factor`."""
    return Number(value.median * factor, value.low * factor, value.high * factor, value.count)
