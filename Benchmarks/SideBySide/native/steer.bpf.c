/* steer: every frame of a queue goes to the AF_XDP socket that is bound to it, for zerocopy.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, BENCH_CPUS);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

SEC("xdp")
int steer(struct xdp_md *context)
{
    return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
