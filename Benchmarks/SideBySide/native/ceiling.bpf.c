/* ceiling: Heliostat's capture, as short as it can be written: every frame at the port's tcx ingress goes, with a
   record header of the same size, into the ring of this CPU. After it: ceiling.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "ceiling.h"

enum { NEXT = -1, SMALL = 80 }; /* TCX_NEXT */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, BENCH_CPUS); /* or fewer, by ceiling.c */
    __type(key, __u32);
    __type(value, struct ring);
} rings SEC(".maps");

/* 64 to SMALL bytes in place, what is longer by the helper. */
static __always_inline int load(struct __sk_buff *skb, void *to, __u32 length)
{
    const void *from = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
    __u32 tail = length - 64;

    barrier_var(tail);
    if (tail > SMALL - 64 || from + 64 > end)
        return length > 0 && length <= LONGEST && !bpf_skb_load_bytes(skb, 0, to, length);
#pragma unroll
    for (int at = 0; at < 64; at += 8)
        *(__u64 *)(to + at) = *(__u64 *)(from + at);
    if (tail == 0)
        return 1;
    from += tail + 48;
    to += tail + 48;
    if (from + 16 > end)
        return 0;
    *(__u64 *)to = *(__u64 *)from;
    *(__u64 *)(to + 8) = *(__u64 *)(from + 8);
    return 1;
}

SEC("tc")
int capture(struct __sk_buff *skb)
{
    __u32 cpu = bpf_get_smp_processor_id(), length = skb->len;
    volatile struct ring *ring = bpf_map_lookup_elem(&rings, &cpu);
    struct record *record;
    __u64 begin, end;

    if (!ring)
        return NEXT;
    begin = ring->produced;
    end = next_record(begin, length);
    if (end - ring->seen > RING_BYTES) {
        ring->seen = ring->consumed;
        if (end - ring->seen > RING_BYTES)
            return NEXT;
    }
    record = (void *)ring->data + (begin & (RING_BYTES - 1));
    record->time = bpf_ktime_get_ns();
    record->length = length;
    if (!load(skb, record + 1, length))
        return NEXT;
#ifdef __TARGET_ARCH_x86 /* where stores are seen in their order */
    barrier();
    ring->produced = end;
#else
    __sync_lock_test_and_set((__u64 *)&ring->produced, end);
#endif
    return NEXT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
