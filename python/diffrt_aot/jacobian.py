"""The Jacobian of a rendered image, or of a model's outputs: stored by local rows, dense or sparse on demand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _core
from ._arguments import FloatArray, describe, real_array
from .device_array import DeviceArray
from .errors import InvalidTypeError, InvalidValueError, missing_dependency


class Jacobian:
    """The derivative of an image by theta: a linear map from (P,) to images.

    A pixel depends on the primitive that it sees and on the camera, so a row is stored as that primitive's id and
    a few partials, and neither storage nor products grow with P. Rows of pixels that see nothing are zero. Of a model's
    outputs it is the same, with items in place of pixels, and rows of tables in place of primitives.

    shape   (H, W, P), or (H, W, C, P) for C channels: that of `dense()`; of a model that of its outputs, and P
    """

    # Products with arrays are this class's: NumPy is not to take J for an array of objects.
    __array_ufunc__ = None

    def __init__(self, core: _core.Jacobian, image_shape: tuple[int, ...] | None = None) -> None:
        if not isinstance(core, _core.Jacobian):
            raise InvalidTypeError(f"Jacobian: is made by Renderer.jacobian, not of {describe(core)}")
        self._core = core
        channels = (core.channels,) if core.channels > 1 else ()
        self._image_shape = (core.height, core.width, *channels) if image_shape is None else image_shape

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, P), or (H, W, C, P) for C channels."""
        return (*self._image_shape, self._core.parameters)

    @property
    def T(self) -> TransposedJacobian:
        """The transposed map, from images to (P,): `J.T @ w`."""
        return TransposedJacobian(self)

    @property
    def primitive_ids(self) -> npt.NDArray[np.int32]:
        """(H, W), which primitive each pixel sees; -1 is the background. Read-only.

        Where a silhouette crosses a pixel whose centre sees nothing, it is one that the pixel depends on.
        Spheres come first, then planes, then the faces of each mesh, each in the order of the scene.
        """
        return self._core.primitive_ids()

    def dense(self) -> Any:
        """Return the columns as an array (H, W, P), or (H, W, C, P) for C channels, float32.

        For a scene of one primitive, or a model without tables and poses, this is a read-only view of the stored planes
        and costs nothing; else it takes P images of memory. `dense()[..., k]` is a contiguous image for each parameter.

        Of `Renderer.jacobian(on_device=True)` it is a DeviceArray, made on the device. For a scene of one primitive
        that is J's own memory: what is written there changes J. All else of J is the host's: the rows come down when
        they are first asked for.
        """
        if self._core.on_device:
            return DeviceArray(self._core.dense_on_device())
        return self._core.dense().reshape(self.shape)

    def to_scipy(self) -> Any:
        """Return a scipy.sparse.csr_array (H*W*C, P), float32, of the stored rows."""
        try:
            from scipy.sparse import csr_array
        except ImportError as error:
            raise missing_dependency("scipy", "Jacobian.to_scipy") from error
        rows = int(np.prod(self.shape[:-1]))
        return csr_array(self._core.to_sparse(), shape=(rows, self.shape[-1]))

    def __matmul__(self, v: npt.ArrayLike) -> FloatArray:
        """J @ v: (P,) to an image (H, W) or (H, W, C); (P, K) to K such images along the last axis. float64."""
        vectors = _finite("v", v)
        if vectors.ndim not in (1, 2) or vectors.shape[0] != self.shape[-1]:
            raise InvalidValueError(
                f"J @ v: v has shape {vectors.shape}, expected ({self.shape[-1]},), one number per parameter"
            )
        if vectors.ndim == 1:
            return self._core.multiply(vectors).reshape(self._image_shape)
        images = [self._core.multiply(np.ascontiguousarray(column)).reshape(self._image_shape) for column in vectors.T]
        return np.stack(images, axis=-1) if images else np.zeros((*self.shape[:-1], 0))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """What `dense()` returns, in the host's memory, for np.asarray."""
        if copy is False:
            raise InvalidValueError("copy: J is stored by local rows, an array of it is a copy; leave copy=False out")
        columns = np.asarray(self.dense())
        is_view = not columns.flags.writeable
        return columns.astype(columns.dtype if dtype is None else dtype, copy=bool(copy) and is_view)

    def __copy__(self) -> Jacobian:
        return self  # nothing of it changes

    def __deepcopy__(self, _: object) -> Jacobian:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        raise InvalidTypeError("Jacobian: cannot be pickled; pickle J.dense() or J.to_scipy()")

    def __repr__(self) -> str:
        return f"Jacobian(shape={self.shape})"


class TransposedJacobian:
    """J.T, a linear map from images to (P,)."""

    __array_ufunc__ = None

    def __init__(self, jacobian: Jacobian) -> None:
        self._jacobian = jacobian

    @property
    def shape(self) -> tuple[int, ...]:
        """(P, H, W), or (P, H, W, C)."""
        return (self._jacobian.shape[-1], *self._jacobian.shape[:-1])

    @property
    def T(self) -> Jacobian:
        """The Jacobian itself."""
        return self._jacobian

    def __matmul__(self, w: npt.ArrayLike) -> FloatArray:
        """J.T @ w for an image w, (H, W) or (H, W, C), or the same flat: (P,), float64.

        w must be finite: where the image has no value (NaN), put 0.
        """
        image = _finite("w", w)
        expected = self._jacobian.shape[:-1]
        if image.shape != expected and image.shape != (int(np.prod(expected)),):
            raise InvalidValueError(
                f"J.T @ w: w has shape {image.shape}, expected the image's, {expected}, or the same flat"
            )
        return self._jacobian._core.multiply_transposed(np.ascontiguousarray(image))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """The dense columns with P as the first axis, for np.asarray."""
        return np.moveaxis(self._jacobian.__array__(dtype, copy), -1, 0)

    def __repr__(self) -> str:
        return f"Jacobian(shape={self._jacobian.shape}).T"


def _finite(name: str, value: npt.ArrayLike) -> FloatArray:
    array = real_array(name, value)
    if not np.isfinite(array).all():
        raise InvalidValueError(f"{name}: must be finite; put 0 where there is no value: np.nan_to_num({name})")
    return array
