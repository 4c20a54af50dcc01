/* The kernel around deliver.bpf.c, played on plain memory: maps, and the helpers with the conditions under which the
   kernel refuses (net/core/filter.c, net/core/skbuff.c of Linux 6.18). A packet lies in memory of exactly its size. */
#include <linux/types.h>
#include <stdlib.h>
#include <string.h>

#include "../../../Sources/CShims/bpf/deliver.bpf.c"

#include "deliver.h"

enum { ENTRIES = 64, PAIRS = 64, REDIRECT = 7, LONGEST = 65535 + ETH_HLEN + 8 };

/* `skb` comes first: helpers are handed a pointer to it. */
struct played {
    struct __sk_buff skb;
    __u8 *bytes;
    __be16 protocol;
    __u32 mtu;
    /* skb->encapsulation; then the tag that is out of the bytes. */
    int is_encapsulated, has_tag;
    __be16 tag_protocol;
    __u16 tag_control;
};

static struct {
    struct hs_tunnel_key key;
    struct hs_delivery value;
} accepted[ENTRIES];
static struct {
    struct hs_endpoints key;
    struct sequence value;
} numbered[PAIRS];
static struct hs_delivery_counters counts[ENTRIES];
static unsigned accepted_count, numbered_count;
static __u32 redirected;
/* The bytes of the packet before. */
static __u8 *left;

static struct played *played(const void *skb) { return (struct played *)skb; }

static void abort_if(int condition)
{
    if (condition)
        abort();
}

/* The bytes with `cut` of them from `at` on replaced by `room` zeros. */
static void change(struct played *packet, __u32 at, __u32 cut, __u32 room)
{
    __u32 length = packet->skb.len - cut + room;
    __u8 *bytes = calloc(length, 1);

    memcpy(bytes, packet->bytes, at);
    memcpy(bytes + at + room, packet->bytes + at + cut, packet->skb.len - at - cut);
    free(packet->bytes);
    packet->bytes = bytes;
    packet->skb.len = length;
}

void *bpf_map_lookup_elem(void *map, const void *key)
{
    if (map == &counters)
        return *(const __u32 *)key < ENTRIES ? &counts[*(const __u32 *)key] : NULL;
    if (map == &deliveries) {
        for (unsigned i = 0; i < accepted_count; i++)
            if (!memcmp(&accepted[i].key, key, sizeof accepted[i].key))
                return &accepted[i].value;
        return NULL;
    }
    for (unsigned i = 0; i < numbered_count; i++)
        if (!memcmp(&numbered[i].key, key, sizeof numbered[i].key))
            return &numbered[i].value;
    return NULL;
}

long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
    abort_if(map != &sequences || flags != BPF_NOEXIST || bpf_map_lookup_elem(map, key));
    if (numbered_count == PAIRS)
        return -1;
    memcpy(&numbered[numbered_count].key, key, sizeof numbered[0].key);
    memcpy(&numbered[numbered_count].value, value, sizeof numbered[0].value);
    numbered_count++;
    return 0;
}

void bpf_spin_lock(struct bpf_spin_lock *lock)
{
    abort_if(lock->val);
    lock->val = 1;
}

void bpf_spin_unlock(struct bpf_spin_lock *lock)
{
    abort_if(!lock->val);
    lock->val = 0;
}

__s64 bpf_csum_diff(__be32 *from, __u32 from_size, __be32 *to, __u32 to_size, __u32 seed)
{
    __u64 sum = seed;

    abort_if(from || from_size || to_size % 4 || to_size > 512);
    for (__u32 i = 0; i < to_size / 4; i++)
        sum += to[i];
    while (sum >> 32)
        sum = (sum & 0xffffffff) + (sum >> 32);
    return (__s64)sum;
}

long bpf_skb_load_bytes(const void *skb, __u32 offset, void *to, __u32 length)
{
    struct played *packet = played(skb);

    if (offset > 0xffff || (__u64)offset + length > packet->skb.len) {
        memset(to, 0, length);
        return -1;
    }
    memcpy(to, packet->bytes + offset, length);
    return 0;
}

long bpf_skb_store_bytes(struct __sk_buff *skb, __u32 offset, const void *from, __u32 length, __u64 flags)
{
    struct played *packet = played(skb);

    if (flags || (__u64)offset + length > packet->skb.len)
        return -1;
    memcpy(packet->bytes + offset, from, length);
    return 0;
}

long bpf_skb_change_tail(struct __sk_buff *skb, __u32 length, __u64 flags)
{
    struct played *packet = played(skb);

    if (flags || length > LONGEST || length < ETH_HLEN || packet->is_encapsulated)
        return -1;
    if (length > skb->len)
        change(packet, skb->len, 0, length - skb->len);
    else
        change(packet, length, skb->len - length, 0);
    return 0;
}

long bpf_skb_adjust_room(struct __sk_buff *skb, __s32 difference, __u32 mode, __u64 flags)
{
    struct played *packet = played(skb);
    __u32 cut = -difference, held = skb->len - ETH_HLEN;
    __u32 least = packet->protocol == bpf_htons(ETH_P_IP) ? 20 : 40;

    abort_if(difference >= 0 || mode != BPF_ADJ_ROOM_MAC);
    abort_if(flags & ~(__u64)(FIXED_GSO | DECAP_IPV4 | DECAP_IPV6));
    if (cut > 0xfff)
        return -1;
    if (packet->protocol != bpf_htons(ETH_P_IP) && packet->protocol != bpf_htons(ETH_P_IPV6))
        return -1;
    if ((flags & (DECAP_IPV4 | DECAP_IPV6)) == (DECAP_IPV4 | DECAP_IPV6))
        return -1;
    if (flags & (DECAP_IPV4 | DECAP_IPV6))
        least = flags & DECAP_IPV4 ? 20 : 40;
    if (cut >= held || held - cut < least)
        return -1;
    change(packet, ETH_HLEN, cut, 0);
    if (flags & (DECAP_IPV4 | DECAP_IPV6))
        packet->protocol = bpf_htons(flags & DECAP_IPV4 ? ETH_P_IP : ETH_P_IPV6);
    return 0;
}

static void put_back(struct played *packet)
{
    __u16 control = bpf_htons(packet->tag_control);

    change(packet, 2 * ETH_ALEN, 0, 4);
    memcpy(packet->bytes + 2 * ETH_ALEN, &packet->tag_protocol, 2);
    memcpy(packet->bytes + 2 * ETH_ALEN + 2, &control, 2);
}

long bpf_skb_vlan_push(struct __sk_buff *skb, __be16 protocol, __u16 control)
{
    struct played *packet = played(skb);

    if (protocol != bpf_htons(ETH_P_8021Q) && protocol != bpf_htons(ETH_P_8021AD))
        return -1;
    if (packet->has_tag) {
        put_back(packet);
        packet->protocol = packet->tag_protocol;
    }
    packet->has_tag = 1;
    packet->tag_protocol = protocol;
    packet->tag_control = control;
    skb->vlan_present = 1;
    return 0;
}

long bpf_skb_vlan_pop(struct __sk_buff *skb)
{
    /* Of a second tag in the bytes, which the program must not meet, the kernel would make the next one. */
    abort_if(!played(skb)->has_tag);
    played(skb)->has_tag = 0;
    skb->vlan_present = 0;
    return 0;
}

long bpf_check_mtu(void *skb, __u32 interface, __u32 *mtu, __s32 difference, __u64 flags)
{
    struct played *packet = played(skb);

    abort_if(!interface || *mtu || flags);
    return (__s64)packet->skb.len + difference <= (__s64)packet->mtu + ETH_HLEN ? 0 : 1;
}

long bpf_redirect(__u32 interface, __u64 flags)
{
    abort_if(flags != 0);
    redirected = interface;
    return interface ? REDIRECT : DROP;
}

void fuzz_accept(const struct hs_tunnel_key *key, const struct hs_delivery *delivery)
{
    abort_if(accepted_count == ENTRIES);
    accepted[accepted_count].key = *key;
    accepted[accepted_count++].value = *delivery;
}

void fuzz_deliver(const __u8 *bytes, __u32 length, struct fuzz_surroundings around, struct fuzz_verdict *verdict)
{
    struct played packet = {
        .mtu = around.mtu, .has_tag = around.is_tagged, .tag_protocol = bpf_htons(ETH_P_8021Q), .tag_control = 7,
        .is_encapsulated = around.is_encapsulated};

    packet.bytes = malloc(length);
    memcpy(packet.bytes, bytes, length);
    memcpy(&packet.protocol, bytes + 12, sizeof packet.protocol);
    packet.skb.len = length;
    packet.skb.protocol = packet.protocol;
    packet.skb.vlan_present = around.is_tagged;
    packet.skb.gso_size = around.segment;
    verdict->action = deliver(&packet.skb);
    /* What is let go is as it came. */
    abort_if(verdict->action == NEXT && (packet.skb.len != length || memcmp(packet.bytes, bytes, length) ||
                                         packet.has_tag != around.is_tagged || packet.skb.mark));
    abort_if(verdict->action == REDIRECT && packet.skb.mark != HS_MARK);
    /* The kernel segments a super-frame by the protocol it believes in. */
    if (verdict->action == REDIRECT && packet.skb.len >= ETH_HLEN + 40) {
        __be16 type;

        memcpy(&type, packet.bytes + 12, sizeof type);
        abort_if((type == bpf_htons(ETH_P_IP) || type == bpf_htons(ETH_P_IPV6)) && packet.protocol != type);
    }
    if (packet.has_tag && verdict->action == REDIRECT)
        put_back(&packet);
    free(left);
    left = packet.bytes;
    verdict->bytes = left;
    verdict->length = packet.skb.len;
    verdict->interface = redirected;
}

struct hs_delivery_counters *fuzz_counters(__u32 index) { return &counts[index]; }

__u64 fuzz_gaps(const struct hs_endpoints *pair)
{
    struct sequence *known = bpf_map_lookup_elem(&sequences, pair);

    return known ? known->gaps : 0;
}

void fuzz_forget(void) { numbered_count = 0; }
