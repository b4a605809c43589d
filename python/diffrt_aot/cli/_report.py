"""The report of a fit, for people (report.txt) and for programs (report.json)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import diffrt_aot as dr
from diffrt_aot.losses import Loss
from diffrt_aot.scene import Scene, free_labels
from diffrt_aot.scene_file import FitStage

_ROWS_SHOWN = 40  # parameters in the text, and null directions; the JSON has them all
_COLUMN = 13  # characters, in the table of the history
_HISTORY = (
    "step",
    "level",
    "cost",
    "count",
    "gradient_norm",
    "step_norm",
    "damping",
    "gain_ratio",
    "accepted",
    "seconds",
)


@dataclass(frozen=True)
class StageReport:
    """One run of the solver: what was asked, and its FitResult."""

    stage: FitStage
    result: Any


@dataclass(frozen=True)
class ResidualSummary:
    """Sizes of residuals. Inliers are those no larger than `scale`, the loss's; without a loss, all."""

    count: int
    median: float
    rms: float
    inliers: int
    median_of_inliers: float
    scale: float | None

    @classmethod
    def of(cls, residual: npt.NDArray[Any], loss: Loss | None) -> ResidualSummary:
        """Summarise the finite entries of `residual`."""
        sizes = np.abs(residual[np.isfinite(residual)]).astype(np.float64)
        scale = None if loss is None else loss.scale
        inliers = sizes if scale is None else sizes[sizes <= scale]
        return cls(len(sizes), _median(sizes), _rms(sizes), len(inliers), _median(inliers), scale)


@dataclass(frozen=True)
class FitReport:
    """What a fit did: from where, with which outcome, and how well the images agree now."""

    scene_path: Path
    observed_path: Path
    start: Scene
    free: tuple[str, ...]
    theta0: npt.NDArray[np.float64]
    stages: Sequence[StageReport]
    observed: npt.NDArray[Any]
    before: npt.NDArray[Any]
    after: npt.NDArray[Any]
    warnings: Sequence[str] = ()

    def write(self, folder: Path) -> list[Path]:
        """Write report.txt and report.json, and return their paths."""
        paths = [folder / "report.txt", folder / "report.json"]
        paths[0].write_text(f"{self.text()}\n\n{self._history_text()}\n", encoding="utf-8")
        paths[1].write_text(json.dumps(_jsonable(self.facts()), indent=2) + "\n", encoding="utf-8")
        return paths

    def facts(self) -> dict[str, Any]:
        """Return everything as plain data; what is not finite becomes null in the JSON."""
        result = self._result
        before, after = self._residuals()
        return {
            "version": dr.__version__,
            "scene": str(self.scene_path),
            "observed": str(self.observed_path),
            "status": result.status.name.lower(),
            "advice": str(result.status),
            "warnings": list(self.warnings),
            "cost": result.cost,
            "count": result.count,
            "steps": sum(stage.result.steps for stage in self.stages),
            "seconds": sum(stage.result.seconds for stage in self.stages),
            "residuals": {"start": asdict(before), "fitted": asdict(after)},
            "parameters": self._parameters(),
            "poses": {name: _pose(result.scene, name) for name in self.free if name.endswith(".pose")},
            "null_directions": self._null_directions(),
            "stages": [
                {
                    "loss": None if entry.stage.loss is None else repr(entry.stage.loss),
                    "status": entry.result.status.name.lower(),
                    "history": [_record(record) for record in entry.result.history],
                }
                for entry in self.stages
            ],
        }

    def text(self) -> str:
        """Return the summary for people."""
        result = self._result
        steps = sum(stage.result.steps for stage in self.stages)
        seconds = sum(stage.result.seconds for stage in self.stages)
        measured = np.isfinite(self.observed).mean()
        height, width = self.observed.shape[:2]
        lines = [
            f"scene      {self.scene_path}",
            f"observed   {self.observed_path}, {width} x {height}, {100 * measured:.0f}% measured",
            f"status     {result.status.name.lower()}: {result.status}",
            f"cost       {result.cost:.6g}, {result.count} residuals",
            f"steps      {steps} in {seconds:.3g} s",
            *(f"warning    {warning}" for warning in self.warnings),
            "",
            *self._residual_lines(),
            "",
            *self._parameter_lines(),
        ]
        names = result.null_names or []
        for name in names[:_ROWS_SHOWN]:
            lines += ["", f"not determined by the image: {name}"]
        if len(names) > _ROWS_SHOWN:
            lines += ["", f"... and {len(names) - _ROWS_SHOWN} more, in report.json"]
        return "\n".join(lines)

    @property
    def _result(self) -> Any:
        return self.stages[-1].result

    def _residuals(self) -> tuple[ResidualSummary, ResidualSummary]:
        loss = self.stages[-1].stage.loss
        return (
            ResidualSummary.of(self.before - self.observed, loss),
            ResidualSummary.of(self.after - self.observed, loss),
        )

    def _residual_lines(self) -> list[str]:
        before, after = self._residuals()
        rows = [
            ("count", before.count, after.count),
            ("median |r|", before.median, after.median),
            ("root mean square", before.rms, after.rms),
        ]
        if after.scale is not None:
            rows.append((f"inliers, |r| <= {after.scale:g}", before.inliers, after.inliers))
            rows.append(("median |r| of inliers", before.median_of_inliers, after.median_of_inliers))
        header = f"{'residuals':26} {'start':>12} {'fitted':>12}"
        return [header, *(f"{name:26} {_cell(first)} {_cell(last)}" for name, first, last in rows)]

    def _parameters(self) -> list[dict[str, Any]]:
        result = self._result
        labels = free_labels(self.start, self.free)
        deviations = np.full(len(labels), np.nan) if result.standard_deviations is None else result.standard_deviations
        return [
            {"name": name, "start": first, "fitted": last, "standard_deviation": deviation}
            for name, first, last, deviation in zip(labels, self.theta0, result.theta, deviations, strict=True)
        ]

    def _null_directions(self) -> list[dict[str, float]]:
        """Return the entries of each that are not zero, by the names of their parameters."""
        rows = self._result.null_rows
        if rows is None:
            return []
        labels = free_labels(self.start, self.free)
        entries = [(labels[column], float(value)) for column, value in zip(rows.columns, rows.values, strict=True)]
        return [dict(entries[begin:end]) for begin, end in pairwise(rows.row_starts)]

    def _parameter_lines(self) -> list[str]:
        entries = self._parameters()
        width = max(len(entry["name"]) for entry in entries[:_ROWS_SHOWN])
        lines = [f"{'parameter':{width}} {'start':>12} {'fitted':>12} {'std. dev.':>12}"]
        for entry in entries[:_ROWS_SHOWN]:
            numbers = (entry["start"], entry["fitted"], entry["standard_deviation"])
            lines.append(f"{entry['name']:{width}} {' '.join(map(_cell, numbers))}")
        if len(entries) > _ROWS_SHOWN:
            lines.append(f"... and {len(entries) - _ROWS_SHOWN} more, in report.json")
        for name in self.free:
            if name.endswith(".pose"):
                lines += ["", f"{name} is the increment T <- T exp(xi), rotation in radians; now T ="]
                lines += ["  " + " ".join(f"{x:11.7f}" for x in row) for row in _pose(self._result.scene, name)]
        return lines

    def _history_text(self) -> str:
        lines = ["history"]
        for number, entry in enumerate(self.stages, start=1):
            lines += ["", f"fit {number}, loss {entry.stage.loss}: {entry.result.status.name.lower()}"]
            lines.append(" ".join(f"{name:>{_COLUMN}}" for name in _HISTORY))
            lines += [
                " ".join(_cell(getattr(record, name), _COLUMN) for name in _HISTORY) for record in entry.result.history
            ]
        return "\n".join(lines)


def _pose(scene: Scene, name: str) -> list[list[float]]:
    owner = name.partition(".")[0]
    shape: Any = scene.shapes.get(owner)
    transform = scene.camera.T_world_camera if owner == "camera" else shape.T_world_mesh
    return [[float(x) for x in row] for row in transform]


def _record(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in _HISTORY}


def _median(values: npt.NDArray[Any]) -> float:
    return float(np.median(values)) if values.size else math.nan


def _rms(values: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else math.nan


def _cell(value: Any, width: int = 12) -> str:
    if isinstance(value, (bool, np.bool_)):
        return f"{'yes' if value else 'no':>{width}}"
    if isinstance(value, (int, np.integer)):
        return f"{value:{width}d}"
    return f"{value:{width}.6g}" if math.isfinite(value) else f"{'-' if math.isnan(value) else 'inf':>{width}}"


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _jsonable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_jsonable(entry) for entry in value]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
