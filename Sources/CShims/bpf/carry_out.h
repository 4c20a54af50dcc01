/* The kernel's own way of a copy: a clone into hs-encap, where encapsulate.bpf.c takes it up within the call. Part of
   capture.bpf.c, for taps whose engine is the kernel.
   A frame goes one way to all its destinations, and a flow with all its frames: what a helper does not take (tagged,
   tunnelled, not IP), and what is to be cut, is left to the worker. */
#pragma once

/* SKB_GSO_* (linux/skbuff.h): TCPV4, DODGY, TCP_ECN, TCP_FIXEDID (bit 3; 30 since 6.18), TCPV6, UDP_L4, TCP_ACCECN. */
enum { CARRIED_OFFLOADS = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 17 | 1 << 19 | 1 << 30 };

/* SKB_GSO_TCPV4, SKB_GSO_TCPV6. */
enum { CARRIED_TCP = 1 << 0 | 1 << 4 };

/* Longest IP packet; in front of it is an Ethernet header. */
enum { LONGEST_PACKET = 65535 };

static __always_inline int is_simple(struct __sk_buff *skb)
{
    struct sk_buff___hs *kernel = bpf_cast_to_kern_ctx(skb);

    if (skb->vlan_present || (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6)) ||
        BPF_CORE_READ_BITFIELD(kernel, encapsulation))
        return 0;
    if (skb->gso_size) {
        struct skb_shared_info___hs *shared = (void *)(kernel->head + kernel->end);

        return !(BPF_CORE_READ(shared, gso_type) & ~CARRIED_OFFLOADS);
    }
    return 1;
}

/* Whether the kernel would carry a super-frame, in a clone that shares its pages, as far as the uplink: one that takes
   those of TCP need not take those of UDP. */
static __always_inline int is_cloned_whole(struct __sk_buff *skb, __u8 marks)
{
    struct sk_buff___hs *kernel = bpf_cast_to_kern_ctx(skb);
    struct skb_shared_info___hs *shared = (void *)(kernel->head + kernel->end);

    return !marks && is_simple(skb) && BPF_CORE_READ(shared, gso_type) & CARRIED_TCP;
}

/* Bytes of headers that every segment of a super-frame has, or 0 where they are not that simple. */
static __always_inline __u32 repeated(struct __sk_buff *skb)
{
    __u32 at = 14 + 40;
    __u8 transport, words;

    if (skb->protocol == bpf_htons(ETH_P_IP)) {
        if (bpf_skb_load_bytes(skb, 14, &words, 1) || bpf_skb_load_bytes(skb, 14 + 9, &transport, 1))
            return 0;
        at = 14 + (words & 0x0f) * 4;
    } else if (bpf_skb_load_bytes(skb, 14 + 6, &transport, 1)) {
        return 0;
    }
    if (transport == IPPROTO_UDP)
        return at + 8;
    if (transport != IPPROTO_TCP || bpf_skb_load_bytes(skb, at + 12, &words, 1))
        return 0;
    return at + (words >> 4) * 4;
}

static __always_inline void note(struct hs_tally *tally, long result, __u32 frames, __u32 bytes)
{
    if (result) {
        tally->refused += frames;
    } else {
        tally->frames += frames;
        tally->bytes += bytes;
    }
}

/* Sends copies to the destinations that the kernel carries of `taps`; returns the taps that are left to the worker. */
static __always_inline __u64 carry(struct __sk_buff *skb, struct hs_capture *capture, __u64 taps, __u8 marks)
{
    __u64 key = (__u64)capture->generation << 32 | (port_slot * 2 + port_direction), wanted = taps & capture->carried;
    __u32 frames = 1, bytes = skb->len, longest = skb->len, mark, devices[HS_REACHES] = {};
    struct hs_carried *rows;

    if (!wanted || marks || !is_simple(skb))
        return taps;
    rows = bpf_map_lookup_elem(&carried, &key);
    if (!rows)
        return taps;
    if (skb->gso_size) {
        __u32 headers = repeated(skb);

        if (!headers)
            return taps;
        frames = wire_frames(skb);
        longest = skb->gso_size + headers;
        bytes += (frames - 1) * headers;
    }
#pragma unroll
    for (__u32 index = 0; index < HS_REACHES; index++) {
        struct hs_reach *reach = &rows->reach[index];

        if (index < rows->reaches && reach->taps & wanted) {
            struct hs_route *route = bpf_map_lookup_elem(&routes, &reach->destination);

            if (!route || !(route->flags & HS_ROUTE_CARRIES) || longest > route->limit ||
                skb->len + route->length > 14 + LONGEST_PACKET)
                return taps;
            devices[index] = route->device;
        }
    }
    mark = skb->mark;
#pragma unroll
    for (__u32 index = 0; index < HS_REACHES; index++) {
        struct hs_reach *reach = &rows->reach[index];
        long result;

        if (!devices[index])
            continue;
        skb->mark = HS_CARRY | reach->destination | port_slot << HS_CARRY_SLOT_SHIFT |
                    (port_direction == HS_OUT ? HS_CARRY_OUT : 0);
        result = bpf_clone_redirect(skb, devices[index], 0);
        note(&reach->tally, result, frames, bytes);
#pragma unroll
        for (__u32 tap = 0; tap < HS_REACHES; tap++) {
            if (rows->tap[tap].bit & reach->taps & wanted)
                note(&rows->tap[tap].tally, result, frames, bytes);
        }
    }
    skb->mark = mark;
    return taps & ~capture->carried;
}
