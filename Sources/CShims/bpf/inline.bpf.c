/* inline: a bump in the wire. What one port of a pair receives goes into the AF_XDP socket of its queue, whose reader
   sends it out of the other one; while that reader is gone or hung, from port to port right here. Before it: the driver.
   After it: InlineCarry.swift, or the other port's driver.

   Nothing is ever passed to the host, and nothing waits: a heartbeat older than HS_INLINE_PATIENCE, a queue without a
   socket, and copies of ours (which must not be mirrored again) take the short way. Both programs are held by pinned
   links, so this goes on when the process ends. No frames of several buffers: few drivers send them. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define FRAME struct xdp_md
#define LOAD_BYTES bpf_xdp_load_bytes
#include "own.h"

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 2 * HS_INLINE_QUEUES);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

/* By the side that a frame comes from: the interface that it leaves through. */
struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u32);
} wire SEC(".maps");

/* CLOCK_MONOTONIC in ns, written by the worker through its own mapping. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(map_flags, BPF_F_MMAPABLE);
    __type(key, __u32);
    __type(value, __u64);
} heartbeat SEC(".maps");

/* By side: frames that went from port to port because nobody read them. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} bypassed SEC(".maps");

static __always_inline int carry(struct xdp_md *frame, __u32 side)
{
    __u32 zero = 0, queue = frame->rx_queue_index, key = side * HS_INLINE_QUEUES + queue;
    volatile __u64 *beat = bpf_map_lookup_elem(&heartbeat, &zero);
    __u64 *count;

    if (is_own(frame))
        return bpf_redirect_map(&wire, side, XDP_DROP);
    /* Signed: a beat may be written after the clock was read. */
    if (queue < HS_INLINE_QUEUES && beat && (__s64)(bpf_ktime_get_ns() - *beat) <= HS_INLINE_PATIENCE &&
        bpf_map_lookup_elem(&sockets, &key))
        return bpf_redirect_map(&sockets, key, XDP_DROP);
    count = bpf_map_lookup_elem(&bypassed, &side);
    if (count)
        ++*count;
    return bpf_redirect_map(&wire, side, XDP_DROP);
}

SEC("xdp")
int inline_first(struct xdp_md *frame) { return carry(frame, 0); }

SEC("xdp")
int inline_second(struct xdp_md *frame) { return carry(frame, 1); }

char _license[] SEC("license") = "Dual BSD/GPL";
