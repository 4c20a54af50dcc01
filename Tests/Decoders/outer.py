"""What the outer headers of copies must be, and that the inner frames are the originals. Used by check.py."""
import collections


def judge(case, program, destinations, originals, copies, decoded, flow, faults):
    """Compares every copy with the program; counts faults by their words and returns what was seen."""
    index = {(d.get("encapsulation", "vxlan"), d["remote"], d["tunnel_id"]): d for d in destinations.values()}
    wanted = {name: expectation(program, name, originals) for name in destinations}
    sides = {frame: direction for direction, frames in originals.items() for frame in frames}
    flows = {frame: flow(frame) for frame in sides}
    arrived = {name: collections.defaultdict(list) for name in destinations}
    ports = {name: collections.defaultdict(set) for name in destinations}
    numbers = collections.defaultdict(list)
    stamps = {}
    for copy, tshark in zip(copies, decoded):
        if copy is None:
            continue
        d = index.get((copy["encapsulation"], copy["remote"], copy["tunnel_id"]))
        if d is None:
            faults[f"a copy in no tunnel of the program: {brief(copy)}"] += 1
            continue
        name, inner = d["id"], copy["inner"]
        snaplen, cuts = wanted[name]["snaplen"], wanted[name]["cuts"]
        whole = cuts.get(inner)
        if whole is None:
            faults[f"{name}: scapy finds an inner frame that nobody sent"] += 1
            continue
        direction = sides[whole]
        arrived[name][direction].append(inner)
        for text in outer_faults(d, case, copy, direction, whole, len(inner) < len(whole)):
            faults[f"{name}: {text}"] += 1
        for text in tshark_faults(copy, tshark, len(inner) < len(whole)):
            faults[f"{name}: {text}"] += 1
        if copy.get("sequence") is not None:
            numbers[copy["source"], copy["remote"]].append(copy["sequence"])
        if "sport" in copy:
            ports[name][flows[whole]].add(copy["sport"])
        if "timestamp" in copy:
            stamps.setdefault(name, []).append(copy["timestamp"])
    for name in destinations:
        for direction in originals:
            if arrived[name][direction] != wanted[name][direction]:
                faults[f"{name}: {direction}: {len(arrived[name][direction])} copies arrived of "
                       f"{len(wanted[name][direction])}, or out of order"] += 1
        for key, seen in ports[name].items():
            if len(seen) != 1:
                faults[f"{name}: flow {key} has source ports {sorted(seen)}"] += 1
        if ports[name] and len({min(seen) for seen in ports[name].values()}) < len(ports[name]) // 2:
            faults[f"{name}: most flows share a source port"] += 1
    for pair, seen in numbers.items():
        if seen != [(seen[0] + n) & 0xFFFFFFFF for n in range(len(seen))]:
            faults[f"sequence numbers between {pair} are not one after another"] += 1
    for name, seen in stamps.items():
        # Steps of 100 µs: forward only, and not further than the originals took.
        steps = [(later - earlier) & 0xFFFFFFFF for earlier, later in zip(seen, seen[1:])]
        if sum(steps) > (case["ended"] - case["began"]) // 100_000 + 10:
            faults[f"{name}: the timestamps run over {sum(steps)} steps of 100 µs"] += 1
    return {
        "copies": sum(copy is not None for copy in copies), "tunnels": len(destinations),
        "flows": len(set(flows.values())), "sequenced": sum(map(len, numbers.values()))}


def expectation(program, name, originals):
    """What one destination gets: frames by direction, and the originals by what is left of them."""
    tap = next((t for t in program["taps"] if name in t["destinations"]), None)
    snaplen = tap.get("snaplen") if tap else None
    result = {"snaplen": snaplen, "cuts": {}}
    for direction, frames in originals.items():
        wants = tap is not None and tap.get("direction", "BOTH") in (direction, "BOTH")
        result[direction] = [frame[:snaplen] for frame in frames] if wants else []
        result["cuts"].update({frame[:snaplen]: frame for frame in frames})
    if len(result["cuts"]) != sum(map(len, originals.values())):
        raise SystemExit(f"{name}: two originals cannot be told apart by their first {snaplen} bytes")
    return result


def outer_faults(d, case, copy, direction, whole, is_cut):
    """Everything about one copy's outer headers that is not as the program says."""
    kind, udp = copy["encapsulation"], "sport" in copy
    wanted = {
        "vlan": d.get("vlan"), "ttl": d.get("ttl", 64), "dscp": d.get("dscp", 0), "df": True, "whole": True,
        "checksum": True, "reserved": False,
        "source": d.get("source", case["sources"][str(copy["version"])])}
    if udp:
        wanted["dport"] = d.get("udp_port", 4789 if kind == "vxlan" else 6081)
        wanted["udp_checksum"] = d.get("udp_checksum", copy["version"] == 6)
    for key, value in wanted.items():
        if copy[key] != value and (key != "reserved" or copy[key]):
            yield f"{key} is {copy[key]}, not {value}"
    if udp:
        low, high = map(int, d.get("source_ports", "49152-65535").split("-"))
        if not low <= copy["sport"] <= high:
            yield f"source port {copy['sport']} is outside {low}-{high}"
    elif (copy["sequence"] is not None) != (kind != "gre" or d.get("sequenced", False)):
        yield f"sequence number {copy['sequence']}"
    tag = int.from_bytes(whole[14:16], "big") if whole[12:14] in (b"\x81\0", b"\x88\xa8") else None
    if kind.startswith("erspan"):
        if copy["tag"] != (tag or 0) & 0xFFF or copy["cos"] != (tag or 0) >> 13:
            yield f"VLAN {copy['tag']} and COS {copy['cos']} of a frame with the tag {tag}"
        if bool(copy["cut"]) != is_cut:
            yield f"T is {copy['cut']} for a frame that was {'cut' if is_cut else 'whole'}"
    if kind == "erspan2" and copy["en"] != (0 if tag is None else 3):
        yield f"En is {copy['en']} of a frame with the tag {tag}"
    if copy.get("direction", direction) != direction:
        yield f"the header says {copy['direction']} of a frame that went {direction}"
    if kind == "geneve":
        yield from geneve_faults(d, case, copy["options"], direction)


def geneve_faults(d, case, options, direction):
    names = {1: "source_port", 2: "direction", 3: "timestamp"}
    wanted = set(d.get("geneve_options", names.values()))
    if {names.get(kind) for kind in options} != wanted:
        yield f"Geneve options {options}"
    if 2 in options and options[2] != (2 if direction == "OUT" else 1):
        yield f"Geneve says direction {options[2]} of a frame that went {direction}"
    if 3 in options and not case["began"] <= options[3] <= case["ended"]:
        yield f"Geneve says {options[3]}, outside {case['began']} to {case['ended']}"


# tshark's names for what scapy has said.
FIELDS = {
    "vxlan": {"vxlan.vni": "tunnel_id", "udp.srcport": "sport"},
    "geneve": {"geneve.vni": "tunnel_id", "udp.srcport": "sport"},
    "gre": {"gre.key": "tunnel_id", "gre.sequence_number": "sequence"},
    "erspan2": {"erspan.spanid": "tunnel_id", "gre.sequence_number": "sequence", "erspan.vlan": "tag"},
    "erspan3": {"erspan.spanid": "tunnel_id", "gre.sequence_number": "sequence", "erspan.timestamp": "timestamp"},
}


def tshark_faults(copy, tshark, is_cut):
    """Where tshark does not agree with scapy, or complains; a frame that was cut may well be malformed inside."""
    if tshark is None or tshark["inner"] is None:
        yield "tshark finds no tunnel, or no frame in it"
        return
    if tshark["inner"] != copy["inner"]:
        yield "tshark finds another inner frame than scapy"
    for text in tshark["wrong"]:
        if not (is_cut and text.startswith("_ws.malformed")):
            yield f"tshark complains: {text}"
    for field, key in FIELDS[copy["encapsulation"]].items():
        if copy[key] is None:
            continue
        said = tshark["fields"].get(field)
        if said is None or int(said, 0) != copy[key]:
            yield f"tshark reads {field} {said}, scapy {copy[key]}"


def brief(copy):
    return {key: value for key, value in copy.items() if key != "inner"}
