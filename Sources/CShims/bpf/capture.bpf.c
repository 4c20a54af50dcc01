/* capture: a copy of every matched frame of a port into the ring of this CPU. Before it: tcx (or clsact) on
   the port's ingress and egress. After it: CaptureRings.swift, which reads the rings through mmap.
   The original is never touched and never waits: no room in the ring is a count, nothing else. */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

#ifdef HS_XDP
#define FRAME struct xdp_md
#define LOAD_BYTES bpf_xdp_load_bytes
#define NEXT XDP_PASS
#else
#define FRAME struct __sk_buff
#define LOAD_BYTES bpf_skb_load_bytes
/* TCX_NEXT (linux/bpf.h since 6.6), which clsact reads as TC_ACT_UNSPEC: other people's programs decide. */
#define NEXT -1
#endif
#include "load.h"
#include "own.h"
#include "ring.h"
#include "routes.h"

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

#ifndef HS_XDP

/* The filter programs of all capture points and generations; `filter` of an entry is a place in it. */
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, HS_FILTERS);
    __type(key, __u32);
    __type(value, __u32);
} filters SEC(".maps");

/* Stands for the entries of the one generation that a filter program is loaded for (FilterProgram.swift): what it
   chooses and the generation that it writes into the record can never be of two programs. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct hs_capture);
} entries SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, struct hs_view);
} view_of_cpu SEC(".maps");

/* What the kernel carries by itself, by generation and capture point. */
struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, HS_SLOTS * 4);
    __type(key, __u64);
    __type(value, struct hs_carried);
} carried SEC(".maps");

static __always_inline __u32 frame_length(FRAME *frame) { return frame->len; }
static __always_inline __u32 segment_size(FRAME *frame) { return frame->gso_size; }
static __always_inline int is_marked(FRAME *frame) { return frame->mark == HS_MARK; }

/* How many frames on the wire a super-frame is: a virtual machine's super-frames come without their number of segments. */
static __always_inline __u32 wire_frames(FRAME *frame)
{
    return frame->gso_segs ?: (frame->len + frame->gso_size - 1) / frame->gso_size;
}

static __always_inline void read_tag(FRAME *frame, struct hs_record *record)
{
    if (!frame->vlan_present)
        return;
    record->flags |= HS_VLAN;
    record->vlan_protocol = bpf_ntohs(frame->vlan_proto);
    record->vlan_tci = frame->vlan_tci;
}

#endif

#if defined HS_XDP

/* A driver hands over what came in: no super-frame, no mark. A veth hands over checksums that its sender has left to a
   NIC, and nothing tells them. The verifier must see that 32 bits are all of a length. */
static __always_inline __u32 frame_length(FRAME *frame) { return bpf_xdp_get_buff_len(frame) & 0x7fffffff; }
static __always_inline __u32 segment_size(FRAME *frame) { return 0; }
static __always_inline int is_marked(FRAME *frame) { return 0; }
static __always_inline __u32 wire_frames(FRAME *frame) { return 1; }
static __always_inline int is_partial(FRAME *frame) { return 1; }

#ifdef HS_XDP_TAG

/* Linux 6.8: the tag that a NIC, or the sender of a veth, has put beside the frame. The driver's own function takes the
   place of this one in a program that is bound to its device. */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *, __be16 *, __u16 *) __ksym;

static __always_inline void read_tag(FRAME *frame, struct hs_record *record)
{
    __be16 protocol = 0;
    __u16 tci = 0;

    if (bpf_xdp_metadata_rx_vlan_tag(frame, &protocol, &tci))
        return;
    record->flags |= HS_VLAN;
    record->vlan_protocol = bpf_ntohs(protocol);
    record->vlan_tci = tci;
}

#else
static __always_inline void read_tag(FRAME *frame, struct hs_record *record) {}
#endif

static __always_inline void read_offloads(FRAME *frame, struct hs_record *record)
{
    record->flags |= HS_CHECKSUM_UNKNOWN;
    record->gso_type = 0;
}

#elif defined HS_NO_KERNEL_FIELDS

/* Whether the checksum is left to a NIC cannot be told: then it may be. */
static __always_inline int is_partial(struct __sk_buff *skb) { return 1; }

/* Any checksum may be completed; none lies in the first 40 bytes. */
static __always_inline void read_completed(struct __sk_buff *skb, struct hs_view *view)
{
    view->from[2] = 40;
    view->to[2] = ~0u;
}

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
    __u8 encapsulation : 1;
} __attribute__((preserve_access_index));

enum { IP_SUMMED_PARTIAL = 3 }; /* CHECKSUM_PARTIAL, linux/skbuff.h */

extern void *bpf_cast_to_kern_ctx(void *) __ksym;

static __always_inline int is_partial(struct __sk_buff *skb)
{
    struct sk_buff___hs *kernel = bpf_cast_to_kern_ctx(skb);

    return BPF_CORE_READ_BITFIELD(kernel, ip_summed) == IP_SUMMED_PARTIAL;
}

static __always_inline void read_completed(struct __sk_buff *skb, struct hs_view *view)
{
    struct sk_buff___hs *kernel = bpf_cast_to_kern_ctx(skb);

    if (BPF_CORE_READ_BITFIELD(kernel, ip_summed) != IP_SUMMED_PARTIAL)
        return;
    view->from[2] = (__u16)(kernel->csum_start - (__u16)(kernel->data - kernel->head)) + kernel->csum_offset + view->shift;
    view->to[2] = view->from[2] + 2;
}

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

#if defined HS_XDP || defined HS_NO_KERNEL_FIELDS

static __always_inline int is_cloned_whole(FRAME *frame, __u8 marks) { return 0; }
static __always_inline __u64 carry(FRAME *frame, struct hs_capture *capture, __u64 taps, __u8 marks) { return taps; }

#else
#include "carry_out.h"
#endif

/* Fills a record and the room behind it; 0 if the frame's bytes cannot be read. */
static __always_inline int fill(FRAME *frame, struct hs_record *record, __u32 length, __u32 frames,
                                const struct hs_capture *capture, __u64 taps, __u8 marks)
{
    record->time = bpf_ktime_get_ns();
    record->taps = taps;
    record->generation = capture->generation;
    record->slot = port_slot;
    record->direction = port_direction;
    record->flags = marks;
    record->length = frame_length(frame);
    record->captured = length;
    record->gso_size = segment_size(frame);
    record->gso_segments = frames;
    record->csum_start = 0;
    record->csum_offset = 0;
    record->vlan_protocol = 0;
    record->vlan_tci = 0;
    read_tag(frame, record);
    read_offloads(frame, record);
    return load_small(frame, record + 1, length) || !load_some(frame, 0, record + 1, length, HS_LONGEST_FRAME);
}

/* Writes one record; 0 if it could not. */
static __always_inline int put(FRAME *frame, struct hs_ring *ring, __u32 length, __u32 frames,
                               const struct hs_capture *capture, __u64 taps, __u8 marks)
{
    __u64 begin, end;
    int filled;

    if (READ(ring->writing))
        return 0;
    WRITE(ring->writing, 1);
    begin = READ(ring->produced);
    end = hs_next_record(begin, hs_record_room(length), ring_mask);
    filled = has_room(ring, end) && fill(frame, (void *)(ring->data + (begin & ring_mask)), length, frames, capture, taps, marks);
    if (filled)
        publish(ring, end);
    WRITE(ring->writing, 0);
    wake(capture->worker);
    return filled;
}

/* How many bytes of the frame go into the record. A checksum is completed over all of it. */
static __always_inline __u32 wanted_bytes(FRAME *frame, const struct hs_capture *capture, __u8 marks)
{
    __u32 length = frame_length(frame);

    if (capture->longest && length > capture->longest && !marks && !segment_size(frame) && !is_partial(frame))
        length = capture->longest;
    return length > HS_LONGEST_FRAME ? HS_LONGEST_FRAME : length;
}

static __always_inline int take(FRAME *frame, struct hs_capture *capture, __u64 taps, __u8 marks)
{
    __u32 place = capture->rings + bpf_get_smp_processor_id(), zero = 0, frames = 1;
    struct hs_ring *ring = 0;
    void *rings_of_cpu;

    if (segment_size(frame)) {
        frames = wire_frames(frame);
        capture->merged += is_cloned_whole(frame, marks) ? frames - 1 : 0;
    }
    capture->matched += frames;
    taps = carry(frame, capture, taps, marks);
    if (!taps)
        return NEXT;
    rings_of_cpu = bpf_map_lookup_elem(&rings, &place);
    if (rings_of_cpu)
        ring = bpf_map_lookup_elem(rings_of_cpu, &zero);
    if (!ring || !put(frame, ring, wanted_bytes(frame, capture, marks), frames, capture, taps, marks))
        capture->lost += frames;
    return NEXT;
}

#ifdef HS_XDP
SEC("xdp.frags")
#else
SEC("tc")
#endif
int capture(FRAME *frame)
{
    __u32 zero = 0, index = port_slot * 2 + port_direction;
    struct hs_capture *capture;
    void *current;

    current = bpf_map_lookup_elem(&program, &zero);
    if (!current)
        return NEXT;
    capture = bpf_map_lookup_elem(current, &index);
    if (!capture || !capture->taps || (is_marked(frame) && !(capture->flags & HS_FOREIGN)) || is_own(frame))
        return NEXT;
#ifdef HS_XDP
    /* The filter programs are of the other type: the worker judges. */
    return take(frame, capture, capture->taps, capture->filter ? HS_UNFILTERED : capture->flags);
#else
    if (capture->filter)
        bpf_tail_call(frame, &filters, capture->filter - 1); /* does not come back: the place is filled first */
    return take(frame, capture, capture->taps, capture->flags);
#endif
}

#ifndef HS_XDP

/* The 1, 2 or 4 bytes at `at` of the frame, in host order, or -1 where the frame has ended. */
static __attribute__((noinline, used)) __s64 load(struct __sk_buff *skb, struct hs_view *view, __u64 at, __u32 size)
{
    __u32 value = 0, end, offset;

    if (at > 0x7fffffff || at + size > view->length) {
        view->touched |= view->varies;
        return -1;
    }
    offset = at;
    end = offset + size;
#pragma unroll
    for (int range = 0; range < 3; range++) {
        if (end > view->from[range] && offset < view->to[range])
            view->touched = 1;
    }
    if (offset <= HS_DIRECT - 4 && end <= view->held) {
        const __u8 *bytes = view->bytes + offset;

        if (size == 1)
            return bytes[0];
        if (size == 2)
            return (__u32)bytes[0] << 8 | bytes[1];
        return (__u32)bytes[0] << 24 | (__u32)bytes[1] << 16 | (__u32)bytes[2] << 8 | bytes[3];
    }
    offset -= view->shift;
    if (size == 1)
        return bpf_skb_load_bytes(skb, offset, &value, 1) ? -1 : (__s64)(value & 0xff);
    if (size == 2)
        return bpf_skb_load_bytes(skb, offset, &value, 2) ? -1 : (__s64)bpf_ntohs(value);
    return bpf_skb_load_bytes(skb, offset, &value, 4) ? -1 : (__s64)bpf_ntohl(value);
}

static __always_inline __u32 big16(const struct hs_view *view, __u32 at)
{
    return at <= HS_DIRECT - 2 ? (__u32)view->bytes[at] << 8 | view->bytes[at + 1] : 0;
}

static __always_inline int is_tag(__u32 type) { return type == ETH_P_8021Q || type == ETH_P_8021AD; }

/* What differs between the segments of a super-frame: lengths, identification and checksum of IP; of what follows,
   everything behind the ports. An extension header that comes first may be one that segmentation takes out. */
static __always_inline void read_varying(struct hs_view *view)
{
    __u32 type = big16(view, 12), at = 14;

    view->varies = 1;
    if (is_tag(type)) {
        type = big16(view, 16);
        at = 18;
        if (is_tag(type)) {
            type = big16(view, 20);
            at = 22;
        }
    }
    view->from[2] = at;
    view->to[2] = ~0u;
    if (type == ETH_P_IP) {
        view->from[0] = at + 2;
        view->to[0] = at + 6;
        view->from[1] = at + 10;
        view->to[1] = at + 12;
        view->from[2] = at + (view->bytes[at] & 0x0f) * 4 + 4;
    } else if (type == ETH_P_IPV6) {
        view->from[0] = at + 4;
        view->to[0] = at + 6;
        view->from[2] = at + 44;
        if (view->bytes[at + 6] == IPPROTO_HOPOPTS) {
            view->to[0] = at + 7;
            view->from[2] = at + 40;
        }
    }
}

static __always_inline int read_view(struct __sk_buff *skb, struct hs_view *view)
{
    __u32 length = skb->len, type;

    __builtin_memset(view, 0, __builtin_offsetof(struct hs_view, bytes));
    view->length = length;
    view->vlan = HS_UNTAGGED;
    if (skb->vlan_present) {
        view->shift = 4;
        view->length += 4;
        if (bpf_skb_load_bytes(skb, 0, view->bytes, 12))
            return 0;
        view->bytes[12] = bpf_ntohs(skb->vlan_proto) >> 8;
        view->bytes[13] = bpf_ntohs(skb->vlan_proto);
        view->bytes[14] = skb->vlan_tci >> 8;
        view->bytes[15] = skb->vlan_tci;
        length -= 12;
        asm volatile("" : "+r"(length));
        if (length > HS_DIRECT - 16)
            length = HS_DIRECT - 16;
        if (length < 2 || load_some(skb, 12, view->bytes + 16, length, HS_DIRECT - 16))
            return 0;
        view->held = length + 16;
    } else {
        asm volatile("" : "+r"(length));
        if (length > HS_DIRECT)
            length = HS_DIRECT;
        if (length < 14 || load_some(skb, 0, view->bytes, length, HS_DIRECT))
            return 0;
        view->held = length;
    }
    type = big16(view, 12);
    if (is_tag(type) && view->held >= 16)
        view->vlan = big16(view, 14) & 0x0fff;
    if (skb->gso_size)
        read_varying(view);
    else
        read_completed(skb, view);
    view->direct = view->held;
#pragma unroll
    for (int range = 0; range < 3; range++) {
        if (view->to[range] && view->direct > view->from[range])
            view->direct = view->from[range];
    }
    return 1;
}

/* The second half of `capture` where taps have filters. The loader puts the filters of the point, as instructions, in
   the place of the call (FilterTranslation.swift); they call `load` in turn. */
SEC("tc")
int filtered(struct __sk_buff *skb)
{
    __u32 zero = 0, index = port_slot * 2 + port_direction, size = 4;
    struct hs_capture *capture;
    struct hs_view *view;
    __u64 taps, at = 0;

    capture = bpf_map_lookup_elem(&entries, &index);
    view = bpf_map_lookup_elem(&view_of_cpu, &zero);
    if (!capture || !view || !read_view(skb, view))
        return NEXT;
    asm volatile("" : "+r"(at), "+r"(size));
    taps = load(skb, view, at, size) & capture->taps;
    if (!taps)
        return NEXT;
    return take(skb, capture, taps, view->recheck ? HS_RECHECK : 0);
}

#endif

char _license[] SEC("license") = "Dual BSD/GPL";
