/* deliver.bpf.c as a function, for FuzzDeliver.swift; deliver.c plays the kernel around it. */
#pragma once
#include "record.h"

/* What became of a packet. */
struct fuzz_verdict {
    int action;        /* TCX_NEXT, TC_ACT_SHOT, TC_ACT_REDIRECT */
    __u32 interface;   /* that it was redirected to */
    __u32 length;      /* of `bytes` */
    const __u8 *bytes; /* the frame as it leaves, tags in their places; until the next packet */
};

/* Makes an entry of the map of deliveries; HS_DELIVERIES at most. */
void fuzz_accept(const struct hs_tunnel_key *key, const struct hs_delivery *delivery);
/* What the kernel knows of a packet, and of the port. */
struct fuzz_surroundings {
    int is_tagged;       /* a first tag was taken out */
    int is_encapsulated; /* skb->encapsulation: the inner checksum is left to the device */
    __u32 segment;       /* payload bytes of a super-frame's segments, or 0 */
    __u32 mtu;
};
/* Runs the program on a packet as the kernel hands it over, behind eth_type_trans(). */
void fuzz_deliver(const __u8 *packet, __u32 length, struct fuzz_surroundings around, struct fuzz_verdict *verdict);
/* The counters at an index below 64. */
struct hs_delivery_counters *fuzz_counters(__u32 index);
/* Numbers passed over between a pair of addresses; forgets them all with `forget`. */
__u64 fuzz_gaps(const struct hs_endpoints *pair);
void fuzz_forget(void);
