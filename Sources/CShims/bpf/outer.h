/* The outer headers of a tunnelled frame: which tunnel it belongs to. Included by the programs that must know their own
   tunnels (own.h) and those of their peers (deliver.bpf.c), each of which says with LOAD_BYTES how it reads a frame. It
   runs for every frame: one that is neither UDP nor GRE is let go after the first load. */
#pragma once
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

/* An EtherType and what of an IP header decides: as much as the shortest IPv4 header has. */
struct network {
    __be16 protocol;
    __u8 ip[20];
};

/* UDP and the first words of VXLAN (RFC 7348 section 5) or Geneve (RFC 8926 section 3.4), which agree about the VNI. */
struct udp_tunnel {
    __be16 source, destination, length, check;
    __be32 first, vni;
};

/* RFC 2784, RFC 2890. */
struct gre {
    __be16 flags, protocol;
};

enum { GRE_CHECKSUM = 0x8000, GRE_KEY = 0x2000, GRE_SEQUENCE = 0x1000 };

/* Most of what is UDP is neither: VXLAN has the I bit, Geneve carries Ethernet. */
static __always_inline int is_udp_tunnel(__be32 first)
{
    return first & bpf_htonl(0x08000000) || (first & bpf_htonl(0xffff)) == bpf_htonl(HS_GRE_ETHERNET);
}

/* The id of a VXLAN or Geneve packet at `at` into `key`; 0 for anything else. */
static __always_inline int read_udp(void *frame, __u32 at, struct hs_tunnel_key *key)
{
    struct udp_tunnel udp;

    if (LOAD_BYTES(frame, at, &udp, sizeof udp))
        return 0;
    if (!is_udp_tunnel(udp.first))
        return 0;
    key->udp_port = udp.destination;
    key->tunnel_id = udp.vni & bpf_htonl(0xffffff00);
    return 1;
}

/* The same for GRE: the key of an Ethernet frame, the session id of ERSPAN, which is behind the sequence number. */
static __always_inline int read_gre(void *frame, __u32 at, struct hs_tunnel_key *key)
{
    struct gre gre;

    if (LOAD_BYTES(frame, at, &gre, sizeof gre))
        return 0;
    at += sizeof gre;
    if (gre.flags & bpf_htons(GRE_CHECKSUM))
        at += 4;
    key->gre_protocol = gre.protocol;
    if (gre.protocol == bpf_htons(HS_GRE_ETHERNET))
        return gre.flags & bpf_htons(GRE_KEY) && !LOAD_BYTES(frame, at, &key->tunnel_id, 4);
    if (gre.protocol != bpf_htons(HS_GRE_ERSPAN2) && gre.protocol != bpf_htons(HS_GRE_ERSPAN3))
        return 0;
    if (gre.flags & bpf_htons(GRE_KEY))
        at += 4;
    if (gre.flags & bpf_htons(GRE_SEQUENCE))
        at += 4;
    if (LOAD_BYTES(frame, at, &key->tunnel_id, 4))
        return 0;
    key->tunnel_id &= bpf_htonl(0x3ff);
    return 1;
}

/* The outer tuple of a frame into `key`, which is zero: where its UDP or GRE header begins, or 0 for anything else. */
static __always_inline __u32 read_tunnel(void *frame, struct hs_tunnel_key *key)
{
    struct network network;
    __u32 at = sizeof(struct ethhdr);
    __u8 transport;

#pragma unroll
    for (int depth = 0; depth < 3; depth++) {
        if (LOAD_BYTES(frame, at - 2, &network, sizeof network))
            return 0;
        if (network.protocol != bpf_htons(ETH_P_8021Q) && network.protocol != bpf_htons(ETH_P_8021AD))
            break;
        at += 4;
    }
    if (network.protocol == bpf_htons(ETH_P_IP)) {
        transport = network.ip[9];
        if (transport != IPPROTO_UDP && transport != IPPROTO_GRE)
            return 0;
        key->version = 4;
        __builtin_memcpy(key->source, network.ip + 12, 4);
        __builtin_memcpy(key->remote, network.ip + 16, 4);
        at += (network.ip[0] & 0x0f) * 4;
    } else if (network.protocol == bpf_htons(ETH_P_IPV6)) {
        transport = network.ip[6];
        if (transport != IPPROTO_UDP && transport != IPPROTO_GRE && transport != IPPROTO_DSTOPTS)
            return 0;
        key->version = 6;
        /* Source and destination follow each other in the header as in the key. */
        if (LOAD_BYTES(frame, at + 8, key->source, sizeof key->source + sizeof key->remote))
            return 0;
        at += 40;
        /* The kernel's ip6gre puts a tunnel encapsulation limit (RFC 2473 section 4.1.1) in front of GRE. */
        if (transport == IPPROTO_DSTOPTS) {
            __u8 options[2];

            if (LOAD_BYTES(frame, at, options, sizeof options))
                return 0;
            transport = options[0];
            at += (options[1] + 1) * 8;
        }
    } else {
        return 0;
    }
    if (transport == IPPROTO_UDP ? !read_udp(frame, at, key) : transport != IPPROTO_GRE || !read_gre(frame, at, key))
        return 0;
    return at;
}
