/* steer: every frame of a `span` port into the AF_XDP socket of its queue. Before it: the driver. After it:
   the socket's RX ring, read by SpanReceive.swift. A queue without a socket keeps its frames, and so does the host those
   that are copies of ours coming back (XDP_PASS): taken in, they would be sent again and again. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define FRAME struct xdp_md
#define LOAD_BYTES bpf_xdp_load_bytes
#include "own.h"

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 256);
    __type(key, __u32);
    __type(value, __u32);
} sockets SEC(".maps");

SEC("xdp.frags")
int steer(struct xdp_md *frame)
{
    if (is_own(frame))
        return XDP_PASS;
    return bpf_redirect_map(&sockets, frame->rx_queue_index, XDP_PASS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
