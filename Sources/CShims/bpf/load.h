/* How a frame's bytes get into a record: small ones in place, without a call; others by the helper that knows of fragments.
   Included by capture.bpf.c, which says with FRAME and LOAD_BYTES what a frame is. */
#pragma once
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum { HS_SMALL = 80 };

/* Copies `length` bytes, 1 to `most`. Verifiers before Linux 6.8 learn nothing from a comparison with 0, and lose what was
   compared in another register: hence one less, and one more. */
static __always_inline int load_some(FRAME *frame, __u32 at, void *to, __u32 length, __u32 most)
{
    length--;
    barrier_var(length);
    return length >= most || LOAD_BYTES(frame, at, to, length + 1);
}

/* Copies a frame of 64 to HS_SMALL bytes that lies in one piece; 0 if it is another. The helper and its copy of a variable
   length take 30 ns for it, these words next to nothing. The last two overlap those before. */
static __always_inline int load_small(FRAME *frame, void *to, __u32 length)
{
    const void *from = (void *)(long)frame->data, *end = (void *)(long)frame->data_end;
    __u32 tail = length - 64;

    barrier_var(tail);
    if (tail > HS_SMALL - 64 || from + 64 > end)
        return 0;
#pragma unroll
    for (int at = 0; at < 64; at += 8)
        *(__u64 *)(to + at) = *(__u64 *)(from + at);
    if (tail == 0)
        return 1;
    from += tail + 48;
    to += tail + 48;
    if (from + 16 > end)
        return 0;
    *(__u64 *)to = *(__u64 *)from;
    *(__u64 *)(to + 8) = *(__u64 *)(from + 8);
    return 1;
}
