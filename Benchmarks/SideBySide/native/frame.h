/* What generate, sink and the mirrors agree on: the frame that is sent, and the outer header in front of a copy.
   All fields in network byte order where the wire has them so. */
#pragma once
#include <linux/types.h>

/* "benc". As the first word behind UDP it must not look like VXLAN's flags (bit 27) or end as Geneve's do (0x6558): who
   guards against mirroring the mirror looks at those frames twice. */
#define BENCH_MAGIC 0x62656e63u
#define BENCH_UDP_PORT 9 /* discard */
#define VXLAN_PORT 4789

struct ethernet {
    __u8 destination[6], source[6];
    __u16 type;
} __attribute__((packed));

struct ipv4 {
    __u8 version, dscp;
    __u16 length, id, fragment;
    __u8 ttl, protocol;
    __u16 checksum;
    __u32 source, destination;
} __attribute__((packed));

struct udp {
    __u16 source, destination, length, checksum;
} __attribute__((packed));

/* An original; the rest of it up to its length is zero. */
struct frame {
    struct ethernet ethernet;
    struct ipv4 ip;
    struct udp udp;
    __u32 magic;
    __u64 sequence; /* from 1, host order */
    __u64 sent;     /* CLOCK_MONOTONIC in ns when it was given to the kernel, host order; 0: not stamped */
} __attribute__((packed));

struct vxlan {
    __u32 flags, vni; /* VNI << 8 */
} __attribute__((packed));

struct outer {
    struct ethernet ethernet;
    struct ipv4 ip;
    struct udp udp;
    struct vxlan vxlan;
} __attribute__((packed));

/* What one CPU of a sink has seen. */
#define BENCH_BUCKETS 1024 /* of 100 ns each; the last one holds what took longer */
#define BENCH_CPUS 64
struct seen {
    __u64 frames, bytes; /* bytes of the original, or of the frame inside the copy */
    __u64 bad;           /* carries our magic, but a length, port or VNI is wrong */
    __u64 other, other_bytes;
    __u64 sequences; /* sum of all sequence numbers */
    __u64 pad[2];
    __u64 latency[BENCH_BUCKETS];
};

/* What the loaders set in their BPF objects. */
struct sink_constants {
    __u32 vni;
    __u32 is_tunnelled;
};

struct clone_constants {
    __u32 encapsulator, uplink; /* interface indices */
    __u32 sum;                  /* of the outer IP header without its length */
    struct outer header __attribute__((aligned(8)));
};

struct live_constants {
    __u32 device, flows;
};
