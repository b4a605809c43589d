"""Pixels that a silhouette crosses: exact coverage, its first moments, and points at which to integrate its motion.

A pixel is the square [-1/2, 1/2]^2 around its centre, with x and y in pixels. The surface in front covers the part
where a function q of the image point is positive; q = 0 is its silhouette. For theta that moves the silhouette,
Reynolds' transport theorem gives, for any g that does not jump there,

    d/dtheta  int_{q > 0} g dA  =  int_{q = 0} g (dq/dtheta) / |grad q| dl,

dq/dtheta taken at a fixed image point. A `Crossing` therefore holds `nodes` (x, y, weight), the points of a quadrature
over the silhouette with dl / |grad q| in their weights: the derivative of the area is sum weight * dq, that of the
first moments sum weight * (x, y) * dq, for every parameter alike. Nothing is differentiated but q, and that is
ordinary AD.

    gentle.py   q a polynomial of degree 2, gently curved or straight: spheres, planes' horizons
    conic.py    the same with up to four arcs: spheres that reach the camera plane
    ellipse.py  the same, strongly curved: spheres of a few pixels, or less than one
    edge.py     a straight edge with ends: meshes
"""
