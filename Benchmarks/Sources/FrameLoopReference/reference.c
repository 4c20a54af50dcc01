/* reference: Heliostat's worker by hand in C, to hold the Swift loop against. It makes the same packets of the same records, from
   the same rings by the same rules: programs by generation, taps and destinations by bitmap, the merge by time, layers, the
   symmetric hash, tags put back, checksums completed, limits, ledgers, chunks by place. Ways that no plain frame takes
   (super-frames, actions, spans, other encapsulations) end in a drop. FrameLoop.swift compares every byte that leaves. */
#include "reference.h"

#include <stdlib.h>

#include "parts.h"

/* one copy of one frame */

INLINE void fill_outer(const struct fill *outer, uint8_t *header, long length, uint32_t hash)
{
    uint16_t total = length + outer->overhead;

    put16(header + outer->network + 2, total);
    put16(header + outer->network + 10, ~fold((uint64_t)outer->header_sum + total));
    put16(header + outer->transport, outer->first_port + (hash >> 16 & outer->port_mask));
    put16(header + outer->transport + 4, total - 20);
}

INLINE struct outcome emit(const struct frame *frame, const struct destination *destination, struct umem *umem)
{
    if (destination->fate != NO_FATE)
        return (struct outcome){destination->fate};
    long header = destination->header_length, all = frame->head_length + frame->body_length;

    if (header + frame->checksum_at + 2 > CHUNK)
        return (struct outcome){MALFORMED};
    if (all > destination->frame_limit && destination->drops_oversize)
        return (struct outcome){EXCEEDS_MTU};
    if (destination->outer.encapsulation != VXLAN || destination->outer.is_ipv6 || destination->outer.has_checksum)
        return (struct outcome){MALFORMED};
    long length = least(all, destination->frame_limit), total = header + length, chunks = (total + CHUNK - 1) / CHUNK;
    struct uplink *uplink = destination->uplink;

    if (!make_room(uplink, chunks, umem))
        return (struct outcome){TX_RING_FULL};
    if (umem->free_count - umem->reserve < chunks) {
        reclaim(uplink, umem);
        if (umem->free_count - umem->reserve < chunks)
            return (struct outcome){UMEM_EXHAUSTED};
    }
    if (uplink->is_limited)
        return (struct outcome){UPLINK_LIMITED};
    uint16_t place = 5 + uplink->number * 2;
    uint32_t first = take_chunk(umem, place);
    uint8_t *start = umem->base + (uint64_t)first * CHUNK, *inner = start + header;

    if (header > 64)
        memcpy(start, destination->template, 128);
    else if (header)
        memcpy(start, destination->template, 64);
    if (frame->head_length > 0)
        memcpy(inner, frame->head, least(frame->head_length, length));
    long left = length - frame->head_length, part = least(left, CHUNK - header - frame->head_length);

    if (part > 0)
        memcpy(inner + frame->head_length, frame->body, part);
    else
        part = 0;
    if (frame->checksum_at >= 0 && frame->checksum_at + 2 <= length)
        put16(inner + frame->checksum_at, frame->checksum);
    left -= part;
    long queued = least(total, CHUNK);

    if (header)
        fill_outer(&destination->outer, start, length, frame->hash);
    queue(uplink, (uint64_t)first * CHUNK, queued, queued < total);
    for (const uint8_t *from = frame->body + part; left > 0; from += part) {
        uint32_t chunk = take_chunk(umem, place);

        part = least(left, CHUNK);
        memcpy(umem->base + (uint64_t)chunk * CHUNK, from, part);
        left -= part;
        queued += part;
        queue(uplink, (uint64_t)chunk * CHUNK, part, queued < total);
    }
    return (struct outcome){NO_FATE, length, length < all || frame->missing};
}

INLINE void note(struct counters *counters, struct outcome outcome, uint64_t frames)
{
    counters->offered += frames;
    if (outcome.fate == NO_FATE) {
        counters->frames++;
        counters->bytes += outcome.bytes;
        counters->truncated += outcome.truncated;
    } else {
        counters->drops[outcome.fate] += frames;
    }
}

INLINE struct match match_of(const struct slot *slot, uint64_t taps, bool is_judged)
{
    struct match match = {slot, taps & slot->known, 0, 0};

    match.open = is_judged ? 0 : match.taps & slot->filtered;
    for (uint64_t left = match.taps; left; left &= left - 1)
        match.destinations |= slot->taps[__builtin_ctzll(left)].destinations;
    return match;
}

INLINE void count(const struct match *match, struct outcome outcome, int bit, struct destination *destination)
{
    note(destination->counters, outcome, 1);
    for (uint64_t left = match->taps; left; left &= left - 1) {
        struct tap *tap = match->slot->taps + __builtin_ctzll(left);

        if (tap->destinations >> bit & 1)
            note(tap->counters, outcome, 1);
    }
}

static __attribute__((noinline)) void drop(struct reference_worker *worker, const struct match *match, int reason)
{
    for (uint64_t left = match->destinations; left; left &= left - 1) {
        int bit = __builtin_ctzll(left);

        count(match, (struct outcome){reason}, bit, worker->table->destinations + match->slot->destinations[bit]);
    }
}

/* layers and hash */

INLINE struct layers layers_of(const uint8_t *frame, long length)
{
    struct layers layers = {.ether_type = big16(frame + 12)};
    long at = 14;

    while ((layers.ether_type == 0x8100 || layers.ether_type == 0x88a8) && at + 4 <= length) {
        layers.ether_type = big16(frame + at + 2);
        at += 4;
    }
    layers.network = layers.payload = at;
    if (layers.ether_type == 0x0800) {
        if (at + 20 > length || frame[at] >> 4 != 4)
            return layers;
        long header = (frame[at] & 15) * 4;

        if (header < 20 || at + header > length)
            return layers;
        layers.version = 4;
        layers.payload = at + header;
        layers.is_fragment = big16(frame + at + 6) & 0x3fff;
        layers.transport = frame[at + 9];
    } else if (layers.ether_type == 0x86dd) {
        if (at + 40 > length || frame[at] >> 4 != 6)
            return layers;
        layers.version = 6;
        layers.transport = frame[at + 6];
        layers.payload = at + 40;
        for (int depth = 0; layers.transport == 0 || layers.transport == 43 || layers.transport == 60
             || layers.transport == 44; depth++) {
            if (depth == 4 || layers.payload + 8 > length) {
                layers.transport = 0;
                return layers;
            }
            if (layers.transport == 44)
                layers.is_fragment = true;
            long bytes = layers.transport == 44 ? 8 : (frame[layers.payload + 1] + 1) * 8;

            layers.transport = frame[layers.payload];
            layers.payload += bytes;
        }
        if (layers.payload > length)
            layers.transport = 0;
    }
    return layers;
}

INLINE uint64_t mixed(uint64_t one, uint64_t other)
{
    uint64_t product = (one ^ 0x9e3779b97f4a7c15) * 0xbf58476d1ce4e5b9;

    return (product ^ product >> 31) + other * 0x94d049bb133111eb;
}

INLINE uint64_t sorted(uint64_t one, uint64_t other) { return one < other ? mixed(one, other) : mixed(other, one); }

INLINE uint64_t finished(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

INLINE uint32_t flow_hash(const uint8_t *frame, long length, const struct layers *layers)
{
    const uint8_t *ip = frame + layers->network;
    uint64_t sum;

    if (layers->version == 4)
        sum = sorted(big32(ip + 12), big32(ip + 16));
    else if (layers->version == 6)
        sum = sorted(mixed(quad(ip + 8), quad(ip + 16)), mixed(quad(ip + 24), quad(ip + 32)));
    else
        return finished(sorted((uint64_t)big32(frame) << 16 | big16(frame + 4),
                               (uint64_t)big32(frame + 6) << 16 | big16(frame + 10)) ^ layers->ether_type);
    bool has_ports = layers->transport == 6 || layers->transport == 17 || layers->transport == 132;

    if (!layers->is_fragment) {
        sum ^= (uint64_t)layers->transport << 56;
        if (has_ports && layers->payload + 4 <= length)
            sum = mixed(sum, sorted(big16(frame + layers->payload), big16(frame + layers->payload + 2)));
    }
    return finished(sum);
}

/* records */

INLINE void complete(const struct hs_record *record, const uint8_t *bytes, const struct layers *layers, struct frame *frame)
{
    long captured = record->captured, start = record->csum_start, offset = record->csum_offset;

    if (!(record->flags & HS_CHECKSUM_PARTIAL)) {
        if (!(record->flags & HS_CHECKSUM_UNKNOWN) || layers->is_fragment || !layers->version)
            return;
        return; /* the kernel of this record tells */
    }
    if (layers->transport == 132 || captured != record->length || start + offset + 2 > captured)
        return;
    uint16_t sum = ~sum_of(bytes + start, captured - start);

    frame->checksum_at = start + offset;
    frame->checksum = sum == 0 && layers->transport == 17 ? 0xffff : sum;
}

INLINE void take(struct reference_worker *worker, const struct hs_record *record, const uint8_t *bytes)
{
    struct table *table = worker->table;
    struct slot *slots = table->slots;

    if (record->generation != table->generation) {
        slots = table->previous_slots;
        if (record->generation != table->previous_generation) {
            worker->strays->drops[UNKNOWN_GENERATION] += record->gso_segments ? record->gso_segments : 1;
            return;
        }
    }
    struct match match = match_of(
        slots + (record->slot & (HS_SLOTS - 1)), record->taps, !(record->flags & (HS_RECHECK | HS_UNFILTERED)));
    long captured = record->captured;

    if (captured < 14 || record->gso_size) {
        drop(worker, &match, MALFORMED);
        return;
    }
    struct layers layers = layers_of(bytes, captured);
    struct frame frame = {
        .head = bytes, .body = bytes, .body_length = captured, .checksum_at = -1, .hash = flow_hash(bytes, captured, &layers)};

    if (record->length > record->captured)
        frame.missing = record->length - captured;
    complete(record, bytes, &layers, &frame);
    if (record->flags & HS_VLAN) {
        memcpy(worker->scratch, bytes, 12);
        put16(worker->scratch + 12, record->vlan_protocol);
        put16(worker->scratch + 14, record->vlan_tci);
        frame.head = worker->scratch;
        frame.head_length = 16;
        frame.body = bytes + 12;
        frame.body_length = captured - 12;
        if (frame.checksum_at >= 0)
            frame.checksum_at += 4;
    }
    if (!match.slot->is_plain) {
        drop(worker, &match, MALFORMED);
        return;
    }
    for (uint64_t left = match.destinations; left; left &= left - 1) {
        int bit = __builtin_ctzll(left);
        struct destination *destination = table->destinations + match.slot->destinations[bit];

        count(&match, emit(&frame, destination, &worker->umem), bit, destination);
    }
}

/* turns */

INLINE _Atomic uint64_t *word(__u64 *word) { return (_Atomic uint64_t *)word; }

INLINE void find(struct capture_ring *ring)
{
    ring->record = (const void *)(ring->memory->data + (ring->position & ring->mask));
}

INLINE void release(struct reference_worker *worker)
{
    for (long index = 0; index < worker->ring_count; index++) {
        struct capture_ring *ring = worker->rings + index;

        if (ring->position == ring->released)
            continue;
        ring->released = ring->position;
        atomic_store_explicit(word(&ring->memory->consumed), ring->position, memory_order_release);
    }
}

INLINE long take_captured(struct reference_worker *worker, int budget)
{
    uint64_t clock = hs_clock(), horizon = clock > worker->latest ? clock : worker->latest;
    long taken = 0;

    worker->to_real_time = atomic_load_explicit(worker->real_time_offset, memory_order_relaxed);
    worker->turn_time = horizon + worker->to_real_time;
    for (long index = 0; index < worker->ring_count; index++)
        worker->rings[index].limit =
            atomic_load_explicit(word(&worker->rings[index].memory->produced), memory_order_acquire);
    worker->emitted = 0;
    for (; taken < budget && worker->emitted < MOST_EMITTED; taken++) {
        struct capture_ring *best = 0;
        uint64_t earliest = horizon;

        for (long index = 0; index < worker->ring_count; index++) {
            struct capture_ring *ring = worker->rings + index;

            if (ring->position != ring->limit && ring->record->time <= earliest) {
                earliest = ring->record->time;
                best = ring;
            }
        }
        if (!best)
            break;
        take(worker, best->record, (const uint8_t *)(best->record + 1));
        best->position = hs_next_record(best->position, hs_record_room(best->record->captured), best->mask);
        find(best);
    }
    release(worker);
    return taken;
}

__attribute__((noinline)) long reference_turn(struct reference_worker *worker)
{
    struct table *table = (void *)atomic_load_explicit(worker->published, memory_order_acquire);

    worker->table = table;
    for (long index = 0; index < table->uplink_count; index++) {
        table->uplinks[index]->is_stalled = false;
        reclaim(table->uplinks[index], &worker->umem);
    }
    long taken = take_captured(worker, table->lane_count ? SHORT_BUDGET : BUDGET);

    for (long index = 0; index < table->uplink_count; index++) {
        struct uplink *uplink = table->uplinks[index];

        if (uplink->is_dirty || pending(&uplink->transmit) > 0)
            kick(uplink);
    }
    return taken;
}

/* making */

static void *zeroed(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) & ~63ul);

    return memset(memory, 0, (bytes + 63) & ~63ul);
}

static void make_destination(struct destination *to, struct uplink *uplink, const uint8_t *packet)
{
    uint8_t *template = zeroed(128);

    memcpy(template, packet, 50);
    memset(template + 16, 0, 2); /* lengths and checksum of IP, source port and length of UDP */
    memset(template + 24, 0, 2);
    memset(template + 34, 0, 2);
    memset(template + 38, 0, 2);
    *to = (struct destination){
        .fate = NO_FATE, .header_length = 50, .frame_limit = 9000, .uplink = uplink, .template = template,
        .counters = zeroed(sizeof(struct counters)),
        .outer = {.encapsulation = VXLAN, .network = 14, .transport = 34, .overhead = 36,
                  .header_sum = sum_of(template + 14, 20), .first_port = 49152, .port_mask = 16383}};
}

static struct table *make_table(const struct reference_memory *memory)
{
    struct table *table = zeroed(sizeof *table);
    struct uplink *uplink = zeroed(sizeof *uplink);

    *uplink = (struct uplink){
        .socket = -1,
        .transmit = {memory->transmit_producer, memory->transmit_consumer, memory->transmit_flags,
                     memory->transmit_elements, .size = memory->entries},
        .completion = {memory->completion_producer, memory->completion_consumer, memory->completion_elements,
                       memory->entries - 1}};
    table->generation = 1;
    table->slots = zeroed(HS_SLOTS * sizeof(struct slot));
    table->previous_slots = table->slots;
    table->uplinks = zeroed(sizeof *table->uplinks);
    table->uplinks[0] = uplink;
    table->uplink_count = 1;
    table->destinations = zeroed(sizeof *table->destinations);
    make_destination(table->destinations, uplink, memory->packet);
    table->slots[0] = (struct slot){zeroed(sizeof(struct tap)), zeroed(sizeof(uint32_t)), 1, 0, true};
    table->slots[0].taps[0] = (struct tap){zeroed(sizeof(struct counters)), 1};
    return table;
}

struct reference_worker *reference_make(const struct reference_memory *memory)
{
    struct reference_worker *worker = zeroed(sizeof *worker);
    struct umem *umem = &worker->umem;

    umem->base = hs_map_area((size_t)CHUNKS * CHUNK);
    umem->chunk_count = umem->free_count = CHUNKS;
    umem->free_chunks = zeroed(CHUNKS * sizeof(uint32_t));
    umem->places = zeroed(CHUNKS * sizeof(uint16_t));
    for (uint32_t index = 0; index < CHUNKS; index++)
        umem->free_chunks[index] = CHUNKS - 1 - index;
    worker->rings = zeroed(sizeof *worker->rings);
    worker->rings[0] = (struct capture_ring){memory->capture, memory->size - 1};
    find(worker->rings);
    worker->ring_count = 1;
    worker->table = make_table(memory);
    worker->published = zeroed(sizeof *worker->published);
    *worker->published = (uintptr_t)worker->table;
    worker->real_time_offset = zeroed(sizeof *worker->real_time_offset);
    worker->strays = zeroed(sizeof(struct counters));
    worker->scratch = zeroed(1 << 17);
    return worker;
}

uint64_t reference_frames(const struct reference_worker *worker) { return worker->table->destinations[0].counters->frames; }

void *reference_area(const struct reference_worker *worker) { return worker->umem.base; }
