/* clone: the in-kernel mirror in its leanest form. `mirror` (tcx ingress of the tapped port) clones to a dummy device
   and passes the original on as it is; `encapsulate` (tcx egress of that device) puts VXLAN in front of the clone and
   redirects it to the uplink. Everything runs on the sender's CPU, in the sender's time. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

enum { NEXT = -1, DROP = 2 }; /* TCX_NEXT, TCX_DROP */

const volatile struct clone_constants set = {};

SEC("tc")
int mirror(struct __sk_buff *skb)
{
    bpf_clone_redirect(skb, set.encapsulator, 0);
    return NEXT;
}

SEC("tc")
int encapsulate(struct __sk_buff *skb)
{
    __u32 length = skb->len, hash = bpf_get_hash_recalc(skb), sum;
    struct {
        struct outer outer;
        struct ethernet inner;
    } __attribute__((packed, aligned(8))) front;
    const void *header = (const void *)&set.header;

    /* The room opens behind the Ethernet header, which becomes the outer one: the inner one is written again. */
    if (bpf_skb_load_bytes(skb, 0, &front.inner, sizeof front.inner))
        return DROP;
    if (bpf_skb_adjust_room(skb, sizeof front.outer, BPF_ADJ_ROOM_MAC,
                            BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_FIXED_GSO
                                | BPF_F_ADJ_ROOM_ENCAP_L2(14) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH))
        return DROP;
    asm volatile("" : "+r"(header)); /* else it is known to be zero */
    __builtin_memcpy(&front.outer, __builtin_assume_aligned(header, 8), sizeof front.outer);
    front.outer.ip.length = bpf_htons(length + 36);
    sum = set.sum + front.outer.ip.length;
    sum = (sum & 0xffff) + (sum >> 16);
    front.outer.ip.checksum = ~(sum + (sum >> 16));
    front.outer.udp.length = bpf_htons(length + 16);
    front.outer.udp.source = bpf_htons(49152 + (hash & 16383));
    if (bpf_skb_store_bytes(skb, 0, &front, sizeof front, 0))
        return DROP;
    return bpf_redirect(set.uplink, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
