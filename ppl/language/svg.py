"""A plate diagram as SVG text: shapes, arrows and boxes at the places the layout gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from ppl.language.layout import Placed, layout

if TYPE_CHECKING:
    from ppl.language.draw import Drawing, Edge, Vertex, VertexKey

Point = tuple[float, float]
MARGIN = 14.0
_NARROW, _WIDE = set("iljtfrI.,:;'|()[]/ "), set("mwMW@%…")
_FILLS = {"latent": "#ffffff", "observed": "#c9d1dc", "partly observed": "url(#half)", "fixed": "#f3e3c3"}
_STYLE = """
text { font-family: Helvetica, Arial, sans-serif; font-size: 13px; fill: #1d232b; text-anchor: middle; }
.small { font-size: 10px; fill: #5a6472; }
.label { font-size: 11px; fill: #4a5361; text-anchor: end; }
.label { paint-order: stroke; stroke: #fafafa; stroke-width: 4px; }
.shape { stroke: #2f3a48; stroke-width: 1.3; }
.box { fill: #000000; fill-opacity: 0.025; stroke: #8892a0; stroke-width: 1; }
.branch { stroke-dasharray: 5 4; }
.edge { fill: none; stroke: #2f3a48; stroke-width: 1.1; }
.previous { stroke: #2b62a8; }
.control { stroke-dasharray: 4 3; stroke: #6b7480; }
""".strip()


def text_width(text: str, size: float = 13.0) -> float:
    """About how wide a text is in the diagram's font."""
    units = sum(
        0.32 if ch in _NARROW else 0.88 if ch in _WIDE else 0.70 if ch.isupper() else 0.565 for ch in text
    )
    return units * size


def vertex_size(v: Vertex) -> tuple[float, float]:
    name = text_width(v.name)
    if v.kind == "data":
        return max(30.0, text_width(v.name, 11.0) + 12), 22.0
    if v.kind == "param":
        return max(38.0, name + 16), 38.0
    if v.kind in ("deterministic", "factor"):
        return max(44.0, name + 20), 30.0
    return max(58.0, name * 1.2 + 26, text_width(v.family, 10.0) * 1.35 + 22), 42.0


def render(drawing: Drawing) -> str:
    """The drawing as a complete SVG document."""
    sizes = {v.key: vertex_size(v) for v in drawing.vertices}
    order = {v.key: i for i, v in enumerate(drawing.vertices)}
    forward = [e for e in drawing.edges if e.kind != "previous" and order[e.source] < order[e.target]]
    others = [e for e in drawing.edges if e not in forward]
    labels = {}
    for v in drawing.vertices:
        for depth in range(1, len(v.boxes) + 1):
            labels[v.boxes[:depth]] = text_width(drawing.labels[v.boxes[depth - 1]], 11.0) + 24
    if not drawing.vertices:
        return _document([], (60.0, 40.0), drawing.name)
    placed = layout(
        {v.key: v.boxes for v in drawing.vertices}, sizes, [(e.source, e.target) for e in forward], labels
    )
    shapes = {v.key: v for v in drawing.vertices}
    rows = []
    for path in sorted(placed.boxes, key=len):
        rows.append(_box(placed.boxes[path], path[-1].kind == "branch"))
    widest = placed.size[0]
    for i, e in enumerate(forward):
        points = [placed.centres[e.source], *placed.bends[i], placed.centres[e.target]]
        rows.append(_edge(points, e, shapes, sizes))
    for e in others:
        text, reach = _back(e, placed, shapes, sizes)
        widest = max(widest, reach)
        rows.append(text)
    rows.extend(_label(placed.boxes[path], drawing.labels[path[-1]]) for path in placed.boxes)
    rows.extend(_vertex(v, placed.centres[v.key], sizes[v.key]) for v in drawing.vertices)
    return _document(rows, (widest, placed.size[1]), drawing.name)


def _document(rows: Sequence[str], size: tuple[float, float], name: str) -> str:
    width, height = (math.ceil(s + 2 * MARGIN) for s in size)
    defs = (
        '<defs><marker id="arrow" viewBox="0 0 10 8" refX="9.5" refY="4" markerWidth="9" markerHeight="7.2" '
        'markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0,0 L10,4 L0,8 z" fill="context-stroke"/></marker>'
        '<linearGradient id="half" x1="0" x2="1" y1="0" y2="0"><stop offset="0.5" stop-color="#c9d1dc"/>'
        '<stop offset="0.5" stop-color="#ffffff"/></linearGradient></defs>'
    )
    body = "\n".join(rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n'
        f"<title>{escape(name)}</title>\n<style>{_STYLE}</style>\n{defs}\n"
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n'
        f'<g transform="translate({MARGIN:g},{MARGIN:g})">\n{body}\n</g>\n</svg>\n'
    )


def _n(x: float) -> str:
    return f"{x:.1f}"


def _box(rectangle: tuple[float, float, float, float], dashed: bool) -> str:
    x, y, w, h = rectangle
    kind = "box branch" if dashed else "box"
    return f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="8"/>'


def _label(rectangle: tuple[float, float, float, float], label: str) -> str:
    x, y, w, h = rectangle
    return f'<text class="label" x="{_n(x + w - 9)}" y="{_n(y + h - 8)}">{escape(label)}</text>'


def _vertex(v: Vertex, centre: Point, size: tuple[float, float]) -> str:
    (x, y), (w, h) = centre, size
    corner = f'x="{_n(x - w / 2)}" y="{_n(y - h / 2)}" width="{_n(w)}" height="{_n(h)}"'
    middle = y + 4.5
    if v.kind == "data":
        shape = f'<rect class="shape" {corner} rx="2" fill="#e4e6e9" style="stroke:#9aa2ad;stroke-width:1"/>'
        text = f'<text x="{_n(x)}" y="{_n(y + 4)}" style="font-size:11px">{escape(v.name)}</text>'
    elif v.kind in ("param", "factor"):
        fill = "#ffffff" if v.kind == "param" else "#dfe8dc"
        shape = f'<rect class="shape" {corner} fill="{fill}"/>'
        text = f'<text x="{_n(x)}" y="{_n(middle)}">{escape(v.name)}</text>'
    elif v.kind == "deterministic":
        shape = f'<rect class="shape" {corner} rx="10" fill="#ffffff" stroke-dasharray="4 3"/>'
        text = f'<text x="{_n(x)}" y="{_n(middle)}">{escape(v.name)}</text>'
    else:
        fill = _FILLS.get(v.kind, "#ffffff")
        ellipse = f'cx="{_n(x)}" cy="{_n(y)}" rx="{_n(w / 2)}" ry="{_n(h / 2)}"'
        shape = f'<ellipse class="shape" {ellipse} fill="{fill}"/>'
        text = (
            f'<text x="{_n(x)}" y="{_n(y + 1)}">{escape(v.name)}</text>'
            f'<text class="small" x="{_n(x)}" y="{_n(y + 13)}">{escape(v.family)}</text>'
        )
    return f"<g><title>{escape(v.title)}</title>{shape}{text}</g>"


# ---------------------------------------------------------------- arrows


def _edge(
    points: list[Point], e: Edge, shapes: dict[VertexKey, Vertex], sizes: dict[VertexKey, tuple[float, float]]
) -> str:
    start = _border(points[0], points[1], shapes[e.source], sizes[e.source])
    end = _border(points[-1], points[-2], shapes[e.target], sizes[e.target])
    return _path(_curve([start, *points[1:-1], end]), e, shapes)


def _path(d: str, e: Edge, shapes: dict[VertexKey, Vertex]) -> str:
    kind = "edge" if e.kind == "direct" else f"edge {e.kind}"
    words = {"direct": "", "previous": ", one step later", "control": ", whether it runs"}[e.kind]
    title = f"{shapes[e.source].name} → {shapes[e.target].name}{words}"
    return f'<path class="{kind}" d="{d}" marker-end="url(#arrow)"><title>{escape(title)}</title></path>'


def _curve(points: Sequence[Point]) -> str:
    """A straight line, or a smooth curve through the bends (Catmull–Rom)."""
    d = f"M{_n(points[0][0])},{_n(points[0][1])}"
    if len(points) == 2:
        return d + f" L{_n(points[1][0])},{_n(points[1][1])}"
    padded = [points[0], *points, points[-1]]
    for before, a, b, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        c1 = a[0] + (b[0] - before[0]) / 6, a[1] + (b[1] - before[1]) / 6
        c2 = b[0] - (after[0] - a[0]) / 6, b[1] - (after[1] - a[1]) / 6
        d += " C" + " ".join(f"{_n(x)},{_n(y)}" for x, y in (c1, c2, b))
    return d


def _border(centre: Point, towards: Point, v: Vertex, size: tuple[float, float]) -> Point:
    """Where the line from the centre to `towards` leaves the shape."""
    dx, dy = towards[0] - centre[0], towards[1] - centre[1]
    if dx == 0 and dy == 0:
        return centre
    a, b = size[0] / 2, size[1] / 2
    if v.kind in ("data", "param", "factor", "deterministic"):
        scale = min(a / abs(dx) if dx else math.inf, b / abs(dy) if dy else math.inf)
    else:
        scale = 1 / math.hypot(dx / a, dy / b)
    return centre[0] + dx * scale, centre[1] + dy * scale


def _back(
    e: Edge, placed: Placed, shapes: dict[VertexKey, Vertex], sizes: dict[VertexKey, tuple[float, float]]
) -> tuple[str, float]:
    """An arrow that doesn't point to a later row: a loop at the vertex's side, or an arc beside both ends."""
    (x, y), (w, _) = placed.centres[e.source], sizes[e.source]
    if e.source == e.target:
        right, bulge = x + w / 2, x + w / 2 + 15
        bend = f"C{_n(bulge)},{_n(y - 20)} {_n(bulge)},{_n(y + 20)} {_n(right - 4)},{_n(y + 9)}"
        d = f"M{_n(right - 4)},{_n(y - 9)} {bend}"
        return _path(d, e, shapes), right + 14
    p, q = placed.centres[e.source], placed.centres[e.target]
    bow = 0.35 * math.dist(p, q)
    dx, dy = q[0] - p[0], q[1] - p[1]
    control = ((p[0] + q[0]) / 2 - dy * bow / math.dist(p, q), (p[1] + q[1]) / 2 + dx * bow / math.dist(p, q))
    control = (max(control[0], 0.0), control[1])
    start = _border(p, control, shapes[e.source], sizes[e.source])
    end = _border(q, control, shapes[e.target], sizes[e.target])
    d = f"M{_n(start[0])},{_n(start[1])} Q{_n(control[0])},{_n(control[1])} {_n(end[0])},{_n(end[1])}"
    return _path(d, e, shapes), max(control[0], p[0], q[0])
