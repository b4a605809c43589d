"""Renderer: images, Jacobians and normal equations of a scene as functions of its free parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import (
    FloatArray,
    any_array,
    as_doubles,
    compiled_model,
    describe,
    device_name,
    finite_float,
    flag,
    vector,
    whole_number,
)
from ._exchange import exchanged, stream_handle
from ._outputs import shown_outputs, suitable_boundary
from ._value import Lazy, deferred
from .device_array import DeviceArray
from .errors import InvalidTypeError, InvalidValueError, unknown_name
from .jacobian import Jacobian
from .losses import Loss, loss_argument
from .scene import Scene, check_free_names, check_scene
from .sparse import CompressedRows

if TYPE_CHECKING:
    from .compiled_model import CompiledModel

Image = npt.NDArray[np.float32]
DENSE_LIMIT = 1000
MAX_THREADS, MAX_PARAMETERS = 1024, 2**31 - 1
_RULES = ("blend", "foreground", "none")
_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, eq=False)
class NormalEquations(Lazy):
    """The normal equations of a Gauss-Newton step at theta: H d = -g.

    H       (P, P) float64, J'WJ, W = w rho'(r^2)
    g       (P,) float64, J'Wr, the gradient of the cost
    cost    1/2 sum w rho(r^2), r = rendered - observed
    count   number of residuals
    matrix  H as the library holds it

    H is symmetric, and has entries where two parameters can meet: those of one primitive, and of primitives that share
    a pixel at this theta. It is kept sparse, and read as `H_rows` (arrays), `H_sparse` (scipy's) or `H`, which is made
    when it is first read: reading it raises InvalidValueError where P is beyond the renderer's `dense_limit`.
    """

    H: FloatArray
    g: FloatArray
    cost: float
    count: int
    matrix: _core.NormalMatrix

    @property
    def H_rows(self) -> CompressedRows:
        """H by compressed rows, over the memory that it lies in: read-only."""
        P, matrix = len(self.g), self.matrix
        return CompressedRows(matrix.row_starts, matrix.columns, matrix.values, (P, P))

    @property
    def H_sparse(self) -> Any:
        """A scipy.sparse.csc_array (P, P), a copy."""
        return self.H_rows.symmetric_to_scipy("NormalEquations.H_sparse")


class Renderer:
    """Images of a scene, and their derivatives, as functions of theta.

    theta is a vector of P numbers: the blocks named in `free`, one after another. A block holds the values
    themselves (ball.center: 3 [scene units]; camera.focal: 2 [px]), but for poses: their six numbers are an
    increment T <- T exp(xi), xi = (rho, phi), translation [scene units] before rotation [rad], zero at theta0.

    Args:
        scene: the scene. Its values are where theta0 starts.
        free: names of the free parameters, as `valid_free_names(scene)` lists them; may be empty.
        output: what a pixel shows, or a list of such, which gives a channel axis: "distance" (along the unit ray),
            "depth" (Z in the camera frame), "mask" (coverage, 0 to 1), "normal" (unit, camera frame, towards the
            camera: 3 channels), "shade" (Lambert, light at the camera). Or one's own, on the CPU: a compiled model of
            an Item that takes any of z (depth), normal[3] and direction[3] (of the ray, (X/Z, Y/Z, 1), camera frame),
            each a PerItemFree, and Constants that have their numbers (`with_constants`), and returns one number, or up
            to 4, which are channels. Where one of them, or a derivative, is no finite number the pixel is NaN.
        background: the value of a ray that misses. None, the default, is NaN (no value, no residual) for distance
            and depth, and 0 for the others. A list gives one for each output.
        boundary: "exact": a pixel that a silhouette crosses is the integral over its footprint, and J has the motion
            of the silhouette. "none": every pixel is the value at its centre, with the interior derivative only
            (right for depth cameras, which do not average across an edge). "auto": "none" for a depth camera's image,
            where every output is distance or depth and the background has no value; "exact" for all else, and with
            `rules`.
        device: "cpu"; "cuda" or "vulkan", the first GPU, or "cuda:1", the second; "auto": CUDA, else a GPU with Vulkan,
            else the CPU, and with a model among the outputs the CPU. `info()` lists what there is.
        threads: how many to use; None for all that this process may use. Results do not depend on it.
        rules: for boundary="exact", what the pixels along the silhouette of a shape show, by the shape's name:
            "blend" (the default), alpha f_in + (1 - alpha) f_out, with alpha the part of the pixel that the shape
            covers; "foreground", f_in with no boundary term; "none", as boundary="none"; or one's own: a
            compiled model of an Item that takes any of area (alpha), inside (f_in) and outside (f_out), each a
            PerItemFree, and Constants that have their numbers (`with_constants`). It says what a pixel shows, channel
            by channel, and its derivatives are the pixel's. Where one of them is no finite number the pixel is NaN.
        stream: with device="cuda", the stream that calls work on, after what is on it already: a handle
            (cudaStream_t, CUstream), or a stream of PyTorch, CuPy or another library; None for one of its own. It must
            live as long as it is in use.
        dense_limit: the largest P for arrays of P x P numbers, 8 P^2 bytes: H of `normal_equations`, and H and
            covariances of a fit. What is sparse is always there.

    Raises:
        InvalidValueError, InvalidTypeError: naming the argument and the likely fix.
        DeviceError: the device is not there.
    """

    def __init__(
        self,
        scene: Scene,
        free: Sequence[str] = (),
        output: str | CompiledModel | Sequence[str | CompiledModel] = "distance",
        background: float | Sequence[float | None] | None = None,
        boundary: Literal["auto", "exact", "none"] = "auto",
        device: str = "cpu",
        threads: int | None = None,
        rules: Mapping[str, str | CompiledModel] | None = None,
        stream: Any = None,
        dense_limit: int = DENSE_LIMIT,
    ) -> None:
        check_scene(scene)
        if not isinstance(boundary, str) or boundary not in ("auto", "exact", "none"):
            raise InvalidValueError(f'boundary: must be "auto", "exact" or "none", got {describe(boundary)}')
        device = device_name(device)
        if rules is not None and not isinstance(rules, Mapping):
            example = '{"ball": "none"}'
            raise InvalidTypeError(f"rules: must map names of shapes to rules, as {example}, got {describe(rules)}")
        if threads is not None:
            threads = whole_number("threads", threads, 1, MAX_THREADS, advice=", or None for all")
        self._dense_limit = whole_number("dense_limit", dense_limit, 0, MAX_PARAMETERS)
        self._scene = scene
        self._free = check_free_names(scene, free)
        shown = shown_outputs(output)
        self._outputs, self._channel_outputs = shown.names, shown.channels
        backgrounds = _backgrounds(background, self._outputs)
        if boundary == "auto":
            has_background = any(value is not None for value in backgrounds)
            boundary = "exact" if rules else suitable_boundary(self._outputs, has_background)
        self._boundary = boundary
        self._backgrounds = tuple(backgrounds or [None] * len(self._outputs))
        # What makes another one like this, in another process as well; a stream is of this process.
        given = [math.nan if number is None else number for number in backgrounds] or None
        rules = dict(rules or {})
        core_rules = _rules(scene, rules, boundary)
        arguments = (scene, self._free, shown.given, given, boundary, device, threads, rules)
        self._arguments = (*arguments, None, self._dense_limit)
        self._core = _core.Renderer(
            scene,
            list(self._free),
            shown.core,
            backgrounds,
            boundary == "exact",
            core_rules,
            device,
            threads or 0,
            self._dense_limit,
        )
        if stream is not None:
            self.stream = stream
        self._theta0 = np.array(self._core.theta0)
        self._theta0.flags.writeable = False

    @property
    def scene(self) -> Scene:
        """The scene that was given."""
        return self._scene

    @property
    def free(self) -> tuple[str, ...]:
        """The names of the free parameters, in the order of theta."""
        return self._free

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs; of one's own, its model's."""
        return self._outputs

    @property
    def backgrounds(self) -> tuple[float | None, ...]:
        """For each output, the value of a ray that misses that was asked for, or None for its default."""
        return self._backgrounds

    @property
    def boundary(self) -> str:
        """What pixels that a silhouette crosses show: "exact" or "none"."""
        return self._boundary

    @property
    def theta0(self) -> FloatArray:
        """(P,), the free parameters' values in `scene`; zeros for poses. Read-only."""
        return self._theta0

    @property
    def blocks(self) -> dict[str, slice]:
        """Where each free name lies in theta."""
        return {name: slice(offset, offset + size) for name, offset, size, _ in self._core.blocks()}

    @property
    def device(self) -> str:
        """What does the work: "cpu", "cuda:0", "vulkan:0"."""
        return self._core.device

    @property
    def stream(self) -> int:
        """The handle of the CUDA stream that calls work on; 0 on other devices. May be set, as `stream` above."""
        return self._core.stream

    @stream.setter
    def stream(self, stream: Any) -> None:
        self._core.use_stream(0 if stream is None else stream_handle(stream))

    @property
    def threads(self) -> int:
        """How many threads are used."""
        return self._core.threads

    @property
    def dense_limit(self) -> int:
        """The largest P for which `normal_equations` has a dense H."""
        return self._dense_limit

    @property
    def warnings(self) -> list[str]:
        """What was skipped in the scene (triangles without area), in words."""
        return self._core.warnings

    @overload
    def render(self, theta: npt.ArrayLike | None = None, *, on_device: Literal[False] = False) -> Image: ...
    @overload
    def render(self, theta: npt.ArrayLike | None = None, *, on_device: bool) -> Image | DeviceArray: ...
    def render(self, theta: npt.ArrayLike | None = None, *, on_device: bool = False) -> Image | DeviceArray:
        """Return the image (H, W), or (H, W, C) for C channels, float32, at theta (default theta0).

        on_device: leave it where the renderer works: a DeviceArray on a GPU; on the CPU an array of NumPy as ever.
        """
        if flag("on_device", on_device) and self.device != "cpu":
            return DeviceArray(self._core.render_on_device(self._vector(theta)))
        return self._core.render(self._vector(theta))

    @overload
    def jacobian(
        self, theta: npt.ArrayLike | None = None, *, on_device: Literal[False] = False
    ) -> tuple[Image, Jacobian]: ...
    @overload
    def jacobian(
        self, theta: npt.ArrayLike | None = None, *, on_device: bool
    ) -> tuple[Image | DeviceArray, Jacobian]: ...
    def jacobian(
        self, theta: npt.ArrayLike | None = None, *, on_device: bool = False
    ) -> tuple[Image | DeviceArray, Jacobian]:
        """Return the image at theta (default theta0), as `render` does, and its derivative by theta.

        on_device: leave both where the renderer works; `J.dense()` then is a DeviceArray as well.
        """
        if flag("on_device", on_device) and self.device != "cpu":
            image, core = self._core.jacobian_on_device(self._vector(theta))
            return DeviceArray(image), Jacobian(core)
        host_image, core = self._core.jacobian(self._vector(theta))
        return host_image, Jacobian(core)

    def normal_equations(
        self,
        theta: npt.ArrayLike | None,
        observed: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        loss: Loss | CompiledModel | None = None,
    ) -> NormalEquations:
        """Return J'WJ, J'Wr and the cost at theta, r = rendered - observed, without ever storing J.

        Args:
            theta: (P,), or None for theta0.
            observed: (H, W), or (H, W, C), float32 or float64, any strides; an array of NumPy, or of any library
                that speaks DLPack, in the host's memory. NaN, infinity and the mask of a NumPy masked array drop a
                pixel. With device="cuda" also an array on the same device, by DLPack or `__cuda_array_interface__`,
                read where it lies.
            weights: the same shape, or (H, W) for all channels alike; finite and >= 0, or True and False for 1 and 0.
                Zero, NaN and a mask drop a pixel.
            loss: a robust loss, None for least squares, or a compiled model that is one: `diffrt_aot.losses`.
        """
        matrix, g, cost, count = self._core.normal_equations(
            self._vector(theta),
            image_argument("observed", observed, self._core),
            None if weights is None else image_argument("weights", weights, self._core),
            loss_argument(loss),
        )
        return NormalEquations(deferred(matrix.dense), g, cost, count, matrix)

    def cost(
        self,
        theta: npt.ArrayLike | None,
        observed: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        loss: Loss | CompiledModel | None = None,
    ) -> tuple[float, int]:
        """Return (cost, count) as `normal_equations` does, at the price of a render."""
        return self._core.cost(
            self._vector(theta),
            image_argument("observed", observed, self._core),
            None if weights is None else image_argument("weights", weights, self._core),
            loss_argument(loss),
        )

    def scene_at(self, theta: npt.ArrayLike) -> Scene:
        """Return the scene at theta: poses moved, values replaced."""
        numbers = self._core.scene_numbers(self._vector(theta))
        changes: dict[str, Any] = {}
        for owner in dict.fromkeys(name.split(".")[0] for name in self._free):
            value = self._scene.camera if owner == "camera" else self._scene.shapes[owner]
            changes[owner] = value.replace(**numbers[owner])
        return self._scene.replace(**changes)

    def _vector(self, theta: npt.ArrayLike | None) -> FloatArray:
        return self._theta0 if theta is None else vector("theta", theta)

    def __reduce__(self) -> tuple[Any, ...]:
        return Renderer, self._arguments

    def __repr__(self) -> str:
        camera = self._scene.camera
        size = f"{camera.width} x {camera.height}"
        return f"Renderer({size}, free={list(self._free)}, output={list(self._outputs)}, P={len(self._theta0)})"


def _rules(
    scene: Scene, rules: Mapping[str, str | CompiledModel], boundary: str
) -> list[tuple[str, str | _core.Model]]:
    """By shape, as the core takes them."""
    core: list[tuple[str, str | _core.Model]] = []
    if rules and boundary != "exact":
        raise InvalidValueError('rules: there are no boundary rules with boundary="none"; use boundary="exact"')
    for name, rule in rules.items():
        if name not in scene.shapes:
            raise unknown_name("shape", name, scene.shapes, where="rules: ")
        model = compiled_model(f"rules: {name}", rule)
        if model is None and (not isinstance(rule, str) or rule not in _RULES):
            raise InvalidValueError(
                f"rules: {name} must be one of {', '.join(_RULES)}, or a compiled model, got {describe(rule)}"
            )
        core.append((name, rule if model is None else model))  # type: ignore[arg-type]
    return core


def _backgrounds(background: float | Sequence[float | None] | None, outputs: tuple[str, ...]) -> list[float | None]:
    """One value per output, NaN spelt None; empty for the defaults."""
    if background is None:
        return []
    several = isinstance(background, (list, tuple)) or (isinstance(background, np.ndarray) and background.ndim > 0)
    given: list[Any] = list(background) if several else [background] * len(outputs)  # type: ignore[arg-type]
    result: list[float | None] = []
    for name, value in zip(outputs, given, strict=False):
        if value is None:
            result.append(None if name in ("distance", "depth") else 0.0)
            continue
        nothing = isinstance(value, (float, np.floating)) and math.isnan(value)
        result.append(None if nothing else finite_float("background", value))
    if len(given) != len(outputs):
        raise InvalidValueError(f"background: has {len(given)} entries for {len(outputs)} outputs; give one for each")
    return result


def image_argument(
    name: str, value: Any, core: _core.Renderer | _core.BoundModel
) -> npt.NDArray[Any] | _core.ForeignArray:
    """Return an image argument as the core reads it: float32 or float64, any strides, not copied unless it must be."""
    if type(value) is np.ndarray and value.dtype in _FLOATS:
        return value
    given = exchanged(name, value, core)
    if isinstance(given, _core.ForeignArray):
        return given
    array = np.ma.getdata(given) if isinstance(given, np.ma.MaskedArray) else any_array(name, given)
    if name == "weights" and array.dtype.kind == "b":
        return array.astype(np.float32)  # a selection of pixels
    if array.dtype.kind in "iub":
        fix = "in scene units and with NaN where nothing was measured: np.where(observed > 0, scale * observed, np.nan)"
        if name == "weights":
            fix = "weights.astype(np.float32)"
        raise InvalidTypeError(f"{name}: has dtype {array.dtype}, expected float32 or float64. Convert it: {fix}")
    if array.dtype.kind != "f":
        raise InvalidTypeError(f"{name}: has dtype {array.dtype}, expected float32 or float64")
    if isinstance(given, np.ma.MaskedArray):
        array = given.filled(np.nan)  # NaN drops a pixel, in `observed` and in `weights`
    if array.dtype in _FLOATS and array.dtype.isnative:
        return array
    return as_doubles(array)
