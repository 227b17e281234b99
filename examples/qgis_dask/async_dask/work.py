"""The heavy work, which runs on the cluster: plain functions of plain data. No Qt, no QGIS, no asyncio.

Of all pairs of points, which are farthest apart? With 20 000 points those are 200 million pairs: minutes of pure Python
on one core. (The points of the convex hull would do. It is here because it is heavy, and its parts need each other
for nothing.)
"""


def blocks(count, size=1000):
    """Return ranges (start, end) that together cover 0..count."""
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def farthest(block, points):
    """Return (squared distance, i, j) of the farthest pair of which one is in the block and the other comes after it.

    Args:
        block: (start, end), indices of points.
        points: all points, as (x, y).
    """
    best = (-1.0, -1, -1)
    for i in range(*block):
        x, y = points[i]
        for j in range(i + 1, len(points)):
            dx, dy = points[j][0] - x, points[j][1] - y
            distance = dx * dx + dy * dy
            if distance > best[0]:
                best = (distance, i, j)
    return best
