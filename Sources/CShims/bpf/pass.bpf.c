/* pass: on a dedicated uplink whose driver sends without copying beside an XDP program alone. Everything that is received goes
   on as it would without. Before it: the driver. After it: the host. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int pass(struct xdp_md *frame)
{
    return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
