"""A compiled model, ready to be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import FloatArray, any_array, describe, device_name, real_array, whole_number
from .bound_model import PARAMETERS, BoundModel, Declared, Image, count_of, pack, rows_argument, rows_of
from .errors import InvalidTypeError, InvalidValueError, unknown_name
from .jacobian import Jacobian
from .losses import Loss
from .renderer import DENSE_LIMIT, MAX_PARAMETERS, MAX_THREADS, NormalEquations

if TYPE_CHECKING:
    from .model import Model

_ITEMS = ("pixel", "item")
_MOST_ITEMS = 2**31 - 1


class CompiledModel:
    """A model whose code is in memory: what `load` and `compile` give.

    Called with theta, and with its data by name: each call checks and copies them; in a loop, `bind` does so once.

    m = sphere.compile()
    image = m(theta, shape=(480, 640), focal=400.0, principal=(320.0, 240.0))
    bound = m.bind(shape=(480, 640), focal=400.0, principal=(320.0, 240.0))
    image, J = bound.jacobian(theta)

    What `shape` and `data` are:

    shape   (H, W) of an image, n or (n,) of a range
    data    Constant: its numbers. PerItem and PerItemFree: an array (*shape, ...), PerItemIndex: of whole numbers.
            Table: an array (rows, ...). Image: an array (height, width). In `bind`, FreeTable: how many rows it has
    """

    def __init__(self, module: _core.Module, name: str, path: str) -> None:
        if not isinstance(module, _core.Module):
            raise InvalidTypeError(f"CompiledModel: is made by diffrt_aot.load, not of {describe(module)}")
        self._core = module.model(name)
        self._module = module
        self._path = path
        self.author: Model | None = None
        self._declared: Declared = self._core.arguments

    @property
    def name(self) -> str:
        """As its author called it."""
        return self._core.name

    @property
    def arguments(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Of each argument its kind and its shape, for one item; () is one number."""
        return {name: (kind, shape) for name, kind, shape in self._declared}

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of what it gives for one item; () is one number."""
        return self._core.output_shape

    @property
    def blocks(self) -> dict[str, slice]:
        """Where each parameter lies in theta; of a model with tables of parameters a bound one tells that."""
        blocks, offset = {}, 0
        for name, kind, shape in self._declared:
            if kind == "free_table":
                raise InvalidValueError(f"blocks: how many rows {name} has is said when the model is bound")
            if kind in PARAMETERS:
                blocks[name] = slice(offset, offset + count_of(kind, shape))
                offset = blocks[name].stop
        return blocks

    def parameters(self, **values: npt.ArrayLike) -> FloatArray:
        """Return theta, (P,), of the parameters by name; a Pose is a 4 x 4 matrix, or six numbers."""
        return pack(self.name, self._declared, values)

    @property
    def constants(self) -> dict[str, FloatArray]:
        """What `with_constants` has given, by name."""
        given = self._core.constants
        return {name: np.reshape(given[name], shape) for name, _, shape in self._declared if name in given}

    def with_constants(self, **constants: npt.ArrayLike) -> CompiledModel:
        """Return the same model with numbers for some of its constants, which need not be given with its data then.

        A rule or a loss of a renderer is a model that has them all:

            dr.Renderer(scene, free, "depth", 50.0, rules={"ball": module.soften.with_constants(strength=0.5)})
        """
        shapes = {name: shape for name, kind, shape in self._declared if kind == "constant"}
        given: list[tuple[str, list[float]]] = []
        for name, value in constants.items():
            if name not in shapes:
                raise unknown_name("constant", name, shapes, where=f"{self.name}: ")
            numbers = real_array(name, value)
            if numbers.shape != shapes[name]:
                raise InvalidValueError(f"{name}: must have shape {shapes[name]}, got {numbers.shape}")
            given.append((name, numbers.ravel().tolist()))
        model = object.__new__(CompiledModel)
        model.__dict__.update(self.__dict__)
        model._core = self._core.with_constants(given)
        return model

    def bind(
        self,
        *,
        shape: Any,
        device: str = "cpu",
        threads: int | None = None,
        dense_limit: int = DENSE_LIMIT,
        **data: Any,
    ) -> BoundModel:
        """Return the model with its data, which are checked and copied.

        Args:
            shape: (H, W) of an image; n or (n,) of a range.
            device: where values and rows are computed: "cpu", or as of Renderer a GPU, for which the file must have
                code; where it has none "auto" takes the CPU.
            threads: how many to use; None for all that this process may use. Results do not depend on it.
            dense_limit: the largest P for arrays of P x P numbers.
            data: the arguments that are no parameters, by name; of a FreeTable how many rows it has.

        Raises:
            InvalidValueError, InvalidTypeError: naming the argument and the likely fix.
            DeviceError: the device is not there, or the file has no code for it.
        """
        if threads is not None:
            threads = whole_number("threads", threads, 1, MAX_THREADS, advice=", or None for all")
        dense_limit = whole_number("dense_limit", dense_limit, 0, MAX_PARAMETERS)
        device = device_name(device)
        kinds = {name: kind for name, kind, _ in self._declared if kind not in _ITEMS}
        rows: list[tuple[str, int]] = []
        arrays: dict[str, npt.NDArray[Any]] = {}
        for name, value in data.items():
            if name not in kinds or kinds[name] in ("free", "pose"):
                wanted = [name for name, kind in kinds.items() if kind not in ("free", "pose")]
                raise unknown_name("argument", name, wanted, where=f"{self.name}: ")
            if kinds[name] == "free_table":
                rows.append((name, rows_argument(name, value)))
            else:
                arrays[name] = _array(name, kinds[name], value)
        for name, kind in kinds.items():
            if kind == "free_table" and name not in data:
                raise InvalidTypeError(f"{self.name}: argument {name} is missing: {name}=..., how many rows it has")
        domain = self._domain(shape)
        core = _core.BoundModel(self._core, list(domain), arrays, rows, device, threads or 0, dense_limit)
        return BoundModel(core, self.name, self._declared, (*domain, *self.output_shape))

    def __call__(
        self, theta: Any, *, shape: Any, device: str = "cpu", threads: int | None = None, **data: Any
    ) -> Image:
        """Return the outputs at theta, float32: (*shape, *output_shape)."""
        return self._bound(theta, shape=shape, device=device, threads=threads, **data)(theta)

    def jacobian(
        self, theta: Any, *, shape: Any, device: str = "cpu", threads: int | None = None, **data: Any
    ) -> tuple[Image, Jacobian]:
        """Return the outputs at theta, and their derivative: BoundModel.jacobian."""
        return self._bound(theta, shape=shape, device=device, threads=threads, **data).jacobian(theta)

    def jvp(
        self,
        theta: Any,
        seeds: npt.ArrayLike,
        *,
        shape: Any,
        device: str = "cpu",
        threads: int | None = None,
        **data: Any,
    ) -> tuple[Image, FloatArray]:
        """Return the outputs at theta, and J @ seeds: BoundModel.jvp."""
        return self._bound(theta, shape=shape, device=device, threads=threads, **data).jvp(theta, seeds)

    def vjp(
        self, theta: Any, w: npt.ArrayLike, *, shape: Any, device: str = "cpu", threads: int | None = None, **data: Any
    ) -> tuple[Image, FloatArray]:
        """Return the outputs at theta, and J.T @ w: BoundModel.vjp."""
        return self._bound(theta, shape=shape, device=device, threads=threads, **data).vjp(theta, w)

    def normal_equations(
        self,
        theta: Any,
        observed: npt.ArrayLike | None = None,
        weights: npt.ArrayLike | None = None,
        loss: Loss | CompiledModel | None = None,
        *,
        shape: Any,
        device: str = "cpu",
        threads: int | None = None,
        **data: Any,
    ) -> NormalEquations:
        """Return J'WJ, J'Wr and the cost at theta: BoundModel.normal_equations."""
        return self._bound(theta, shape=shape, device=device, threads=threads, **data).normal_equations(
            theta, observed, weights, loss
        )

    def _bound(self, theta: Any, **data: Any) -> BoundModel:
        """With its tables' rows as theta has them."""
        for name, kind, _ in self._declared:
            if kind == "free_table" and name in data:
                raise InvalidTypeError(f"{name}: is a parameter, and comes with theta; leave {name}=... out")
        rows: dict[str, Any] = dict(rows_of(self.name, self._declared, theta))
        return self.bind(**data, **rows)

    def _domain(self, shape: Any) -> tuple[int, ...]:
        image = any(kind == "pixel" for _, kind, _ in self._declared)
        axes = ("height", "width") if image else ("n",)
        several = isinstance(shape, (tuple, list)) or (isinstance(shape, np.ndarray) and shape.ndim > 0)
        sizes = tuple(shape) if several else (shape,)
        if len(sizes) != len(axes):
            wanted = "(height, width)" if image else "n, or (n,)"
            raise InvalidValueError(f"shape: must be {wanted}, got {describe(shape)}")
        return tuple(whole_number(f"shape: {axis}", n, 0, _MOST_ITEMS) for axis, n in zip(axes, sizes, strict=True))

    def __repr__(self) -> str:
        given = self._core.constants
        takes = ", ".join(f"{name}={_text(given[name])}" if name in given else name for name in self.arguments)
        return f"<CompiledModel {self.name}({takes})>"

    def __reduce__(self) -> tuple[Callable[..., CompiledModel], tuple[Any, ...]]:
        return _from_bytes, (self._module.bytes(), self.name, self._path, list(self._core.constants.items()))


def _text(numbers: list[float]) -> str:
    texts = [f"{x:g}" for x in numbers]
    return texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"


def _array(name: str, kind: str, value: Any) -> npt.NDArray[Any]:
    """Contiguous numbers as the core takes them; their shape is its to check."""
    array = any_array(name, value)
    if kind == "per_item_index":
        if array.dtype.kind not in "iu" and array.size:
            raise InvalidTypeError(
                f"{name}: must have an integer type, got {array.dtype}; pass {name}.astype(np.int64)"
            )
        wanted: Any = np.int32 if array.dtype == np.int32 else np.int64
    elif array.dtype.kind not in "fiu":
        raise InvalidTypeError(f"{name}: must hold real numbers, got {describe(value)} (array type {array.dtype})")
    else:
        wanted = array.dtype if array.dtype in (np.float32, np.float64) else np.float64
    with np.errstate(over="ignore"):  # a long double beyond float64 is infinite
        # Of an array of no axes this makes one of one.
        return np.ascontiguousarray(array, np.dtype(wanted).newbyteorder("=")).reshape(array.shape)


def _from_bytes(data: bytes, name: str, path: str, constants: list[tuple[str, list[float]]]) -> CompiledModel:
    model = CompiledModel(_core.Module.from_bytes(data, path), name, path)
    model._core = model._core.with_constants(constants)
    return model
