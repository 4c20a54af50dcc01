/* capture: a copy of every matched frame of a `tap` port into the ring of this CPU. Before it: tcx (or clsact) on
   the port's ingress and egress. After it: CaptureRings.swift, which reads the rings through mmap.
   The original is never touched and never waits: no room in the ring is a count, nothing else. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

#define LOAD_BYTES bpf_skb_load_bytes
#include "own.h"

/* TCX_NEXT (linux/bpf.h since 6.6), which clsact reads as TC_ACT_UNSPEC: other people's programs decide. */
#define NEXT -1

/* Set for each attachment before it is loaded: an ifindex would be ambiguous across namespaces. */
const volatile __u32 port_slot = 0;
const volatile __u8 port_direction = HS_IN;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1);
    __type(key, __u32);
    __array(values, struct {
        __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
        __uint(max_entries, HS_SLOTS * 2);
        __uint(key_size, sizeof(__u32));
        __uint(value_size, sizeof(struct hs_capture));
    });
} program SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1); /* the number of possible CPUs, set by the loader */
    __type(key, __u32);
    __array(values, struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 1 << 20);
    });
} rings SEC(".maps");

/* 1 while the worker sleeps. Whoever commits a record then takes it back to 0 and wakes. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} need_wakeup SEC(".maps");

#ifdef HS_NO_KERNEL_FIELDS

static __always_inline void read_offloads(struct __sk_buff *skb, struct hs_record *record)
{
    record->flags |= HS_CHECKSUM_UNKNOWN;
    record->gso_type = 0;
}

#else

/* The kernel's own sk_buff, as far as it is read here; offsets come from the running kernel's BTF. */
struct skb_shared_info___hs {
    unsigned int gso_type;
} __attribute__((preserve_access_index));

struct sk_buff___hs {
    unsigned char *head, *data;
    unsigned int end;
    __u16 csum_start, csum_offset;
    __u8 ip_summed : 2;
} __attribute__((preserve_access_index));

enum { IP_SUMMED_PARTIAL = 3 }; /* CHECKSUM_PARTIAL, linux/skbuff.h */

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

static __always_inline void read_offloads(struct __sk_buff *skb, struct hs_record *record)
{
    struct sk_buff___hs *kernel = bpf_cast_to_kern_ctx(skb);

    record->gso_type = 0;
    if (BPF_CORE_READ_BITFIELD(kernel, ip_summed) == IP_SUMMED_PARTIAL) {
        record->flags |= HS_CHECKSUM_PARTIAL;
        record->csum_start = kernel->csum_start - (__u16)(kernel->data - kernel->head);
        record->csum_offset = kernel->csum_offset;
    }
    if (record->gso_size) {
        struct skb_shared_info___hs *shared = (void *)(kernel->head + kernel->end);

        record->gso_type = BPF_CORE_READ(shared, gso_type);
    }
}

#endif

/* Fills and commits one reserved record whose room behind the header is `room`, a constant; 0 if it could not. */
static __always_inline int fill(struct __sk_buff *skb, struct hs_record *record, __u32 length, __u32 room,
                                __u32 frames, const struct hs_capture *capture)
{
    __u64 flags = BPF_RB_NO_WAKEUP, barrier = 0, *asleep;
    __u32 zero = 0;

    record->time = bpf_ktime_get_ns();
    record->taps = capture->taps;
    record->generation = capture->generation;
    record->slot = port_slot;
    record->direction = port_direction;
    record->flags = 0;
    record->length = skb->len;
    record->captured = length;
    record->gso_size = skb->gso_size;
    record->gso_segments = frames;
    record->csum_start = 0;
    record->csum_offset = 0;
    record->vlan_protocol = 0;
    record->vlan_tci = 0;
    if (skb->vlan_present) {
        record->flags = HS_VLAN;
        record->vlan_protocol = bpf_ntohs(skb->vlan_proto);
        record->vlan_tci = skb->vlan_tci;
    }
    read_offloads(skb, record);
    if (length == 0 || length > room || bpf_skb_load_bytes(skb, 0, record + 1, length)) {
        bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
        return 0;
    }
    /* The worker sets the word and then looks at the rings again; here the reservation must come before the look at
       the word. An atomic on a word of our own is that barrier without sharing a cache line between CPUs. */
    __sync_fetch_and_add(&barrier, 1);
    asleep = bpf_map_lookup_elem(&need_wakeup, &zero);
    if (asleep && *asleep && __sync_lock_test_and_set(asleep, 0))
        flags = BPF_RB_FORCE_WAKEUP;
    bpf_ringbuf_submit(record, flags);
    return 1;
}

/* Room is reserved by size class, since the verifier wants a constant; what a class wastes is ring space only. */
#define CLASS(room)                                                                                                    \
    if (length <= (room)) {                                                                                            \
        struct hs_record *record = bpf_ringbuf_reserve(ring, sizeof(struct hs_record) + (room), 0);                    \
        if (record && fill(skb, record, length, room, frames, capture))                                                 \
            return NEXT;                                                                                                \
        goto lost;                                                                                                      \
    }

/* How many frames on the wire: a virtual machine's super-frames come without their number of segments. */
static __always_inline __u32 wire_frames(struct __sk_buff *skb)
{
    if (skb->gso_segs || !skb->gso_size)
        return skb->gso_segs ?: 1;
    return (skb->len + skb->gso_size - 1) / skb->gso_size;
}

SEC("tc")
int capture(struct __sk_buff *skb)
{
    __u32 zero = 0, cpu = bpf_get_smp_processor_id(), index = port_slot * 2 + port_direction;
    __u32 length = skb->len, frames;
    struct hs_capture *capture;
    void *current, *ring;

    current = bpf_map_lookup_elem(&program, &zero);
    if (!current)
        return NEXT;
    capture = bpf_map_lookup_elem(current, &index);
    if (!capture || !capture->taps || skb->mark == HS_MARK || is_own(skb))
        return NEXT;
    frames = wire_frames(skb);
    capture->matched += frames;
    ring = bpf_map_lookup_elem(&rings, &cpu);
    if (!ring)
        goto lost;
    if (length > HS_LONGEST_FRAME)
        length = HS_LONGEST_FRAME;
    CLASS(80)
    CLASS(144)
    CLASS(272)
    CLASS(528)
    CLASS(1040)
    CLASS(1552)
    CLASS(3088)
    CLASS(6160)
    CLASS(9232)
    CLASS(18448)
    CLASS(36880)
    CLASS(HS_LONGEST_FRAME)
lost:
    capture->lost += frames;
    return NEXT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
