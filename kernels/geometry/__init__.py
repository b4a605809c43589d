"""One file per shape: intersection, normal and derivative of the depth, in the camera frame, on any number.

Rays start at the camera centre and are X = z d, with d = (X/Z, Y/Z, 1) from the camera model, so that z is the depth.
`inverse_depth_<shape>(direction, ...)` gives 1/z of the nearest intersection in front of the camera, and a number
<= 0 where there is none: the nearest of several surfaces is the one with the largest inverse depth.
`differentiate_<shape>(z, direction, ...)` gives z again, with its partials, from the implicit equation of the surface.
`normal_<shape>` is the unit normal on the side of the camera.
"""
