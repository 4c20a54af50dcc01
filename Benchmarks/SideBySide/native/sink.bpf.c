/* sink: counts originals or copies where they arrive (tcx ingress) and drops them there, so that counting costs every
   mirror the same little. Before it: the veth of dst or mon. After it: sink.c reads the counters through mmap. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "frame.h"

enum { PASS = 0, DROP = 2 }; /* TCX_PASS, TCX_DROP */

const volatile struct sink_constants set = {};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, BENCH_CPUS);
    __type(key, __u32);
    __type(value, struct seen);
} seen_by_cpu SEC(".maps");

static __always_inline int is_outer_right(const struct outer *outer, __u32 length)
{
    return outer->ethernet.type == bpf_htons(0x0800) && outer->ip.version == 0x45 && outer->ip.protocol == 17
        && outer->ip.length == bpf_htons(length - sizeof outer->ethernet)
        && outer->udp.destination == bpf_htons(VXLAN_PORT)
        && outer->udp.length == bpf_htons(length - sizeof outer->ethernet - sizeof outer->ip)
        && outer->vxlan.flags == bpf_htonl(0x08000000) && outer->vxlan.vni == bpf_htonl(set.vni << 8);
}

static __always_inline int count(struct __sk_buff *skb, struct seen *seen, const struct frame *frame, __u32 length,
                                 int is_right)
{
    if (frame->magic != bpf_htonl(BENCH_MAGIC)) {
        seen->other++;
        seen->other_bytes += length;
        return set.is_tunnelled && is_right ? DROP : PASS; /* nobody listens to a copy of something else */
    }
    if (!is_right || frame->ip.length != bpf_htons(length - sizeof frame->ethernet)) {
        seen->bad++;
        return DROP;
    }
    seen->frames++;
    seen->bytes += length;
    seen->sequences += frame->sequence;
    if (frame->sent) {
        __u64 bucket = (bpf_ktime_get_ns() - frame->sent) / 100;

        if (bucket >= BENCH_BUCKETS)
            bucket = BENCH_BUCKETS - 1;
        seen->latency[bucket]++;
    }
    return DROP;
}

SEC("tc")
int sink(struct __sk_buff *skb)
{
    __u32 cpu = bpf_get_smp_processor_id();
    struct {
        struct outer outer;
        struct frame frame;
    } __attribute__((packed)) both;
    struct seen *seen = bpf_map_lookup_elem(&seen_by_cpu, &cpu);

    if (!seen)
        return PASS;
    if (set.is_tunnelled) {
        if (bpf_skb_load_bytes(skb, 0, &both, sizeof both)) {
            seen->other++;
            return PASS;
        }
        return count(skb, seen, &both.frame, skb->len - sizeof both.outer, is_outer_right(&both.outer, skb->len));
    }
    if (bpf_skb_load_bytes(skb, 0, &both.frame, sizeof both.frame)) {
        seen->other++;
        return PASS;
    }
    return count(skb, seen, &both.frame, skb->len, 1);
}

char _license[] SEC("license") = "Dual BSD/GPL";
