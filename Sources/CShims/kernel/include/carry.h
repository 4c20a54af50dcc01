/* What the programs that carry copies in the kernel and the host side agree on: capture.bpf.c clones a frame into the
   device hs-encap, encapsulate.bpf.c puts the outer header in front of what leaves through that device. The worker
   sends super-frames into it whole. Compiled for BPF and imported by Swift alike. */
#pragma once
#include <linux/types.h>

enum {
    /* Destinations, and taps, that the kernel carries at one capture point. */
    HS_REACHES = 4,
    /* Room for an outer header. */
    HS_OUTER = 128,
    /* Routes: the destinations of two programs. */
    HS_ROUTES = 1 << 15,
};

/* Mark of a frame on its way into hs-encap: never 0, so that what the host itself sends there is told from copies. */
enum {
    HS_CARRY_DESTINATION = 0x0000ffff, /* index of the route */
    HS_CARRY_SLOT_SHIFT = 16,          /* capture point: 10 bits */
    HS_CARRY_OUT = 1 << 26,            /* direction */
    HS_CARRY_WORKER = 1 << 27,         /* from the worker, which keeps its order on one queue */
    HS_CARRY = 1 << 30,
};

enum hs_route_flags {
    HS_ROUTE_IPV6 = 1,
    HS_ROUTE_UDP = 2, /* else GRE */
    /* The capture programs may clone frames toward it: they fit, and nobody has to look at them in user space. */
    HS_ROUTE_CARRIES = 4,
};

/* Outer header of one destination, with where its changing fields are. Found by the destination's index. */
struct hs_route {
    __u8 header[HS_OUTER]; /* as OuterHeader.swift writes it */
    __u32 length;          /* bytes of it, 34 ... HS_OUTER */
    __u32 limit;           /* bytes of the longest inner frame, or segment of a super-frame */
    __u32 interface;       /* uplink */
    __u32 device;          /* hs-encap */
    __u32 flags;
    __u32 header_sum;      /* of the IPv4 header without its length */
    __u16 queue;           /* of the uplink, for what the worker sends */
    __u16 first_port, port_mask;
    __u8 source_port_at, direction_at, timestamp_at; /* values of Geneve options; 0 for those that are not sent */
    __u8 reserved;
};

/* Wire frames and inner bytes that left, and frames that the kernel did not take. */
struct hs_tally {
    __u64 frames, bytes, refused;
};

struct hs_reach {
    __u64 taps; /* that want the destination */
    __u32 destination;
    __u32 reserved;
    struct hs_tally tally;
};

struct hs_carried_tap {
    __u64 bit;
    struct hs_tally tally;
};

/* What the kernel carries of one capture point under one generation; key: generation << 32 | slot * 2 + direction. Per CPU. */
struct hs_carried {
    __u32 reaches, taps; /* how many of the rows below are used */
    struct hs_reach reach[HS_REACHES];
    struct hs_carried_tap tap[HS_REACHES];
};
