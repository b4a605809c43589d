"""Triangle (a, b, c) in the camera frame, seen from both sides.

Homogeneous edge functions (Olano and Greer 1997): with e_a = b x c, e_b = c x a, e_c = a x b and det = a . (b x c),
the barycentric coordinates of the ray's hit are e_i . d / (n . d), n = e_a + e_b + e_c = (b - a) x (c - a), and its
depth is det / (n . d). The hit is inside, and in front of the camera, where all e_i . d / det >= 0. Nothing is divided
by a vertex's depth, so a triangle may cross the camera plane without being clipped.
"""

from kernels.geometry.plane import differentiate_plane
from kernels.numbers import Dual, Vec3

RIGID_SLOTS = ("rho_x", "rho_y", "rho_z", "phi_x", "phi_y", "phi_z")
EDGE_ROUNDING = 2.0**-23
FREE_SLOTS = tuple(f"{vertex}_{axis}" for vertex in "abc" for axis in "xyz")


def plane_of_triangle(a, b, c):
    """Normal (not unit) and offset of the plane through three points."""
    normal = (b - a).cross(c - a)
    return normal, normal.dot(a)


def edges_of_triangle(a, b, c):
    """The three edge functions, as vectors; the triangle on the other side of an edge has exactly the negated one.

    b x c = (b + c) x (c - b) / 2, and that does not cancel where b and c are near each other and far from the camera.
    """
    return (b + c).cross(c - b) * 0.5, (c + a).cross(a - c) * 0.5, (a + b).cross(b - a) * 0.5


def edge_roundings(a, b, c):
    """What single precision may make of the edge functions along a ray near the axis: nearer to 0 they have no sign.

    An edge function that is this much larger leaves no holes where many triangles meet; in the image it moves the edge
    by the rounding of a vertex, a few 1e-7 focal lengths.
    """

    def size(p):
        return abs(p.x) + abs(p.y) + abs(p.z)

    return tuple(size(p + q) * size(q - p) * EDGE_ROUNDING for p, q in ((b, c), (c, a), (a, b)))


def move_plane(normal, offset, pivot, first_slot=0):
    """The plane n . X = offset under a small rigid motion X + rho + phi x (X - pivot), as a Dual at rho = phi = 0.

    Slots first_slot .. first_slot + 5 are rho [scene units] and phi [rad], in the camera frame.
    n' = n + phi x n, offset' = offset + n . rho + phi . (n x pivot).
    """
    rho, phi = range(first_slot, first_slot + 3), range(first_slot + 3, first_slot + 6)
    x, y, z = normal
    moved = Vec3(
        Dual(x, {phi[1]: z, phi[2]: -y}),
        Dual(y, {phi[2]: x, phi[0]: -z}),
        Dual(z, {phi[0]: y, phi[1]: -x}),
    )
    lever = normal.cross(pivot)
    partials = dict(zip((*rho, *phi), (*normal, *lever), strict=True))
    return moved, Dual(offset, partials)


def differentiate_triangle(z, direction, a, b, c):
    """z, the root of n . (z d - a) = 0, with its partials, for vertices that are free."""
    return differentiate_plane(z, direction, *plane_of_triangle(a, b, c))


def silhouette_edge(direction, middle, span, side):
    """q of an edge, an edge function: 0 along rays that meet its line, positive on the covered side.

    Args:
        middle: of the edge, with its partials.
        span: end minus start, with its partials. (Of the ends' own partials what moves both would not cancel exactly.)
        side: 1 or -1: which side is covered.
    """
    return middle.cross(span).dot(direction) * side


def move_edge(start, end, pivot, first_slot=0):
    """(middle, span) of an edge under a small rigid motion, as `move_plane`."""
    rho, phi = range(first_slot, first_slot + 3), range(first_slot + 3, first_slot + 6)
    middle, span = (start + end) * 0.5, end - start
    x, y, z = middle - pivot
    moved = Vec3(
        Dual(middle.x, {rho[0]: 1.0, phi[1]: z, phi[2]: -y}),
        Dual(middle.y, {rho[1]: 1.0, phi[2]: x, phi[0]: -z}),
        Dual(middle.z, {rho[2]: 1.0, phi[0]: y, phi[1]: -x}),
    )
    turned, _ = move_plane(span, span.x, pivot, first_slot)
    return moved, turned
