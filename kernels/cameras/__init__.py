"""One file per camera model: from a pixel to the direction of its ray, on any number."""
