/* What ceiling.c queues and redirect.bpf.c takes: copies in chunks of a BPF array, which is the AF_XDP socket's memory too. */
#pragma once
#include <linux/types.h>

enum { CHUNK = 2048, CHUNKS = 16384, QUEUE = 1024, FRAME_BEFORE = 64 };

struct queued_copy {
    __u32 chunk, length;
};

struct copy_queue {
    __u64 next, end, refused;
    struct queued_copy copies[QUEUE];
};
