"""Vec3 and Mat3: every operation on every number type against NumPy's linear algebra, identities, and bad operands."""

import numpy as np
import pytest
from number_operations import COUNT, GROUPS, oracle_jacobian, outputs

from kernels.numbers import Dual, Mat3, Vec3, partial_of, seed, sqrt, value_of, where

KINDS = {
    "duals": lambda inputs: [seed(x, k) for k, x in enumerate(inputs)],
    "one dual": lambda inputs: [seed(inputs[0], 0), *inputs[1:]],
    "arrays": lambda inputs: inputs,
}
A, B, C = Vec3(1.0, 2.0, -3.0), Vec3(0.5, -4.0, 2.0), Vec3(-1.0, 0.25, 5.0)
M = Mat3(A, B, C)


def array(matrix):
    """A matrix of floats as an array."""
    return np.array([list(row) for row in matrix], dtype=np.float64)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", GROUPS["linear"], ids=lambda o: o.name)
def test_operation(operation, kind):
    inputs = operation.inputs()
    arguments = KINDS[kind](inputs)
    values, partials = oracle_jacobian(operation, inputs)
    results = outputs(operation.function(*arguments))
    assert len(results) == len(values)
    for i, result in enumerate(results):
        np.testing.assert_allclose(value_of(result) + np.zeros(COUNT), values[i], rtol=1e-12, atol=1e-14)
        for k, argument in enumerate(arguments):
            if isinstance(argument, Dual):
                mine = partial_of(result, k) + np.zeros(COUNT)
                np.testing.assert_allclose(mine, partials[k][i], rtol=1e-11, atol=1e-13)
            else:
                assert k not in getattr(result, "partials", {})


@pytest.mark.parametrize("operation", GROUPS["linear"], ids=lambda o: o.name)
def test_operation_on_floats(operation):
    inputs = operation.inputs()
    values, partials = oracle_jacobian(operation, inputs)
    for i, point in enumerate(zip(*(x[:5].tolist() for x in inputs), strict=True)):
        plain = outputs(operation.function(*point))
        duals = outputs(operation.function(*(seed(x, k) for k, x in enumerate(point))))
        for j, (number, dual) in enumerate(zip(plain, duals, strict=True)):
            assert number == pytest.approx((values[j] + np.zeros(COUNT))[i], rel=1e-12, abs=1e-14)
            assert value_of(dual) == number
            for k in range(len(point)):
                expected = (partials[k][j] + np.zeros(COUNT))[i]
                assert partial_of(dual, k) == pytest.approx(expected, rel=1e-11, abs=1e-13)


def test_structural_zeros():
    """Elements that depend on nothing have no partials; those that depend on one seed have one."""
    v = Vec3(seed(1.0, "x"), seed(2.0, "y"), 3.0)
    w = v + Vec3(1.0, 1.0, seed(1.0, "z"))
    assert [sorted(c.partials) for c in w] == [["x"], ["y"], ["z"]]
    assert not isinstance((v * 2.0).z, Dual)
    assert sorted(v.cross(A).z.partials) == ["x", "y"]
    assert sorted(v.dot(Vec3(0.0, 1.0, 0.0)).partials) == ["x", "y"]
    assert list(Mat3.identity() @ A) == list(A)


def test_identities():
    assert value_of(A.cross(B).dot(A)) == 0.0 and M.transpose().transpose() == M
    assert A.cross(B) == -(B.cross(A)) and Mat3.skew(A) @ B == A.cross(B)
    np.testing.assert_allclose(array(M @ M.inverse()), np.eye(3), atol=1e-15)
    assert M.determinant() == pytest.approx(A.dot(B.cross(C))) == pytest.approx(np.linalg.det(array(M)))
    assert float(A.normalized().norm()) == pytest.approx(1.0)
    assert A / 2.0 == A * 0.5 == 0.5 * A and M / 2.0 == M * 0.5


def test_derivative_of_the_inverse():
    """d inv(M) = -inv(M) dM inv(M)."""
    moving = Mat3(Vec3(seed(1.0, "t"), 2.0, -3.0), B, C)
    inverse = array(M.inverse())
    direction = np.zeros((3, 3))
    direction[0, 0] = 1.0
    mine = array(moving.inverse().map(lambda e: partial_of(e, "t")))
    np.testing.assert_allclose(mine, -inverse @ direction @ inverse, rtol=1e-12)


def test_numbers_of_any_type_in_one_vector():
    v = Vec3(1, np.arange(3.0), seed(2.0, "z"))
    n = v.dot(v)
    np.testing.assert_array_equal(n.value, 5.0 + np.arange(3.0) ** 2)
    assert n.partials == {"z": 4.0}
    np.testing.assert_array_equal((np.arange(3.0) * A).y, 2.0 * np.arange(3.0))
    assert (np.float64(2.0) * A) == (A * np.float32(2.0)) == A + A
    assert (seed(2.0, "s") * A).x.partials == {"s": 1.0} and (A * seed(2.0, "s")).z.partials == {"s": -3.0}


def test_comparison_and_choice():
    assert Vec3(1, 2, -3) == A and A != B and Mat3((1, 2, -3), B, C) == M and M.transpose() != M
    assert (A == "A") is False and (M == A) is False
    same = Vec3(np.array([1.0, 0.0]), 2.0, -3.0) == A
    assert same.tolist() == [True, False]
    assert where(True, A, B) == A and where(False, M, M.transpose()) == M.transpose()
    chosen = where(np.array([True, False]), A, B)
    assert chosen.x.tolist() == [1.0, 0.5]
    with pytest.raises(TypeError, match="unhashable"):
        hash(A)


NONSENSE = {
    "v * v": (lambda: A * B, r"Vec3 \* Vec3: perhaps you meant a.dot\(b\), a.cross\(b\)"),
    "M * M": (lambda: M * M, "Mat3 \\* Mat3: perhaps you meant matrix @ other"),
    "M * v": (lambda: M * A, "Mat3 \\* Vec3: perhaps you meant matrix @ other"),
    "v * list": (lambda: A * [1.0], "Vec3 \\* list"),
    "v + number": (lambda: A + 1.0, "unsupported operand"),
    "number - v": (lambda: 1.0 - A, "unsupported operand"),
    "array - v": (lambda: np.ones(3) - A, "ufunc|unsupported operand"),
    "M + v": (lambda: M + A, "unsupported operand"),
    "M @ number": (lambda: M @ 2.0, "unsupported operand"),
    "v / v": (lambda: A / B, "unsupported operand"),
    "sqrt(v)": (lambda: sqrt(A), r"perhaps .map\(sqrt\)"),
    "where of a vector and a number": (lambda: where(True, A, 1.0), "where: expects a number, got Vec3"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused(name):
    nonsense, message = NONSENSE[name]
    with pytest.raises(TypeError, match=message):
        nonsense()
