/* deliver: copies that other hosts send are taken out of their tunnel and handed to a port of this host. Before it: tcx (or
   clsact) on the ingress of the interface that the peers are reached through. After it: the port's interface sends the
   inner frame to its owner. What is not exactly a configured peer and id goes on as if we were not here; what is, and does
   not add up, is dropped and counted, never delivered.

   The kernel has not looked at the packet yet, so what it would check is checked here: lengths and the IPv4 header's
   checksum. The UDP checksum is not: it may cover a super-frame, or be left to hardware. */
#define LOAD_BYTES bpf_skb_load_bytes
#include "outer.h"

/* TCX_NEXT and TC_ACT_SHOT (linux/pkt_cls.h). */
#define NEXT -1
#define DROP 2

/* linux/bpf.h since 6.3: what the payload is, which also allows it to be shorter. */
enum { DECAP_IPV4 = 1 << 7, DECAP_IPV6 = 1 << 8, FIXED_GSO = 1 << 0 };

/* BPF_ADJ_ROOM_MAC leaves at least an IP header behind the MAC header: IPv6's is the longer one. */
enum { SHORTEST_PAYLOAD = 40 };

/* Tags that are taken off an inner frame and put back: more stay in it. */
enum { INNER_TAGS = 2 };

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, HS_DELIVERIES);
    __type(key, struct hs_tunnel_key);
    __type(value, struct hs_delivery);
} deliveries SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, HS_DELIVERIES);
    __type(key, __u32);
    __type(value, struct hs_delivery_counters);
} counters SEC(".maps");

/* struct hs_sequence, with the type that the kernel wants for its lock. */
struct sequence {
    struct bpf_spin_lock lock;
    __u32 last;
    __u64 seen, gaps;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, HS_DELIVERIES);
    __type(key, struct hs_endpoints);
    __type(value, struct sequence);
} sequences SEC(".maps");

/* Where things are in a packet, in bytes from the start of the frame. */
struct packet {
    __u32 transport, inner, end;
    __u32 number; /* its sequence number, host order */
    int is_numbered, is_gre;
};

/* Takes in number `number` of one pair of addresses. Packets of one pair have no ports to be told apart by, so a device
   hands them to one CPU as a rule; the lock is for the exceptions. */
static __always_inline void take_number(const struct hs_tunnel_key *key, __u32 number)
{
    /* What is older than the first number was never passed over, so it counts as seen. */
    struct sequence fresh = {.last = number, .seen = ~0ull}, *known;
    struct hs_endpoints pair;
    __s32 ahead;

    __builtin_memcpy(pair.peer, key->source, sizeof pair.peer);
    __builtin_memcpy(pair.local, key->remote, sizeof pair.local);
    known = bpf_map_lookup_elem(&sequences, &pair);
    if (!known) {
        bpf_map_update_elem(&sequences, &pair, &fresh, BPF_NOEXIST);
        return;
    }
    bpf_spin_lock(&known->lock);
    ahead = number - known->last;
    if (ahead > 0 && ahead < 1 << 24) {
        known->gaps += ahead - 1;
        known->seen = ahead < 64 ? known->seen << ahead | 1 : 1;
        known->last = number;
    } else if (ahead <= 0 && ahead > -64) {
        /* Late: it was counted as a gap when it was passed over. Twice: nothing. */
        if (!(known->seen >> -ahead & 1) && known->gaps)
            known->gaps--;
        known->seen |= 1ull << -ahead;
    } else {
        /* The peer counts anew. */
        known->last = number;
        known->seen = ~0ull;
    }
    bpf_spin_unlock(&known->lock);
}

/* The ones' complement sum of the IPv4 header at `at` is 0xffff. */
static __always_inline int has_right_checksum(struct __sk_buff *skb, __u32 at, __u32 length)
{
    __u32 header[15] = {};
    __s64 sum;

    if (length < 20 || length > sizeof header || bpf_skb_load_bytes(skb, at, header, length))
        return 0;
    /* Words behind the header are 0 and change no sum. */
    sum = bpf_csum_diff(0, 0, header, sizeof header, 0);
    if (sum < 0)
        return 0;
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff);
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) == 0xffff;
}

/* Where the outer IP packet ends: 0 if its header does not add up, -1 for a fragment. */
static __always_inline int end_of_packet(struct __sk_buff *skb, const struct hs_tunnel_key *key)
{
    __u32 end;

    if (key->version == 4) {
        struct {
            __u8 first, service;
            __be16 length, identification, fragment;
        } ip;

        if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) || ip.first >> 4 != 4)
            return 0;
        if (!has_right_checksum(skb, ETH_HLEN, (ip.first & 0x0f) * 4))
            return 0;
        if (ip.fragment & bpf_htons(0x3fff))
            return -1;
        end = ETH_HLEN + bpf_ntohs(ip.length);
    } else {
        struct {
            __be32 first;
            __be16 length;
        } ip;

        if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof ip) || (ip.first & bpf_htonl(0xf0000000)) != bpf_htonl(0x60000000))
            return 0;
        end = ETH_HLEN + 40 + bpf_ntohs(ip.length);
    }
    return end <= skb->len ? end : 0;
}

/* UDP and what is behind it (RFC 768, RFC 7348 section 5, RFC 8926 section 3.4): 0 if it does not add up. */
static __always_inline int open_udp(struct __sk_buff *skb, struct packet *packet, __u32 encapsulation)
{
    struct udp_tunnel udp;
    __u32 first;

    if (bpf_skb_load_bytes(skb, packet->transport, &udp, sizeof udp))
        return 0;
    if (packet->transport + bpf_ntohs(udp.length) != packet->end)
        return 0;
    packet->inner = packet->transport + sizeof udp;
    if (encapsulation == HS_VXLAN)
        return (udp.first & bpf_htonl(0x08000000)) != 0;
    first = bpf_ntohl(udp.first);
    /* Version 0, no control packet, no critical option, Ethernet inside. */
    if (first >> 30 || first & 0x00c00000 || (first & 0xffff) != HS_GRE_ETHERNET)
        return 0;
    packet->inner += (first >> 24 & 0x3f) * 4;
    return 1;
}

/* GRE and ERSPAN behind it (RFC 2784 section 2, RFC 2890, draft-foschiano-erspan-03): 0 if it does not add up. */
static __always_inline int open_gre(struct __sk_buff *skb, struct packet *packet, __u32 encapsulation)
{
    __u32 at = packet->transport + 4;
    struct gre gre;
    __be32 word;

    if (bpf_skb_load_bytes(skb, packet->transport, &gre, sizeof gre))
        return 0;
    /* What we would have to verify or to follow, or must not know (RFC 2784 section 2.2). */
    if (gre.flags & ~bpf_htons(GRE_KEY | GRE_SEQUENCE))
        return 0;
    if (gre.flags & bpf_htons(GRE_KEY))
        at += 4;
    if (gre.flags & bpf_htons(GRE_SEQUENCE)) {
        if (bpf_skb_load_bytes(skb, at, &word, sizeof word))
            return 0;
        packet->number = bpf_ntohl(word);
        packet->is_numbered = 1;
        at += 4;
    }
    packet->inner = at;
    if (encapsulation == HS_GRE)
        return 1;
    if (!packet->is_numbered || bpf_skb_load_bytes(skb, at, &word, sizeof word))
        return 0;
    if (bpf_ntohl(word) >> 28 != (encapsulation == HS_ERSPAN2 ? 1 : 2))
        return 0;
    if (encapsulation == HS_ERSPAN2) {
        packet->inner = at + 8;
        return 1;
    }
    /* The third word: its frame type (FT) is Ethernet, its last bit says that a subheader of eight bytes follows. */
    if (bpf_skb_load_bytes(skb, at + 8, &word, sizeof word) || word & bpf_htonl(0x1f << 10))
        return 0;
    packet->inner = at + 12 + (word & bpf_htonl(1) ? 8 : 0);
    return 1;
}

/* A frame's address pair, its tags (IEEE 802.1Q) and the type behind them. */
struct inner_header {
    __u8 addresses[2 * ETH_ALEN];
    __be16 type;
};

struct tag {
    __be16 protocol, control;
};

static __always_inline int is_tag(__be16 protocol)
{
    return protocol == bpf_htons(ETH_P_8021Q) || protocol == bpf_htons(ETH_P_8021AD);
}

/* Up to two tags of the inner frame into `tags`, what is left of its header into `header`.
   Returns their number, or -1. */
static __always_inline int read_inner(struct __sk_buff *skb, const struct packet *packet, struct inner_header *header,
                                      struct tag *tags)
{
    struct {
        __be16 control, type;
    } next;
    __u32 at = packet->inner + ETH_HLEN;
    int count = 0;

    if (bpf_skb_load_bytes(skb, packet->inner, header, sizeof *header))
        return -1;
#pragma unroll
    for (int depth = 0; depth < INNER_TAGS; depth++) {
        if (!is_tag(header->type) || at + sizeof next > packet->end || bpf_skb_load_bytes(skb, at, &next, sizeof next))
            break;
        tags[depth].protocol = header->type;
        tags[depth].control = next.control;
        header->type = next.type;
        at += sizeof next;
        count++;
    }
    return count;
}

/* A super-frame of UDP out of VXLAN or Geneve: no helper takes the tunnel's mark (SKB_GSO_UDP_TUNNEL) away from it, and by
   that the kernel would take the inner UDP header for the outer one when it segments: lost without a word. */
static __always_inline int is_beyond_segmenting(struct __sk_buff *skb, const struct packet *packet, __u32 payload,
                                                __be16 type)
{
    __u32 at = payload + (type == bpf_htons(ETH_P_IP) ? 9 : 6);
    __u8 protocol;

    if (!skb->gso_size || packet->is_gre || (type != bpf_htons(ETH_P_IP) && type != bpf_htons(ETH_P_IPV6)))
        return 0;
    return at < packet->end && !bpf_skb_load_bytes(skb, at, &protocol, sizeof protocol) && protocol == IPPROTO_UDP;
}

/* Cuts the outer headers off. The MAC header stays in front and gets the inner one's bytes. Tags of the inner frame are
   cut off too and given to the kernel as tags: what it knows of a packet's protocol (skb->protocol) is then that of what
   follows them, without which no super-frame can be segmented. */
static __always_inline int unwrap(struct __sk_buff *skb, const struct packet *packet)
{
    __u32 cut = packet->inner, length, flags = FIXED_GSO;
    struct tag tags[INNER_TAGS] = {};
    struct inner_header header;
    int count = read_inner(skb, packet, &header, tags), is_longer;

    if (count < 0)
        return -1;
    cut += count * sizeof(struct tag);
    length = packet->end - cut;
    if (is_beyond_segmenting(skb, packet, cut + ETH_HLEN, header.type))
        return -1;
    /* Ethernet's padding of a short packet is nothing of the inner frame. */
    if (packet->end < skb->len && bpf_skb_change_tail(skb, packet->end, 0))
        return -1;
    /* Refused where the checksum is left to the device (skb->encapsulation): that is IP, and long enough as it is. */
    is_longer = length < ETH_HLEN + SHORTEST_PAYLOAD && !bpf_skb_change_tail(skb, skb->len + SHORTEST_PAYLOAD, 0);
    if (header.type == bpf_htons(ETH_P_IP))
        flags |= DECAP_IPV4;
    else if (header.type == bpf_htons(ETH_P_IPV6))
        flags |= DECAP_IPV6;
    if (bpf_skb_adjust_room(skb, -(__s32)cut, BPF_ADJ_ROOM_MAC, flags) &&
        bpf_skb_adjust_room(skb, -(__s32)cut, BPF_ADJ_ROOM_MAC, FIXED_GSO))
        return -1;
    if (is_longer && bpf_skb_change_tail(skb, length, 0))
        return -1;
    if (bpf_skb_store_bytes(skb, 0, &header, sizeof header, 0))
        return -1;
    /* The outermost comes last. */
    if (count > 1 && bpf_skb_vlan_push(skb, tags[1].protocol, bpf_ntohs(tags[1].control)))
        return -1;
    return count > 0 && bpf_skb_vlan_push(skb, tags[0].protocol, bpf_ntohs(tags[0].control));
}

/* A tag that is still in the frame, behind one that the kernel has. */
static __always_inline int is_tagged(struct __sk_buff *skb)
{
    __be16 protocol;

    return !bpf_skb_load_bytes(skb, 12, &protocol, sizeof protocol) && is_tag(protocol);
}

static __always_inline int drop(struct hs_delivery_counters *counters, __u32 reason)
{
    counters->drops[reason]++;
    return DROP;
}

SEC("tc")
int deliver(struct __sk_buff *skb)
{
    struct hs_delivery_counters *counts;
    struct hs_tunnel_key key = {}, peer;
    struct hs_delivery *delivery;
    struct packet packet = {};
    __u32 index, interface, length, mtu = 0;
    int end;

    /* The kernel has taken one tag out; who sends more of them is no peer. */
    if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
        return NEXT;
    packet.transport = read_tunnel(skb, &key);
    if (!packet.transport)
        return NEXT;
    peer = key;
    __builtin_memset(peer.remote, 0, sizeof peer.remote);
    delivery = bpf_map_lookup_elem(&deliveries, &peer);
    if (!delivery)
        return NEXT;
    if ((delivery->local[0] || delivery->local[1] || delivery->local[2] || delivery->local[3]) &&
        (delivery->local[0] != key.remote[0] || delivery->local[1] != key.remote[1] ||
         delivery->local[2] != key.remote[2] || delivery->local[3] != key.remote[3]))
        return NEXT;
    index = delivery->counters;
    counts = bpf_map_lookup_elem(&counters, &index);
    if (!counts)
        return NEXT;
    end = end_of_packet(skb, &key);
    if (end < 0)
        return drop(counts, HS_DELIVERY_FRAGMENT);
    packet.end = end;
    packet.is_gre = key.gre_protocol != 0;
    if (!end || !(key.gre_protocol ? open_gre(skb, &packet, delivery->encapsulation)
                                   : open_udp(skb, &packet, delivery->encapsulation)))
        return drop(counts, HS_DELIVERY_MALFORMED);
    if (packet.inner + ETH_HLEN > packet.end)
        return drop(counts, HS_DELIVERY_MALFORMED);
    if (packet.is_numbered)
        take_number(&key, packet.number);
    interface = delivery->interface;
    if (!interface)
        return drop(counts, HS_DELIVERY_INTERFACE_DOWN);
    length = packet.end - packet.inner;
    if ((skb->vlan_present && bpf_skb_vlan_pop(skb)) || unwrap(skb, &packet))
        return drop(counts, HS_DELIVERY_FAILED);
    /* What the port would drop without a word to us. A super-frame is as long as it likes, a tag is beyond the MTU. */
    if (bpf_check_mtu(skb, interface, &mtu, is_tagged(skb) ? -4 : 0, 0) > 0)
        return drop(counts, HS_DELIVERY_EXCEEDS_MTU);
    /* A port that is tapped does not mirror it again. */
    skb->mark = HS_MARK;
    counts->frames++;
    counts->bytes += length;
    return bpf_redirect(interface, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
