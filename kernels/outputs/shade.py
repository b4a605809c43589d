"""Lambert's shading with a light at the camera: the cosine between the normal and the ray back, 0 to 1."""


def shade(direction, z, normal):
    """-n . d / |d|, with n on the side of the camera."""
    return (-(normal().dot(direction) / direction.norm()),)
