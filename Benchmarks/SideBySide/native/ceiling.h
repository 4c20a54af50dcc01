/* What ceiling.bpf.c writes and ceiling.c reads. */
#pragma once
#include "frame.h"

enum { RING_BYTES = 16 << 20 };

/* As large as Heliostat's record header; the frame follows. */
struct record {
    __u64 time;
    __u32 length;
    __u32 pad[9];
};
