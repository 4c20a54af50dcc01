/* encapsulate: puts the outer header of a destination in front of a frame and sends it out of the uplink, super-frames
   whole: the NIC, or the kernel for it, segments them behind the header. Before it: the egress of the device hs-encap, where
   capture.bpf.c clones frames to and the worker sends super-frames. After it: the uplink's queueing discipline.
   The bytes are those of OuterFill.swift, and so is the hash (Layers.swift, FlowHash.swift). */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "carry.h"
#include "record.h"
#include "routes.h"

/* What leads from the kernel's clock to ns since 1970. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} real_time SEC(".maps");

/* Outer header and inner Ethernet header, put together before they are written. */
struct packet {
    __u8 bytes[HS_OUTER + 16];
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct packet);
} packets SEC(".maps");

static __always_inline __u64 mixed(__u64 one, __u64 other)
{
    __u64 product = (one ^ 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;

    return (product ^ product >> 31) + other * 0x94d049bb133111ebULL;
}

static __always_inline __u64 sorted(__u64 one, __u64 other) { return one < other ? mixed(one, other) : mixed(other, one); }

static __always_inline __u32 finished(__u64 value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
    return value ^ value >> 31;
}

static __always_inline __u64 big(const __u8 *bytes, __u32 count)
{
    __u64 value = 0;

#pragma unroll
    for (__u32 index = 0; index < 8; index++) {
        if (index < count)
            value = value << 8 | bytes[index];
    }
    return value;
}

/* Hash of what stands behind the addresses, from `at` on; `sum` is theirs. */
static __always_inline __u32 hash_transport(struct __sk_buff *skb, __u32 at, __u8 transport, __u64 sum)
{
    __be16 ports[2];

    sum ^= (__u64)transport << 56;
    if ((transport == IPPROTO_TCP || transport == IPPROTO_UDP || transport == IPPROTO_SCTP) &&
        !bpf_skb_load_bytes(skb, at, ports, sizeof ports))
        sum = mixed(sum, sorted(bpf_ntohs(ports[0]), bpf_ntohs(ports[1])));
    return finished(sum);
}

static __always_inline __u32 hash_ipv4(struct __sk_buff *skb, const __u8 *ip)
{
    __u64 sum = sorted(big(ip + 12, 4), big(ip + 16, 4));

    if (big(ip + 6, 2) & 0x3fff)
        return finished(sum);
    return hash_transport(skb, ETH_HLEN + (ip[0] & 0x0f) * 4, ip[9], sum);
}

static __always_inline __u32 hash_ipv6(struct __sk_buff *skb, __u64 *words)
{
    __u64 sum = sorted(mixed(words[1], words[2]), mixed(words[3], words[4]));
    __u32 at = ETH_HLEN + 40, is_fragment = 0;
    __u8 transport = ((__u8 *)words)[6], extension[2];

#pragma unroll
    for (int count = 0; count < 5; count++) {
        if (transport != IPPROTO_HOPOPTS && transport != IPPROTO_ROUTING && transport != IPPROTO_DSTOPTS &&
            transport != IPPROTO_FRAGMENT)
            break;
        if (count == 4 || at + 8 > skb->len || bpf_skb_load_bytes(skb, at, extension, sizeof extension)) {
            transport = 0;
            break;
        }
        if (transport == IPPROTO_FRAGMENT)
            is_fragment = 1;
        at += transport == IPPROTO_FRAGMENT ? 8 : (extension[1] + 1) * 8;
        transport = extension[0];
    }
    if (at > skb->len)
        transport = 0;
    return is_fragment ? finished(sum) : hash_transport(skb, at, transport, sum);
}

/* FlowHash.symmetric of an untagged frame. */
static __always_inline __u32 hash_of(struct __sk_buff *skb, const __u8 *ethernet)
{
    __u32 type = big(ethernet + 12, 2);
    __u64 words[5];
    __u8 *ip = (__u8 *)words;

    if (type == ETH_P_IP && !bpf_skb_load_bytes(skb, ETH_HLEN, words, 20) && ip[0] >> 4 == 4 && (ip[0] & 0x0f) >= 5 &&
        ETH_HLEN + (__u32)(ip[0] & 0x0f) * 4 <= skb->len)
        return hash_ipv4(skb, ip);
    if (type == ETH_P_IPV6 && !bpf_skb_load_bytes(skb, ETH_HLEN, words, 40) && ip[0] >> 4 == 6)
        return hash_ipv6(skb, words);
    return finished(sorted(big(ethernet + 6, 6), big(ethernet, 6)) ^ type);
}

static __always_inline void put16(__u8 *at, __u32 value)
{
    at[0] = value >> 8;
    at[1] = value;
}

static __always_inline void put32(__u8 *at, __u32 value)
{
    put16(at, value >> 16);
    put16(at + 2, value);
}

/* One's complement of the sum in 16 bits (RFC 1071). */
static __always_inline __u32 checksum(__u32 sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum & 0xffff;
}

static __always_inline void fill_options(const struct hs_route *route, __u8 *header, __u32 mark)
{
    __u32 at, zero = 0;
    __u64 *offset, now;

    at = route->source_port_at & (HS_OUTER - 1);
    if (at)
        put32(header + at, mark >> HS_CARRY_SLOT_SHIFT & (HS_SLOTS - 1));
    at = route->direction_at & (HS_OUTER - 1);
    if (at)
        put32(header + at, mark & HS_CARRY_OUT ? 2 : 1);
    at = route->timestamp_at & (HS_OUTER - 1);
    if (at) {
        offset = bpf_map_lookup_elem(&real_time, &zero);
        now = bpf_ktime_get_ns() + (offset ? *offset : 0);
        put32(header + at, now >> 32);
        put32(header + at + 4, now);
    }
}

/* Everything that differs from packet to packet; `length` is that of the inner frame. */
static __always_inline void fill(const struct hs_route *route, __u8 *header, __u32 length, __u32 hash, __u32 mark)
{
    __u32 total = length + route->length - ETH_HLEN;
    __u8 *network = header + ETH_HLEN, *transport = network + 20;

    if (route->flags & HS_ROUTE_IPV6) {
        transport = network + 40;
        put32(network, big(network, 4) | hash >> 12);
        put16(network + 4, total - 40);
        total -= 40;
    } else {
        put16(network + 2, total);
        put16(network + 10, checksum(route->header_sum + total));
        total -= 20;
    }
    if (route->flags & HS_ROUTE_UDP) {
        put16(transport, route->first_port + (hash >> 16 & route->port_mask));
        put16(transport + 4, total);
    }
    fill_options(route, header, mark);
}

SEC("tc")
int encapsulate(struct __sk_buff *skb)
{
    __u32 mark = skb->mark, zero = 0, index = mark & HS_CARRY_DESTINATION, length, hash;
    __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN);
    struct hs_route *route;
    struct packet *packet;
    __u8 ethernet[ETH_HLEN];

    if (!(mark & HS_CARRY))
        return TC_ACT_SHOT; /* what the host itself says to its interfaces */
    route = bpf_map_lookup_elem(&routes, &index);
    packet = bpf_map_lookup_elem(&packets, &zero);
    if (!route || !packet || bpf_skb_load_bytes(skb, 0, ethernet, sizeof ethernet))
        return TC_ACT_SHOT;
    hash = hash_of(skb, ethernet);
    length = route->length;
    if (length < ETH_HLEN + 20 || length > HS_OUTER)
        return TC_ACT_SHOT;
    __builtin_memcpy(packet->bytes, route->header, HS_OUTER);
    fill(route, packet->bytes, skb->len, hash, mark);
    __builtin_memcpy(packet->bytes + length, ethernet, sizeof ethernet);
    flags |= route->flags & HS_ROUTE_IPV6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
    flags |= route->flags & HS_ROUTE_UDP ? BPF_F_ADJ_ROOM_ENCAP_L4_UDP : BPF_F_ADJ_ROOM_ENCAP_L4_GRE;
    if (bpf_skb_adjust_room(skb, length, BPF_ADJ_ROOM_MAC, flags))
        return TC_ACT_SHOT;
    if (bpf_skb_store_bytes(skb, 0, packet->bytes, length + ETH_HLEN, BPF_F_RECOMPUTE_CSUM))
        return TC_ACT_SHOT;
    skb->mark = HS_MARK;
    if (mark & HS_CARRY_WORKER)
        skb->queue_mapping = route->queue + 1;
    return bpf_redirect(route->interface, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
