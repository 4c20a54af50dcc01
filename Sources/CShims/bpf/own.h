/* Never mirror the mirror: the outer tuples of our own tunnels, and the look for them in a frame. Included by the
   programs that capture. */
#pragma once
#include "outer.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, struct hs_tunnel_key);
    __type(value, __u32);
} own_tunnels SEC(".maps");

/* Whether the outer tuple of a frame is one of ours. */
static __always_inline int is_own(void *frame)
{
    struct hs_tunnel_key key = {};

    return read_tunnel(frame, &key) && bpf_map_lookup_elem(&own_tunnels, &key) != 0;
}
