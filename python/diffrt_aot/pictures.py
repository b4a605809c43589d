"""Figures of images, residuals, Jacobians and outlines, through matplotlib.

Each function returns a matplotlib Figure; `save_figure` writes it. No window is opened and the caller's
backend stays as it is, so all of it works without a display. Pixels without a value are grey; residuals and
derivatives have a diverging map that is white at zero.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .errors import InvalidValueError, missing_dependency

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

_MISSING = "0.82"  # the grey of pixels without a value
_SEQUENTIAL = "viridis"
_DIVERGING = "RdBu_r"
_OUTLINE_COLORS = ("#ff9f1c", "#00e5ff", "#ff4d8d", "#b6ff3b")
_PANEL_WIDTH = 4.2  # inches


def compare_images(
    observed: npt.ArrayLike,
    before: npt.ArrayLike,
    after: npt.ArrayLike,
    *,
    quantity: str = "",
    titles: Sequence[str] = ("observed", "rendered at the start", "rendered after the fit"),
) -> Figure:
    """Show three (H, W) images on one colour scale, which `quantity` labels, as "depth [m]".

    They are cropped to where the rendered ones have values, and the scale spans those.
    """
    images = [_image("image", image) for image in (observed, before, after)]
    box = bounding_box(np.isfinite(images[1]) | np.isfinite(images[2]), margin=0.3)
    images = [image[box] for image in images]
    figure, axes = _panels(1, 3, images[0].shape)
    low, high = _range(images[1:])
    shown: Any = None
    for ax, image, title in zip(axes, images, titles, strict=True):
        shown = _show(ax, image, title, _SEQUENTIAL, low, high)
    _color_bar(figure, shown, axes, quantity, extend="both")
    return figure


def compare_residuals(
    before: npt.ArrayLike, after: npt.ArrayLike, *, quantity: str = "residual", limit: float | None = None
) -> Figure:
    """Show two (H, W) residuals on one symmetric colour scale, cropped to where either has a value.

    `limit` is the end of the scale; by default three times the median size at the start, which outliers
    hardly move.
    """
    images = [_image("before", before), _image("after", after)]
    box = bounding_box(np.isfinite(images[0]) | np.isfinite(images[1]))
    images = [image[box] for image in images]
    if limit is None:
        limit = 3.0 * _limit(images[0] if np.isfinite(images[0]).any() else images[1], 50.0)
    figure, axes = _panels(1, 2, images[0].shape)
    shown: Any = None
    for ax, image, when in zip(axes, images, ("at the start", "after the fit"), strict=True):
        shown = _show(ax, image, f"residual {when}", _DIVERGING, -limit, limit)
        _note(ax, _spread(image))
    _color_bar(figure, shown, axes, quantity, extend="both")
    return figure


def jacobian_columns(
    columns: npt.ArrayLike, labels: Sequence[str], *, quantity: str = "derivative", limit: float | None = None
) -> Figure:
    """Show the columns of a dense Jacobian (H, W, P) as images in a grid, each on its own symmetric scale.

    They are cropped to where any column is not zero. `labels` names the P parameters. With `limit`, all share
    the scale that ends there.
    """
    dense = np.asarray(columns)
    if dense.ndim != 3 or dense.shape[2] != len(labels):
        raise InvalidValueError(f"columns: must have shape (H, W, {len(labels)}), got {dense.shape}")
    count = len(labels)
    dense = dense[bounding_box((np.isfinite(dense) & (dense != 0.0)).any(axis=2))]
    across = min(count, 4 if count % 3 else 3)
    figure, axes = _panels(-(-count // across), across, dense.shape[:2])
    for ax, label, column in zip(axes, labels, np.moveaxis(dense, 2, 0), strict=False):
        end = _limit(column, 98.0) if limit is None else limit
        shown = _show(ax, column, f"d {quantity} / d {label}", _DIVERGING, -end, end)
        _color_bar(figure, shown, [ax], "", extend="both")
    for ax in axes[count:]:
        ax.set_visible(False)
    return figure


def overlay_outline(picture: npt.ArrayLike, masks: Mapping[str, npt.ArrayLike], *, title: str = "") -> Figure:
    """Draw the outline of each (H, W) mask over a picture; the keys go into the legend.

    `picture` is (H, W, 3) colour, or (H, W) numbers, which are drawn in grey.
    """
    pixels = np.asarray(picture)
    figure, axes = _panels(1, 1, pixels.shape[:2], panel_width=2.2 * _PANEL_WIDTH)
    ax = axes[0]
    if pixels.ndim == 2:
        _show(ax, pixels, title, "gray", *_range([pixels], 2.0, 90.0))
    else:
        ax.imshow(pixels, interpolation="nearest")
        _finish(ax, title)
    for color, (label, values) in zip(_OUTLINE_COLORS, masks.items(), strict=False):
        mask = np.nan_to_num(np.asarray(values, dtype=np.float64))
        if mask.shape != pixels.shape[:2]:
            raise InvalidValueError(
                f"masks: {label!r} has shape {mask.shape}, the picture {pixels.shape[:2]}; they must agree"
            )
        ax.plot([], [], color=color, label=label)
        if mask.min() < 0.5 < mask.max():  # an outline that exists
            ax.contour(mask, levels=[0.5], colors="black", linewidths=2.6, alpha=0.55)
            ax.contour(mask, levels=[0.5], colors=color, linewidths=1.3)
    if masks:
        ax.legend(loc="upper right", framealpha=0.85)
    return figure


def fit_overview(
    observed: npt.ArrayLike,
    residuals: Mapping[str, npt.ArrayLike],
    columns: npt.ArrayLike,
    labels: Sequence[str],
    *,
    quantity: str = "",
    limit: float | None = None,
) -> Figure:
    """Show a whole fit: the observed image, residuals under their titles, and below them the Jacobian.

    `observed` and each residual are (H, W), `columns` is (H, W, P) with P `labels`. They are cropped to where
    residuals exist, and to where columns are not zero. The residuals share one scale, which ends at `limit`; by
    default where the first one mostly does.
    """
    image = _image("observed", observed)
    differences = {title: _image("residuals", values) for title, values in residuals.items()}
    box = bounding_box(np.any([np.isfinite(values) for values in differences.values()], axis=0), margin=0.1)
    image, dense = image[box], np.asarray(columns)
    dense = dense[bounding_box((np.isfinite(dense) & (dense != 0.0)).any(axis=2), margin=0.05)]
    differences = {title: values[box] for title, values in differences.items()}
    count = 1 + len(differences)
    panel = 9.6 / max(4, count, len(labels))
    height = panel * max(part.shape[0] / part.shape[1] for part in (image, dense)) + 0.5
    figure = _new_figure(panel * max(4, count, len(labels)) + 1.5, 2.0 * height)
    top, bottom = np.atleast_1d(np.asarray(figure.subfigures(2, 1)))
    axes = list(top.subplots(1, count))
    shown = _show(axes[0], image, "observed", _SEQUENTIAL, *_range([image], 5.0, 95.0))
    _color_bar(top, shown, axes[:1], quantity, extend="both")
    limit = _limit(next(iter(differences.values())), 80.0) if limit is None else limit
    for ax, (title, values) in zip(axes[1:], differences.items(), strict=True):
        shown = _show(ax, values, title, _DIVERGING, -limit, limit)
        _note(ax, _spread(values))
    _color_bar(top, shown, axes[1:], quantity, extend="both")
    axes = list(bottom.subplots(1, len(labels), squeeze=False).flat)
    limit = _limit(dense, 85.0)
    for ax, label, column in zip(axes, labels, np.moveaxis(dense, 2, 0), strict=True):
        shown = _show(ax, column, f"d image / d {label}", _DIVERGING, -limit, limit)
    _color_bar(bottom, shown, axes, "Jacobian", extend="both")
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], *, dpi: int = 110) -> None:
    """Write the figure; the ending of `path` says as what (.png, .pdf, .svg)."""
    figure.savefig(path, dpi=dpi, bbox_inches="tight", pad_inches=0.12)


def bounding_box(mask: npt.ArrayLike, margin: float = 0.15) -> tuple[slice, slice]:
    """Return the rows and columns where `mask` is set, with a margin of this part of the larger side.

    Where nothing is set, that is the whole image.
    """
    flags = np.asarray(mask, dtype=bool)
    rows, columns = np.flatnonzero(flags.any(axis=1)), np.flatnonzero(flags.any(axis=0))
    if not rows.size:
        return slice(0, flags.shape[0]), slice(0, flags.shape[1])
    pad = int(np.ceil(margin * max(np.ptp(rows) + 1, np.ptp(columns) + 1)))
    return (
        slice(max(int(rows[0]) - pad, 0), min(int(rows[-1]) + pad + 1, flags.shape[0])),
        slice(max(int(columns[0]) - pad, 0), min(int(columns[-1]) + pad + 1, flags.shape[1])),
    )


def _image(name: str, values: npt.ArrayLike) -> Array:
    image = np.asarray(values, dtype=np.float64)
    if image.ndim != 2:
        raise InvalidValueError(f"{name}: must have shape (H, W), got {image.shape}; pick a channel")
    return image


def _range(images: Sequence[Array], first: float = 1.0, last: float = 99.0) -> tuple[float, float]:
    values = np.concatenate([image[np.isfinite(image)] for image in images])
    if not values.size:
        return 0.0, 1.0
    low, high = np.percentile(values, (first, last))
    return float(low), float(high) if high > low else float(low) + 1.0


def _limit(values: Array, percentile: float) -> float:
    sizes = np.abs(values[np.isfinite(values)])
    sizes = sizes[sizes > 0.0]
    return float(np.percentile(sizes, percentile)) if sizes.size else 1.0


def _spread(residual: Array) -> str:
    values = np.abs(residual[np.isfinite(residual)])
    return f"median |r| {np.median(values):.3g}" if values.size else "no residuals"


def _new_figure(width: float, height: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_dependency("matplotlib", "drawing pictures") from None
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def _panels(
    rows: int, columns: int, shape: tuple[int, ...], panel_width: float = _PANEL_WIDTH
) -> tuple[Figure, list[Axes]]:
    height = min(max(panel_width * shape[0] / shape[1], 1.2), 2.0 * panel_width) + 0.6
    figure = _new_figure(panel_width * columns, height * rows)
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def _show(ax: Axes, image: Array, title: str, map_name: str, low: float, high: float) -> Any:
    import matplotlib

    colors = matplotlib.colormaps[map_name].with_extremes(bad=_MISSING)
    masked = np.ma.masked_invalid(image)
    shown = ax.imshow(masked, cmap=colors, vmin=low, vmax=high, interpolation="nearest")
    _finish(ax, title)
    return shown


def _finish(ax: Axes, title: str) -> None:
    ax.set_title(title, fontsize=10, loc="left")
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_linewidth(0.6)
        spine.set_color("0.4")


def _note(ax: Axes, text: str) -> None:
    ax.text(0.02, 0.02, text, transform=ax.transAxes, fontsize=9, color="0.2")


def _color_bar(figure: Any, shown: Any, axes: Sequence[Axes], label: str, extend: str = "neither") -> None:
    bar = figure.colorbar(shown, ax=list(axes), label=label, shrink=0.85, pad=0.02, extend=extend)
    bar.outline.set_linewidth(0.6)
    bar.ax.tick_params(labelsize=8)
