/* ceiling: Heliostat's capture, as short as it can be written: every frame at the port's tcx ingress goes, with a
   record header of the same size, into the BPF ring buffer of this CPU. After it: ceiling.c. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "ceiling.h"

enum { NEXT = -1 }; /* TCX_NEXT */

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, BENCH_CPUS);
    __type(key, __u32);
    __array(values, struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, RING_BYTES);
    });
} rings SEC(".maps");

#define CLASS(room)                                                                                                    \
    if (length <= (room)) {                                                                                            \
        struct record *record = bpf_ringbuf_reserve(ring, sizeof *record + (room), 0);                                 \
        if (!record)                                                                                                   \
            return NEXT;                                                                                               \
        record->time = bpf_ktime_get_ns();                                                                             \
        record->length = length;                                                                                       \
        if (length == 0 || bpf_skb_load_bytes(skb, 0, record + 1, length))                                             \
            bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);                                                             \
        else                                                                                                           \
            bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);                                                              \
        return NEXT;                                                                                                   \
    }

SEC("tc")
int capture(struct __sk_buff *skb)
{
    __u32 cpu = bpf_get_smp_processor_id(), length = skb->len;
    void *ring = bpf_map_lookup_elem(&rings, &cpu);

    if (!ring)
        return NEXT;
    CLASS(80)
    CLASS(144)
    CLASS(272)
    CLASS(528)
    CLASS(1040)
    CLASS(1552)
    return NEXT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
