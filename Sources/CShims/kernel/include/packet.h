/* Frames out of a packet socket's ring (packet(7), TPACKET_V3), as records like those of capture.bpf.c, and the loop guard
   for them: where BPF may not be loaded. Implemented in packet.c; Sources/FastPath/Datapath/PacketReceive.swift calls it. */
#pragma once
#include <linux/if_packet.h>
#include <stddef.h>
#include <stdint.h>

#include "record.h"

#define HS_LOCK_FREE __attribute__((swift_attr("@_noLocks")))

enum {
    /* bits/socket.h */
    HS_SOL_PACKET = 263,
    /* linux/if_packet.h */
    HS_PACKET_RX_RING = PACKET_RX_RING,
    HS_PACKET_STATISTICS = PACKET_STATISTICS,
    HS_PACKET_VERSION = PACKET_VERSION,
    HS_PACKET_VNET_HDR = PACKET_VNET_HDR,
    HS_TPACKET_V3 = TPACKET_V3,
    /* linux/if_ether.h */
    HS_ETH_P_ALL = 3,
    /* Of a block: who owns it (1: we), how many packets are in it, and where the first one is. */
    HS_BLOCK_STATUS = offsetof(struct tpacket_block_desc, hdr.bh1.block_status),
    HS_BLOCK_PACKETS = offsetof(struct tpacket_block_desc, hdr.bh1.num_pkts),
    HS_BLOCK_FIRST = offsetof(struct tpacket_block_desc, hdr.bh1.offset_to_first_pkt),
    /* Of a packet: where its frame is. */
    HS_PACKET_FRAME = offsetof(struct tpacket3_hdr, tp_mac),
};

/* The record of a packet of a ring with PACKET_VNET_HDR, as far as the kernel tells it: `time` is that of CLOCK_REALTIME,
   `direction` 1 for what this host sends. */
HS_LOCK_FREE struct hs_record hs_read_packet(const void *_Nonnull packet);

/* Adds a tunnel of ours to a table of `mask` + 1 zeroed places, a power of two of which some are left empty. */
void hs_add_own(struct hs_tunnel_key *_Nonnull table, uint32_t mask, const struct hs_tunnel_key *_Nonnull key);

/* Whether the outer tuple of a frame is in such a table. */
HS_LOCK_FREE int hs_is_own(const void *_Nonnull frame, uint32_t length, const struct hs_tunnel_key *_Nonnull table,
                           uint32_t mask);

/* Lets a packet socket have what the interface receives, what it sends, or both, and none of what carries HS_MARK unless
   it takes marked frames too: -1 with errno. A filter of the classic kind, which needs no right. */
int hs_filter_packets(int socket, int received, int sent, int marked);
