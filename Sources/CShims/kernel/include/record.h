/* What the capture program and the worker agree on: the record in front of a captured frame, the entry that
   decides what is captured, and the key of the loop guard. Compiled for BPF and imported by Swift alike. */
#pragma once
#include <linux/types.h>

/* A function that is inlined, and that the loop of Worker.swift may call: it takes no lock. */
#define HS_HOT static inline __attribute__((always_inline, swift_attr("@_noLocks")))

enum {
    /* Longest frame in a record: 65,535 bytes of IP behind an Ethernet header and two tags, rounded up. */
    HS_LONGEST_FRAME = 65568,
    /* Capture points that one dataplane serves, and taps of one port. */
    HS_SLOTS = 1024,
    HS_TAPS_PER_SLOT = 64,
    /* Workers, and words between two of their wake-up words: a cache line. */
    HS_WORKERS = 16,
    HS_WAKEUP_STRIDE = 8,
};

/* Mark of frames that Heliostat itself sends, on sockets of its own namespace. */
#define HS_MARK 0x48454c49u

enum hs_record_flags {
    /* The L4 checksum field holds the pseudo-header sum; csum_start and csum_offset say where it is to be completed. */
    HS_CHECKSUM_PARTIAL = 1,
    /* This kernel does not tell: partial if the field equals the pseudo-header sum. */
    HS_CHECKSUM_UNKNOWN = 2,
    /* vlan_protocol and vlan_tci hold the tag that the kernel took out of the frame. */
    HS_VLAN = 4,
    /* Filters read what differs between the segments of a super-frame, or what is completed later: `taps` are
       candidates, and the worker runs the filters again on every frame. */
    HS_RECHECK = 8,
    /* Nobody has run a filter yet: `taps` are all of the point. */
    HS_UNFILTERED = 16,
    /* The port is in another network namespace: its owner may set any mark, ours too. */
    HS_FOREIGN = 256,
};

enum hs_direction { HS_IN = 0, HS_OUT = 1 };

/* Header of one captured frame; `captured` bytes of it follow. Host byte order. */
struct hs_record {
    __u64 time;          /* CLOCK_MONOTONIC, ns, taken before the record can be seen */
    __u64 taps;          /* bit i: tap i of the slot matched */
    __u32 generation;    /* of the entry that matched */
    __u32 length;        /* bytes of the frame, without a tag that the kernel took out */
    __u32 captured;
    __u32 gso_type;      /* SKB_GSO_* (linux/skbuff.h), 0 where the kernel does not tell */
    __u16 gso_size;      /* payload bytes of a segment; 0: not a super-frame */
    __u16 gso_segments;  /* frames on the wire, 1 for one that is not a super-frame */
    __u16 csum_start;    /* from the first byte of the frame */
    __u16 csum_offset;   /* from csum_start */
    __u16 vlan_protocol; /* 0x8100 or 0x88a8 */
    __u16 vlan_tci;
    __u16 slot;
    __u8 direction;
    __u8 flags;
};

/* A capture ring: the value of a mapped array, one for each worker and CPU. Its size is a power of two; a record begins where
   `produced`, a free-running byte position, is in it, and may run over its end, since HS_RING_OVERRUN bytes follow. The next one begins
   then where the ring does. Only programs on that CPU write, one at a time, and their last store makes a record visible. */
struct hs_ring {
    __u64 produced;
    __u64 writing;  /* 1 while a record is written: who comes then, which the kernel does not let happen, finds no room.
                       No lock: it holds for one who runs to his end before the first goes on */
    __u64 seen;     /* `consumed` when it was last looked at: it is the worker's cache line */
    __u64 reserved[29];
    __u64 consumed; /* the worker's */
    __u64 unused[31];
    __u8 data[];
};

enum {
    /* Room behind a ring: the longest record, in whole pages with the ring's header. */
    HS_RING_OVERRUN = 72 * 1024 - 512,
};

_Static_assert(sizeof(struct hs_record) + HS_LONGEST_FRAME + 7 <= HS_RING_OVERRUN, "a record may be longer than the room for it");

/* Bytes between the beginnings of two records. */
HS_HOT __u32 hs_record_room(__u32 captured)
{
    return (sizeof(struct hs_record) + captured + 7) & ~7u;
}

/* Where the record behind one of `room` bytes at `position` begins. */
HS_HOT __u64 hs_next_record(__u64 position, __u32 room, __u64 mask)
{
    __u64 next = position + room;

    return (position ^ next) & ~mask ? next & ~mask : next;
}

/* One capture point and direction under one generation; index in its map: slot * 2 + direction. Per CPU. */
struct hs_capture {
    __u64 taps;       /* 0: nothing to do */
    __u64 carried;    /* of those, the taps that the kernel carries by itself where a frame allows it */
    __u64 matched;    /* wire frames that matched on this CPU */
    __u64 lost;       /* of those, dropped because the ring was full */
    __u64 merged;     /* of those, what a clone of the frame before would carry as well: it is of the same super-frame */
    __u32 generation;
    __u32 filter;     /* 0: every frame matches all taps; else 1 + the place of the program that chooses among them */
    __u32 longest;    /* bytes of a frame that the taps want, 0 for all; super-frames come whole */
    __u32 flags;      /* of every record: HS_UNFILTERED or 0; and HS_FOREIGN, which no record has */
    __u32 rings;      /* place of the first ring of the port's worker; those of the CPUs follow */
    __u32 worker;     /* that worker's number */
};

enum {
    /* Bytes of a frame that a filter reads without a call: Ethernet, two tags, IP and TCP with options. */
    HS_DIRECT = 128,
    /* `vlan` of a frame without a tag. */
    HS_UNTAGGED = 0xffff,
    /* Filter programs at a time: every capture point of two generations. */
    HS_FILTERS = HS_SLOTS * 4,
};

/* A frame as it leaves, for the filters of one capture point: offsets count a tag that the kernel took out. Per CPU. */
struct hs_view {
    __u32 direct;   /* bytes of `bytes` that may be read without a call */
    __u32 length;   /* of the frame; of the whole super-frame */
    __u32 vlan;     /* id of the outermost tag, or HS_UNTAGGED */
    __u32 varies;   /* 1: a super-frame */
    __u32 touched;  /* what differs between segments, or is completed later, was read for the tap at hand */
    __u32 recheck;  /* it was read for any tap */
    __u32 shift;    /* bytes of the tag that was put back */
    __u32 held;     /* bytes of the frame in `bytes` */
    __u32 from[3], to[3]; /* what differs or is completed: half-open ranges */
    __u8 bytes[HS_DIRECT];
};

enum {
    /* RX queues of each port of an `inline` pair. */
    HS_INLINE_QUEUES = 16,
    /* Age of the worker's heartbeat, in ns, from which on the kernel carries the frames of a pair by itself. */
    HS_INLINE_PATIENCE = 5000000,
};

/* Protocols behind GRE (IANA EtherTypes): transparent Ethernet bridging, ERSPAN Type II and Type III. */
enum hs_gre_protocol { HS_GRE_ETHERNET = 0x6558, HS_GRE_ERSPAN2 = 0x88be, HS_GRE_ERSPAN3 = 0x22eb };

/* Outer tuple of a tunnel of ours: such frames are never captured. Network byte order. */
struct hs_tunnel_key {
    __be32 source[4]; /* an IPv4 address in the first word, the rest 0 */
    __be32 remote[4];
    __be32 tunnel_id;    /* as on the wire: the VNI in the upper 24 bits, the GRE key, the session id in the lower 10 */
    __be16 udp_port;     /* destination port of VXLAN and Geneve, 0 for GRE */
    __be16 gre_protocol; /* 0 for UDP */
    __u32 version;       /* 4 or 6, host order */
};

enum {
    /* Peers and ids that copies are accepted from, and addresses that they come from and to. */
    HS_DELIVERIES = 4096,
    /* DeliveryStatistics.Drop, in its order. */
    HS_DELIVERY_MALFORMED = 0,
    HS_DELIVERY_FRAGMENT,
    HS_DELIVERY_INTERFACE_DOWN,
    HS_DELIVERY_EXCEEDS_MTU,
    HS_DELIVERY_FAILED,
    HS_DELIVERY_DROPS,
    /* MirrorProgram.Encapsulation, in its order. */
    HS_VXLAN = 0,
    HS_GRE,
    HS_ERSPAN2,
    HS_ERSPAN3,
    HS_GENEVE,
};

/* Where the inner frames of one peer and id go; found by an hs_tunnel_key whose source is the peer, remote 0. */
struct hs_delivery {
    __be32 local[4];   /* outer destination that is accepted; all 0 for any */
    __u32 interface;   /* index; 0 while it is missing or down */
    __u32 counters;    /* index in the map of counters */
    __u32 encapsulation;
    __u32 reserved;
};

/* Per CPU. */
struct hs_delivery_counters {
    __u64 frames, bytes;
    __u64 drops[HS_DELIVERY_DROPS];
};

/* Between which addresses packets are numbered (RFC 2890 section 2.2). Network byte order. */
struct hs_endpoints {
    __be32 peer[4], local[4];
};

/* What has arrived of one numbering. */
struct hs_sequence {
    __u32 lock; /* struct bpf_spin_lock */
    __u32 last;
    __u64 seen; /* bit i: `last - i` has arrived */
    __u64 gaps; /* numbers that were passed over and have not come since */
};
