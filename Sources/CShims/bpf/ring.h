/* The rings that captured frames go into, one of each worker for each CPU, and how a worker that sleeps is woken. They are memory
   of ours rather than the kernel's ring buffers: one CPU writes each, so that no atomic is needed, and an atomic makes the
   sender wait for its stores to lines that no cache has (docs/performance.md). Included by capture.bpf.c. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "record.h"

/* Size of the rings less one; their values are that much larger than the header and HS_RING_OVERRUN. */
const volatile __u32 ring_mask = 0;

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 1); /* possible CPUs by workers, set by the loader: the rings of one worker after the other's */
    __uint(key_size, sizeof(__u32));
    __uint(value_size, sizeof(__u32)); /* arrays of one mapped value, as large as the ring: the loader has a pattern of them */
} rings SEC(".maps");

/* A ring buffer of the kernel for each worker, for its descriptor: whoever sleeps on it can be woken by a program. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, HS_WORKERS);
    __type(key, __u32);
    __array(values, struct {
        __uint(type, BPF_MAP_TYPE_RINGBUF);
        __uint(max_entries, 1 << 16); /* whole pages of any size */
    });
} doorbells SEC(".maps");

/* 1 while a worker sleeps. Whoever has written a record for it then takes it back to 0 and wakes. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(map_flags, BPF_F_MMAPABLE);
    __uint(max_entries, HS_WORKERS * HS_WAKEUP_STRIDE);
    __type(key, __u32);
    __type(value, __u64);
} need_wakeup SEC(".maps");

#define READ(word) (*(volatile __u64 *)&(word))
#define WRITE(word, value) (*(volatile __u64 *)&(word) = (value))

/* Wakes a worker that sleeps: the first record after a pause does. The CPU may read the worker's word before others can see the
   record, so the worker looks again some time after it has set it (Worker.swift). A barrier here would cost every frame what it
   saves a few. */
static __always_inline void wake(__u32 worker)
{
    __u32 place = worker * HS_WAKEUP_STRIDE;
    __u64 note = 0, *asleep = bpf_map_lookup_elem(&need_wakeup, &place);
    void *bell;

    if (!asleep || !READ(*asleep) || !__sync_lock_test_and_set(asleep, 0))
        return;
    bell = bpf_map_lookup_elem(&doorbells, &worker);
    if (bell)
        bpf_ringbuf_output(bell, &note, sizeof note, BPF_RB_FORCE_WAKEUP);
}

/* Makes the records before `position` visible. Stores are seen in their order on x86; elsewhere an exchange orders them. */
static __always_inline void publish(struct hs_ring *ring, __u64 position)
{
#ifdef __TARGET_ARCH_x86
    barrier();
    WRITE(ring->produced, position);
#else
    __sync_lock_test_and_set(&ring->produced, position);
#endif
}

/* Whether a ring has room up to `end`. */
static __always_inline int has_room(struct hs_ring *ring, __u64 end)
{
    if (end - ring->seen <= (__u64)ring_mask + 1)
        return 1;
    ring->seen = READ(ring->consumed);
    return end - ring->seen <= (__u64)ring_mask + 1;
}
