"""The scene: a camera and named shapes, and the names of the parameters that can be free.

A free name is `<shape>.<parameter>` or `camera.<parameter>`: ball.center, ball.radius, floor.normal,
bottle.pose, hand.vertices, camera.focal. The vector theta of a renderer holds the free blocks one after
another, in the order in which they were asked for.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from ._arguments import describe
from ._value import ReadOnlyDict, Value
from .camera import PinholeCamera
from .errors import InvalidTypeError, InvalidValueError, unknown_name
from .shapes import Shape

_SHAPE_TYPES: tuple[type, ...] = get_args(Shape)

# The name of each number of a block, where "x", "y", "z" or nothing would not do.
_COMPONENTS = {
    "pose": ("translation.x", "translation.y", "translation.z", "rotation.x", "rotation.y", "rotation.z"),
    "focal": ("fx", "fy"),
    "principal": ("cx", "cy"),
}


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Scene(Value):
    """A camera and the shapes that it looks at: an immutable value.

    camera   PinholeCamera
    shapes   name -> Sphere, Plane or Mesh, at least one; read-only once the scene is made. A name is an
             identifier (letters, digits, underscore), and not "camera".
    """

    camera: PinholeCamera
    shapes: Mapping[str, Shape]

    def __init__(self, camera: PinholeCamera, shapes: Mapping[str, Shape]) -> None:
        if not isinstance(camera, PinholeCamera):
            raise InvalidTypeError(f"camera: must be a PinholeCamera, got {describe(camera)}")
        if not isinstance(shapes, Mapping):
            raise InvalidTypeError(
                f'shapes: must map names to shapes, got {describe(shapes)}; pass {{"name": shape}}, free '
                "parameters are then called name.parameter"
            )
        if not shapes:
            raise InvalidValueError(
                'shapes: the scene is empty; give it at least one shape, as in {"ball": Sphere((0, 0, 5), 1)}'
            )
        for name, shape in shapes.items():
            _check_name(name)
            _check_shape_type(name, shape)
        object.__setattr__(self, "camera", camera)
        object.__setattr__(self, "shapes", ReadOnlyDict(shapes))

    def replace(self, **changes: Any) -> Scene:
        """Return a copy with another camera or other shapes: scene.replace(camera=..., ball=Sphere(...)).

        A keyword is `camera` or the name of a shape that the scene has; `shapes=` replaces them all (unless
        a shape has that name).
        """
        camera = changes.pop("camera", self.camera)
        shapes = dict(self.shapes)
        if "shapes" in changes and "shapes" not in self.shapes:
            shapes = changes.pop("shapes")
        for name, shape in changes.items():
            if name not in shapes:
                raise unknown_name("shape", name, ["camera", *shapes], where="Scene.replace: ")
            shapes[name] = shape
        return Scene(camera, shapes)

    def __repr__(self) -> str:
        return f"Scene({self.camera!r}, {dict(self.shapes)!r})"


def free_sizes(scene: Scene) -> dict[str, int]:
    """Return every name that can be free in `scene`, and how many numbers it has."""
    owners: list[tuple[str, Shape | PinholeCamera]] = [*scene.shapes.items(), ("camera", scene.camera)]
    return {f"{owner}.{name}": size for owner, value in owners for name, size in value.free_sizes().items()}


def valid_free_names(scene: Scene) -> list[str]:
    """Return every name that can be free in `scene`: the shapes' in their order, then the camera's."""
    return list(free_sizes(check_scene(scene)))


def check_scene(scene: object) -> Scene:
    """Return `scene`, which must be one."""
    if not isinstance(scene, Scene):
        raise InvalidTypeError(f"scene: must be a Scene, got {describe(scene)}")
    return scene


def check_free_names(scene: Scene, free: Iterable[str]) -> tuple[str, ...]:
    """Return `free` as a tuple of valid, distinct names, or raise an error that lists the valid ones."""
    if isinstance(free, str):
        name = describe(free)
        raise InvalidTypeError(f"free: must be a list of names, got the string {name}; pass [{name}]")
    try:
        given = iter(free)
    except TypeError:
        raise InvalidTypeError(f"free: must be a list of names, got {describe(free)}") from None
    valid = free_sizes(check_scene(scene))
    names: dict[str, None] = {}
    for name in given:  # one by one: an iterator may have no end
        if not isinstance(name, str) or name not in valid:
            raise unknown_name("parameter", name, valid, where="free: ")
        if name in names:
            raise InvalidValueError(f"free: {name!r} is listed twice; name each parameter once")
        names[name] = None
    return tuple(names)


def free_labels(scene: Scene, free: Iterable[str]) -> list[str]:
    """Return a name for each entry of theta: ball.radius, ball.center.x, bottle.pose.rotation.z, ..."""
    sizes = free_sizes(scene)
    labels: list[str] = []
    for name in check_free_names(scene, free):
        kind = name.partition(".")[2]
        if kind == "vertices":
            labels += [f"{name}[{v}].{axis}" for v in range(sizes[name] // 3) for axis in "xyz"]
        elif sizes[name] == 1:
            labels.append(name)
        else:
            labels += [f"{name}.{part}" for part in _COMPONENTS.get(kind, "xyz")]
    return labels


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise InvalidTypeError(f"shapes: names must be strings, got {describe(name)}")
    if name == "camera":
        raise InvalidValueError(
            "shapes: the name 'camera' is taken by the camera's own parameters (camera.pose, ...); choose another"
        )
    if name.isidentifier():
        return
    proposal = re.sub(r"\W", "_", name)
    if not proposal.isidentifier() or keyword.iskeyword(proposal):
        proposal = f"shape_{proposal}".rstrip("_")
    raise InvalidValueError(
        f"shapes: {name!r} cannot be a name; use letters, digits and underscores, such as {proposal!r}"
    )


def _check_shape_type(name: str, shape: object) -> None:
    if isinstance(shape, _SHAPE_TYPES):
        return
    hint = ""
    if isinstance(shape, type) and shape in _SHAPE_TYPES:
        hint = "; that is the class, so call it with its parameters"
    elif hasattr(shape, "vertices") and hasattr(shape, "faces"):
        hint = f"; pass Mesh({name}.vertices, {name}.faces)"
    kinds = ", ".join(kind.__name__ for kind in _SHAPE_TYPES)
    raise InvalidTypeError(f"shapes: {name!r} must be one of {kinds}, got {describe(shape)}{hint}")
