/* broadcast: the mirror of XDP itself. `mirror` (XDP of the tapped port) redirects each frame to all devices of a
   devmap: p-dst as it is, and the uplink, at which `encapsulate` puts VXLAN in front. No skb is made on the host. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

const volatile struct clone_constants set = {};

struct {
    __uint(type, BPF_MAP_TYPE_DEVMAP);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, struct bpf_devmap_val);
} outputs SEC(".maps");

SEC("xdp")
int mirror(struct xdp_md *context)
{
    return bpf_redirect_map(&outputs, 0, BPF_F_BROADCAST);
}

SEC("xdp/devmap")
int encapsulate(struct xdp_md *context)
{
    struct frame *frame = (void *)(long)context->data;
    const void *header = (const void *)&set.header;
    __u32 length = (__u32)(context->data_end - context->data), hash, sum;
    struct outer *outer;

    if ((void *)(frame + 1) > (void *)(long)context->data_end)
        return XDP_DROP;
    hash = (frame->ip.source ^ frame->ip.destination ^ (__u32)(frame->udp.source ^ frame->udp.destination) << 7) * 0x9e3779b1;
    if (bpf_xdp_adjust_head(context, -(int)sizeof *outer))
        return XDP_DROP;
    outer = (void *)(long)context->data;
    if ((void *)(outer + 1) > (void *)(long)context->data_end)
        return XDP_DROP;
    asm volatile("" : "+r"(header)); /* else it is known to be zero */
    __builtin_memcpy(outer, __builtin_assume_aligned(header, 8), sizeof *outer);
    outer->ip.length = bpf_htons(length + 36);
    sum = set.sum + outer->ip.length;
    sum = (sum & 0xffff) + (sum >> 16);
    outer->ip.checksum = ~(sum + (sum >> 16));
    outer->udp.length = bpf_htons(length + 16);
    outer->udp.source = bpf_htons(49152 + ((hash ^ hash >> 15) & 16383));
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
