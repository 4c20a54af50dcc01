"""The tables of a section: minimum, median and maximum over the cycles, and the ratios ours/peer cycle by cycle.
Before it: `bench`. Beside it: chart.py, which draws the same figures.
"""
from statistics import median

OURS = "heliostat"


def spread(values):
    """(minimum, median, maximum), or None where there is nothing."""
    known = [value for value in values if value is not None]
    return (min(known), median(known), max(known)) if known else None


def column(section, peer, key):
    return spread([rows[peer].get(key) for rows in section["cycles"] if peer in rows])


def ratios(section, peer, key, ours=OURS):
    """Ours/peer in each cycle that has both."""
    pairs = [(rows[ours].get(key), rows[peer].get(key)) for rows in section["cycles"] if ours in rows and peer in rows]
    return spread([first / second for first, second in pairs if first is not None and second])


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


def share(value):
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2%}" if value >= 0.0001 else f"{value * 1e6:.0f} ppm"


def stream_rows(section):
    """The same of a section with a TCP stream."""
    head = ["peer", "original Gbit/s", "copied share of bytes", "CPU s/GB", "original ours/peer", "copied bytes ours/peer", "CPU ours/peer"]
    rows = []
    for peer in section["peers"]:
        if peer in section["absent"]:
            rows.append([peer, "not measured: " + section["absent"][peer]])
            continue
        is_tapped = any(rows[peer]["copies"] for rows in section["cycles"] if peer in rows)
        row = [peer, three(column(section, peer, "gbps"), 2)]
        row += [three(column(section, peer, "copied"), 3) if is_tapped else "-", three(column(section, peer, "cpu_s_per_gb"), 3)]
        row += [three(ratios(section, peer, "gbps"), 2)]
        row += [three(ratios(section, peer, "copied_bytes"), 2) if is_tapped else "-"]
        row += [three(ratios(section, peer, "cpu_s_per_gb"), 2)]
        rows.append(row)
    return head, rows


def rows_of(section):
    """Header and rows of the section's table, as texts."""
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


def text(section):
    """The table with its circumstances."""
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
