/* live: every run makes the next copy that waits an XDP frame of the uplink. Before it: a worker, which runs it for many copies
   at once (BPF_F_TEST_XDP_LIVE_FRAMES). After it: the uplink's ndo_xdp_xmit. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "live.h"

struct live_queue {
    struct hs_live_head head;
    __u8 bytes[HS_LIVE_ROOM];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct live_queue);
} queues SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} uplink SEC(".maps");

SEC("xdp")
int live(struct xdp_md *frame)
{
    __u32 zero = 0;
    struct live_queue *queue = bpf_map_lookup_elem(&queues, &zero);

    /* It is attached to a loopback too, where nothing comes. */
    if (!queue || queue->head.next == queue->head.end)
        return XDP_PASS;
    struct hs_live_copy *copy = &queue->head.copies[queue->head.next++ & (HS_LIVE_MOST - 1)];
    __u32 length = copy->length, offset = copy->offset;

    /* What is in the frame says nothing: the kernel uses the pages of one run again as they are. */
    if (length < HS_LIVE_START || length > HS_LIVE_LONGEST || offset > HS_LIVE_ROOM - HS_LIVE_LONGEST
        || bpf_xdp_adjust_tail(frame, (int)length - HS_LIVE_START) || bpf_xdp_store_bytes(frame, 0, queue->bytes + offset, length)
        || bpf_redirect_map(&uplink, 0, XDP_DROP) != XDP_REDIRECT) {
        queue->head.refused++;
        return XDP_DROP;
    }
    return XDP_REDIRECT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
