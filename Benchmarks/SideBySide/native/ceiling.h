/* What ceiling.bpf.c writes and ceiling.c reads. */
#pragma once
#include "frame.h"

enum { RING_BYTES = 16 << 20, LONGEST = 1600 };

/* As large as Heliostat's record header; the frame follows. */
struct record {
    __u64 time;
    __u32 length;
    __u32 pad[9];
};

/* As Heliostat's: one CPU writes it, records run over its end, and the next one begins where it does. */
struct ring {
    __u64 produced, seen, pad[30];
    __u64 consumed, more[31];
    __u8 data[RING_BYTES + 4096 - 512];
};

/* Where the record behind one of `length` bytes at `position` begins. */
static inline __attribute__((always_inline)) __u64 next_record(__u64 position, __u32 length)
{
    __u64 next = position + ((sizeof(struct record) + length + 7) & ~7u);

    return (position ^ next) & RING_BYTES ? next & ~(__u64)(RING_BYTES - 1) : next;
}
