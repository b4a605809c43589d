"""A rule for silhouettes: what a pixel shows that one crosses, of the inverse depths on either side.

Its derivatives are by the covered area and by the values on either side.
"""

from diffrt_aot.model import Item, PerItemFree, model


@model
def mix_inverse_depths(pixel: Item, area: PerItemFree, inside: PerItemFree, outside: PerItemFree):
    return 1.0 / (area / inside + (1.0 - area) / outside)
