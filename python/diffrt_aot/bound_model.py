"""A compiled model with its data: what loops call."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import FloatArray, describe, real_array, vector, whole_number
from ._value import deferred
from .errors import InvalidTypeError, InvalidValueError, unknown_name
from .jacobian import Jacobian
from .losses import Loss, loss_argument
from .renderer import NormalEquations, image_argument

if TYPE_CHECKING:
    from .compiled_model import CompiledModel

Image = npt.NDArray[np.float32]
#: (name, kind, shape) of each of a model's arguments, as its author declared them.
Declared = list[tuple[str, str, tuple[int, ...]]]

PARAMETERS = ("free", "pose", "free_table")
_POSE = tuple(f"{what}.{axis}" for what in ("translation", "rotation") for axis in "xyz")


class BoundModel:
    """A compiled model and its data, as functions of theta: what `CompiledModel.bind` returns.

    theta is a vector of P numbers, the model's parameters one after another, in the order of its arguments; or a dict
    with an array for each. A table is given row by row, and a pose, T_a_b, as a 4 x 4 matrix or as its six numbers
    (rho, phi), T = exp(xi), translation before rotation [rad], as which it stands in a vector.

    Results have the shape of the domain, (H, W) or (n,), followed by that of the model's outputs for one item.
    """

    def __init__(self, core: _core.BoundModel, name: str, declared: Declared, image_shape: tuple[int, ...]) -> None:
        if not isinstance(core, _core.BoundModel):
            raise InvalidTypeError(f"BoundModel: is made by CompiledModel.bind, not of {describe(core)}")
        self._core, self._name, self._declared = core, name, declared
        self._shape = image_shape
        self._size = sum(size for _, _, size, _ in core.blocks())

    @property
    def name(self) -> str:
        """The model's, as its author called it."""
        return self._name

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it gives: (H, W), or (n,), and that of its outputs."""
        return self._shape

    @property
    def blocks(self) -> dict[str, slice]:
        """Where each parameter lies in theta."""
        return {name: slice(offset, offset + size) for name, offset, size, _ in self._core.blocks()}

    @property
    def labels(self) -> list[str]:
        """A name for each entry of theta: radius, center[0], poses[7].rotation.z, ..."""
        return [label for name, kind, shape in self._declared for label in _labels(name, kind, shape, self.blocks)]

    @property
    def device(self) -> str:
        """What computes values and rows: "cpu", "cuda:0", "vulkan:0"."""
        return self._core.device

    @property
    def threads(self) -> int:
        """How many threads are used. Results do not depend on it."""
        return self._core.threads

    @property
    def dense_limit(self) -> int:
        """The largest P for which `normal_equations` has a dense H."""
        return self._core.dense_limit

    def parameters(self, **values: npt.ArrayLike) -> FloatArray:
        """Return theta, of the parameters by name."""
        return pack(self._name, self._declared, values)

    def by_name(self, theta: npt.ArrayLike) -> dict[str, FloatArray]:
        """Return the parameters of a vector theta by name; a pose as its six numbers."""
        numbers = self._theta(theta)
        if numbers.size != self._size:
            raise InvalidValueError(f"theta: has {numbers.size} numbers, expected {self._size}")
        blocks = self.blocks
        shapes = {name: _shape_of(kind, shape, blocks[name]) for name, kind, shape in self._declared if name in blocks}
        return {name: numbers[block].reshape(shapes[name]) for name, block in blocks.items()}

    def __call__(self, theta: Any) -> Image:
        """Return the outputs at theta, float32."""
        return self._core.value(self._theta(theta)).reshape(self._shape)

    def jacobian(self, theta: Any) -> tuple[Image, Jacobian]:
        """Return the outputs at theta, and their derivative by theta's numbers."""
        values, core = self._core.jacobian(self._theta(theta))
        return values.reshape(self._shape), Jacobian(core, self._shape)

    def jvp(self, theta: Any, seeds: npt.ArrayLike) -> tuple[Image, FloatArray]:
        """Return the outputs at theta, and J @ seeds, float64, without ever storing J.

        Args:
            theta: a vector, or a dict.
            seeds: (P,); or (P, K) for K products at once, along the last axis.
        """
        given = real_array("seeds", seeds)
        if given.ndim not in (1, 2) or given.shape[0] != self._size:
            raise InvalidValueError(
                f"seeds: has shape {given.shape}, expected ({self._size},) or ({self._size}, K): a number for each "
                "parameter"
            )
        values, products = self._core.multiply(
            self._theta(theta), given.reshape(self._size, math.prod(given.shape[1:]))
        )
        return values.reshape(self._shape), products.reshape(*self._shape, *given.shape[1:])

    def vjp(self, theta: Any, w: npt.ArrayLike) -> tuple[Image, FloatArray]:
        """Return the outputs at theta, and J.T @ w, (P,) float64, without ever storing J.

        w has the shape of the outputs. Where it is 0 the row of J does not count, though it may be NaN.
        """
        weights = real_array("w", w)
        if weights.shape != self._shape:
            raise InvalidValueError(f"w: has shape {weights.shape}, expected that of the outputs, {self._shape}")
        values, product = self._core.multiply_transposed(self._theta(theta), weights)
        return values.reshape(self._shape), product

    def normal_equations(
        self,
        theta: Any,
        observed: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        loss: Loss | CompiledModel | None = None,
    ) -> NormalEquations:
        """Return J'WJ, J'Wr and the cost at theta, r = outputs - observed, without ever storing J.

        Args:
            theta: a vector, or a dict.
            observed: of the outputs' shape, float32 or float64; NaN, infinity and a mask drop a residual. None is 0:
                the outputs are residuals.
            weights: the same shape, or the domain's alone; finite and >= 0, or True and False. 0 and NaN drop one.
            loss: a robust loss, or None for least squares.
        """
        matrix, g, cost, count = self._core.normal_equations(
            self._theta(theta), *self._observation(observed, weights), loss_argument(loss)
        )
        return NormalEquations(deferred(matrix.dense), g, cost, count, matrix)

    def cost(
        self,
        theta: Any,
        observed: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        loss: Loss | CompiledModel | None = None,
    ) -> tuple[float, int]:
        """Return (cost, count) as `normal_equations` does, at the price of the outputs."""
        return self._core.cost(self._theta(theta), *self._observation(observed, weights), loss_argument(loss))

    def _theta(self, theta: Any) -> FloatArray:
        return pack(self._name, self._declared, theta) if isinstance(theta, Mapping) else vector("theta", theta)

    def _observation(self, observed: Any, weights: Any) -> tuple[npt.NDArray[Any] | None, npt.NDArray[Any] | None]:
        return self._as_image("observed", observed), self._as_image("weights", weights)

    def _as_image(self, name: str, value: Any) -> npt.NDArray[Any] | None:
        """(H, W, C) as the core reads it, or (H, W, 1) for all outputs alike."""
        if value is None:
            return None
        array = image_argument(name, value, self._core)
        assert isinstance(array, np.ndarray)
        height, width, outputs = self._core.shape
        domain = self._shape[: self._core.domain_axes]
        if array.shape == self._shape:
            return array.reshape(height, width, outputs)
        if name == "weights" and array.shape == domain:
            return array.reshape(height, width, 1)
        either = f" or {domain}" if name == "weights" and domain != self._shape else ""
        hint = ". Images are [row, column]: perhaps it is transposed" if array.shape == self._shape[::-1] else ""
        raise InvalidValueError(f"{name}: has shape {array.shape}, expected {self._shape}{either}{hint}")

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError(
            f"{self._name}: a bound model cannot be pickled; pickle the compiled one, and bind it where it is used"
        )

    def __repr__(self) -> str:
        return f"<BoundModel {self._name}: shape {self._shape}, P={self._size}>"


def _shape_of(kind: str, shape: tuple[int, ...], block: slice) -> tuple[int, ...]:
    if kind == "free_table":
        return ((block.stop - block.start) // math.prod(shape), *shape)
    return (6,) if kind == "pose" else shape


def count_of(kind: str, shape: tuple[int, ...]) -> int:
    """How many numbers of theta a parameter is; of a table a row of it."""
    return 6 if kind == "pose" else math.prod(shape)


def _labels(name: str, kind: str, shape: tuple[int, ...], blocks: dict[str, slice]) -> Iterator[str]:
    if kind == "pose":
        yield from (f"{name}.{part}" for part in _POSE)
    elif kind in PARAMETERS:
        size = blocks[name].stop - blocks[name].start
        rows = (size // math.prod(shape),) if kind == "free_table" else ()
        for index in np.ndindex(*rows, *shape):
            yield name + "".join(f"[{i}]" for i in index)


def pack(model: str, declared: Declared, values: Mapping[str, Any]) -> FloatArray:
    """theta of the parameters by name."""
    free = [(name, kind, shape) for name, kind, shape in declared if kind in PARAMETERS]
    names = [name for name, _, _ in free]
    for name in values:
        if name not in names:
            raise unknown_name("parameter", name, names, where=f"{model}: ")
    missing = [name for name in names if name not in values]
    if missing:
        raise InvalidValueError(f"{model}: parameter {missing[0]} is missing; there are {', '.join(names)}")
    parts = [_numbers(name, kind, shape, values[name]) for name, kind, shape in free]
    return np.concatenate(parts) if parts else np.empty(0)


def _numbers(name: str, kind: str, shape: tuple[int, ...], value: Any) -> FloatArray:
    if kind == "pose":
        from .model.reference import transform

        return transform(name, value)[1]
    array = real_array(name, value)
    if kind == "free_table":
        if array.ndim != 1 + len(shape) or array.shape[1:] != shape:
            wanted = ", ".join(["rows", *map(str, shape)]) + ("," if not shape else "")
            raise InvalidValueError(f"{name}: must have shape ({wanted}), got {array.shape}")
    elif array.shape != shape:
        fix = f"; pass {name}.reshape({', '.join(map(str, shape))})" if shape and array.size == math.prod(shape) else ""
        raise InvalidValueError(f"{name}: must have shape {shape}, got {array.shape}{fix}")
    return array.ravel()


def rows_of(model: str, declared: Declared, theta: Any) -> dict[str, int]:
    """How many rows each table of parameters has, as theta tells it."""
    free = [(name, kind, shape) for name, kind, shape in declared if kind in PARAMETERS]
    tables = [(name, kind, shape) for name, kind, shape in free if kind == "free_table"]
    if not tables:
        return {}
    if isinstance(theta, Mapping):
        if any(name not in theta for name, _, _ in tables):
            pack(model, declared, theta)  # says which names are wrong
        return {name: len(_numbers(name, kind, shape, theta[name])) // math.prod(shape) for name, kind, shape in tables}
    if len(tables) > 1:
        both = " and ".join(name for name, _, _ in tables)
        raise InvalidValueError(
            f"{model}: how many rows {both} have is not known from a vector: give theta by name, a dict, or bind the "
            f"model, bind({tables[0][0]}=rows, ...)"
        )
    name, _, shape = tables[0]
    rest = vector("theta", theta).size - sum(count_of(k, s) for _, k, s in free if k != "free_table")
    if rest < 0 or rest % math.prod(shape):
        counts = ", ".join(f"{n} {count_of(k, s)}{' for each row' if k == 'free_table' else ''}" for n, k, s in free)
        raise InvalidValueError(f"theta: has {vector('theta', theta).size} numbers, which do not fit: {counts}")
    return {name: rest // math.prod(shape)}


def rows_argument(name: str, value: Any) -> int:
    """How many rows a table of parameters has, given as a number."""
    return whole_number(name, value, 0, 2**30, advice=": how many rows the table has")
