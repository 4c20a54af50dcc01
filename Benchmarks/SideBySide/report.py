"""The tables of a section: minimum, median and maximum over the cycles, and the ratios ours/peer cycle by cycle.
Before it: `bench`. Beside it: chart.py, which draws the same figures.
"""
from math import comb
from statistics import median

OURS = "heliostat"


def spread(values):
    """(minimum, median, maximum), or None where there is nothing."""
    known = [value for value in values if value is not None]
    return (min(known), median(known), max(known)) if known else None


def column(section, peer, key):
    return spread([rows[peer].get(key) for rows in section["cycles"] if peer in rows])


def ratios(section, peer, key, ours=OURS):
    """Ours/peer: minimum, median, maximum."""
    return spread(pairs(section, peer, key, ours))


def lost(section, peer, key):
    """Share of what was sent, over all cycles."""
    rows = [rows[peer] for rows in section["cycles"] if peer in rows]
    sent = sum(row["sent"] for row in rows)
    return sum(row[key] for row in rows) / sent if sent else None


def three(values, digits=3):
    return f"{values[1]:.{digits}f} ({values[0]:.{digits}f}-{values[2]:.{digits}f})" if values else "-"


def latency(values):
    """Three times in µs, of which the largest ones are only known to be beyond 102.3."""
    if not values:
        return "-"
    low, middle, high = ("over 102" if value >= 102.3 else f"{value:.1f}" for value in values)
    return f"{middle} ({low}-{high})"


def interval(values):
    """The narrowest interval of two of the values that has the median of all there could be with 95 % (order statistics)."""
    known = sorted(value for value in values if value is not None)
    count = len(known)
    for low in range(count // 2 - 1, -1, -1):
        inside = sum(comb(count, at) for at in range(low + 1, count - low)) / 2**count
        if inside >= 0.95:
            return f"{known[low]:.3f}-{known[-1 - low]:.3f}"
    return "-"


def pairs(section, peer, key, ours=OURS):
    """Ours/peer in each cycle that has both."""
    found = [(rows[ours].get(key), rows[peer].get(key)) for rows in section["cycles"] if ours in rows and peer in rows]
    return [first / second for first, second in found if first is not None and second]


def share(value):
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2%}" if value >= 0.0001 else f"{value * 1e6:.0f} ppm"


def stream_rows(section):
    """The same of a section with a TCP stream."""
    head = ["peer", "original Gbit/s", "copied share of bytes", "CPU s/GB", "original ours/peer", "95 %", "copied bytes ours/peer", "CPU ours/peer"]
    rows = []
    for peer in section["peers"]:
        if peer in section["absent"]:
            rows.append([peer, "not measured: " + section["absent"][peer]])
            continue
        is_tapped = any(rows[peer]["copies"] for rows in section["cycles"] if peer in rows)
        row = [peer, three(column(section, peer, "gbps"), 2)]
        row += [three(column(section, peer, "copied"), 3) if is_tapped else "-", three(column(section, peer, "cpu_s_per_gb"), 3)]
        row += [three(ratios(section, peer, "gbps"), 2), interval(pairs(section, peer, "gbps"))]
        row += [three(ratios(section, peer, "copied_bytes"), 2) if is_tapped else "-"]
        row += [three(ratios(section, peer, "cpu_s_per_gb"), 2)]
        rows.append(row)
    return head, rows


def request_rows(section):
    """The same of a section with requests and responses."""
    head = ["peer", "requests/s", "p50 µs", "p99 µs", "copies a request", "rate ours/peer", "95 %", "rate peer/untapped", "95 %"]
    rows = []
    for peer in section["peers"]:
        if peer in section["absent"]:
            rows.append([peer, "not measured: " + section["absent"][peer]])
            continue
        row = [peer, three(column(section, peer, "rate"), 0)] + [three(column(section, peer, key), 1) for key in ("p50_us", "p99_us")]
        row += [three(column(section, peer, "copied"), 2)]
        row += [three(ratios(section, peer, "rate"), 3), interval(pairs(section, peer, "rate"))]
        row += [three(ratios(section, "untapped", "rate", peer), 3), interval(pairs(section, "untapped", "rate", peer))]
        rows.append(row)
    return head, rows


def scale_rows(section):
    """The same of what is held against the first row."""
    first = next(iter(section["peers"]))
    head = ["program", "originals Mpps", "copies Mpps", "originals lost", "copies lost", "CPU µs/frame", "sender µs/frame"]
    head += [f"CPU / {first}", "95 %"]
    rows = []
    for peer in section["peers"]:
        if peer in section["absent"]:
            rows.append([peer, "not measured: " + section["absent"][peer]])
            continue
        is_tapped = any(rows[peer]["copies"] for rows in section["cycles"] if peer in rows)
        row = [peer, three(column(section, peer, "original_mpps"))]
        row += [three(column(section, peer, "copy_mpps")) if is_tapped else "-", share(lost(section, peer, "originals_lost"))]
        row += [share(lost(section, peer, "copies_lost")) if is_tapped else "-"]
        row += [three(column(section, peer, key), 2) for key in ("cpu_us_per_original", "sender_us_per_frame")]
        row += [three(ratios(section, first, "cpu_us_per_original", peer), 2)]
        row += [interval(pairs(section, first, "cpu_us_per_original", peer))]
        rows.append(row)
    return head, rows


def rows_of(section):
    """Header and rows of the section's table, as texts."""
    if section["section"] == "scale":
        return scale_rows(section)
    if section["section"] == "tcp-requests":
        return request_rows(section)
    if section["section"].startswith("tcp"):
        return stream_rows(section)
    is_paced = bool(next(iter(next(iter(section["cycles"])).values()))["load"]["rate"]) if section["cycles"] else False
    head = ["peer", "originals Mpps", "copies Mpps", "originals lost", "copies lost"]
    head += ["p50 µs", "p99 µs", "mirror CPU µs/original"] if is_paced else ["CPU µs/copy", "sender µs/frame"]
    head += [] if is_paced else ["copies ours/peer", "originals ours/peer", "CPU ours/peer"]
    rows = []
    for peer in section["peers"]:
        if peer in section["absent"]:
            rows.append([peer, "not measured: " + section["absent"][peer]])
            continue
        is_tapped = any(rows[peer]["copies"] for rows in section["cycles"] if peer in rows)
        cpu = "cpu_us_per_pair" if is_tapped else "cpu_us_per_original"
        row = [peer, three(column(section, peer, "original_mpps"))]
        row += [three(column(section, peer, "copy_mpps")) if is_tapped else "-", share(lost(section, peer, "originals_lost"))]
        row += [share(lost(section, peer, "copies_lost")) if is_tapped else "-"]
        if is_paced:
            row += [latency(column(section, peer, key)) for key in ("p50_us", "p99_us")]
            row += [three(spread([
                (rows[peer]["cpu_us"]["mirror"] + rows[peer]["cpu_us"]["softirq"]) / rows[peer]["originals"]
                for rows in section["cycles"] if peer in rows and rows[peer]["originals"]]), 2)]
        else:
            row += [three(column(section, peer, cpu), 2), three(column(section, peer, "sender_us_per_frame"), 2)]
            row += [three(ratios(section, peer, "copy_mpps"), 2) if is_tapped else "-"]
            row += [three(ratios(section, peer, "original_mpps"), 2)]
            row += [three(ratios(section, peer, "cpu_us_per_pair"), 2) if is_tapped else "-"]
        rows.append(row)
    return head, rows


def values(section):
    """The table of a section that is no contest: words, figures, floors."""
    machine = section["machine"]
    lines = [
        f"{section['section']}: {section['title']}",
        f"  {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['time']}, tree {machine['commit']},"
        f" load average {machine['load_average']:.1f}", ""]
    rows = [["what", "here", "floor"]] + section["values"]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    return "\n".join(lines + ["  " + "  ".join(word.ljust(widths[at]) for at, word in enumerate(row)).rstrip() for row in rows]) + "\n"


def text(section):
    """The table with its circumstances."""
    if "values" in section:
        return values(section)
    machine = section["machine"]
    loads = [row["other_load"] for rows in section["cycles"] for row in rows.values()]
    head, rows = rows_of(section)
    widths = [max(len(line[at]) for line in [head] + rows if at < len(line) and len(line) > 2) for at in range(len(head))]
    lines = [
        f"{section['section']}: {section['title']}",
        f"  {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, {machine['time']}, tree {machine['commit']}",
        f"  {len(section['cycles'])} cycles of {section['seconds']:g} s a peer, median (minimum-maximum); other load"
        f" {max(loads, default=0):.2f} cores at most, {section['repeated']} cycles with more left out"
        + ("; this session came before others" if section["ahead"] else ""),
        "",
    ]
    for line in [head] + rows:
        lines.append("  " + "  ".join(word.ljust(widths[at]) if len(line) > 2 else word for at, word in enumerate(line)).rstrip())
    return "\n".join(lines) + "\n"
