"""The report as one SVG: for every section a group of bars, originals above copies for each peer, with a line from the
minimum to the maximum of the cycles. Before it: report.py, whose figures these are.
"""
from html import escape

import report

LEFT, WIDTH, BAR, GAP = 150, 520, 9, 10
COLOURS = {"original_mpps": "#9aa7b5", "copy_mpps": "#1f6f8b"}


def bar(x, y, scale, values, colour):
    low, middle, high = (x + value * scale for value in values)
    centre = y + BAR / 2
    return (
        f'<rect x="{x}" y="{y}" width="{middle - x:.1f}" height="{BAR}" fill="{colour}"/>'
        f'<path d="M{low:.1f} {centre}H{high:.1f}" stroke="#222"/>'
        f'<text x="{max(high, middle) + 5:.1f}" y="{y + BAR - 1}">{values[1]:.3f}</text>')


def group(section, top):
    """The bars of one section, and how far down they reach."""
    figures = {
        peer: {key: report.column(section, peer, key) for key in COLOURS} for peer in section["peers"]
        if peer not in section["absent"]}
    highest = max((values[2] for both in figures.values() for values in both.values() if values), default=1)
    scale = WIDTH / highest
    parts = [f'<text x="10" y="{top + 14}" class="title">{escape(section["title"])}</text>']
    y = top + 26
    for peer in section["peers"]:
        parts.append(f'<text x="{LEFT - 8}" y="{y + BAR + 3}" text-anchor="end">{escape(peer)}</text>')
        if peer not in figures:
            parts.append(f'<text x="{LEFT}" y="{y + BAR + 3}" fill="#a33">not measured</text>')
        else:
            for offset, (key, colour) in enumerate(COLOURS.items()):
                if figures[peer][key] and figures[peer][key][1] > 0:
                    parts.append(bar(LEFT, y + offset * (BAR + 1), scale, figures[peer][key], colour))
        y += 2 * BAR + GAP
    return "\n".join(parts), y + 10


def svg(sections):
    parts, y = [], 34
    for section in (one for one in sections if one["cycles"] and not one["section"].startswith("tcp")):
        drawn, y = group(section, y)
        parts.append(drawn)
    legend = "".join(
        f'<rect x="{10 + at * 150}" y="10" width="12" height="12" fill="{colour}"/>'
        f'<text x="{27 + at * 150}" y="20">{name}</text>'
        for at, (name, colour) in enumerate(zip(("originals, Mpps", "copies, Mpps"), COLOURS.values())))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{y}" font-family="sans-serif" '
        f'font-size="11"><style>.title{{font-weight:bold;font-size:13px}}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{legend}\n' + "\n".join(parts) + "</svg>\n")
