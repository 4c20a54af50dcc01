/* redirect: every run of this program makes a copy that waits in the queue an XDP frame of the uplink's. Before it:
   ceiling.c, which runs it for a batch with BPF_F_TEST_XDP_LIVE_FRAMES. After it: the uplink's ndo_xdp_xmit. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "redirect.h"

struct chunk {
    __u8 bytes[CHUNK];
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, CHUNKS);
    __type(key, __u32);
    __type(value, struct chunk);
} area SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct copy_queue);
} queue SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u32);
} uplink SEC(".maps");

SEC("xdp")
int redirect(struct xdp_md *context)
{
    __u32 zero = 0;
    struct copy_queue *copies = bpf_map_lookup_elem(&queue, &zero);

    /* It is attached to the loopback too, and not for its frames. What is in a frame says nothing: pages are used again as they are. */
    if (!copies || copies->next == copies->end)
        return XDP_PASS;
    struct queued_copy *copy = &copies->copies[copies->next++ & (QUEUE - 1)];
    __u32 number = copy->chunk, length = copy->length;
    struct chunk *chunk = bpf_map_lookup_elem(&area, &number);

    if (!chunk || length < FRAME_BEFORE || length > CHUNK || bpf_xdp_adjust_tail(context, (int)length - FRAME_BEFORE)
        || bpf_xdp_store_bytes(context, 0, chunk, length)) {
        copies->refused++;
        return XDP_DROP;
    }
    return bpf_redirect_map(&uplink, 0, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
