/* See packet.h. What a frame's outer tuple is says bpf/outer.h, the same text that the capture program is made of. */
#include "packet.h"

#include <linux/filter.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>

struct bytes {
    const unsigned char *start;
    __u32 length;
};

static inline int load_bytes(void *frame, __u32 at, void *to, __u32 size)
{
    const struct bytes *bytes = frame;

    if (size > bytes->length || at > bytes->length - size)
        return -1;
    memcpy(to, bytes->start + at, size);
    return 0;
}

#define LOAD_BYTES load_bytes
#include "../bpf/outer.h"

enum { KEY_WORDS = sizeof(struct hs_tunnel_key) / sizeof(__u32) };

static __u32 place(const struct hs_tunnel_key *key)
{
    __u32 words[KEY_WORDS], sum = 2166136261u; /* FNV-1a, by words */

    memcpy(words, key, sizeof words);
    for (int i = 0; i < KEY_WORDS; i++)
        sum = (sum ^ words[i]) * 16777619u;
    return sum ^ sum >> 15;
}

/* Without a call: the worker's loop may make few. */
static inline int is_same(const struct hs_tunnel_key *a, const struct hs_tunnel_key *b)
{
    __u32 left[KEY_WORDS], right[KEY_WORDS], difference = 0;

    memcpy(left, a, sizeof left);
    memcpy(right, b, sizeof right);
    for (int i = 0; i < KEY_WORDS; i++)
        difference |= left[i] ^ right[i];
    return difference == 0;
}

void hs_add_own(struct hs_tunnel_key *table, uint32_t mask, const struct hs_tunnel_key *key)
{
    __u32 at = place(key) & mask;

    while (table[at].version)
        at = (at + 1) & mask;
    table[at] = *key;
}

int hs_is_own(const void *frame, uint32_t length, const struct hs_tunnel_key *table, uint32_t mask)
{
    struct bytes bytes = {frame, length};
    struct hs_tunnel_key key;

    memset(&key, 0, sizeof key);
    if (!read_tunnel(&bytes, &key))
        return 0;
    for (__u32 at = place(&key) & mask; table[at].version; at = (at + 1) & mask) {
        if (is_same(&table[at], &key))
            return 1;
    }
    return 0;
}

/* SKB_GSO_* of linux/skbuff.h for what a virtio header says (virtio_net_hdr_from_skb). */
static __u32 gso_type(__u8 type)
{
    __u32 congestion = type & VIRTIO_NET_HDR_GSO_ECN ? 1u << 2 : 0;

    switch (type & ~VIRTIO_NET_HDR_GSO_ECN) {
    case VIRTIO_NET_HDR_GSO_TCPV4:
        return 1u << 0 | congestion;
    case VIRTIO_NET_HDR_GSO_TCPV6:
        return 1u << 4 | congestion;
    case 5: /* VIRTIO_NET_HDR_GSO_UDP_L4, since Linux 6.2 */
        return 1u << 17;
    default: /* fragments of UDP, and what is newer */
        return 1u << 16;
    }
}

struct hs_record hs_read_packet(const void *packet)
{
    const struct tpacket3_hdr *header = packet;
    const struct sockaddr_ll *link = (const void *)((const char *)packet + TPACKET_ALIGN(sizeof *header));
    const char *frame = (const char *)packet + header->tp_mac;
    struct virtio_net_hdr offloads;
    struct hs_record record = {.gso_segments = 1};

    /* net/packet/af_packet.c, tpacket_rcv: right in front of the frame, and so not aligned. */
    memcpy(&offloads, frame - sizeof offloads, sizeof offloads);
    record.time = (__u64)header->tp_sec * 1000000000u + header->tp_nsec;
    record.length = header->tp_len;
    record.captured = header->tp_snaplen;
    record.direction = link->sll_pkttype == PACKET_OUTGOING;
    if (header->tp_status & TP_STATUS_VLAN_VALID) {
        record.flags |= HS_VLAN;
        record.vlan_tci = header->hv1.tp_vlan_tci;
        record.vlan_protocol = header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->hv1.tp_vlan_tpid : ETH_P_8021Q;
    }
    if (offloads.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        record.csum_start = offloads.csum_start;
        record.csum_offset = offloads.csum_offset;
        /* Kernels do not agree on whether a tag that was taken out counts in csum_start. */
        record.flags |= record.flags & HS_VLAN && !offloads.gso_size ? HS_CHECKSUM_UNKNOWN : HS_CHECKSUM_PARTIAL;
    }
    if (offloads.gso_type != VIRTIO_NET_HDR_GSO_NONE && offloads.gso_size) {
        record.gso_type = gso_type(offloads.gso_type);
        record.gso_size = offloads.gso_size;
        record.gso_segments = (header->tp_len + offloads.gso_size - 1) / offloads.gso_size;
    }
    return record;
}

int hs_filter_packets(int socket, int received, int sent, int marked)
{
    struct sock_filter code[] = {
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, (__u32)(SKF_AD_OFF + SKF_AD_MARK)},
        {BPF_JMP | BPF_JEQ | BPF_K, marked ? 0 : 3, 0, HS_MARK},
        {BPF_LD | BPF_W | BPF_ABS, 0, 0, (__u32)(SKF_AD_OFF + SKF_AD_PKTTYPE)},
        {BPF_JMP | BPF_JEQ | BPF_K, sent ? 0 : 1, received ? 0 : 1, PACKET_OUTGOING},
        {BPF_RET | BPF_K, 0, 0, 0x7fffffff},
        {BPF_RET | BPF_K, 0, 0, 0},
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    return setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}
