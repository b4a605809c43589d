"""Vectors and matrices of three numbers, of any type, also mixed, with the usual operators."""

from kernels.numbers import functions as f


def _scale(x, left, advice):
    """x, which must be a number: products of vectors have names."""
    if not f.is_number(x):
        raise TypeError(f"{left} * {type(x).__name__}: {advice}")
    return x


class Vec3:
    """A column (x, y, z) of numbers.

    >>> a, b = Vec3(1.0, 2.0, 2.0), Vec3(0.0, 0.0, 1.0)
    >>> a + 2.0 * b, a.dot(b), a.cross(b), float(a.norm())
    (Vec3(1.0, 2.0, 4.0), 2.0, Vec3(2.0, -1.0, 0.0), 3.0)
    """

    __slots__ = ("x", "y", "z")
    __array_ufunc__ = None  # ndarray * Vec3 is Vec3.__rmul__
    __hash__ = None

    def __init__(self, x, y, z):
        self.x, self.y, self.z = x, y, z

    def __iter__(self):
        return iter((self.x, self.y, self.z))

    def __repr__(self):
        return f"Vec3({self.x!r}, {self.y!r}, {self.z!r})"

    def __eq__(self, other):
        if not isinstance(other, Vec3):
            return NotImplemented
        return (self.x == other.x) & (self.y == other.y) & (self.z == other.z)

    def __add__(self, other):
        if not isinstance(other, Vec3):
            return NotImplemented
        return Vec3(self.x + other.x, self.y + other.y, self.z + other.z)

    def __sub__(self, other):
        if not isinstance(other, Vec3):
            return NotImplemented
        return Vec3(self.x - other.x, self.y - other.y, self.z - other.z)

    def __neg__(self):
        return Vec3(-self.x, -self.y, -self.z)

    def __mul__(self, scale):
        scale = _scale(scale, "Vec3", "perhaps you meant a.dot(b), a.cross(b) or matrix @ v")
        return Vec3(self.x * scale, self.y * scale, self.z * scale)

    __rmul__ = __mul__

    def __truediv__(self, scale):
        return self * (1.0 / scale)

    def dot(self, other):
        """Inner product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def cross(self, other):
        """Vector product."""
        return Vec3(
            self.y * other.z - self.z * other.y,
            self.z * other.x - self.x * other.z,
            self.x * other.y - self.y * other.x,
        )

    def norm(self):
        """Euclidean length."""
        return f.sqrt(self.dot(self))

    def normalized(self):
        """Unit vector of the same direction; not finite for the zero vector."""
        return self / self.norm()

    def map(self, function):
        """The function of each component."""
        return Vec3(function(self.x), function(self.y), function(self.z))

    @staticmethod
    def where(condition, a, b):
        """a where the condition holds, else b."""
        return Vec3(*(f.where(condition, p, q) for p, q in zip(a, b, strict=True)))


class Mat3:
    """A 3 x 3 matrix of numbers, by rows: Mat3(row, row, row), each a Vec3 or three numbers."""

    __slots__ = ("rows",)
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, row0, row1, row2):
        self.rows = tuple(r if isinstance(r, Vec3) else Vec3(*r) for r in (row0, row1, row2))

    def __iter__(self):
        return iter(self.rows)

    def __repr__(self):
        return f"Mat3({self.rows[0]!r}, {self.rows[1]!r}, {self.rows[2]!r})"

    def __eq__(self, other):
        if not isinstance(other, Mat3):
            return NotImplemented
        a, b, c = (p == q for p, q in zip(self, other, strict=True))
        return a & b & c

    def __add__(self, other):
        if not isinstance(other, Mat3):
            return NotImplemented
        return Mat3(*(a + b for a, b in zip(self, other, strict=True)))

    def __sub__(self, other):
        if not isinstance(other, Mat3):
            return NotImplemented
        return Mat3(*(a - b for a, b in zip(self, other, strict=True)))

    def __neg__(self):
        return Mat3(*(-a for a in self))

    def __mul__(self, scale):
        scale = _scale(scale, "Mat3", "perhaps you meant matrix @ other")
        return Mat3(*(a * scale for a in self))

    __rmul__ = __mul__

    def __truediv__(self, scale):
        return self * (1.0 / scale)

    def __matmul__(self, other):
        if isinstance(other, Vec3):
            return Vec3(*(row.dot(other) for row in self))
        if not isinstance(other, Mat3):
            return NotImplemented
        columns = other.transpose()
        return Mat3(*(Vec3(*(row.dot(column) for column in columns)) for row in self))

    def transpose(self):
        """Rows and columns exchanged."""
        return Mat3(*(Vec3(*column) for column in zip(*self.rows, strict=True)))

    def determinant(self):
        """Triple product of the rows."""
        a, b, c = self.rows
        return a.dot(b.cross(c))

    def inverse(self):
        """Inverse by the adjugate; not finite for a singular matrix."""
        a, b, c = self.rows
        columns = (b.cross(c), c.cross(a), a.cross(b))
        return Mat3(*columns).transpose() * (1.0 / a.dot(columns[0]))

    def map(self, function):
        """The function of each element."""
        return Mat3(*(row.map(function) for row in self))

    @staticmethod
    def where(condition, a, b):
        """a where the condition holds, else b."""
        return Mat3(*(Vec3.where(condition, p, q) for p, q in zip(a, b, strict=True)))

    @staticmethod
    def identity():
        """The unit matrix, of floats."""
        return Mat3((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

    @staticmethod
    def skew(v):
        """The matrix of the vector product: skew(v) @ w == v.cross(w)."""
        return Mat3((0.0, -v.z, v.y), (v.z, 0.0, -v.x), (-v.y, v.x, 0.0))
