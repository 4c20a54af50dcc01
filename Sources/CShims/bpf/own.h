/* Never mirror the mirror: the outer tuples of our own tunnels, and the look for them in a frame. Included by the
   programs that capture, each of which says with LOAD_BYTES how it reads a frame. */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 16384);
    __type(key, struct hs_tunnel_key);
    __type(value, __u32);
} own_tunnels SEC(".maps");

struct vlan_tag {
    __be16 tci;
    __be16 protocol;
};

struct outer {
    struct iphdr ip;
    struct udphdr udp;
    __be32 vxlan_flags;
    __be32 vxlan_id;
};

/* Whether the outer tuple of a frame is one of ours. */
static __always_inline int is_own(void *frame)
{
    struct outer outer;
    struct hs_tunnel_key key = {};
    struct vlan_tag tag;
    __be16 protocol;
    __u32 at = sizeof(struct ethhdr);

    if (LOAD_BYTES(frame, 12, &protocol, sizeof protocol))
        return 0;
#pragma unroll
    for (int depth = 0; depth < 2; depth++) {
        if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
            break;
        if (LOAD_BYTES(frame, at, &tag, sizeof tag))
            return 0;
        protocol = tag.protocol;
        at += sizeof tag;
    }
    if (protocol != bpf_htons(ETH_P_IP) || LOAD_BYTES(frame, at, &outer, sizeof outer))
        return 0;
    if (outer.ip.protocol != IPPROTO_UDP || outer.ip.ihl != 5)
        return 0;
    key.source = outer.ip.saddr;
    key.remote = outer.ip.daddr;
    key.tunnel_id = outer.vxlan_id & bpf_htonl(0xffffff00);
    key.udp_port = outer.udp.dest;
    return bpf_map_lookup_elem(&own_tunnels, &key) != 0;
}
