/* What the capture program and the worker agree on: the record in front of a captured frame, the entry that
   decides what is captured, and the key of the loop guard. Compiled for BPF and imported by Swift alike. */
#pragma once
#include <linux/types.h>

enum {
    /* Longest frame in a record: 65,535 bytes of IP behind an Ethernet header and two tags, rounded up. */
    HS_LONGEST_FRAME = 65568,
    /* Capture points that one dataplane serves, and taps of one port. */
    HS_SLOTS = 1024,
    HS_TAPS_PER_SLOT = 64,
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
};

enum hs_direction { HS_IN = 0, HS_OUT = 1 };

/* Header of one captured frame; `captured` bytes of it follow. Host byte order. */
struct hs_record {
    __u64 time;          /* CLOCK_MONOTONIC, ns, taken after the room in the ring was reserved */
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

/* One capture point and direction under one generation; index in its map: slot * 2 + direction. Per CPU. */
struct hs_capture {
    __u64 taps;       /* 0: nothing to do */
    __u64 matched;    /* wire frames that matched on this CPU */
    __u64 lost;       /* of those, dropped because the ring was full */
    __u32 generation;
    __u32 reserved;
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
