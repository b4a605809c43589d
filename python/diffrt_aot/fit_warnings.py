"""What makes a fit's answer doubtful before the solver sees it, or after: units, and numbers that nobody measured.

Each function is pure and says what it found as text. `fit` puts it into `FitResult.warnings` and warns of it
(FitWarning); `load_observed` asks `named_constants`. Large images are looked at on a grid of some 16,000 pixels, so
that all of it takes a few per cent of a fit. Arrays on a GPU stay there and are not looked at.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import compiled_model
from ._outputs import METRIC_OUTPUTS
from .errors import InvalidValueError
from .losses import Loss, check_loss
from .scene import Scene

if TYPE_CHECKING:
    from .compiled_model import CompiledModel
    from .renderer import Renderer

Array = npt.NDArray[Any]

_SAMPLE = 16384  # pixels to look at, about
_SHARE, _FEW = 0.02, 16  # of the pixels, and pixels, at one number: more than chance
_ISOLATED = 10.0  # times the others' median: no surface at just one distance is that far beyond them
_UNITS = 100.0  # between what is measured and the model
_NEARER = 5.0  # the background may lie far beyond the model, but what is before it does not fill the image
_WITHIN = 2.5  # rendered over measured: a model around the camera that is larger than what is seen
_INLIERS = 0.005  # of the residuals; fewer within the loss's scale are none
_NAMED = 5  # warnings of things that are not seen
# Largest numbers of 16-bit files and of half precision, in usual units: m, mm, 0.1 mm, 1/5000 m
_LARGEST = tuple(n * unit for n in (65535.0, 65504.0) for unit in (1.0, 1e-3, 1e-4, 1 / 5000))
EXACTLY = "of the pixels are exactly"
_UNITS_MARK = "units: "


def suspicious_constants(values: Array) -> list[tuple[Any, float, str]]:
    """Return (number, share, why) for each number that says "not measured" rather than a length.

    values    (N,) finite numbers as the file or the array has them; what is not above zero is not looked at
    """
    largest = float(np.iinfo(values.dtype).max) if values.dtype.kind in "iu" and values.dtype.itemsize > 1 else None
    rest = values[values > 0]
    found: list[tuple[Any, float, str]] = []
    while rest.size:
        for number in (rest.max(), rest.min()):
            here = rest == number
            count = np.count_nonzero(here)
            share = count / values.size
            if share < _SHARE or count < _FEW:
                continue
            others = rest[~here]
            why = _why_suspicious(float(number), others, values.dtype, largest)
            if why:
                found.append((number, share, why))
                rest = others
                break
        else:
            break
    return found


def _why_suspicious(number: float, others: Array, dtype: np.dtype[Any], largest: float | None) -> str:
    extreme = number == largest or any(math.isclose(number, known, rel_tol=1e-6) for known in _LARGEST)
    # White beside grey is no sentinel: the others come close to it.
    if extreme and (not others.size or float(others.max()) < 0.9 * number):
        return f"the largest number of {dtype}" if number == largest else "the largest number of a 16-bit file"
    if not others.size:
        return ""
    median = float(np.median(others))
    if number > _ISOLATED * median:
        return f"{number / median:.3g} times the median of the others"
    if number * _ISOLATED < median:
        return f"1/{median / number:.3g} of the median of the others"
    return ""


def named_constants(values: Array) -> list[str]:
    """Return advice to name what `suspicious_constants` finds in a file's numbers as missing."""
    return [
        f"{_percent(share)} {EXACTLY} {text}, {why}; if nothing was measured there, name it as missing "
        f"(--missing {text}, missing={text})"
        for number, share, why in suspicious_constants(values)
        for text in [_text(number)]
    ]


def _text(number: Any) -> str:
    """A number so that it is found again in its own precision: 0.01 for float32's nearest."""
    return f"{float(number) if float(number).is_integer() else float(str(number)):.10g}"


class Observed:
    """What is observed, as a fit looks at it.

    image       the array, without depths and distances below zero; or what was given, where that is not the host's
    lengths     (N,) depths and distances of a sample of pixels that count; only where no background has a value
    warnings    what was found
    """

    def __init__(self, renderer: Renderer, image: Any, weights: Any) -> None:
        self.image = image
        self.lengths: Array = np.empty(0)
        self.warnings: list[str] = []
        self._weights = weights if isinstance(weights, np.ndarray) else None
        shape = renderer.scene.camera.image_shape
        channels = renderer._channel_outputs
        fits = {(*shape, len(channels))} | ({shape} if len(channels) == 1 else set())
        self.on_host = (
            isinstance(image, np.ndarray)
            and image.shape in fits
            and (weights is None or (self._weights is not None and self._weights.shape in fits | {shape}))
        )
        if not self.on_host:
            return
        has_background = dict(zip(renderer.outputs, renderer.backgrounds, strict=True))
        for c, output in enumerate(channels):
            if output == "mask":
                _check_mask(self._sample(c))
            elif output in METRIC_OUTPUTS and has_background[output] is None:
                self._drop_negative(c)
                self._look_at_lengths(self._sample(c))

    def weights(self, step: int, c: int) -> Array | None:
        """Every `step`-th of the weights of a channel, or None where there are none."""
        if self._weights is None:
            return None
        return _every(self._weights, step, min(c, self._weights.shape[2] - 1 if self._weights.ndim == 3 else 0))

    def _sample(self, c: int) -> Array:
        """The finite numbers of a channel that have a weight, of a grid of pixels."""
        step = max(1, math.ceil(math.sqrt(self.image.shape[0] * self.image.shape[1] / _SAMPLE)))
        values = _every(self.image, step, c)
        counts = np.isfinite(values)
        weights = self.weights(step, c)
        if weights is not None:
            counts &= weights > 0
        return values[counts]

    def _drop_negative(self, c: int) -> None:
        negative = _every(self.image, 1, c) < 0
        if not negative.any():
            return
        self.image = self.image.copy()
        _every(self.image, 1, c)[negative] = np.nan
        counted = negative.size if (weights := self.weights(1, c)) is None else np.count_nonzero(weights > 0)
        if weights is not None:
            negative &= weights > 0
        if count := np.count_nonzero(negative):
            self.warnings.append(
                f"observed: {count} of {counted} pixels are below zero, which no depth or distance is; they were left "
                "out. Put NaN where nothing was measured"
            )

    def _look_at_lengths(self, values: Array) -> None:
        if not values.size:
            return
        zeros = values.size - np.count_nonzero(values)
        if zeros > max(_SHARE * values.size, _FEW):
            self.warnings.append(
                f"observed: {_percent(zeros / values.size)} {EXACTLY} 0, which no depth or distance is; put NaN where "
                "nothing was measured, observed[observed == 0] = np.nan, or give the renderer a background of 0"
            )
        constants = suspicious_constants(values)
        self.warnings += [
            f"observed: {_percent(share)} {EXACTLY} {_text(number)}, {why}; put NaN where nothing was measured"
            for number, share, why in constants
        ]
        for number in (0.0, *(number for number, _, _ in constants)):
            values = values[values != number]
        self.lengths = np.concatenate([self.lengths, values])


def _every(image: Array, step: int, c: int) -> Array:
    return image[::step, ::step] if image.ndim == 2 else image[::step, ::step, c]


def _check_mask(values: Array) -> None:
    beyond = np.abs(values - 0.5)
    # Noise may go beyond 0 and 1, but not far and in many pixels
    if values.size and (beyond.max() > 10 or np.count_nonzero(beyond > 1) > _SHARE * values.size):
        raise InvalidValueError(
            f"observed: a mask has values from 0 to 1, got {values.min():g} to {values.max():g}; divide by "
            f"{values.max():g} if that stands for 1"
        )


def of_fit(
    renderer: Renderer,
    theta0: Any,
    theta: Any,
    observed: Observed,
    loss: Loss | CompiledModel | None,
    data_cost: float,
    count: int,
) -> list[str]:
    """Return all there is to say of a fit that ended at theta."""
    near, far, inside_at_start = renderer._core.extent(theta0)
    return [
        *observed.warnings,
        *of_units((near, far), observed.lengths),
        *of_place(renderer, theta0, inside_at_start, renderer._core.extent(theta)[2], observed.lengths),
        *of_residuals(renderer, theta, observed, loss, data_cost, count),
    ]


def of_unseen(renderer: Renderer, unseen: Sequence[int]) -> list[str]:
    """Return a warning for each free name of which no number moves a pixel, or one for many; `unseen`: a flag each."""
    names = [name for name, block in renderer.blocks.items() if unseen[block.start]]
    if len(names) > _NAMED:
        others = len(names) - _NAMED
        names = [f"{', '.join(names[:_NAMED])} and {others} other{'s' if others > 1 else ''}"]
    return [
        f"{name}: moves no pixel that counts where the fit ended, so nothing is known of it; what it belongs to is "
        "outside the image, hidden, or smaller than a pixel"
        for name in names
    ]


def of_units(reach: tuple[float, float], lengths: Array) -> list[str]:
    """Return a warning where most of what is measured lies far beyond the model, or before it."""
    near, far = reach
    if not lengths.size or near > far:  # there is no model
        return []
    measured = float(np.median(lengths))
    if near / _NEARER <= measured <= far * _UNITS:
        return []
    ratio = measured / far if measured > far else near / measured
    mark = _UNITS_MARK if ratio >= _UNITS else "distance: "  # below that it may be a start that is far off
    return [
        f"{mark}what is measured lies at {measured:.3g} in the median, and the model {near:.3g} to {far:.3g} from the "
        f"camera, {ratio:.3g} times as {'near' if measured > far else 'far'}; millimetres and metres? A scale of 0.001 "
        "makes metres of millimetres."
    ]


def likely_scale(scene: Scene, lengths: Array, scale: float) -> str | None:
    """Return the scale that brings lengths, which were read with `scale`, to where the model is; None for none."""
    near, far = reach_of(scene)

    def apart(text: str) -> float:
        above, _, below = text.partition("/")
        measured = float(np.median(lengths)) / scale * float(above) / float(below or 1)
        return max(near / measured, measured / far, 1.0)

    best = min((f"1/{scale:g}", "0.001", "1", "0.0001", "1/5000"), key=apart)
    return best if apart(best) <= 3 else None


def reach_of(scene: Scene) -> tuple[float, float]:
    """Return from how near to how far from the camera the shapes may be seen [scene units]."""
    near, far, _ = _extent(scene)
    return near, far


def of_place(
    renderer: Renderer, theta0: Any, inside_at_start: list[str], inside_at_end: list[str], lengths: Array
) -> list[str]:
    """Return a warning where the camera stands within a model that is not the room around it."""
    names = [name for name in inside_at_end if name not in inside_at_start]
    if inside_at_start and (lengths.size or "mask" in renderer.outputs):
        if lengths.size:
            image = renderer.render(theta0)
            c = next(c for c, output in enumerate(renderer._channel_outputs) if output in METRIC_OUTPUTS)
            rendered = _every(image, 1, c)
            rendered = rendered[np.isfinite(rendered)]
            room = rendered.size and np.median(rendered) < _WITHIN * np.median(lengths)
        else:
            room = False
        names += [] if room else inside_at_start
    if not names:
        return []
    when = "at the start" if names[0] in inside_at_start else "where the fit ended"
    return [
        f"units: the camera stands within the model {', '.join(names)} {when}; is it in other units than the scene, "
        "millimetres and metres, or its pose the inverse?"
    ]


def camera_within(scene: Scene) -> list[str]:
    """Return the names of the spheres and closed meshes that the camera's centre lies in."""
    return _extent(scene)[2]


def _extent(scene: Scene) -> tuple[float, float, list[str]]:
    return _core.Renderer(scene, [], ["mask"], [], False, [], "cpu", 1, 0).extent(np.empty(0))


def of_residuals(
    renderer: Renderer, theta: Any, observed: Observed, loss: Loss | CompiledModel | None, cost: float, count: int
) -> list[str]:
    """Return a warning where the loss takes all residuals at the end for outliers.

    cost, count    of the data, which tell in most fits without another look at the image
    """
    model = compiled_model("loss", loss)
    known = None if model is not None else check_loss(loss)
    if (model is None and known is None) or not observed.on_host or count == 0:
        return []
    weights = observed.weights(1, 0)
    if known is not None:
        at_scale = 0.5 * float(known.rho(known.scale**2))
        unit = 1.0 if weights is None else 0.5 * float(np.mean(weights[weights > 0]))
        if cost < 0.99 * at_scale * unit * count:
            return []
    rendered = renderer.render(theta)
    sizes = np.abs(rendered - observed.image.reshape(rendered.shape))
    if weights is not None:
        sizes = sizes[weights > 0]
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return []
    if known is not None:
        inliers, where = sizes <= known.scale, f"lie within the loss's scale of {known.scale:g}"
    elif model is not None:
        pulls = model.loss_weights(np.append(np.float32(0.0), sizes.astype(np.float32) ** 2))
        inliers, where = pulls[1:] >= 0.5 * pulls[0], "weigh more than half of what one of 0 does"
    within = np.count_nonzero(inliers) / sizes.size
    if within >= _INLIERS:
        return []
    return [
        f"loss: {'none' if within == 0 else _percent(within)} of the residuals {where}, their median is "
        f"{np.median(sizes):.3g}: all are taken for outliers. Are image, scene and loss in the same units? Else the "
        "start is too far off"
    ]


def is_about_units(warning: str) -> bool:
    """Whether a warning says that the answer is none: lengths are in different units, or the camera is in the model."""
    return warning.startswith(_UNITS_MARK)


def unsaid(warnings: list[str], said: list[str]) -> list[str]:
    """Return the warnings that add to what was said; numbers that nobody measured are named but once, by their file."""
    named = any(EXACTLY in text for text in said)
    return [text for text in warnings if not any(text in known for known in said) and not (named and EXACTLY in text)]


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
