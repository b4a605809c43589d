"""Distance from the camera centre along the unit ray [scene units]."""


def distance(direction, z, normal):
    """z |d|: the length of the ray."""
    return (z * direction.norm(),)
