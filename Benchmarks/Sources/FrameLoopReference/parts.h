/* What reference.c works on, as a C programmer lays it out: rings, chunks, tables, ledgers; and what is done with chunks and
   with an uplink. The same parts as Ring.swift, CaptureRing.swift, UMEM.swift, Uplink.swift, ForwardingTable.swift and
   Selection.swift, without the ways that no plain frame takes. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "cshims.h"

#define INLINE static inline __attribute__((always_inline))

enum {
    CHUNK = 4096, CHUNKS = 8192, BUDGET = 64, SHORT_BUDGET = 8, MOST_EMITTED = 512,
    NO_FATE = 0xff, UNKNOWN_GENERATION = 0, MALFORMED, EXCEEDS_MTU, TX_RING_FULL, UMEM_EXHAUSTED, UPLINK_LIMITED,
    FREE = 0, VXLAN = 0,
};

struct counters { uint64_t offered, frames, bytes, truncated, drops[20]; } __attribute__((aligned(64)));

struct capture_ring {
    struct hs_ring *memory;
    unsigned long mask, position, released, limit;
    const struct hs_record *record;
};

struct producer_ring {
    _Atomic uint32_t *producer, *consumer, *flags;
    struct xdp_desc *elements;
    uint32_t size, cursor, seen_consumer;
};

struct consumer_ring {
    _Atomic uint32_t *producer, *consumer;
    uint64_t *elements;
    uint32_t mask, cursor;
};

struct uplink {
    int socket;
    uint16_t number;
    struct producer_ring transmit;
    struct consumer_ring completion;
    bool is_dirty, is_stalled, is_limited;
    long in_flight;
};

struct tap { struct counters *counters; uint64_t destinations; };

struct slot {
    struct tap *taps;
    uint32_t *destinations;
    uint64_t known, filtered;
    bool is_plain;
};

struct fill {
    uint8_t encapsulation;
    bool is_ipv6, has_checksum;
    int network, transport, overhead;
    uint32_t header_sum;
    uint16_t first_port, port_mask;
};

struct destination {
    uint8_t fate;
    bool drops_oversize;
    long header_length, frame_limit;
    struct uplink *uplink;
    struct counters *counters;
    const uint8_t *template;
    struct fill outer;
};

struct table {
    uint32_t generation, previous_generation;
    struct slot *slots, *previous_slots;
    struct destination *destinations;
    struct uplink **uplinks;
    long uplink_count, span_count, lane_count;
};

struct umem {
    uint8_t *base;
    long chunk_count, free_count, reserve;
    uint32_t *free_chunks;
    uint16_t *places;
};

struct reference_worker {
    struct umem umem;
    struct capture_ring *rings;
    long ring_count, emitted;
    struct table *table;
    _Atomic uintptr_t *published;
    _Atomic uint64_t *real_time_offset;
    struct counters *strays;
    uint8_t *scratch;
    uint64_t to_real_time, latest, turn_time;
};

struct frame {
    const uint8_t *head, *body;
    long head_length, body_length, checksum_at, missing;
    uint16_t checksum;
    uint32_t hash;
};

struct layers {
    uint8_t version, transport;
    bool is_fragment;
    uint16_t ether_type;
    long network, payload;
};

struct match {
    const struct slot *slot;
    uint64_t taps, open, destinations;
};

struct outcome {
    uint8_t fate;
    long bytes;
    bool truncated;
};

INLINE uint16_t big16(const uint8_t *at) { uint16_t v; memcpy(&v, at, 2); return __builtin_bswap16(v); }
INLINE uint32_t big32(const uint8_t *at) { uint32_t v; memcpy(&v, at, 4); return __builtin_bswap32(v); }
INLINE uint64_t quad(const uint8_t *at) { uint64_t v; memcpy(&v, at, 8); return v; }
INLINE void put16(uint8_t *at, uint16_t v) { v = __builtin_bswap16(v); memcpy(at, &v, 2); }
INLINE long least(long a, long b) { return a < b ? a : b; }

INLINE uint16_t fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

INLINE uint16_t sum_of(const uint8_t *bytes, long count)
{
    uint64_t sum = 0;
    uint32_t word = 0;

    for (; count >= 4; bytes += 4, count -= 4) {
        memcpy(&word, bytes, 4);
        sum += word;
    }
    word = 0;
    memcpy(&word, bytes, count);
    return __builtin_bswap16(fold(sum + word));
}

/* umem */

INLINE uint32_t take_chunk(struct umem *umem, uint16_t place)
{
    uint32_t chunk = umem->free_chunks[--umem->free_count];

    umem->places[chunk] = place;
    return chunk;
}

INLINE void give_chunk(struct umem *umem, uint32_t chunk)
{
    umem->free_chunks[umem->free_count++] = chunk;
    umem->places[chunk] = FREE;
}

/* uplink */

INLINE uint32_t pending(const struct producer_ring *ring)
{
    return ring->cursor - atomic_load_explicit(ring->consumer, memory_order_acquire);
}

INLINE void reclaim(struct uplink *uplink, struct umem *umem)
{
    struct consumer_ring *ring = &uplink->completion;
    uint32_t count = atomic_load_explicit(ring->producer, memory_order_acquire) - ring->cursor;

    if (count == 0)
        return;
    for (uint32_t index = 0; index < count; index++)
        give_chunk(umem, ring->elements[(ring->cursor + index) & ring->mask] >> 12);
    uplink->in_flight -= count;
    ring->cursor += count;
    atomic_store_explicit(ring->consumer, ring->cursor, memory_order_release);
}

INLINE void kick(struct uplink *uplink)
{
    struct producer_ring *ring = &uplink->transmit;

    atomic_store_explicit(ring->producer, ring->cursor, memory_order_release);
    uplink->is_dirty = false;
    for (int calls = 0; calls < 256 && pending(ring) > 0
         && atomic_load_explicit(ring->flags, memory_order_relaxed) & 1; calls++) {
        uint32_t before = pending(ring);
        int error = hs_kick(uplink->socket);

        if (error && (error != EAGAIN || pending(ring) == before)) {
            uplink->is_stalled = true;
            break;
        }
    }
}

INLINE bool has_room(struct uplink *uplink, long count, const struct umem *umem)
{
    struct producer_ring *ring = &uplink->transmit;

    if (uplink->in_flight + count > umem->chunk_count / 4)
        return false;
    if (ring->size - (ring->cursor - ring->seen_consumer) >= count)
        return true;
    ring->seen_consumer = atomic_load_explicit(ring->consumer, memory_order_acquire);
    return ring->size - (ring->cursor - ring->seen_consumer) >= count;
}

INLINE bool make_room(struct uplink *uplink, long count, struct umem *umem)
{
    if (has_room(uplink, count, umem))
        return true;
    if (uplink->is_stalled)
        return false;
    kick(uplink);
    reclaim(uplink, umem);
    return has_room(uplink, count, umem);
}

INLINE void queue(struct uplink *uplink, uint64_t address, uint32_t length, bool continues)
{
    struct producer_ring *ring = &uplink->transmit;

    ring->elements[ring->cursor++ & (ring->size - 1)]
        = (struct xdp_desc){.addr = address, .len = length, .options = continues ? HS_XDP_PKT_CONTD : 0};
    uplink->is_dirty = true;
    uplink->in_flight++;
}
