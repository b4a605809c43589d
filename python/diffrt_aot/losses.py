"""Robust losses: how much a residual counts, as a function of its square.

The cost is 1/2 sum w rho(s), s = r^2, with rho(s) ~ s for small s, so that a loss changes nothing near
zero. A Gauss-Newton step multiplies the residual's rows by rho'(s), in J'WJ and J'Wr alike (iteratively
reweighted least squares). Scales are in the units of the residual.

    loss                rho(s)                                                rho'(s)
    Huber(delta)        s, or 2 delta sqrt(s) - delta^2 beyond delta          min(1, delta / sqrt(s))
    Cauchy(c)           c^2 log(1 + s/c^2)                                    1 / (1 + s/c^2)
    GemanMcClure(c)     c^2 s / (c^2 + s)                                     c^4 / (c^2 + s)^2
    Tukey(c)            c^2/3 (1 - (1 - s/c^2)^3), or c^2/3 beyond c          (1 - s/c^2)^2, or 0 beyond c
    Barron(alpha, c)    2 c^2 b/alpha ((s/(b c^2) + 1)^(alpha/2) - 1),        (s/(b c^2) + 1)^(alpha/2 - 1)
                        b = |alpha - 2|
    a model             rho, of `squared: PerItemFree`                        its derivative

The last is one's own: a compiled model of an Item with that argument, and Constants that have their numbers
(`with_constants`).

Barron (CVPR 2019, eq. 8) contains others: alpha = 2 is the plain square, 1 a smooth Huber, 0 Cauchy with
scale sqrt(2) c, -2 Geman-McClure with scale 2 c, -inf Welsch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import FloatArray, compiled_model, describe, finite_float, positive_float, real_array
from .errors import InvalidTypeError, InvalidValueError, unknown_name

if TYPE_CHECKING:
    from .compiled_model import CompiledModel

_SCALE = "it is the size of residual beyond which a pixel counts for less, in the residual's units"

_SMALLEST_SCALE, _LARGEST_SCALE = 1e-15, 1e100  # what kernels tell from 0 in float32; of which squares are finite


class _Loss:
    """What the losses share: a scale, the last field of each, and their form in the compiled core."""

    kind: ClassVar[int]

    @property
    def parameters(self) -> tuple[float, float]:
        """(scale, alpha or 0), which the compiled core is told beside `kind`."""
        return self.scale, 0.0

    @property
    def scale(self) -> float:
        """The size of residual beyond which a pixel counts for less."""
        return float(getattr(self, fields(self)[-1].name))  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        name = fields(self)[-1].name  # type: ignore[arg-type]
        scale = positive_float(name, getattr(self, name), advice=_SCALE)
        if not _SMALLEST_SCALE <= scale <= _LARGEST_SCALE:
            limits = f"between {_SMALLEST_SCALE:g} and {_LARGEST_SCALE:g}"
            raise InvalidValueError(f"{name}: must be {limits}, got {scale:g}; {_SCALE}")
        object.__setattr__(self, name, scale)


@dataclass(frozen=True)
class Huber(_Loss):
    """Quadratic up to `delta`, linear beyond: outliers keep a bounded pull. Convex."""

    delta: float
    kind: ClassVar[int] = 1

    def rho(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho(s) for s = `squared`, any shape."""
        s = _squares(squared)
        return np.where(s <= self.delta**2, s, 2.0 * self.delta * np.sqrt(s) - self.delta**2)

    def weight(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho'(s) for s = `squared`, any shape."""
        s = _squares(squared)
        return self.delta / np.sqrt(np.maximum(s, self.delta**2))


@dataclass(frozen=True)
class Cauchy(_Loss):
    """Logarithmic beyond `c`: outliers pull ever less, and never nothing."""

    c: float
    kind: ClassVar[int] = 2

    def rho(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho(s) for s = `squared`, any shape."""
        return self.c**2 * np.log1p(_squares(squared) / self.c**2)

    def weight(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho'(s) for s = `squared`, any shape."""
        return 1.0 / (1.0 + _squares(squared) / self.c**2)


@dataclass(frozen=True)
class GemanMcClure(_Loss):
    """Bounded by c^2: outliers well beyond `c` pull almost nothing."""

    c: float
    kind: ClassVar[int] = 3

    def rho(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho(s) for s = `squared`, any shape."""
        s = _squares(squared)
        return s / (1.0 + s / self.c**2)

    def weight(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho'(s) for s = `squared`, any shape."""
        return (1.0 + _squares(squared) / self.c**2) ** -2


@dataclass(frozen=True)
class Tukey(_Loss):
    """Constant beyond `c`: residuals that large are ignored altogether."""

    c: float
    kind: ClassVar[int] = 4

    def rho(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho(s) for s = `squared`, any shape."""
        x = np.minimum(_squares(squared) / self.c**2, 1.0)
        return self.c**2 * x * (1.0 - x + x**2 / 3.0)  # = c^2/3 (1 - (1 - x)^3), without cancellation

    def weight(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho'(s) for s = `squared`, any shape."""
        return (1.0 - np.minimum(_squares(squared) / self.c**2, 1.0)) ** 2


@dataclass(frozen=True)
class Barron(_Loss):
    """Barron's general loss: `alpha`, 2 (plain square) to -inf, sets how fast outliers lose their pull."""

    alpha: float
    c: float
    kind: ClassVar[int] = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        alpha = -math.inf if self._alpha_is_minus_infinity() else finite_float("alpha", self.alpha)
        if alpha > 2.0:
            raise InvalidValueError(f"alpha: must be at most 2, got {alpha:g}; 2 is the plain square already")
        object.__setattr__(self, "alpha", alpha)

    def _alpha_is_minus_infinity(self) -> bool:
        return isinstance(self.alpha, (float, np.floating)) and bool(self.alpha == -math.inf)

    @property
    def parameters(self) -> tuple[float, float]:
        """(scale, alpha)."""
        return self.c, self.alpha

    def rho(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho(s) for s = `squared`, any shape."""
        s = _squares(squared)
        x = s / self.c**2
        if self.alpha == 2.0:
            return s
        if self.alpha == 0.0:
            return 2.0 * self.c**2 * np.log1p(0.5 * x)
        if self.alpha == -math.inf:
            return -2.0 * self.c**2 * np.expm1(-0.5 * x)
        b = abs(self.alpha - 2.0)
        return 2.0 * self.c**2 * (b / self.alpha) * np.expm1(0.5 * self.alpha * np.log1p(x / b))

    def weight(self, squared: npt.ArrayLike) -> FloatArray:
        """Return rho'(s) for s = `squared`, any shape."""
        x = _squares(squared) / self.c**2
        if self.alpha == 2.0:
            return np.where(np.isnan(x), x, 1.0)
        if self.alpha == -math.inf:
            return np.exp(-0.5 * x)
        b = abs(self.alpha - 2.0)
        return np.exp((0.5 * self.alpha - 1.0) * np.log1p(x / b))


#: Any loss of this module; None stands for the plain square.
Loss = Huber | Cauchy | GemanMcClure | Tukey | Barron

#: The losses by the names that scene files and the command line use.
LOSSES: dict[str, type[Loss]] = {
    "huber": Huber,
    "cauchy": Cauchy,
    "geman-mcclure": GemanMcClure,
    "tukey": Tukey,
    "barron": Barron,
}


def check_loss(loss: object) -> Loss | None:
    """Return `loss`, which must be None or one of the losses of this module."""
    if loss is None or isinstance(loss, tuple(LOSSES.values())):
        return loss  # type: ignore[return-value]
    names = ", ".join(kind.__name__ for kind in LOSSES.values())
    hint = "; call it with its scale" if isinstance(loss, type) and loss in LOSSES.values() else ""
    raise InvalidTypeError(f"loss: must be None or one of {names}, or a compiled model, got {describe(loss)}{hint}")


def loss_argument(loss: Loss | CompiledModel | None) -> tuple[int, float, float] | _core.Model:
    """Return a loss as the core takes it: (kind, scale, alpha), or a model."""
    if (model := compiled_model("loss", loss)) is not None:
        return model
    checked = check_loss(loss)
    return (0, 1.0, 0.0) if checked is None else (checked.kind, *checked.parameters)


def parse_loss(text: str) -> Loss | None:
    """Read a loss as the command line writes it: none, tukey:0.01, barron:-2,0.01 (alpha, c)."""
    if not isinstance(text, str):
        raise InvalidTypeError(f"loss: must be a name with its numbers, such as tukey:0.01, got {describe(text)}")
    name, _, numbers = text.strip().partition(":")
    if name == "none" and not numbers:
        return None
    if name not in LOSSES:
        raise unknown_name("loss", name, ["none", *LOSSES])
    kind: Any = LOSSES[name]
    wanted = [field.name for field in fields(kind)]
    try:
        values = [float(number) for number in numbers.split(",")] if numbers else []
    except ValueError:
        values = []
    if len(values) != len(wanted):
        form = ",".join(field.upper() for field in wanted)
        raise InvalidValueError(f"loss {describe(text)}: write it as {name}:{form}, with numbers")
    try:
        loss: Loss = kind(*values)
    except InvalidValueError as error:
        raise InvalidValueError(f"loss {describe(text)}: {error}") from None
    return loss


def loss_name(loss: Loss) -> str:
    """Return the name of the loss in scene files and on the command line."""
    return next(name for name, kind in LOSSES.items() if type(loss) is kind)


def _squares(squared: npt.ArrayLike) -> FloatArray:
    squares = real_array("squared", squared)
    if (squares < 0).any():
        raise InvalidValueError(f"squared: must be >= 0, got {squares.min():g}; it is the square of a residual")
    return squares
