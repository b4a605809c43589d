"""Bundle adjustment, as in ADBench: cameras, points and confidences, three residuals for each observation."""

from rays import rotate

from diffrt_aot.model import FreeTable, Item, PerItem, PerItemIndex, model, whole


@model
def bundle(
    observation: Item,
    cameras: FreeTable[11],
    points: FreeTable[3],
    confidence: FreeTable,
    seen: PerItem[2],
    camera: PerItemIndex,
    point: PerItemIndex,
):
    """A camera: rotation vector, centre, focal length, principal point, two coefficients of radial distortion."""
    c, w = cameras[camera], confidence[whole(observation.index)]
    X = rotate(c[:3], points[point] - c[3:6])
    x, y = X[0] / X[2], X[1] / X[2]
    q = x * x + y * y
    scale = c[6] * (1.0 + q * (c[9] + q * c[10]))
    return w * (scale * x + c[7] - seen[0]), w * (scale * y + c[8] - seen[1]), 1.0 - w * w
