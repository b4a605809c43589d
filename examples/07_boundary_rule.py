"""A hand on the rule: what pixels show at the silhouette of one object, by a function of one's own.

    python examples/07_boundary_rule.py

A stereo camera finds disparities, so where an edge runs through a pixel it mixes inverse depths. On the NumPy
reference (kernels.reference: run this in a checkout) a rule is a function like `mix_inverse_depths`, and AD makes the
row of J of it. The compiled renderer has named rules, and takes a rule of one's own as a model, which is compiled:
examples/models/boundary_rule.py. docs/boundaries.md tells more.
"""

import sys
from pathlib import Path

import numpy as np

import diffrt_aot as dr

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from kernels import reference

CAMERA = dr.PinholeCamera(width=80, height=60, fx=70, fy=70, cx=39.5, cy=29.5)
SHAPES = {
    "near": dr.Sphere(center=(-0.35, 0.0, 3.0), radius=0.6),
    "far": dr.Sphere(center=(0.6, 0.2, 4.0), radius=0.8),
    "wall": dr.Plane(point=(0.0, 0.0, 6.0), normal=(0.2, 0.0, -1.0)),
}
SCENE = dr.Scene(CAMERA, SHAPES)
FREE = ["near.radius", "near.center"]


def mix_inverse_depths(boundary):
    """Return the depth whose inverse is the mean of the inverse depths. All are Duals, so the row follows."""
    area = boundary.area
    return 1.0 / (area / boundary.inside + (1.0 - area) / boundary.outside)


def by_reference(rules, theta=None):
    """Return image and J; the objects that `rules` does not name blend."""
    return reference.jacobian(SCENE, ["depth"], free=FREE, theta=theta, boundary="exact", rules=rules)


def main() -> None:
    blended, J_blended = by_reference({})
    mixed, J = by_reference({"near": mix_inverse_depths})
    change = np.abs(mixed - blended)
    row, column = np.unravel_index(change.argmax(), change.shape)
    print(
        f"a rule for the near ball changes {(change > 0).sum()} of {change.size} pixels, most of all [{row}, {column}]:"
    )
    for name, image, rows in (("blend", blended, J_blended), ("mix_inverse_depths", mixed, J)):
        print(f"  {name:18} depth {image[row, column]:.3f}, row {rows[row, column].round(2)}")

    # J is the derivative of the image with the rule in it
    theta, step = reference.theta_of(SCENE, FREE), np.array([1e-5, 0.0, 0.0, 0.0])
    after, before = (by_reference({"near": mix_inverse_depths}, theta + sign * step)[0] for sign in (1.0, -1.0))
    error = np.abs((after - before) / 2e-5 - J[..., 0])[change > 0].max()
    print(f"  column of the radius - central differences: {error:.0e}, of {np.abs(J[..., 0]).max():.0f}")

    print("compiled, by name:")
    for rule in ("blend", "foreground", "none"):
        image = dr.Renderer(SCENE, FREE, output="depth", boundary="exact", rules={"near": rule}).render()
        print(f"  {rule:18} depth {image[row, column]:.3f}; {(np.abs(image - blended) > 1e-3).sum()} pixels differ")


if __name__ == "__main__":
    main()
