"""Pixels that silhouettes cross: what they show is mixed from both sides, and its derivative is that of the mixture.

`kernels.reference.crossings` finds how much of a pixel the surface in front covers. Here the entries that are hidden
are left out, both sides get their values, and a rule (`kernels.silhouettes.rules`) makes of them what the pixel shows.
"""

from dataclasses import dataclass

import numpy as np

from kernels.cameras.pinhole import pinhole_direction
from kernels.numbers import Dual, value_of
from kernels.reference.crossings import crossings_of
from kernels.reference.primitives import nearest
from kernels.silhouettes.rules import RULES, Boundary
from kernels.silhouettes.spread import mean_root

# How far beside a silhouette [px] it is asked what is seen there.
BESIDE = 0.02
# Relative difference of depths by which what is beside an edge does not hide it.
DEPTH_TOLERANCE = 1e-3
# A surface that is extended beyond its edge is given up where its inverse depth changes by more than this factor.
STEEPEST = 2.0
# A part of a pixel below this area has no centroid of its own.
SMALLEST_AREA = 1e-9


@dataclass(frozen=True)
class View:
    """What pixels are made of: the primitives and the camera's (fx, fy, cx, cy), with partials; the outputs; and what
    each channel shows where nothing is seen.
    """

    primitives: list
    intrinsics: tuple
    outputs: list
    background: list

    def channels(self, surface, direction):
        """All channels of a surface (z, normal), as Duals."""
        z, normal = surface
        return [_dual(channel) for output in self.outputs for channel in output.function(direction, z, normal)]

    def direction(self, point):
        """Of the ray through an image point, either with partials."""
        return pinhole_direction(*point, *self.intrinsics)

    def nearest(self, points):
        """Inverse depths and ids seen at image points, an array (N, 2)."""
        u, v = np.reshape(points, (-1, 2)).T
        return nearest(self.primitives, pinhole_direction(u, v, *(value_of(x) for x in self.intrinsics)))

    def extended(self, k, point, spread, limits):
        """Channels of the primitive k at an image point; None where its inverse depth is not within the limits."""
        direction = self.direction(point)
        with np.errstate(divide="ignore", invalid="ignore"):
            surface = self.primitives[k].extended(direction, spread)
            inverse = 1.0 / value_of(surface[0])
        if not limits[0] <= inverse <= limits[1]:
            return None
        return self.channels(surface, direction)


@dataclass(frozen=True)
class Mixture:
    """A visible entry: the values on both sides per channel, Duals, and the name of what is behind (None: nothing)."""

    entry: object
    inside: list
    outside: list
    behind: str | None


def mix(camera, view, edges, names, rules, image, J):
    """Puts into image (H, W, C) and J (H, W, C, P), sampled at pixel centres, what crossed pixels show.

    `names` has the name of each channel's output.
    """
    rules = {name: _rule(name, rule) for name, rule in (rules or {}).items()}
    entries = crossings_of(camera, view.intrinsics, view.primitives, edges)
    entries = [entry for entry in entries if rules.get(entry.name, RULES[0]) is not None]
    pixels = {}
    for mixture in mixtures_of(view, entries):
        pixels.setdefault((mixture.entry.v, mixture.entry.u), []).append(mixture)
    for pixel, mixtures in pixels.items():
        for c, name in enumerate(names):
            centre = Dual(image[pixel][c], dict(enumerate(J[pixel][c])))
            # A pixel whose centre sees no value has none, and against no value nothing can be mixed.
            valued = not np.isnan(centre.value)
            applicable = [m for m in mixtures if valued and not np.isnan(m.outside[c].value)]
            results = [_shown(rules.get(m.entry.name, RULES[0]), m, c, name) for m in applicable]
            if results:
                shown = results[0] if len(results) == 1 else _several(centre, applicable, results, c)
                image[pixel][c] = shown.value
                J[pixel][c] = [shown.partials.get(k, 0.0) for k in range(J.shape[-1])]


def mixtures_of(view, entries):
    """The entries that are not hidden, with what is on either side."""
    if not entries:
        return []
    centroids = [_centroids(entry) for entry in entries]
    edge_points = np.array([entry.edge_point for entry in entries])
    step = BESIDE * np.array([entry.outward for entry in entries])
    seen_inside = view.nearest([[value_of(x) for x in inside] for inside, _ in centroids])
    near, far = view.nearest(edge_points - step), view.nearest(edge_points + step)
    result = []
    for i, (entry, (u_in, u_out)) in enumerate(zip(entries, centroids, strict=True)):
        id_inside, id_near, id_far = int(seen_inside[1][i]), int(near[1][i]), int(far[1][i])
        if _hidden(view, entry, (id_near, near[0][i]), far[0][i]):
            continue
        if entry.owner is not None:
            inside = view.extended(entry.owner, u_in, mean_root(entry.area), (0.0, np.inf))
        else:
            same, beside = (k >= 0 and view.primitives[k].name == entry.name for k in (id_inside, id_near))
            if same:
                face, limits = id_inside, (0.0, np.inf)
            elif beside:
                face, limits = id_near, _around(near[0][i])
            else:
                face, limits = entry.edge.faces[0][0], _around(_inverse_of_edge(view, entry))
            inside = view.extended(face, u_in, 1.0, limits)
            if inside is None:
                inside = view.extended(face, edge_points[i] - step[i], 1.0, (0.0, np.inf) if beside else limits)
        if id_far < 0:
            outside, behind = [_dual(x) for x in view.background], None
        else:
            outside, behind = view.extended(id_far, u_out, 1.0, _around(far[0][i])), view.primitives[id_far].name
            if outside is None:
                outside = view.extended(id_far, edge_points[i] + step[i], 1.0, (0.0, np.inf))
        if inside is not None and outside is not None:
            result.append(Mixture(entry, inside, outside, behind))
    return result


def _centroids(entry):
    """Image points: the centroids of the covered part and of the rest, with their partials."""
    result = []
    for sign, area in ((1.0, entry.area), (-1.0, 1.0 - entry.area)):
        if area.value < SMALLEST_AREA:
            result.append(entry.edge_point)
        else:
            result.append(tuple(c + sign * m / area for c, m in zip((entry.u, entry.v), entry.moment, strict=True)))
    return result


def _hidden(view, entry, near, inverse_far):
    """Whether a silhouette is not seen: on its covered side another shape is; of a mesh, something nearer on a side.

    For a mesh may be so narrow that beside its edge it is over, and what is behind it is seen there.
    """
    id_near, inverse_near = near
    same = id_near >= 0 and view.primitives[id_near].name == entry.name
    if entry.edge is None:
        return not same
    nearest = _inverse_of_edge(view, entry) * (1.0 + DEPTH_TOLERANCE)
    return inverse_far > nearest or not (same or inverse_near <= nearest)


def _inverse_of_edge(view, entry):
    return entry.edge.inverse_depth(view.direction(entry.edge_point).map(value_of))


def _around(inverse):
    return inverse / STEEPEST, inverse * STEEPEST


def _shown(rule, mixture, c, name):
    """What the rule makes of a channel."""
    entry = mixture.entry
    result = rule(
        Boundary(
            mixture.inside[c], mixture.outside[c], entry.area, entry.length, entry.name, mixture.behind, output=name
        )
    )
    if isinstance(result, tuple):
        value, row = result
        return Dual(value_of(value), dict(enumerate(row)))
    return _dual(result)


def _several(centre, mixtures, results, c):
    """The centre's value, and what each silhouette changes of the side on which the centre lies.

    Where silhouettes do not cross one another that is exact: a thin bar, a gap, one object before another. Else it
    stays within the range of what is mixed.
    """
    total, bounds = centre, [centre]
    for mixture, result in zip(mixtures, results, strict=True):
        sides = mixture.inside[c], mixture.outside[c]
        total = total + result - (sides[0] if mixture.entry.centred else sides[1])
        bounds += sides
    low, high = min(bounds, key=value_of), max(bounds, key=value_of)
    if total.value < low.value:
        return low
    return high if total.value > high.value else total


def _rule(name, rule):
    """The function of a rule given by name; None for "none"."""
    if callable(rule):
        return rule
    named = {function.__name__: function for function in RULES} | {"none": None}
    if rule not in named:
        raise ValueError(f"rules[{name!r}]: there is no rule {rule!r}, only {', '.join(named)}, or a function")
    return named[rule]


def _dual(x):
    return x if isinstance(x, Dual) else Dual(x, {})
