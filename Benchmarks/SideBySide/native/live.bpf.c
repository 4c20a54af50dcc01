/* live: every run of this program is one frame of the XDP source: numbered, and redirected out of src's veth, so that
   the host's end receives an XDP frame as it would from a NIC or from vhost. Before it: live.c. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

const volatile struct live_constants set = {};

/* Alone on its CPU while it runs: no softirq comes between. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} last SEC(".maps");

SEC("xdp")
int number(struct xdp_md *context)
{
    struct frame *frame = (void *)(long)context->data;
    __u32 zero = 0;
    __u64 *sequence = bpf_map_lookup_elem(&last, &zero);

    if (!sequence || (void *)(frame + 1) > (void *)(long)context->data_end)
        return XDP_ABORTED;
    ++*sequence;
    frame->sequence = *sequence;
    frame->udp.source = bpf_htons(1024 + *sequence % set.flows);
    return bpf_redirect(set.device, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
