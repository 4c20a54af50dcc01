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

/* Whether a frame may be of a tunnel, by its first bytes as they lie there: nearly all that is not is told so without a
   call, and calls are what the way of a frame that is captured is made of. */
static __always_inline int may_be_tunnelled(const __u8 *data, const __u8 *end)
{
    __be32 first;
    __be16 type;
    __u8 transport;

    if (data + 46 > end)
        return 1;
    type = *(__be16 *)(data + 12);
    if (type == bpf_htons(ETH_P_IP)) {
        transport = data[23];
        first = *(__be32 *)(data + 42);
        if (data[14] != 0x45)
            return 1;
    } else if (type == bpf_htons(ETH_P_IPV6)) {
        transport = data[20];
        first = data + 66 > end ? ~0u : *(__be32 *)(data + 62);
    } else {
        return type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD);
    }
    if (transport == IPPROTO_UDP)
        return is_udp_tunnel(first);
    return transport == IPPROTO_GRE || transport == IPPROTO_DSTOPTS;
}

/* Whether the outer tuple of a frame is one of ours. */
static __always_inline int is_own(FRAME *frame)
{
    struct hs_tunnel_key key = {};

    if (!may_be_tunnelled((void *)(long)frame->data, (void *)(long)frame->data_end))
        return 0;
    return read_tunnel(frame, &key) && bpf_map_lookup_elem(&own_tunnels, &key) != 0;
}
